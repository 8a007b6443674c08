//! The exact JSON of each record, what may be missing from it, and the round trip of extremes.

use crate::model::{
    BlobChunk, BlobMetadata, ContentHash, EventMessage, EventPriority, LogEntry, Severity,
};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use std::collections::HashMap;
use uuid::Uuid;

const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn id() -> Uuid {
    ID.parse().unwrap()
}

fn time() -> DateTime<Utc> {
    "2026-03-01T12:00:00.000000001Z".parse().unwrap()
}

fn event() -> EventMessage {
    EventMessage {
        id: id(),
        topic: "system.startup".to_owned(),
        timestamp: time(),
        priority: EventPriority::High,
        payload: "{\"n\":1}".to_owned(),
        metadata: HashMap::from([
            ("b".to_owned(), "2".to_owned()),
            ("a".to_owned(), "1".to_owned()),
            ("c".to_owned(), "\u{e9}".to_owned()),
        ]),
        checkpoint_marker: Some("m".to_owned()),
    }
}

fn entry(line: &[u8]) -> LogEntry {
    let (message, raw) = LogEntry::split_line(line.to_vec());
    LogEntry {
        id: id(),
        topic: "app".to_owned(),
        timestamp: time(),
        severity: Severity::Warn2,
        message,
        metadata: HashMap::new(),
        checkpoint_marker: None,
        content_hash: ContentHash::of(line),
        raw,
        line_end: crate::model::LineEnd::Lf,
    }
}

#[test]
fn an_event_has_exactly_this_json() {
    let json = r#"{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","topic":"system.startup","timestamp":"2026-03-01T12:00:00.000000001Z","priority":"high","payload":"{\"n\":1}","metadata":{"a":"1","b":"2","c":"@"},"checkpoint_marker":"m"}"#
        .replace('@', "\u{e9}");
    assert_eq!(serde_json::to_string(&event()).unwrap(), json);
    assert_eq!(serde_json::from_str::<EventMessage>(&json).unwrap(), event());
}

#[test]
fn an_event_without_its_optional_fields_takes_the_defaults() {
    for rest in
        ["", r#","priority":null,"metadata":null,"checkpoint_marker":null"#, r#","later":[1]"#]
    {
        let json = format!(
            r#"{{"id":"{ID}","topic":"t","timestamp":"2026-03-01T13:00:00+01:00","payload":""{rest}}}"#
        );
        let event: EventMessage = serde_json::from_str(&json).unwrap();
        assert_eq!(event.priority, EventPriority::Normal);
        assert_eq!(event.metadata, HashMap::new());
        assert_eq!(event.checkpoint_marker, None);
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            format!(
                r#"{{"id":"{ID}","topic":"t","timestamp":"2026-03-01T12:00:00Z","priority":"normal","payload":"","metadata":{{}},"checkpoint_marker":null}}"#
            )
        );
    }
}

#[test]
fn an_event_without_a_required_field_is_refused() {
    let whole = serde_json::to_value(event()).unwrap();
    for field in ["id", "topic", "timestamp", "payload"] {
        let mut value = whole.clone();
        value.as_object_mut().unwrap().remove(field).unwrap();
        let error = serde_json::from_value::<EventMessage>(value).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn an_unknown_priority_is_refused() {
    for priority in [r#""High""#, r#""urgent""#, "2"] {
        assert!(serde_json::from_str::<EventPriority>(priority).is_err(), "{priority}");
    }
}

#[test]
fn a_log_entry_has_exactly_this_json() {
    let json = r#"{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","topic":"app","timestamp":"2026-03-01T12:00:00.000000001Z","severity":"warn2","message":"","metadata":{},"checkpoint_marker":null,"content_hash":"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"}"#;
    assert_eq!(serde_json::to_string(&entry(b"")).unwrap(), json);
    assert_eq!(serde_json::from_str::<LogEntry>(json).unwrap(), entry(b""));
}

#[test]
fn a_log_entry_without_its_optional_fields_takes_the_defaults() {
    let json = format!(
        r#"{{"id":"{ID}","topic":"t","timestamp":"2026-03-01T12:00:00Z","message":"hello"}}"#
    );
    let entry: LogEntry = serde_json::from_str(&json).unwrap();
    assert_eq!(entry.severity, Severity::Info);
    assert_eq!(entry.content_hash, ContentHash::of(b"hello"));
    assert_eq!((entry.raw.as_deref(), entry.checkpoint_marker.as_deref()), (None, None));
    entry.check().unwrap();
}

#[test]
fn a_line_that_is_not_utf8_keeps_its_bytes() {
    let entry = entry(b"caf\xe9\x00");
    assert_eq!(entry.message, "caf\u{fffd}\0");
    assert_eq!(entry.line(), b"caf\xe9\x00");
    entry.check().unwrap();
    let json = serde_json::to_string(&entry).unwrap();
    assert!(json.ends_with(r#","raw":"636166e900"}"#), "{json}");
    assert_eq!(serde_json::from_str::<LogEntry>(&json).unwrap(), entry);
    for wrong in ["0", "0g", "\u{ff10}\u{ff10}", "+1"] {
        let json = json.replace("636166e900", wrong);
        assert!(serde_json::from_str::<LogEntry>(&json).is_err(), "{wrong}");
    }
}

#[test]
fn a_log_entry_that_contradicts_itself_fails_its_check() {
    let mut other_hash = entry(b"a");
    other_hash.content_hash = ContentHash::of(b"b");
    assert!(other_hash.check().is_err());
    let mut other_message = entry(b"\xff");
    other_message.message = "harmless".to_owned();
    assert!(other_message.check().is_err());
}

#[test]
fn a_blob_has_exactly_this_json() {
    let blob = BlobMetadata {
        id: id(),
        name: "a.bin".to_owned(),
        content_type: "application/octet-stream".to_owned(),
        size: u64::MAX,
        created_at: time(),
        created_by: "ci".to_owned(),
        checksum: ContentHash::from_bytes([0xab; 32]),
        encrypted: true,
        compressed: false,
        chunk_count: 3,
        metadata: HashMap::new(),
    };
    let json = format!(
        r#"{{"id":"{ID}","name":"a.bin","content_type":"application/octet-stream","size":18446744073709551615,"created_at":"2026-03-01T12:00:00.000000001Z","created_by":"ci","checksum":"{}","encrypted":true,"compressed":false,"chunk_count":3,"metadata":{{}}}}"#,
        "ab".repeat(32)
    );
    assert_eq!(serde_json::to_string(&blob).unwrap(), json);
    assert_eq!(serde_json::from_str::<BlobMetadata>(&json).unwrap(), blob);
}

#[test]
fn a_blob_chunk_has_exactly_this_json_and_notices_other_data() {
    let mut chunk = BlobChunk::new(id(), 2, vec![0, 0xff, 0x10]);
    chunk.check().unwrap();
    let json = format!(
        r#"{{"blob_id":"{ID}","chunk_index":2,"data":"00ff10","checksum":"{}"}}"#,
        chunk.checksum
    );
    assert_eq!(serde_json::to_string(&chunk).unwrap(), json);
    assert_eq!(serde_json::from_str::<BlobChunk>(&json).unwrap(), chunk);
    chunk.data[0] ^= 1;
    assert!(chunk.check().is_err());
}

#[test]
fn the_extremes_of_time_survive_the_round_trip() {
    let leap = DateTime::from_timestamp(59, 1_999_999_999).unwrap();
    let times = [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, DateTime::UNIX_EPOCH, leap];
    for timestamp in times {
        let event = EventMessage { timestamp, ..event() };
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<EventMessage>(&json).unwrap(), event, "{json}");
    }
}

proptest! {
    #[test]
    fn any_event_survives_the_round_trip(
        id: u128,
        topic: String,
        secs in DateTime::<Utc>::MIN_UTC.timestamp()..=DateTime::<Utc>::MAX_UTC.timestamp(),
        nanos in 0_u32..1_000_000_000,
        level in 0_u8..4,
        payload in "\\PC*|[\\x00-\\x7f]*",
        metadata: HashMap<String, String>,
        checkpoint_marker: Option<String>,
    ) {
        let event = EventMessage {
            id: Uuid::from_u128(id),
            topic,
            timestamp: DateTime::from_timestamp(secs, nanos).unwrap(),
            priority: EventPriority::from_level(level).unwrap(),
            payload,
            metadata,
            checkpoint_marker,
        };
        let json = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(&serde_json::from_str::<EventMessage>(&json).unwrap(), &event);
    }

    #[test]
    fn any_log_line_survives_the_round_trip(line: Vec<u8>) {
        let entry = entry(&line);
        entry.check().unwrap();
        let json = serde_json::to_string(&entry).unwrap();
        let back: LogEntry = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(back.line(), &*line);
        prop_assert_eq!(back, entry);
    }
}
