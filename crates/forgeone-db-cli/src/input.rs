//! Lines of input and the records in them.

use crate::time::{new_id, now};
use chrono::{DateTime, Utc};
use forgeone_db::model::PAYLOAD_BYTES_MAX;
use forgeone_db::{EventMessage, EventPriority, NewEvent};
use serde::Deserialize;
use serde_json::error::Category;
use std::collections::HashMap;
use std::io::{self, BufRead, Read as _};
use uuid::Uuid;

/// Bytes of the longest line of NDJSON: the largest payload with every second letter escaped, and
/// the other fields.
const NDJSON_LINE_BYTES_MAX: usize = 2 * PAYLOAD_BYTES_MAX + (1 << 20);

/// What reading a line came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The buffer has the line.
    Read,
    /// The line is longer than it may be; reading on skips the rest of it.
    TooLong,
    /// There are no more.
    End,
}

/// Input, line by line, with a bound on how much of it is held.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    bytes_max: usize,
    skipping: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, bytes_max: usize) -> Self {
        Self { input, bytes_max, skipping: false }
    }

    /// Reads the next line into `line`, without its line feed. A last line needs none.
    ///
    /// # Errors
    /// Those of the input.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        while self.skipping {
            line.clear();
            self.skipping = !self.read(line, 1 << 16)? && !line.is_empty();
        }
        line.clear();
        if self.read(line, self.bytes_max + 1)? {
            return Ok(Line::Read);
        }
        if line.len() > self.bytes_max {
            self.skipping = true;
            return Ok(Line::TooLong);
        }
        Ok(if line.is_empty() { Line::End } else { Line::Read })
    }

    /// Reads up to a line feed, which it removes, or `bytes_max` bytes; whether there was one.
    fn read(&mut self, line: &mut Vec<u8>, bytes_max: usize) -> io::Result<bool> {
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        self.input.by_ref().take(limit).read_until(b'\n', line)?;
        Ok(line.pop_if(|last| *last == b'\n').is_some())
    }
}

/// What lines are.
#[derive(Debug, Clone)]
pub(crate) enum Records {
    /// JSON records, of this topic if one is given.
    Ndjson(Option<String>),
    /// Payloads of this topic.
    Text(String),
}

/// A record as it may be written: what is missing is filled in.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Written {
    id: Option<Uuid>,
    topic: Option<String>,
    timestamp: Option<DateTime<Utc>>,
    priority: Option<EventPriority>,
    payload: String,
    metadata: Option<HashMap<String, String>>,
    checkpoint_marker: Option<String>,
}

impl Records {
    /// Bytes of the longest line.
    pub(crate) const fn line_bytes_max(&self) -> usize {
        match self {
            Self::Ndjson(_) => NDJSON_LINE_BYTES_MAX,
            Self::Text(_) => PAYLOAD_BYTES_MAX,
        }
    }

    /// Reads a line; none for an empty one of NDJSON.
    ///
    /// # Errors
    /// Why it is no record, without repeating what it says.
    pub(crate) fn parse(&self, line: &[u8]) -> Result<Option<NewEvent>, String> {
        let event = match self {
            Self::Text(topic) => text(topic, line)?,
            Self::Ndjson(_) if line.trim_ascii().is_empty() => return Ok(None),
            Self::Ndjson(topic) => record(topic.as_deref(), line)?,
        };
        event.event.check().map_err(|error| error.to_string())?;
        Ok(Some(event))
    }
}

fn text(topic: &str, line: &[u8]) -> Result<NewEvent, String> {
    let payload = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to() + 1))?;
    Ok(event(topic.to_owned(), payload.to_owned()))
}

/// An event that has arrived now.
pub(crate) fn event(topic: String, payload: String) -> NewEvent {
    let event = EventMessage {
        id: new_id(),
        topic,
        timestamp: now(),
        priority: EventPriority::default(),
        payload,
        metadata: HashMap::new(),
        checkpoint_marker: None,
    };
    NewEvent { event, timestamp_assigned: true }
}

fn record(topic: Option<&str>, line: &[u8]) -> Result<NewEvent, String> {
    let written: Written = serde_json::from_slice(line).map_err(|error| explain(&error))?;
    let topic = topic_of(written.topic, topic)?;
    let timestamp_assigned = written.timestamp.is_none();
    let event = EventMessage {
        id: written.id.unwrap_or_else(new_id),
        topic,
        timestamp: written.timestamp.unwrap_or_else(now),
        priority: written.priority.unwrap_or_default(),
        payload: written.payload,
        metadata: written.metadata.unwrap_or_default(),
        checkpoint_marker: written.checkpoint_marker,
    };
    Ok(NewEvent { event, timestamp_assigned })
}

/// The topic of a record that names `own`, where --topic names `given`.
pub(crate) fn topic_of(own: Option<String>, given: Option<&str>) -> Result<String, String> {
    match (own, given) {
        (None, None) => Err("the record names no topic, and neither does --topic".to_owned()),
        (Some(own), Some(given)) if own != given => {
            Err("the record names another topic than --topic".to_owned())
        }
        (Some(own), _) => Ok(own),
        (None, Some(given)) => Ok(given.to_owned()),
    }
}

/// Says what is wrong with the JSON and where, but not what it says: error texts end up in logs.
pub(crate) fn explain(error: &serde_json::Error) -> String {
    let column = error.column();
    let text = error.to_string();
    let text = text.split_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    match error.classify() {
        Category::Eof => format!("the JSON ends too early, at column {column}"),
        Category::Data if text.starts_with("missing field") => text.to_owned(),
        Category::Data => match text.rsplit_once(", expected ") {
            Some((_, expected)) => format!("expected {expected} at column {column}"),
            None => format!("a field up to column {column} does not fit"),
        },
        Category::Syntax => format!("not JSON at column {column}: {text}"),
        Category::Io => "not JSON".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines, Records};

    #[test]
    fn lines_are_bounded_and_the_rest_of_a_long_one_is_skipped() {
        let mut lines = Lines::new(&b"ab\n\nabcdefgh\nabc\r\nabcd\nab"[..], 4);
        let mut line = Vec::new();
        let mut next = |lines: &mut Lines<&[u8]>| {
            let read = lines.next(&mut line).unwrap();
            (read, if read == Line::Read { line.clone() } else { Vec::new() })
        };
        assert_eq!(next(&mut lines), (Line::Read, b"ab".to_vec()));
        assert_eq!(next(&mut lines), (Line::Read, b"".to_vec()));
        assert_eq!(next(&mut lines), (Line::TooLong, b"".to_vec()));
        assert_eq!(next(&mut lines), (Line::Read, b"abc\r".to_vec()));
        assert_eq!(next(&mut lines), (Line::Read, b"abcd".to_vec()));
        assert_eq!(next(&mut lines), (Line::Read, b"ab".to_vec()));
        assert_eq!(next(&mut lines), (Line::End, b"".to_vec()));
    }

    #[test]
    fn a_long_last_line_ends_the_input() {
        let mut lines = Lines::new(&b"abcdefgh"[..], 4);
        let mut line = Vec::new();
        assert_eq!(lines.next(&mut line).unwrap(), Line::TooLong);
        assert_eq!(lines.next(&mut line).unwrap(), Line::End);
    }

    #[test]
    fn what_is_missing_in_a_record_is_filled_in() {
        let records = Records::Ndjson(Some("t".to_owned()));
        let event = records.parse(br#"{"payload":"x","seq":7}"#).unwrap().unwrap();
        assert!(event.timestamp_assigned);
        assert_eq!(event.event.id.get_version_num(), 7);
        assert_eq!(event.event.topic, "t");
        let given = br#"{"payload":"x","topic":"t","timestamp":"2026-03-01T12:00:00+01:00",
            "id":"67e55044-10b1-426f-9247-bb680e5fe0c8","priority":null,"metadata":null}"#;
        assert!(!records.parse(given).unwrap().unwrap().timestamp_assigned);
        assert_eq!(records.parse(b" \r").unwrap(), None);
    }

    #[test]
    fn an_error_tells_where_and_never_what() {
        let records = Records::Ndjson(None);
        for line in [
            r#"{"topic":"t","payload":{"secret":1}}"#,
            r#"{"topic":"secret","payload":"x","id":"secret"}"#,
            r#"{"topic":"t","payload":"x","priority":"secret"}"#,
            r#"{"topic":"t","payload":"x","timestamp":"secret"}"#,
            r#"{"payload":"secret"}"#,
            r#"{"topic":"t"}"#,
            r#"{"topic":"t","payload":"secret"#,
            r#"["secret"]"#,
            r#""secret""#,
            "secret",
            r#"{"topic":"t","payload":"secret"} x"#,
            r#"{"topic":"","payload":"secret"}"#,
        ] {
            let error = records.parse(line.as_bytes()).unwrap_err();
            assert!(!error.contains("secret"), "{line}: {error}");
            assert!(!error.contains('\n'), "{line}: {error}");
        }
        assert!(Records::Text("t".to_owned()).parse(b"a\xff").unwrap_err().contains("byte 2"));
    }
}
