//! Times as lines write them, and the moments they mean.

use super::FormatOptions;
use super::scan::{Scan, digit};
use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, TimeDelta, Utc};

/// The first second that is too late for a number: 2200-01-01T00:00:00Z.
const EPOCH_SECONDS_END: u64 = 7_258_118_400;
/// A smaller number is rather a duration than seconds since 1970: this is 1973-03-03.
const EPOCH_SECONDS_MIN: u64 = 100_000_000;
/// How far back a year in which there is a 29 February lies at most (1896 to 1904).
const LEAP_YEARS_MAX: i32 = 8;
/// What names a zone without saying how far it is from UTC: some of these mean two or three zones.
const ZONE_NAMES: &[&[u8]] = &[
    b"ACDT", b"ACST", b"AEDT", b"AEST", b"AKDT", b"AKST", b"AWST", b"BRT", b"BST", b"CAT", b"CDT",
    b"CEST", b"CET", b"CST", b"EAT", b"EDT", b"EEST", b"EET", b"EST", b"HKT", b"HST", b"IST",
    b"JST", b"KST", b"MDT", b"MSK", b"MST", b"NZDT", b"NZST", b"PDT", b"PKT", b"PST", b"SAST",
    b"SGT", b"WAT", b"WEST", b"WET", b"WIB",
];

/// The time of day as written; nothing is checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DayTime {
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) nanos: u32,
}

/// What a line says about its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    /// Nothing.
    Unnamed,
    /// Seconds east of UTC.
    Offset(i32),
    /// A zone, but not which offset: the moment cannot be known.
    Unknown,
}

/// A date and a time as written; nothing is checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// `None` where the line leaves it out.
    pub(super) year: Option<i32>,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) time: DayTime,
    pub(super) zone: Zone,
}

/// What completes a written time to a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calendar {
    zone: FixedOffset,
    year: Option<i32>,
    /// The latest moment that a time without a year may mean.
    latest: DateTime<Utc>,
}

impl Calendar {
    pub(super) fn new(options: &FormatOptions) -> Self {
        let latest = options.now.checked_add_signed(TimeDelta::days(1));
        let latest = latest.unwrap_or(DateTime::<Utc>::MAX_UTC);
        Self { zone: options.zone, year: options.year, latest }
    }

    /// The moment that is meant. None for what no calendar has, and for an unknown zone.
    pub(super) fn moment(&self, written: &Written) -> Option<DateTime<Utc>> {
        let zone = match written.zone {
            Zone::Unnamed => self.zone,
            Zone::Offset(seconds) => FixedOffset::east_opt(seconds)?,
            Zone::Unknown => return None,
        };
        if let Some(year) = written.year.or(self.year) {
            return in_year(written, year, zone);
        }
        // In no zone is the local year more than one away from the year in UTC.
        let last = self.latest.year().saturating_add(1);
        (0..=LEAP_YEARS_MAX + 2)
            .filter_map(|back| in_year(written, last.checked_sub(back)?, zone))
            .find(|moment| *moment <= self.latest)
    }
}

fn in_year(written: &Written, year: i32, zone: FixedOffset) -> Option<DateTime<Utc>> {
    let DayTime { hour, minute, second, nanos } = written.time;
    // A leap second is the last nanosecond of its minute: no clock here can hold it.
    let (second, nanos) = if second == 60 { (59, 999_999_999) } else { (second, nanos) };
    let date = NaiveDate::from_ymd_opt(year, written.month, written.day)?;
    let local = date.and_hms_nano_opt(hour, minute, second, nanos)?;
    let utc = local.checked_sub_offset(zone)?;
    Some(utc.and_utc())
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS` with a fraction after a dot, a comma or (three digits) a colon.
pub(super) fn day_time(scan: &mut Scan<'_>) -> Option<DayTime> {
    let hour = scan.digits::<2>()?;
    scan.byte(b':')?;
    let minute = scan.digits::<2>()?;
    let mut after = *scan;
    let seconds = after.byte(b':').and_then(|()| after.digits::<2>());
    let Some(second) = seconds else {
        let cut = matches!(scan.rest(), [b':', b'0'..=b'9', ..]);
        return (!cut).then_some(DayTime { hour, minute, second: 0, nanos: 0 });
    };
    *scan = after;
    Some(DayTime { hour, minute, second, nanos: fraction(scan) })
}

/// The nanoseconds of a fraction, if one comes next. Digits after the ninth are dropped.
fn fraction(scan: &mut Scan<'_>) -> u32 {
    let mut after = *scan;
    let Some(mark) = after.one(|byte| matches!(byte, b'.' | b',' | b':')) else { return 0 };
    let digits = after.while_in(|byte| byte.is_ascii_digit());
    if digits.is_empty() || (mark == b':' && (digits.len() != 3 || !after.at_boundary())) {
        return 0;
    }
    *scan = after;
    nanos(digits)
}

/// The nanoseconds that the digits of a fraction mean.
fn nanos(digits: &[u8]) -> u32 {
    let digits = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    digits.fold(0, |value, byte| value * 10 + digit(byte).unwrap_or(0))
}

/// The zone after a time, if one comes next: `Z`, `+01`, `+0100`, `+01:00`, and after one blank
/// `+0100`, `+01:00`, `Z`, `UTC` or `GMT`.
pub(super) fn zone(scan: &mut Scan<'_>) -> Zone {
    let mut after = *scan;
    let blank = after.byte(b' ').is_some();
    let zone = match after.peek() {
        Some(b'+' | b'-') => offset(&mut after, blank),
        Some(byte) if byte.is_ascii_alphabetic() => {
            let name = after.while_in(|byte| byte.is_ascii_alphabetic());
            zone_of_name(name).filter(|_| after.at_boundary())
        }
        _ => None,
    };
    match zone {
        Some(zone) => {
            *scan = after;
            zone
        }
        None => Zone::Unnamed,
    }
}

/// `+HH`, `+HHMM` or `+HH:MM`. After a blank the minutes are needed, and an offset that some place
/// uses, for there any number may stand.
fn offset(scan: &mut Scan<'_>, blank: bool) -> Option<Zone> {
    let sign = scan.one(|byte| matches!(byte, b'+' | b'-'))?;
    let hours = scan.digits::<2>()?;
    let mut after = *scan;
    after.byte(b':');
    let minutes = after.digits::<2>();
    if minutes.is_some() {
        *scan = after;
    }
    let used = hours <= 14 && minutes.is_some_and(|minutes| minutes % 15 == 0);
    if !scan.at_boundary() || (blank && !used) {
        return None;
    }
    let minutes = minutes.unwrap_or(0);
    if hours > 23 || minutes > 59 {
        return Some(Zone::Unknown);
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    Some(Zone::Offset(if sign == b'-' { -seconds } else { seconds }))
}

fn zone_of_name(name: &[u8]) -> Option<Zone> {
    match name {
        b"Z" | b"z" | b"UTC" | b"GMT" => Some(Zone::Offset(0)),
        // Twelve-hour clocks are not read, and must not be read as others.
        b"AM" | b"PM" | b"am" | b"pm" => Some(Zone::Unknown),
        _ if ZONE_NAMES.contains(&name) => Some(Zone::Unknown),
        _ => None,
    }
}

/// The number of a month by its English short name, in the usual case.
pub(super) fn month_name(scan: &mut Scan<'_>) -> Option<u32> {
    let (name, _) = scan.rest().split_first_chunk::<3>()?;
    let month = match name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    scan.skip(3);
    Some(month)
}

/// The English short name of a day of the week. Which one is not compared with the date.
pub(super) fn week_day(scan: &mut Scan<'_>) -> Option<()> {
    let (name, _) = scan.rest().split_first_chunk::<3>()?;
    if !matches!(name, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun") {
        return None;
    }
    scan.skip(3);
    Some(())
}

/// A year of four digits.
pub(super) fn year(scan: &mut Scan<'_>) -> Option<i32> {
    i32::try_from(scan.digits::<4>()?).ok()
}

/// A year of two digits, read as POSIX does: 69 to 99 lie in the twentieth century.
pub(super) fn short_year(scan: &mut Scan<'_>) -> Option<i32> {
    let year = i32::try_from(scan.digits::<2>()?).ok()?;
    Some(if year >= 69 { 1900 + year } else { 2000 + year })
}

/// How long one step of a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    const fn steps_a_second(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }

    /// The unit in which a number lies between 1973 and 2200, and if none, none.
    const fn of(number: u64) -> Option<Self> {
        match number {
            EPOCH_SECONDS_MIN..100_000_000_000 => Some(Self::Seconds),
            100_000_000_000..100_000_000_000_000 => Some(Self::Millis),
            100_000_000_000_000..100_000_000_000_000_000 => Some(Self::Micros),
            100_000_000_000_000_000.. => Some(Self::Nanos),
            0..EPOCH_SECONDS_MIN => None,
        }
    }
}

/// The moment of a number of steps since 1970, before 2200.
pub(super) fn since_1970(number: u64, unit: Unit) -> Option<DateTime<Utc>> {
    let steps = unit.steps_a_second();
    let nanos = number % steps * (Unit::Nanos.steps_a_second() / steps);
    moment(number / steps, u32::try_from(nanos).ok()?)
}

/// The moment of a number whose unit its size tells.
pub(super) fn of_number(number: u64) -> Option<DateTime<Utc>> {
    since_1970(number, Unit::of(number)?)
}

/// As [`of_number`], with a fraction, read to the microsecond: a double holds no more.
pub(super) fn of_float(number: f64) -> Option<DateTime<Utc>> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates, and both ends are refused"
    )]
    let whole = number as u64;
    let micros_a_step = match Unit::of(whole)? {
        Unit::Seconds => 1e6,
        Unit::Millis => 1e3,
        Unit::Micros | Unit::Nanos => return of_number(whole),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at least 1973 and at most 1e17"
    )]
    let micros = (number * micros_a_step).round() as u64;
    since_1970(micros, Unit::Micros)
}

/// The moment of seconds and nanoseconds since 1970, before 2200.
pub(super) fn moment(seconds: u64, nanos: u32) -> Option<DateTime<Utc>> {
    if seconds >= EPOCH_SECONDS_END {
        return None;
    }
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

/// A number since 1970 as text: 10 digits with or without a fraction are seconds, 13, 16 and 19
/// are milli-, micro- and nanoseconds. So the earliest is 2001-09-09.
pub(super) fn epoch(scan: &mut Scan<'_>) -> Option<DateTime<Utc>> {
    let digits = scan.while_in(|byte| byte.is_ascii_digit());
    if digits.first() == Some(&b'0') || !matches!(digits.len(), 10 | 13 | 16 | 19) {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |value, byte| {
        value.checked_mul(10)?.checked_add(u64::from(digit(*byte)?))
    })?;
    if digits.len() > 10 || scan.peek() != Some(b'.') {
        return of_number(number);
    }
    scan.skip(1);
    let fraction = scan.while_in(|byte| byte.is_ascii_digit());
    (!fraction.is_empty()).then(|| moment(number, nanos(fraction)))?
}

/// `HHMMSS`, with a fraction after a dot or a comma.
pub(super) fn basic_day_time(scan: &mut Scan<'_>) -> Option<DayTime> {
    let (hour, minute) = (scan.digits::<2>()?, scan.digits::<2>()?);
    let second = scan.digits::<2>()?;
    Some(DayTime { hour, minute, second, nanos: fraction(scan) })
}
