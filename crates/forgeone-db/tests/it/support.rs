//! What the tests share: stores in temporary directories, and events.

use chrono::{DateTime, TimeZone as _, Utc};
use forgeone_db::{EventMessage, EventPriority, Key, OpenMode, RedbManager, StoreOptions};
use std::collections::HashMap;
use std::path::Path;
use uuid::Uuid;

/// A raw key, so that key derivation costs nothing.
pub(crate) fn key() -> Key {
    Key::raw([7; 32])
}

pub(crate) fn options(path: &Path) -> StoreOptions {
    StoreOptions::new(path).mode(OpenMode::OpenOrCreate).key(key())
}

pub(crate) fn open(path: &Path) -> RedbManager {
    RedbManager::open(options(path)).unwrap()
}

pub(crate) fn time(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(seconds, 0).unwrap()
}

pub(crate) fn event(topic: &str, number: u64) -> EventMessage {
    EventMessage {
        id: Uuid::from_u128((u128::from(number) << 64) | 0x1234_5678),
        topic: topic.to_owned(),
        timestamp: time(1_700_000_000 + i64::try_from(number).unwrap()),
        priority: EventPriority::Normal,
        payload: format!("payload of event {number}"),
        metadata: HashMap::from([("number".to_owned(), number.to_string())]),
        checkpoint_marker: None,
    }
}
