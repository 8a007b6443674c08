//! Formats that one system or one kind of machine writes.

use super::iso::unzoned;
use super::level;
use super::recognise::Found;
use super::scan::Scan;
use super::time::{self, Calendar, DayTime};
use crate::model::Severity;

/// Android: `05-06 07:08:09.123  1702  2395 D Tag: text`, `05-06 07:08:09.123 D/Tag( 1702): text`.
pub(super) fn logcat(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let month = scan.digits::<2>()?;
    scan.byte(b'-')?;
    let day = scan.digits::<2>()?;
    scan.byte(b' ')?;
    let time = time::day_time(&mut scan)?;
    scan.byte(b' ')?;
    scan.blanks();
    let severity = tag_letter(scan).or_else(|| {
        scan.number(9)?;
        scan.byte(b' ')?;
        scan.blanks();
        scan.number(9)?;
        scan.byte(b' ')?;
        scan.blanks();
        let letter = scan.one(|byte| byte.is_ascii_uppercase())?;
        scan.byte(b' ')?;
        level::of_letter(letter)
    })?;
    Some(Found::new("logcat", calendar, &unzoned(None, month, day, time), Some(severity)))
}

/// The `D` of `D/Tag`.
fn tag_letter(mut scan: Scan<'_>) -> Option<Severity> {
    let letter = scan.one(|byte| byte.is_ascii_uppercase())?;
    scan.byte(b'/')?;
    level::of_letter(letter)
}

/// Spark and Hadoop: `24/05/06 07:08:09 INFO text`. The level is needed: days stand first elsewhere.
pub(super) fn spark(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let year = time::short_year(&mut scan)?;
    scan.byte(b'/')?;
    let month = scan.digits::<2>()?;
    scan.byte(b'/')?;
    let day = scan.digits::<2>()?;
    scan.byte(b' ')?;
    let time = time::day_time(&mut scan)?;
    scan.byte(b' ')?;
    let severity = level::first(&mut scan)?;
    let written = unzoned(Some(year), month, day, time);
    Some(Found::new("spark", calendar, &written, Some(severity)))
}

/// HDFS: `240506 070809 143 INFO text`.
pub(super) fn hdfs(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let year = time::short_year(&mut scan)?;
    let (month, day) = (scan.digits::<2>()?, scan.digits::<2>()?);
    scan.byte(b' ')?;
    let time = time::basic_day_time(&mut scan)?;
    scan.byte(b' ')?;
    scan.number(9)?;
    scan.byte(b' ')?;
    let severity = level::first(&mut scan)?;
    let written = unzoned(Some(year), month, day, time);
    Some(Found::new("hdfs", calendar, &written, Some(severity)))
}

/// `HealthApp`: `20240506-7:8:9:12|Tag|123|text`. The last number is of milliseconds.
pub(super) fn health_app(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let year = time::year(&mut scan)?;
    let (month, day) = (scan.digits::<2>()?, scan.digits::<2>()?);
    scan.byte(b'-')?;
    let hour = scan.number(2)?;
    scan.byte(b':')?;
    let minute = scan.number(2)?;
    scan.byte(b':')?;
    let second = scan.number(2)?;
    scan.byte(b':')?;
    let nanos = scan.number(3)? * 1_000_000;
    scan.byte(b'|')?;
    let time = DayTime { hour, minute, second, nanos };
    Some(Found::new("healthapp", calendar, &unzoned(Some(year), month, day, time), None))
}

/// Proxifier: `[05.06 07:08:09] program.exe - host:port text`. Month first.
pub(super) fn proxifier(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    scan.byte(b'[')?;
    let month = scan.digits::<2>()?;
    scan.byte(b'.')?;
    let day = scan.digits::<2>()?;
    scan.byte(b' ')?;
    let time = time::day_time(&mut scan)?;
    scan.literal(b"] ")?;
    memchr::memmem::find(scan.rest(), b" - ")?;
    Some(Found::new("proxifier", calendar, &unzoned(None, month, day, time), None))
}

/// A cluster's events: `17 node-3 fan speed 1700000000 1 text`.
pub(super) fn hpc(line: &[u8], _: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    scan.number(9)?;
    for _ in 0..3 {
        scan.byte(b' ')?;
        scan.word()?;
    }
    scan.byte(b' ')?;
    let seconds = ten_digits(&mut scan)?;
    scan.byte(b' ')?;
    scan.byte(b'-');
    scan.number(1)?;
    let timestamp = scan.at_blank().then(|| time::moment(seconds, 0))?;
    Some(Found { timestamp, severity: None, format: "hpc" })
}

/// Blue Gene/L and Thunderbird: an alert or `-`, seconds since 1970, the date, the node.
///
/// `- 1700000000 2023.11.14 R1 2023-11-14-14.13.20.250000 R1 RAS KERNEL INFO text`, or a line of
/// syslog after the node. The seconds say the moment; local times beside them say no zone.
pub(super) fn super_computer(line: &[u8], _: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    if scan.byte(b'-').is_none() && scan.while_in(|byte| byte.is_ascii_uppercase()).is_empty() {
        return None;
    }
    scan.byte(b' ')?;
    let seconds = ten_digits(&mut scan)?;
    scan.byte(b' ')?;
    scan.digits::<4>()?;
    scan.byte(b'.')?;
    scan.digits::<2>()?;
    scan.byte(b'.')?;
    scan.digits::<2>()?;
    scan.byte(b' ')?;
    scan.word()?;
    scan.byte(b' ')?;
    let Some(local) = blue_gene_time(&mut scan) else {
        return Some(Found {
            timestamp: time::moment(seconds, 0),
            severity: None,
            format: "thunderbird",
        });
    };
    // Only a local time within the same second can say more than the seconds do.
    let same = seconds % 3600 == u64::from(local.minute) * 60 + u64::from(local.second);
    let timestamp = time::moment(seconds, if same { local.nanos } else { 0 });
    Some(Found { timestamp, severity: blue_gene_level(scan), format: "bgl" })
}

/// `2023-11-14-14.13.20.250000 `
fn blue_gene_time(scan: &mut Scan<'_>) -> Option<DayTime> {
    scan.digits::<4>()?;
    for _ in 0..2 {
        scan.byte(b'-')?;
        scan.digits::<2>()?;
    }
    scan.byte(b'-')?;
    let hour = scan.digits::<2>()?;
    scan.byte(b'.')?;
    let minute = scan.digits::<2>()?;
    scan.byte(b'.')?;
    let second = scan.digits::<2>()?;
    scan.byte(b'.')?;
    let nanos = scan.digits::<6>()? * 1000;
    scan.byte(b' ')?;
    Some(DayTime { hour, minute, second, nanos })
}

/// The word after node, kind and component.
fn blue_gene_level(mut scan: Scan<'_>) -> Option<Severity> {
    for _ in 0..3 {
        scan.word()?;
        scan.byte(b' ')?;
    }
    level::of_word(scan.word()?)
}

fn ten_digits(scan: &mut Scan<'_>) -> Option<u64> {
    let (high, low) = (scan.digits::<5>()?, scan.digits::<5>()?);
    Some(u64::from(high) * 100_000 + u64::from(low))
}

/// Go's glog and Kubernetes' klog: `I0506 07:08:09.123456   12 file.go:7] text`, also with a year.
pub(super) fn klog(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let mut scan = Scan::new(line);
    let letter = scan.one(|byte| matches!(byte, b'I' | b'W' | b'E' | b'F'))?;
    let mut long = scan;
    let year = time::year(&mut long).filter(|_| matches!(long.peek(), Some(b'0'..=b'9')));
    if year.is_some() {
        scan = long;
    }
    let (month, day) = (scan.digits::<2>()?, scan.digits::<2>()?);
    scan.byte(b' ')?;
    let time = time::day_time(&mut scan)?;
    scan.byte(b' ')?;
    scan.blanks();
    scan.number(9)?;
    scan.byte(b' ')?;
    scan.until(b']', 256)?;
    let severity = level::of_letter(letter);
    Some(Found::new("klog", calendar, &unzoned(year, month, day, time), severity))
}
