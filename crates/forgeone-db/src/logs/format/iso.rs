//! Lines that start with a date in digits, with a number since 1970, or with a level before those.

use super::level;
use super::recognise::Found;
use super::scan::Scan;
use super::time::{self, Calendar, Written, Zone};

const ISO: &str = "iso8601";
const SLASHES: &str = "slash-date";
const EPOCH: &str = "epoch";
const DAY_FIRST: &str = "day-month-year";
const LEVEL_FIRST: &str = "level-first";

/// `2024-05-06T07:08:09.123Z`, `2024-05-06 07:08:09,123 +0200`, `2024/05/06 07:08:09`.
pub(super) fn date_time(scan: &mut Scan<'_>) -> Option<(&'static str, Written)> {
    let year = time::year(scan)?;
    let separator = scan.one(|byte| matches!(byte, b'-' | b'/'))?;
    let month = scan.digits::<2>()?;
    scan.byte(separator)?;
    let day = scan.digits::<2>()?;
    scan.one(|byte| matches!(byte, b'T' | b't' | b' ' | b'\t'))?;
    let written = with_time(scan, Some(year), month, day)?;
    Some((if separator == b'-' { ISO } else { SLASHES }, written))
}

/// The rest of a written time: time of day and zone, with an end to it.
fn with_time(scan: &mut Scan<'_>, year: Option<i32>, month: u32, day: u32) -> Option<Written> {
    let time = time::day_time(scan)?;
    let zone = time::zone(scan);
    scan.at_boundary().then_some(Written { year, month, day, time, zone })
}

/// `20240506T070809Z`.
fn basic_date_time(scan: &mut Scan<'_>) -> Option<Written> {
    let year = Some(time::year(scan)?);
    let (month, day) = (scan.digits::<2>()?, scan.digits::<2>()?);
    scan.byte(b'T')?;
    let time = time::basic_day_time(scan)?;
    let zone = time::zone(scan);
    scan.at_boundary().then_some(Written { year, month, day, time, zone })
}

/// `06/May/2024:07:08:09 +0200`, `06-May-2024 07:08:09.123`.
pub(super) fn day_month_year(scan: &mut Scan<'_>) -> Option<Written> {
    let day = scan.digits::<2>()?;
    let separator = scan.one(|byte| matches!(byte, b'-' | b'/'))?;
    let month = time::month_name(scan)?;
    scan.byte(separator)?;
    let year = Some(time::year(scan)?);
    scan.one(|byte| matches!(byte, b':' | b' '))?;
    with_time(scan, year, month, day)
}

/// A date, a time, perhaps a level.
pub(super) fn date_first(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let (format, written) = date_time(&mut scan)?;
    Some(Found::new(format, calendar, &written, level::after_time(scan)))
}

pub(super) fn basic(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let written = basic_date_time(&mut scan)?;
    Some(Found::new(ISO, calendar, &written, level::after_time(scan)))
}

/// The same in brackets, as in `[2024-05-06 07:08:09,123: INFO/main]`, and numbers.
pub(super) fn bracketed(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let inside = line.strip_prefix(b"[")?;
    date_first(inside, calendar).or_else(|| epoch_first(inside, calendar))
}

/// Seconds, milli-, micro- or nanoseconds since 1970.
pub(super) fn epoch_first(line: &[u8], _: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let moment = time::epoch(&mut scan)?;
    if !matches!(scan.peek(), None | Some(b' ' | b'\t' | b',' | b'|' | b';' | b':' | b']')) {
        return None;
    }
    Some(Found { timestamp: Some(moment), severity: level::after_time(scan), format: EPOCH })
}

/// `06-May-2024 07:08:09.123 INFO`, as Tomcat writes it.
pub(super) fn day_first(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let written = day_month_year(&mut scan)?;
    Some(Found::new(DAY_FIRST, calendar, &written, level::after_time(scan)))
}

/// `[06-May-2024 07:08:09 UTC]`, as PHP writes it.
pub(super) fn bracketed_day_first(line: &[u8], calendar: &Calendar) -> Option<Found> {
    day_first(line.strip_prefix(b"[")?, calendar)
}

/// A file name with `.log` in it before the time, as collected logs of `OpenStack` have.
pub(super) fn after_file_name(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let name = scan.word()?;
    memchr::memmem::find(name, b".log")?;
    scan.byte(b' ')?;
    let (_, written) = date_time(&mut scan)?;
    Some(Found::new("file-iso8601", calendar, &written, level::after_time(scan)))
}

/// `E, [2024-05-06T07:08:09.123456 #1234] ERROR -- : text`.
pub(super) fn ruby(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let severity = level::of_letter(scan.one(|byte| byte.is_ascii_uppercase())?);
    scan.literal(b", [")?;
    let (_, written) = date_time(&mut scan)?;
    Some(Found::new("ruby", calendar, &written, severity))
}

/// A level, then a time if there is one: `INFO 2024-05-06 07:08:09`, `[ERROR] text`,
/// `WARNING:root:text`. Without a time the level must be in brackets or before a colon.
pub(super) fn level_first(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let severity = level::first(&mut scan)?;
    let bare = line.first() != Some(&b'[') && scan.peek() != Some(b':');
    scan.while_in(|byte| matches!(byte, b' ' | b'\t' | b':' | b'|' | b'-' | b'['));
    let written = date_time(&mut scan).map(|(_, written)| written);
    if bare && written.is_none() {
        return None;
    }
    let timestamp = written.and_then(|written| calendar.moment(&written));
    Some(Found { timestamp, severity: Some(severity), format: LEVEL_FIRST })
}

/// A time that is the whole of a field's value, in any of the forms above.
pub(super) fn whole(value: &[u8]) -> Option<Written> {
    let full = |written: Written, scan: Scan<'_>| scan.is_empty().then_some(written);
    let start = Scan::new(value.trim_ascii());
    let mut scan = start;
    if let Some((_, written)) = date_time(&mut scan) {
        return full(written, scan);
    }
    scan = start;
    if let Some(written) = basic_date_time(&mut scan) {
        return full(written, scan);
    }
    scan = start;
    day_month_year(&mut scan).and_then(|written| full(written, scan))
}

/// Nothing is said about the zone.
pub(super) const fn unzoned(
    year: Option<i32>,
    month: u32,
    day: u32,
    time: time::DayTime,
) -> Written {
    Written { year, month, day, time, zone: Zone::Unnamed }
}
