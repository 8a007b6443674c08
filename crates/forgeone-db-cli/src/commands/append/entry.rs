//! Log entries as records of NDJSON.

use crate::input::{explain, topic_of};
use chrono::{DateTime, Utc};
use forgeone_db::model::{ContentHash, LineEnd, LogEntry, PAYLOAD_BYTES_MAX, Severity};
use forgeone_db::{NewLogEntry, RedbManager};
use serde::Deserialize;
use std::collections::HashMap;
use uuid::Uuid;

use super::{Position, Record};

/// Bytes of the longest record: a line of the largest size with each byte an escape of six, the
/// same again in hexadecimal, and the other fields.
pub(super) const RECORD_BYTES_MAX: usize = 8 * PAYLOAD_BYTES_MAX + (1 << 20);

/// Bytes that an entry takes beside its line.
const ENTRY_BYTES: usize = 64;

impl Record for NewLogEntry {
    const NAME: &'static str = "log entries";

    fn topic(&self) -> &str {
        &self.topic
    }

    fn bytes(&self) -> usize {
        let metadata: usize =
            self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        let marker = self.checkpoint_marker.as_ref().map_or(0, String::len);
        ENTRY_BYTES + self.topic.len() + self.line.len() + metadata + marker
    }

    async fn store(
        manager: &RedbManager,
        records: Vec<Self>,
    ) -> forgeone_db::Result<Vec<Position>> {
        let positions = manager.logs().append_batch(records).await?;
        let position =
            |at: &forgeone_db::LogPosition| Position { seq: at.seq, duplicate: at.duplicate };
        Ok(positions.iter().map(position).collect())
    }
}

/// A record as it may be written: what is missing is filled in.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Written {
    id: Option<Uuid>,
    topic: Option<String>,
    timestamp: Option<DateTime<Utc>>,
    severity: Option<Severity>,
    message: String,
    metadata: Option<HashMap<String, String>>,
    checkpoint_marker: Option<String>,
    content_hash: Option<ContentHash>,
    raw: Option<String>,
    line_end: Option<LineEnd>,
}

/// Reads a record; the topic given is that of every one, the severity that of those without.
///
/// # Errors
/// Why it is none, without repeating what it says.
pub(super) fn parse(
    line: &[u8],
    topic: Option<&str>,
    severity: Severity,
    now: DateTime<Utc>,
) -> Result<NewLogEntry, String> {
    let written: Written = serde_json::from_slice(line).map_err(|error| explain(&error))?;
    let topic = topic_of(written.topic, topic)?;
    let raw = match written.raw {
        None => None,
        Some(text) => Some(from_hex(&text).ok_or("raw is not hexadecimal")?),
    };
    let hash = ContentHash::of(raw.as_deref().unwrap_or(written.message.as_bytes()));
    let entry = LogEntry {
        id: written.id.unwrap_or_default(),
        topic,
        timestamp: written.timestamp.unwrap_or(now),
        severity: written.severity.unwrap_or(severity),
        message: written.message,
        metadata: written.metadata.unwrap_or_default(),
        checkpoint_marker: written.checkpoint_marker,
        content_hash: written.content_hash.unwrap_or(hash),
        raw,
        line_end: written.line_end.unwrap_or_default(),
    };
    entry.check().map_err(|error| error.to_string())?;
    let mut entry = NewLogEntry::from(entry);
    entry.timestamp_assigned = written.timestamp.is_none();
    Ok(entry)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;
    use chrono::Utc;
    use forgeone_db::NewLogEntry;
    use forgeone_db::model::{LineEnd, Severity};

    fn read(line: &str) -> Result<NewLogEntry, String> {
        parse(line.as_bytes(), Some("t"), Severity::Warn, Utc::now())
    }

    #[test]
    fn what_is_missing_in_a_record_is_filled_in() {
        let entry = read(r#"{"message":"x","seq":7,"metadata":null}"#).unwrap();
        assert!(entry.timestamp_assigned);
        assert_eq!((entry.id, entry.topic.as_str()), (None, "t"));
        assert_eq!((entry.severity, entry.line_end), (Severity::Warn, LineEnd::Lf));
        let entry = read(r#"{"message":"\ufffd","raw":"fF","line_end":"crlf"}"#).unwrap();
        assert_eq!((entry.line, entry.line_end), (vec![0xff], LineEnd::CrLf));
    }

    #[test]
    fn a_record_that_contradicts_itself_is_refused_without_its_content() {
        for line in [
            r#"{"message":"secret","raw":"ff"}"#,
            r#"{"message":"secret","raw":"f"}"#,
            r#"{"message":"secret","raw":"xx"}"#,
            r#"{"message":"secret","content_hash":"00"}"#,
            r#"{"message":"secret","topic":"u"}"#,
            r#"{"message":"secret","severity":"secret"}"#,
            r#"{"message":"secret","line_end":"secret"}"#,
            r#"{"message":{"secret":1}}"#,
            r#"{"level":"secret"}"#,
            "secret",
        ] {
            let error = read(line).unwrap_err();
            assert!(!error.contains("secret"), "{line}: {error}");
        }
        let hash = "00".repeat(32);
        let line = format!(r#"{{"message":"secret","content_hash":"{hash}"}}"#);
        assert!(read(&line).unwrap_err().contains("content hash"));
    }
}
