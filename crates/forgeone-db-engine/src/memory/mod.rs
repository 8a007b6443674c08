//! An engine in memory: ordered maps under a lock, the reference that other engines are compared
//! with.
//!
//! Absent on purpose: any durability, and eviction; the data live as long as a handle does.

mod store;

use crate::contract::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Read, ReadResult, Usage,
};
use crate::error::{Error, Result};
use crate::task::shutdown;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use store::Database;

type Databases = RwLock<BTreeMap<DatabaseName, Database>>;

const LIMITS: Capability = Capability {
    durability_max: Durability::None,
    key_bytes_max: 1024,
    value_bytes_max: 64 << 20,
    value_bytes_preferred: 65_536,
    batch_operations_max: 100_000,
    batch_bytes_max: 128 << 20,
    range_delete_entries_max: 4096,
    get_keys_max: 4096,
    page_entries_max: 4096,
};

/// An engine that keeps everything in memory.
///
/// A clone is the same handle: closing one closes both. [`reopen`](Self::reopen) gives a further
/// handle on the same data, open whether or not this one is closed, so that a test can close a
/// store and open it again.
///
/// # Durability
/// None: `durability_max` is [`Durability::None`], and the data are gone with the last handle.
///
/// # Limits
/// Keys of 1,024 bytes, values of 64 MiB, batches of 100,000 operations and 128 MiB; 4,096 entries
/// in a page, a get and a range delete. Keys and values are copied on commit, so that a small value
/// never keeps a large buffer alive. `usage` is the sum of the bytes of keys and values, kept as a
/// running total.
#[derive(Clone)]
pub struct MemoryEngine {
    capability: Capability,
    databases: Arc<Databases>,
    closed: Arc<AtomicBool>,
}

impl MemoryEngine {
    /// An empty engine.
    pub fn new() -> Self {
        Self::with_limits(LIMITS)
    }

    /// An empty engine under the lesser of its usual limits and `limits`, field by field.
    pub fn with_limits(limits: Capability) -> Self {
        let capability = LIMITS.lesser(limits);
        Self { capability, databases: Arc::default(), closed: Arc::default() }
    }

    /// A further handle on the same data, open, and closed on its own.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self {
            capability: self.capability,
            databases: Arc::clone(&self.databases),
            closed: Arc::default(),
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(shutdown()) } else { Ok(()) }
    }

    fn read_now(&self, database: &DatabaseName, request: &Read) -> Result<ReadResult> {
        let databases = self.databases.read().unwrap_or_else(PoisonError::into_inner);
        self.check_open()?;
        request.check(&self.capability)?;
        Ok(store::read(databases.get(database), request))
    }

    fn commit_now(&self, batch: &Batch, durability: Durability) -> Result<()> {
        let mut databases = self.databases.write().unwrap_or_else(PoisonError::into_inner);
        self.check_open()?;
        batch.check(durability, &self.capability)?;
        store::check_preconditions(databases.get(batch.database()), batch)?;
        let database = databases.entry(batch.database().clone()).or_default();
        database.apply(batch, self.capability.range_delete_entries_max)
    }

    fn usage_now(&self, database: &DatabaseName) -> Result<Usage> {
        let databases = self.databases.read().unwrap_or_else(PoisonError::into_inner);
        self.check_open()?;
        let allocated_bytes = databases.get(database).map_or(0, Database::bytes);
        Ok(Usage { allocated_bytes, available_bytes: None })
    }
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Engine for MemoryEngine {
    fn capability(&self) -> Capability {
        self.capability
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let database = database.clone();
        Box::pin(async move {
            self.read_now(&database, &request).map_err(|error| named(error, "read", &database))
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.commit_now(&batch, durability)
                .map_err(|error| named(error, "commit", batch.database()))
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        let database = database.clone();
        Box::pin(async move {
            self.usage_now(&database).map_err(|error| named(error, "usage", &database))
        })
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let database = database.clone();
        // Nothing to do: what is deleted is given back at once.
        Box::pin(
            async move { self.check_open().map_err(|error| named(error, "compact", &database)) },
        )
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let calls_done = self.databases.write().unwrap_or_else(PoisonError::into_inner);
            self.closed.store(true, Ordering::Release);
            drop(calls_done);
            Ok(())
        })
    }
}

fn named(error: Error, op: &'static str, database: &DatabaseName) -> Error {
    error.with_op(op).with("database", database)
}

impl fmt::Display for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

impl fmt::Debug for MemoryEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEngine")
            .field("closed", &self.closed)
            .field("handles", &Arc::strong_count(&self.databases))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
