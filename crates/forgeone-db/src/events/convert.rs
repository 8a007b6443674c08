//! Messages to records and back.

use super::manager::{NewEvent, StoredEvent};
use crate::codec::corrupt;
use crate::model::{EventMessage, EventPriority, LineEnd};
use crate::stream::{Found, Record};
use forgeone_db_engine::Result;
use uuid::Uuid;

/// # Errors
/// `Invalid` when a part of the message exceeds its limit.
pub(super) fn to_record(event: NewEvent) -> Result<(String, Record)> {
    let NewEvent { event, timestamp_assigned } = event;
    event.check()?;
    let mut metadata: Vec<(String, String)> = event.metadata.into_iter().collect();
    metadata.sort_unstable();
    let record = Record {
        id: Some(event.id.into_bytes()),
        time: event.timestamp.into(),
        assigned: timestamp_assigned,
        late: false,
        level: event.priority.level(),
        payload: event.payload.into_bytes(),
        metadata,
        marker: event.checkpoint_marker,
        end: LineEnd::Lf,
    };
    Ok((event.topic, record))
}

/// # Errors
/// `Corrupt` when the record is no event's.
pub(super) fn to_stored(found: Found) -> Result<StoredEvent> {
    let Found { topic, sequence, record } = found;
    let damaged = |what| corrupt(what).with("topic", &topic.name).with("sequence", sequence);
    let payload =
        String::from_utf8(record.payload).map_err(|_| damaged("a payload is not text"))?;
    let event = EventMessage {
        id: record.id.map(Uuid::from_bytes).ok_or_else(|| damaged("an event has no id"))?,
        topic: topic.name.clone(),
        timestamp: record
            .time
            .to_datetime()
            .ok_or_else(|| damaged("a time is beyond the calendar"))?,
        priority: EventPriority::from_level(record.level)
            .ok_or_else(|| damaged("a priority is unknown"))?,
        payload,
        metadata: record.metadata.into_iter().collect(),
        checkpoint_marker: record.marker,
    };
    Ok(StoredEvent { event, seq: sequence })
}
