//! Error and access logs of web servers.

use super::iso;
use super::level;
use super::recognise::Found;
use super::scan::Scan;
use super::time::{self, Calendar, Written};
use crate::model::Severity;

/// How far into an access line its time begins at most.
const NAMES_BYTES_MAX: usize = 512;
/// How long the request of an access line is at most.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// `Mon May 06 07:08:09 2024`, with a fraction after the seconds and a zone before the year.
fn week_day_first(scan: &mut Scan<'_>) -> Option<Written> {
    time::week_day(scan)?;
    scan.byte(b' ')?;
    let month = time::month_name(scan)?;
    scan.byte(b' ')?;
    scan.blanks();
    let day = scan.number(2)?;
    scan.byte(b' ')?;
    let time = time::day_time(scan)?;
    let zone = time::zone(scan);
    scan.byte(b' ')?;
    let year = Some(time::year(scan)?);
    scan.at_boundary().then_some(Written { year, month, day, time, zone })
}

/// `[Mon May 06 07:08:09 2024] [error] text`, as Apache writes errors.
pub(super) fn error_log(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    scan.byte(b'[')?;
    let written = week_day_first(&mut scan)?;
    scan.byte(b']')?;
    Some(Found::new("apache-error", calendar, &written, level::after_time(scan)))
}

/// `Mon May  6 07:08:09 2024 text`, as C prints a time.
pub(super) fn ctime(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let written = week_day_first(&mut scan)?;
    Some(Found::new("ctime", calendar, &written, level::after_time(scan)))
}

/// `host ident user [06/May/2024:07:08:09 +0200] "GET / HTTP/1.1" 200 12`: the common log format,
/// what extends it at the end (combined), and a virtual host before it.
pub(super) fn access_log(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let names = scan.until(b'[', NAMES_BYTES_MAX)?;
    if names.last() != Some(&b' ') || memchr::memchr_iter(b' ', names).count() < 3 {
        return None;
    }
    let written = iso::day_month_year(&mut scan)?;
    scan.byte(b']')?;
    let severity = status(scan).and_then(of_status);
    Some(Found::new("access", calendar, &written, severity))
}

/// The status after the quoted request.
fn status(mut scan: Scan<'_>) -> Option<u32> {
    scan.literal(b" \"")?;
    let request = scan.rest().get(..REQUEST_BYTES_MAX).unwrap_or(scan.rest());
    let mut escaped = false;
    let end = request.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    scan.skip(end + 1);
    scan.byte(b' ')?;
    let status = scan.digits::<3>()?;
    scan.at_blank().then_some(status)
}

const fn of_status(status: u32) -> Option<Severity> {
    match status {
        500..=599 => Some(Severity::Error),
        400..=499 => Some(Severity::Warn),
        100..=399 => Some(Severity::Info),
        _ => None,
    }
}
