//! Log entries to records and back.

use super::manager::{NewLogEntry, StoredLogEntry};
use crate::codec::corrupt;
use crate::model::{
    ContentHash, LogEntry, Severity, check_checkpoint_marker, check_metadata, check_payload,
    check_topic,
};
use crate::stream::{Found, PlaceIds, Record};
use forgeone_db_engine::Result;
use uuid::Uuid;

/// # Errors
/// `Invalid` when a part of the entry exceeds its limit.
pub(super) fn to_record(entry: NewLogEntry) -> Result<(String, Record)> {
    check_topic(&entry.topic)?;
    check_payload(&entry.line)?;
    check_metadata(&entry.metadata)?;
    check_checkpoint_marker(entry.checkpoint_marker.as_deref())?;
    let mut metadata: Vec<(String, String)> = entry.metadata.into_iter().collect();
    metadata.sort_unstable();
    let record = Record {
        id: entry.id.map(Uuid::into_bytes),
        time: entry.timestamp.into(),
        assigned: entry.timestamp_assigned,
        late: false,
        level: entry.severity.number(),
        payload: entry.line,
        metadata,
        marker: entry.checkpoint_marker,
        end: entry.line_end,
    };
    Ok((entry.topic, record))
}

/// # Errors
/// `Corrupt` when the record is no log entry's.
pub(super) fn to_stored(found: Found, ids: &PlaceIds) -> Result<StoredLogEntry> {
    let Found { topic, sequence, record } = found;
    let damaged = |what| corrupt(what).with("topic", &topic.name).with("sequence", sequence);
    let id = record.id.unwrap_or_else(|| ids.id_of(topic.id, sequence));
    let content_hash = ContentHash::of(&record.payload);
    let (message, raw) = LogEntry::split_line(record.payload);
    let entry = LogEntry {
        id: Uuid::from_bytes(id),
        topic: topic.name.clone(),
        timestamp: record
            .time
            .to_datetime()
            .ok_or_else(|| damaged("a time is beyond the calendar"))?,
        severity: Severity::from_number(record.level)
            .ok_or_else(|| damaged("a severity is unknown"))?,
        message,
        metadata: record.metadata.into_iter().collect(),
        checkpoint_marker: record.marker,
        content_hash,
        raw,
        line_end: record.end,
    };
    Ok(StoredLogEntry { entry, seq: sequence })
}
