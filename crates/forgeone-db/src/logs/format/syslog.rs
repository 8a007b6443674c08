//! The lines of syslog: RFC 5424, and RFC 3164 with and without a priority.

use super::iso;
use super::level;
use super::recognise::Found;
use super::scan::Scan;
use super::time::{self, Calendar, Written, Zone};

/// The highest priority: facility 23, severity 7.
const PRIORITY_MAX: u32 = 191;

/// `<PRI>`, then RFC 5424 (`1 2024-05-06T07:08:09Z`), or RFC 3164 or an ISO time, or no time.
pub(super) fn with_priority(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    scan.byte(b'<')?;
    let leading_zero = matches!(scan.rest(), [b'0', b'0'..=b'9', ..]);
    let priority = scan.number(3).filter(|number| *number <= PRIORITY_MAX && !leading_zero)?;
    scan.byte(b'>')?;
    let severity = level::of_syslog(u64::from(priority % 8));
    let mut new = scan;
    if new.literal(b"1 ").is_some()
        && let Some(written) = time_of_5424(&mut new)
    {
        let timestamp = written.and_then(|written| calendar.moment(&written));
        return Some(Found { timestamp, severity, format: "rfc5424" });
    }
    scan.blanks();
    let written = month_first(scan).or_else(|| iso::date_time(&mut scan).map(|(_, time)| time));
    let timestamp = written.and_then(|written| calendar.moment(&written));
    Some(Found { timestamp, severity, format: "rfc3164" })
}

/// The time, or `-` for none; not of this format: none at all.
#[expect(clippy::option_option, reason = "the format allows a line without a time")]
fn time_of_5424(scan: &mut Scan<'_>) -> Option<Option<Written>> {
    if scan.literal(b"- ").is_some() {
        return Some(None);
    }
    iso::date_time(scan).map(|(_, written)| Some(written))
}

/// `May  6 07:08:09 host program[1]: text`.
pub(super) fn plain(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let written = month_first(Scan::new(line))?;
    Some(Found::new("syslog", calendar, &written, None))
}

/// `May  6 07:08:09`, `May 6 07:08:09.123`, `May 06 2024 07:08:09 UTC`, `May  6 07:08:09 UTC:`.
pub(super) fn month_first(mut scan: Scan<'_>) -> Option<Written> {
    let month = time::month_name(&mut scan)?;
    scan.byte(b' ')?;
    scan.blanks();
    let day = scan.number(2)?;
    scan.byte(b' ')?;
    let mut with_year = scan;
    let mut year = time::year(&mut with_year);
    if year.is_some() && with_year.byte(b' ').is_some() {
        scan = with_year;
    } else {
        year = None;
    }
    let time = time::day_time(&mut scan)?;
    let mut after = scan;
    let mut zone = time::zone(&mut after);
    // Else this is the name of a host.
    if year.is_none() && after.peek() != Some(b':') {
        zone = Zone::Unnamed;
    }
    scan.at_boundary().then_some(Written { year, month, day, time, zone })
}
