//! One line of a log as it is stored and read.

use super::limits::{check_checkpoint_marker, check_metadata, check_payload, check_topic};
use super::text;
use super::{ContentHash, LineEnd, Severity};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

/// One log line with what is known about it.
///
/// A line that is not UTF-8 keeps its bytes in `raw`, and `message` is what can be shown of it:
/// see [`split_line`](Self::split_line) and [`line`](Self::line).
///
/// # Limits
/// See [`check`](Self::check).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Incoming")]
pub struct LogEntry {
    /// The entry's id, unique within its topic.
    pub id: Uuid,
    /// The topic, named as [`check_topic`] accepts.
    pub topic: String,
    /// When it was logged. Data, not order: within a topic, order is the order of commits.
    pub timestamp: DateTime<Utc>,
    /// How severe it is. Missing in JSON: info.
    pub severity: Severity,
    /// The line without its end; each sequence that is not UTF-8 is replaced by U+FFFD.
    pub message: String,
    /// Facts about the line. Missing in JSON: none.
    #[serde(serialize_with = "text::sorted")]
    pub metadata: HashMap<String, String>,
    /// A name for this place in the topic, from which a replay can start. Missing in JSON: none.
    pub checkpoint_marker: Option<String>,
    /// The hash of the line's bytes, [`line`](Self::line). Missing in JSON: computed.
    pub content_hash: ContentHash,
    /// The line's bytes where they are not UTF-8, otherwise none and absent in JSON.
    #[serde(skip_serializing_if = "Option::is_none", with = "text::hex_option")]
    pub raw: Option<Vec<u8>>,
    /// How the line ended in its source. Missing in JSON: a line feed.
    #[serde(skip_serializing_if = "LineEnd::is_lf")]
    pub line_end: LineEnd,
}

impl LogEntry {
    /// Splits a line's bytes into `message` and `raw`.
    pub fn split_line(line: Vec<u8>) -> (String, Option<Vec<u8>>) {
        match String::from_utf8(line) {
            Ok(message) => (message, None),
            Err(error) => {
                let line = error.into_bytes();
                (String::from_utf8_lossy(&line).into_owned(), Some(line))
            }
        }
    }

    /// The line's bytes exactly as they were logged, without the line end.
    pub fn line(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.message.as_bytes())
    }

    /// Checks topic, line, metadata and marker against their limits, `message` against `raw`, and
    /// the hash against the line.
    ///
    /// # Errors
    /// `Invalid` for the first part that is wrong.
    pub fn check(&self) -> Result<()> {
        check_topic(&self.topic)?;
        check_payload(self.line())?;
        check_metadata(&self.metadata)?;
        check_checkpoint_marker(self.checkpoint_marker.as_deref())?;
        if self.raw.as_deref().is_some_and(|raw| String::from_utf8_lossy(raw) != *self.message) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the message of a log entry is not what its raw bytes show",
            ));
        }
        if self.content_hash != ContentHash::of(self.line()) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the content hash of a log entry is not that of its line",
            ));
        }
        Ok(())
    }
}

/// A [`LogEntry`] as it is read: what may be missing is.
#[derive(Deserialize)]
struct Incoming {
    id: Uuid,
    topic: String,
    timestamp: DateTime<Utc>,
    #[serde(default, deserialize_with = "text::null_as_default")]
    severity: Severity,
    message: String,
    #[serde(default, deserialize_with = "text::null_as_default")]
    metadata: HashMap<String, String>,
    #[serde(default)]
    checkpoint_marker: Option<String>,
    #[serde(default)]
    content_hash: Option<ContentHash>,
    #[serde(default, with = "text::hex_option")]
    raw: Option<Vec<u8>>,
    #[serde(default, deserialize_with = "text::null_as_default")]
    line_end: LineEnd,
}

impl From<Incoming> for LogEntry {
    fn from(entry: Incoming) -> Self {
        let line = entry.raw.as_deref().unwrap_or(entry.message.as_bytes());
        let content_hash = entry.content_hash.unwrap_or_else(|| ContentHash::of(line));
        Self {
            id: entry.id,
            topic: entry.topic,
            timestamp: entry.timestamp,
            severity: entry.severity,
            message: entry.message,
            metadata: entry.metadata,
            checkpoint_marker: entry.checkpoint_marker,
            content_hash,
            raw: entry.raw,
            line_end: entry.line_end,
        }
    }
}
