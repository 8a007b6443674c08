//! An engine that claims `Sync` and keeps that promise, and no more: closing loses every commit
//! after the last synced one of its database. It stands for a medium in tests of durability.

use forgeone_db_engine::conformance::Subject;
use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, MemoryEngine, Read, ReadResult,
    Result, Usage,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// The commits of one database, and how many of them are synced.
type Journal = BTreeMap<DatabaseName, (Vec<Batch>, usize)>;

#[derive(Debug)]
pub(crate) struct VolatileEngine {
    memory: MemoryEngine,
    journal: Arc<Mutex<Journal>>,
    lies: bool,
}

impl VolatileEngine {
    pub(crate) fn new() -> Self {
        Self { memory: MemoryEngine::new(), journal: Arc::default(), lies: false }
    }

    /// One that acknowledges `Sync` without syncing.
    pub(crate) fn lying() -> Self {
        Self { lies: true, ..Self::new() }
    }

    /// The engine with its medium beside it.
    pub(crate) fn subject(self) -> Subject {
        let journal = Arc::clone(&self.journal);
        Subject::new(Arc::new(self)).with_place(journal)
    }

    /// What a crash after `closed` leaves, for an engine like this one.
    pub(crate) async fn reopen(mut self, closed: Subject) -> Result<Subject> {
        let journal = closed.place::<Arc<Mutex<Journal>>>().expect("made by `subject`");
        let mut kept = journal.lock().unwrap().clone();
        for (batches, synced) in kept.values_mut() {
            batches.truncate(*synced);
            for batch in batches.iter() {
                self.memory.commit(batch.clone(), Durability::None).await?;
            }
        }
        self.journal = Arc::new(Mutex::new(kept));
        Ok(self.subject())
    }
}

impl fmt::Display for VolatileEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("volatile")
    }
}

#[deny(clippy::missing_trait_methods)]
impl Engine for VolatileEngine {
    fn capability(&self) -> Capability {
        Capability { durability_max: Durability::Sync, ..self.memory.capability() }
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        self.memory.read(database, request)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut journal = self.journal.lock().unwrap();
            // The memory engine's futures complete at the first poll, so the lock is held briefly.
            futures::executor::block_on(self.memory.commit(batch.clone(), Durability::None))?;
            let (batches, synced) = journal.entry(batch.database().clone()).or_default();
            batches.push(batch);
            if durability == Durability::Sync && !self.lies {
                *synced = batches.len();
            }
            Ok(())
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.memory.usage(database)
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        self.memory.compact(database)
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.memory.close()
    }
}
