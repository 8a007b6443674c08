//! Stores that may not open, for whoever looks at what is left of them.

use super::open::{Opening, SHARD_COUNT_MAX, prepare, shards_of, system_name};
use super::unfinished::explained;
use crate::integrity::{CheckPages, Pins, Subject};
use crate::options::{OpenMode, StoreOptions};
use crate::stream::{Layout, Shard, read_settings};
use forgeone_db_engine::{Engine, Result};
use std::sync::Arc;

/// What can be verified of a store that may not open.
pub(super) struct Unopened {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) subject: Subject,
}

/// Goes as far as the engine, for reading, and takes the databases for what their names say.
pub(super) async fn open_unopened(mut options: StoreOptions) -> Result<Unopened> {
    options.mode = OpenMode::Read;
    let opened = explained(prepare(&options).await, &options)?;
    let engine = Arc::clone(&opened.engine);
    let subject = opened.unopened().await;
    match subject {
        Ok(subject) => Ok(Unopened { engine, subject }),
        Err(error) => {
            close_unopened(&engine).await;
            Err(error)
        }
    }
}

pub(super) async fn close_unopened(engine: &Arc<dyn Engine>) {
    // Nothing was written; what was found matters more than how the files were let go.
    drop(engine.close().await);
}

impl Opening<'_> {
    async fn unopened(&self) -> Result<Subject> {
        let caches = self.caches();
        let shard = |name, layout| Arc::new(Shard::new(self.context(name), layout, caches.clone()));
        let system = shard(system_name()?, Layout::system());
        let count = match system.refresh().await {
            Ok(_) => read_settings(&system).await.ok().map(|settings| settings.shard_count),
            Err(_) => None,
        };
        // The walk takes a snapshot of its own.
        let system = shard(system_name()?, Layout::system());
        let mut shards: Vec<Arc<Shard>> = Vec::new();
        for (kind, index) in shards_of(count.unwrap_or(SHARD_COUNT_MAX)) {
            let next = shard(kind.shard_name(index)?, kind.layout());
            // Where the number of shards is lost, every one that there is counts.
            let known = count.is_some() || index < self.options.shard_count.unwrap_or(1);
            if known || self.engine.usage(&next.context().database).await?.allocated_bytes > 0 {
                shards.push(next);
            }
        }
        let shard_count = count.unwrap_or(SHARD_COUNT_MAX);
        let closed = self.closed().await;
        let keyrings = self.sidecar.keyrings().await?;
        let memory_bytes = self.memory.limits.searches / 2;
        let pages = self.redb.clone().map(|redb| redb as Arc<dyn CheckPages>);
        let pins = Pins::Walk;
        Ok(Subject { system, shards, shard_count, closed, keyrings, memory_bytes, pins, pages })
    }
}
