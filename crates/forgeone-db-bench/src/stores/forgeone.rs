//! ForgeOne DB itself, through its blocking face.

use super::Store;
use crate::Result;
use chrono::{DateTime, Utc};
use forgeone_db::{
    EventMessage, EventQuery, Key, OpenMode, RedbManager, StartFrom, StoreOptions, TopicPattern,
};
use std::path::Path;
use uuid::Uuid;

/// The key of encrypted stores: a raw one, so that no figure has key derivation in it.
pub(crate) const KEY: [u8; 32] = [0x5a; 32];

/// A store in a directory.
#[derive(Debug)]
pub(crate) struct ForgeOne {
    manager: RedbManager,
}

impl ForgeOne {
    /// Opens the store at `path`, or creates it.
    pub(crate) fn open(path: &Path, shards: u32, key: Option<[u8; 32]>) -> Result<Self> {
        let options = StoreOptions::new(path)
            .mode(OpenMode::OpenOrCreate)
            .shard_count(shards)
            .key(key.map(Key::raw))
            .memory_max(256 << 20);
        Ok(Self { manager: RedbManager::open(options)? })
    }

    pub(crate) const fn manager(&self) -> &RedbManager {
        &self.manager
    }
}

impl Store for ForgeOne {
    fn name(&self) -> String {
        let sealed = if self.manager.database().is_encrypted() { "" } else { ", plain" };
        let shards = self.manager.database().shard_count();
        format!("ForgeOne DB {}{sealed} ({shards} shards)", env!("CARGO_PKG_VERSION"))
    }

    fn put(&self, _worker: usize, event: &EventMessage) -> Result<()> {
        self.manager.store_event(event)?;
        Ok(())
    }

    fn put_batch(&self, events: &[EventMessage]) -> Result<()> {
        self.manager.store_events(events)?;
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(self.manager.settle()?)
    }

    fn get(&self, id: Uuid) -> Result<Option<EventMessage>> {
        Ok(self.manager.get_event(id)?.into_iter().next().map(|stored| stored.event))
    }

    fn scan(&self, each: &mut dyn FnMut(&EventMessage)) -> Result<()> {
        for stored in self.manager.replay(&TopicPattern::all(), StartFrom::Oldest)? {
            each(&stored?.event);
        }
        Ok(())
    }

    fn range(
        &self,
        topic: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        each: &mut dyn FnMut(&EventMessage),
    ) -> Result<()> {
        let query = EventQuery::new(TopicPattern::new(topic)?).from(from).to(to);
        for stored in self.manager.query_events(query)? {
            each(&stored?.event);
        }
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(self.manager.close()?)
    }
}
