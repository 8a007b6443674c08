//! What is compared of a record: its place, and all that it says, as text.

use forgeone_db::{RedbManager, StoredEvent, StoredLogEntry};

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) is_log: bool,
    pub(super) topic: String,
    pub(super) seq: u64,
    /// Seconds since 1970.
    pub(super) at: i64,
    pub(super) level: u8,
    pub(super) text: String,
    pub(super) host: Option<String>,
    pub(super) marker: Option<String>,
    /// Whether it was shredded.
    pub(super) gone: bool,
}

impl Line {
    pub(super) fn of_event(StoredEvent { event, seq }: StoredEvent) -> Self {
        Self {
            is_log: false,
            topic: event.topic,
            seq,
            at: event.timestamp.timestamp(),
            level: event.priority.level(),
            text: event.payload,
            host: event.metadata.get("host").cloned(),
            marker: event.checkpoint_marker,
            gone: false,
        }
    }

    pub(super) fn of_log(StoredLogEntry { entry, seq }: StoredLogEntry) -> Self {
        Self {
            is_log: true,
            topic: entry.topic,
            seq,
            at: entry.timestamp.timestamp(),
            level: entry.severity.number(),
            text: entry.message,
            host: entry.metadata.get("host").cloned(),
            marker: entry.checkpoint_marker,
            gone: false,
        }
    }

    /// Reads it by its number.
    pub(super) fn ask(&self, store: &RedbManager) -> Result<Self, String> {
        let found = if self.is_log {
            store.get_log_at(&self.topic, self.seq).map(Self::of_log)
        } else {
            store.get_event_at(&self.topic, self.seq).map(Self::of_event)
        };
        found.map_err(|error| format!("{:?}", error.kind()))
    }
}
