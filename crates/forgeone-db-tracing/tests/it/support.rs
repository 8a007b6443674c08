//! What the tests share: stores, an engine whose commits wait at a gate, subscribers.

use forgeone_db::{
    Durability, Engine, Key, LogQuery, MemoryEngine, OpenMode, RedbManager, StoreOptions,
    StoredLogEntry,
};
use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Read, ReadResult, Result, Usage,
};
use forgeone_db_tracing::{StoreLayer, StoreLayerGuard};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

/// Longer than anything here takes, shorter than a person waits for a test that hangs.
pub(crate) const LONG: Duration = Duration::from_mins(1);

pub(crate) fn open(path: &Path) -> RedbManager {
    let options = StoreOptions::new(path).mode(OpenMode::OpenOrCreate).key(Key::raw([7; 32]));
    RedbManager::open(options).unwrap()
}

pub(crate) fn store() -> (TempDir, RedbManager) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"));
    (directory, store)
}

/// A store in memory, of the engine that `wrap` makes.
pub(crate) fn store_on(engine: Arc<dyn Engine>) -> RedbManager {
    let options = StoreOptions::with_engine(engine)
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(Key::raw([7; 32]));
    RedbManager::open(options).unwrap()
}

/// A subscriber with the layer as its only one.
pub(crate) fn dispatch(layer: StoreLayer) -> Dispatch {
    Dispatch::new(tracing_subscriber::registry().with(layer))
}

/// A layer with everything by default.
pub(crate) fn layer(store: &RedbManager) -> (Dispatch, StoreLayerGuard) {
    let (layer, guard) = StoreLayer::builder(store.logs().clone()).build().unwrap();
    (dispatch(layer), guard)
}

/// All entries, in the order (timestamp, topic, number).
pub(crate) fn entries(store: &RedbManager) -> Vec<StoredLogEntry> {
    store.query_logs(LogQuery::default()).unwrap().map(Result::unwrap).collect()
}

/// Lets threads through, or has them wait.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    shut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn set_shut(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let shut = self.shut.lock().unwrap();
        drop(self.changed.wait_while(shut, |shut| *shut).unwrap());
    }
}

/// An engine in memory whose commits wait at a gate, and log what they do.
#[derive(Debug, Default)]
pub(crate) struct GatedEngine {
    inner: MemoryEngine,
    pub(crate) gate: Gate,
    /// Where each commit logs an event.
    pub(crate) logs_to: Mutex<Option<Dispatch>>,
    pub(crate) commits: AtomicU64,
}

impl Engine for GatedEngine {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        self.inner.read(database, request)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        self.gate.pass();
        self.commits.fetch_add(1, Ordering::Relaxed);
        if let Some(dispatch) = &*self.logs_to.lock().unwrap() {
            tracing::dispatcher::with_default(dispatch, || tracing::info!("the engine commits"));
        }
        self.inner.commit(batch, durability)
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.inner.usage(database)
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}

impl fmt::Display for GatedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gated({})", self.inner)
    }
}
