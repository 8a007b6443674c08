//! What a log line says about itself: when it was written, how severe it is and how it ends.
//!
//! [`LineReader`] cuts a stream of bytes into entries and looks at each. What it finds depends on
//! the line and on [`FormatOptions`] alone, never on the lines before, so files may mix formats.
//! `docs/log-formats.md` lists what is recognised. Absent on purpose: input, output and the clock,
//! regular expressions, and guesses: what is not clearly written is not found.

mod fields;
mod iso;
mod journal;
mod json;
mod level;
mod logfmt;
mod reader;
mod recognise;
mod scan;
mod syslog;
mod systems;
mod time;
mod web;

#[cfg(test)]
mod tests;

pub use reader::{LineReader, ParsedLine};

use chrono::{DateTime, FixedOffset, Offset as _, Utc};

/// What recognition needs to know besides the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatOptions {
    /// How much is looked at.
    pub mode: FormatMode,
    /// The zone of times that name none.
    pub zone: FixedOffset,
    /// When the lines arrive. A time without a year gets the year that brings it closest to this
    /// moment, but not more than one day after it.
    pub now: DateTime<Utc>,
    /// The year of times that name none, instead of that rule. A 29 February in a year that has
    /// none is not found.
    pub year: Option<i32>,
}

impl FormatOptions {
    /// [`FormatMode::Auto`], UTC, and the rule for missing years with `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { mode: FormatMode::Auto, zone: Utc.fix(), now, year: None }
    }
}

/// How much of a line is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum FormatMode {
    /// Every known format is tried, and a record of the journal's export format is one entry.
    #[default]
    Auto,
    /// Lines are cut and not looked at.
    Text,
    /// Every line must be a JSON object.
    Json,
}
