//! What the fields of a structured line say, whatever the syntax: keys, and which of them counts.

use super::iso;
use super::level;
use super::scan::Scan;
use super::time::{self, Calendar, Unit};
use crate::model::Severity;
use chrono::{DateTime, Utc};

/// The longest key that is known.
const KEY_BYTES_MAX: usize = 24;

/// What a known key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A time in any form, and its rank: a lower one counts.
    Time(u8),
    /// A number since 1970 in a fixed unit, and its rank.
    Number(Unit, u8),
    /// A word, or a number as pino writes it, and its rank.
    Level(u8),
    /// A number of OpenTelemetry.
    SeverityNumber,
    /// A number of syslog.
    SyslogNumber,
    /// Anything else.
    Other,
}

/// The meaning of a key. Case counts only for `PRIORITY`, which is the journal's.
pub(super) fn key(name: &[u8]) -> Key {
    let mut lower = [0; KEY_BYTES_MAX];
    let Some(lower) = lower.get_mut(..name.len()) else { return Key::Other };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    match &*lower {
        b"@timestamp" => Key::Time(0),
        b"timestamp" => Key::Time(1),
        b"time" => Key::Time(2),
        b"ts" => Key::Time(3),
        b"@t" => Key::Time(4),
        b"datetime" | b"date_time" => Key::Time(5),
        b"eventtime" | b"event_time" => Key::Time(6),
        b"asctime" => Key::Time(7),
        b"time_local" | b"time_iso8601" => Key::Time(8),
        b"timemillis" => Key::Number(Unit::Millis, 9),
        b"timeunixnano" => Key::Number(Unit::Nanos, 10),
        b"__realtime_timestamp" => Key::Number(Unit::Micros, 11),
        b"date" => Key::Time(12),
        b"t" => Key::Time(13),
        b"severitynumber" | b"severity_number" => Key::SeverityNumber,
        b"severitytext" | b"severity_text" => Key::Level(1),
        b"level" => Key::Level(2),
        b"severity" => Key::Level(3),
        b"log.level" => Key::Level(4),
        b"lvl" => Key::Level(5),
        b"loglevel" | b"log_level" => Key::Level(6),
        b"levelname" | b"level_name" => Key::Level(7),
        b"@l" => Key::Level(8),
        b"priority" if name == b"PRIORITY" => Key::SyslogNumber,
        b"priority" => Key::Level(10),
        b"at" => Key::Level(11),
        _ => Key::Other,
    }
}

/// A value as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a [u8]),
    Number(u64),
    Float(f64),
}

/// The best time and severity so far, each with the rank of its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    calendar: &'a Calendar,
    time: Option<(u8, DateTime<Utc>)>,
    severity: Option<(u8, Severity)>,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(calendar: &'a Calendar) -> Self {
        Self { calendar, time: None, severity: None }
    }

    /// Takes a field. A value that cannot be read is passed over, and of two of the same rank the
    /// later counts.
    pub(super) fn add(&mut self, key: Key, value: Value<'_>) {
        match key {
            Key::Time(rank) => self.time_at(rank, moment(value, self.calendar)),
            Key::Number(unit, rank) => {
                let moment = value.number().and_then(|number| time::since_1970(number, unit));
                self.time_at(rank, moment);
            }
            Key::Level(rank) => self.severity_at(rank, severity(value)),
            Key::SeverityNumber => {
                let number = value.number().and_then(|number| u8::try_from(number).ok());
                self.severity_at(0, number.and_then(Severity::from_number));
            }
            Key::SyslogNumber => {
                self.severity_at(9, value.number().and_then(level::of_syslog));
            }
            Key::Other => {}
        }
    }

    fn time_at(&mut self, rank: u8, found: Option<DateTime<Utc>>) {
        let better = self.time.is_none_or(|(best, _)| rank <= best);
        self.time = found.filter(|_| better).map(|found| (rank, found)).or(self.time);
    }

    fn severity_at(&mut self, rank: u8, found: Option<Severity>) {
        let better = self.severity.is_none_or(|(best, _)| rank <= best);
        self.severity = found.filter(|_| better).map(|found| (rank, found)).or(self.severity);
    }

    pub(super) fn timestamp(&self) -> Option<DateTime<Utc>> {
        self.time.map(|(_, time)| time)
    }

    pub(super) fn severity(&self) -> Option<Severity> {
        self.severity.map(|(_, severity)| severity)
    }
}

impl Value<'_> {
    /// A whole number, also one that is written as text.
    fn number(self) -> Option<u64> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            Self::Number(number) => Some(number),
            Self::Float(_) => None,
        }
    }
}

fn moment(value: Value<'_>, calendar: &Calendar) -> Option<DateTime<Utc>> {
    match value {
        Value::Number(number) => time::of_number(number),
        Value::Float(number) => time::of_float(number),
        Value::Text(text) => {
            if let Some(written) = iso::whole(text) {
                return calendar.moment(&written);
            }
            let mut scan = Scan::new(text);
            time::epoch(&mut scan).filter(|_| scan.is_empty())
        }
    }
}

fn severity(value: Value<'_>) -> Option<Severity> {
    match value {
        Value::Text(text) => level::of_word(text.trim_ascii()),
        Value::Number(number) => level::of_tens(number),
        Value::Float(_) => None,
    }
}
