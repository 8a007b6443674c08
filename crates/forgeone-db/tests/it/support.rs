//! What the tests share: stores in temporary directories, and events.

use chrono::{DateTime, TimeZone as _, Utc};
use forgeone_db::{
    Durability, Engine, EventMessage, EventPriority, Key, OpenMode, RedbManager, StoreOptions,
};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// A raw key, so that key derivation costs nothing.
pub(crate) fn key() -> Key {
    Key::raw([7; 32])
}

pub(crate) fn options(path: &Path) -> StoreOptions {
    StoreOptions::new(path).mode(OpenMode::OpenOrCreate).key(key())
}

/// One shard on an engine in memory, of which nothing is sealed but by hand, so that the count of commits is
/// the same in every run.
pub(crate) fn unsealed_options(engine: Arc<dyn Engine>) -> StoreOptions {
    StoreOptions::with_engine(engine)
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(key())
        .shard_count(1)
        .seal_at(usize::MAX / 8, u64::MAX / 8)
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
