//! An engine that claims `Sync` and keeps that promise, and no more: closing loses every commit
//! after the last synced one of its database. It stands for a medium in tests of durability.

use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, MemoryEngine, Read, ReadResult,
    Result, Usage,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, Weak};

/// The commits of one database, and how many of them are synced.
type Journal = BTreeMap<DatabaseName, (Vec<Batch>, usize)>;

#[derive(Debug)]
pub(crate) struct VolatileEngine {
    memory: MemoryEngine,
    journal: Arc<Mutex<Journal>>,
    lies: bool,
}

/// By display name, for `reopen` is given a `dyn Engine`.
static JOURNALS: LazyLock<Mutex<BTreeMap<String, Weak<Mutex<Journal>>>>> =
    LazyLock::new(Mutex::default);

impl VolatileEngine {
    pub(crate) fn new() -> Self {
        Self::with_journal(Journal::new(), false)
    }

    /// One that acknowledges `Sync` without syncing.
    pub(crate) fn lying() -> Self {
        Self::with_journal(Journal::new(), true)
    }

    fn with_journal(journal: Journal, lies: bool) -> Self {
        let journal = Arc::new(Mutex::new(journal));
        let engine = Self { memory: MemoryEngine::new(), journal, lies };
        let weak = Arc::downgrade(&engine.journal);
        JOURNALS.lock().unwrap().insert(engine.to_string(), weak);
        engine
    }

    /// What a crash after `closed` leaves.
    pub(crate) fn reopen(closed: &Arc<dyn Engine>) -> Self {
        let journal = JOURNALS.lock().unwrap().remove(&closed.to_string());
        let journal = journal.and_then(|weak| weak.upgrade()).expect("made by this module");
        let mut kept = journal.lock().unwrap().clone();
        let reopened = MemoryEngine::new();
        for (batches, synced) in kept.values_mut() {
            batches.truncate(*synced);
            for batch in batches.iter() {
                futures::executor::block_on(reopened.commit(batch.clone(), Durability::None))
                    .expect("it was committed before, in the same order");
            }
        }
        let mut engine = Self::with_journal(kept, closed.to_string().contains("lying"));
        engine.memory = reopened;
        engine
    }
}

impl fmt::Display for VolatileEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.lies { "lying" } else { "volatile" };
        write!(f, "{what}:{:p}", Arc::as_ptr(&self.journal))
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

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.memory.close()
    }
}
