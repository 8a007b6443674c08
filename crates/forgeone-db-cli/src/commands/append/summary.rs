//! What was recognised in log lines.

use crate::output::Bytes;
use chrono::{DateTime, Utc};
use forgeone_db::logs::format::ParsedLine;
use forgeone_db::model::Severity;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Counts of what lines said.
#[derive(Debug, Default, Serialize)]
pub(in crate::commands) struct Summary {
    lines: u64,
    bytes: u64,
    with_time: u64,
    with_severity: u64,
    formats: BTreeMap<&'static str, u64>,
}

impl Summary {
    pub(in crate::commands) fn add(&mut self, line: &ParsedLine) {
        self.count(line.line.len() + line.end.as_bytes().len(), line.timestamp, line.severity);
        *self.formats.entry(line.format.unwrap_or("none")).or_default() += 1;
    }

    /// Adds a line whose format was known before.
    pub(in crate::commands) fn count(
        &mut self,
        bytes: usize,
        time: Option<DateTime<Utc>>,
        severity: Option<Severity>,
    ) {
        self.lines += 1;
        self.bytes += bytes as u64;
        self.with_time += u64::from(time.is_some());
        self.with_severity += u64::from(severity.is_some());
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, bytes, with_time, with_severity, formats } = self;
        write!(f, "read {lines} lines, {}", Bytes(*bytes))?;
        write!(f, "; a time in {with_time}, a severity in {with_severity}")?;
        let mut formats: Vec<_> = formats.iter().collect();
        formats.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), **name));
        for (index, (name, count)) in formats.into_iter().enumerate() {
            write!(f, "{}{name} {count}", if index == 0 { "; formats: " } else { ", " })?;
        }
        Ok(())
    }
}
