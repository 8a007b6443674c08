//! Times as people type them.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use forgeone_db::environment::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;
use uuid::{ContextV7, Uuid};

/// The last second that the time in an id reaches, in the year 10889.
const ID_SECONDS_MAX: u64 = ((1 << 48) - 1) / 1000;

/// Reads RFC 3339, a date (its midnight in UTC), or a span back from now such as `15m` or `1h30m`.
///
/// # Errors
/// A sentence, for a usage error.
pub(crate) fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    parse_time_at(text, now())
}

/// The present time, whatever the clock says: chrono's own panics before 1970.
pub(crate) fn now() -> DateTime<Utc> {
    moment(SystemTime::now())
}

/// A time of the system's as a date, at the end of the calendar if it is beyond it.
pub(crate) fn moment(time: SystemTime) -> DateTime<Utc> {
    Timestamp::from(time).to_datetime().unwrap_or_default()
}

/// An id that begins with the present time, so that ids of one process ascend. As near to it as ids
/// reach: uuid's own panics before 1970.
pub(crate) fn new_id() -> Uuid {
    id_at(SystemTime::now())
}

fn id_at(time: SystemTime) -> Uuid {
    static CONTEXT: Mutex<ContextV7> = Mutex::new(ContextV7::new());
    let Timestamp { seconds, nanos } = Timestamp::from(time);
    let seconds = u64::try_from(seconds).unwrap_or(0).min(ID_SECONDS_MAX - 1);
    let context = CONTEXT.lock().unwrap_or_else(PoisonError::into_inner);
    Uuid::new_v7(uuid::Timestamp::from_unix(&*context, seconds, nanos))
}

/// A time as people read it, of the same width every time.
pub(crate) fn shown(time: DateTime<Utc>) -> String {
    time.format("%FT%T%.6fZ").to_string()
}

fn parse_time_at(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(date.and_time(NaiveTime::MIN).and_utc());
    }
    let span = parse_span(text).ok_or_else(|| {
        "expected RFC 3339 (2026-03-01T12:00:00Z), a date (2026-03-01), or a span back from now \
         (90s, 15m, 1h30m, 2d, 1w)"
            .to_owned()
    })?;
    now.checked_sub_signed(span).ok_or_else(|| "that is before the calendar begins".to_owned())
}

fn parse_span(text: &str) -> Option<TimeDelta> {
    let mut total = TimeDelta::zero();
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let number: i64 = number.parse().ok()?;
        let seconds: i64 = match tail.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(&TimeDelta::try_seconds(number.checked_mul(seconds)?)?)?;
        rest = tail.get(1..)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::{id_at, moment, parse_time_at, shown};
    use chrono::{DateTime, Datelike as _, TimeZone as _, Utc};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    // F4: no panic, whatever the clock says.
    #[test]
    fn a_clock_of_any_year_gives_times_and_ids() {
        let far = Duration::from_secs(i64::MAX.unsigned_abs());
        let times: [SystemTime; 5] = [
            UNIX_EPOCH - Duration::from_millis(1),
            UNIX_EPOCH - Duration::from_hours(24 * 365 * 100),
            UNIX_EPOCH + Duration::from_hours(24 * 365 * 9_000),
            UNIX_EPOCH.checked_sub(far).unwrap(),
            UNIX_EPOCH.checked_add(far).unwrap(),
        ];
        let years: Vec<_> = times.iter().map(|time| moment(*time).year()).collect();
        assert_eq!(years[..2], [1969, 1870]);
        assert!(years[2] > 9_999 && years[3] < -200_000 && years[4] > 200_000, "{years:?}");
        for time in times {
            assert!(!shown(moment(time)).is_empty());
            assert_ne!(id_at(time), id_at(time));
            for text in ["1w", "2d", "0s"] {
                drop(parse_time_at(text, moment(time)));
            }
        }
    }

    fn at(text: &str) -> Result<DateTime<Utc>, String> {
        parse_time_at(text, Utc.with_ymd_and_hms(2026, 3, 1, 12, 0, 0).unwrap())
    }

    #[test]
    fn three_ways_of_writing_a_time_are_read() {
        let time = |h, m| Utc.with_ymd_and_hms(2026, 3, 1, h, m, 0).unwrap();
        assert_eq!(at("2026-03-01T12:30:00+02:00"), Ok(time(10, 30)));
        assert_eq!(at("2026-03-01"), Ok(time(0, 0)));
        assert_eq!(at("15m"), Ok(time(11, 45)));
        assert_eq!(at("1h30m"), Ok(time(10, 30)));
        assert_eq!(at("0s"), Ok(time(12, 0)));
        assert_eq!(at("1d"), Ok(Utc.with_ymd_and_hms(2026, 2, 28, 12, 0, 0).unwrap()));
    }

    #[test]
    fn anything_else_is_refused_without_a_panic() {
        for text in [
            "",
            "m",
            "15",
            "15x",
            "-5m",
            "yesterday",
            "99999999999999999999s",
            "1h 30m",
            "9223372036854775807w",
            "9223372036854775d",
            "15\u{e9}",
        ] {
            assert!(at(text).is_err(), "{text}");
        }
    }
}
