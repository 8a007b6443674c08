//! Which format a line has: a fixed order of recognisers for each kind of first byte.
//!
//! There is no memory of earlier lines. The first byte leaves a handful of recognisers, most of
//! which give up within a few bytes, and so the answer cannot depend on what was tried before.

use super::time::{Calendar, Written};
use super::{iso, json, logfmt, syslog, systems, web};
use crate::model::Severity;
use chrono::{DateTime, Utc};

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) timestamp: Option<DateTime<Utc>>,
    pub(super) severity: Option<Severity>,
    pub(super) format: &'static str,
}

impl Found {
    pub(super) fn new(
        format: &'static str,
        calendar: &Calendar,
        written: &Written,
        severity: Option<Severity>,
    ) -> Self {
        Self { timestamp: calendar.moment(written), severity, format }
    }
}

/// Looks for one format, from the first byte of the line. None: the line has another.
type Recogniser = fn(&[u8], &Calendar) -> Option<Found>;

const OBJECT: &[Recogniser] = &[json::object];
const ANGLE: &[Recogniser] = &[syslog::with_priority];
const BRACKET: &[Recogniser] = &[
    iso::bracketed,
    web::error_log,
    systems::proxifier,
    iso::bracketed_day_first,
    iso::level_first,
];
const DIGIT: &[Recogniser] = &[
    iso::date_first,
    iso::basic,
    systems::logcat,
    systems::spark,
    systems::hdfs,
    systems::health_app,
    iso::epoch_first,
    iso::day_first,
    systems::hpc,
    web::access_log,
];
const LETTER: &[Recogniser] = &[
    syslog::plain,
    systems::klog,
    systems::super_computer,
    web::ctime,
    iso::after_file_name,
    iso::ruby,
    iso::level_first,
    logfmt::pairs,
    web::access_log,
];
const OTHER: &[Recogniser] = &[systems::super_computer, logfmt::pairs, web::access_log];

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a line without its end says, if it has a known format.
pub(super) fn recognise(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let candidates = match line.first()? {
        b'{' | b' ' | b'\t' => OBJECT,
        b'<' => ANGLE,
        b'[' => BRACKET,
        b'0'..=b'9' => DIGIT,
        b'A'..=b'Z' | b'a'..=b'z' => LETTER,
        _ => OTHER,
    };
    candidates.iter().find_map(|recogniser| recogniser(line, calendar))
}
