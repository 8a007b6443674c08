//! An engine that stops trusting a database after a write of unknown outcome, and lets no panic
//! through.
//!
//! Absent on purpose: deciding when to trust it again. Only opening the database anew from disk can
//! tell what is there; whoever has done that says so.

use crate::contract::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Read, ReadResult, Usage,
};
use crate::error::{ClosedReason, Error, ErrorKind, Outcome, Result};
use crate::task::{catch_panic, lock, shutdown};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Poisons a database when a commit to it, or its compaction, fails with outcome `Unknown`, or when
/// the inner engine panics in any call about it.
///
/// From then on, for that database alone:
/// - every later commit or compaction is `Closed(Poisoned)` with outcome `Rejected`, and does not
///   reach the inner engine;
/// - a commit already in flight that the inner engine still reports as done is `Closed(Poisoned)`
///   with outcome `Unknown`: a poisoned database acknowledges nothing;
/// - reads and `usage` pass through.
///
/// A panic in the inner engine becomes `Internal`, of outcome `Unknown` for commits and
/// compactions. On WebAssembly
/// and wherever panics abort, nothing can be caught.
#[derive(Debug)]
pub struct PoisonedEngine<E> {
    inner: E,
    capability: Capability,
    closed: AtomicBool,
    poisoned: Mutex<BTreeSet<DatabaseName>>,
}

impl<E: Engine> PoisonedEngine<E> {
    /// Wraps `inner`, with no database poisoned. The inner capability is asked once, here.
    pub fn new(inner: E) -> Self {
        let capability = inner.capability();
        Self { inner, capability, closed: AtomicBool::new(false), poisoned: Mutex::default() }
    }

    /// The engine below.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// Whether `database` is poisoned.
    pub fn is_poisoned(&self, database: &DatabaseName) -> bool {
        lock(&self.poisoned).contains(database) && !crate::mutant!("forget-poison")
    }

    /// Every poisoned database, by name.
    pub fn poisoned(&self) -> Vec<DatabaseName> {
        lock(&self.poisoned).iter().cloned().collect()
    }

    /// Poisons `database`, for a caller that has learnt of a failure by other means.
    pub fn poison(&self, database: &DatabaseName) {
        lock(&self.poisoned).insert(database.clone());
    }

    /// Trusts `database` again, once a caller has reopened it below and found what is there.
    pub fn heal(&self, database: &DatabaseName) {
        lock(&self.poisoned).remove(database);
    }

    async fn commit_guarded(
        &self,
        database: &DatabaseName,
        batch: Batch,
        durability: Durability,
    ) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(shutdown());
        }
        batch.check(durability, &self.capability)?;
        self.write_guarded(
            database,
            Box::pin(async move { self.inner.commit(batch, durability).await }),
        )
        .await
    }

    async fn compact_guarded(&self, database: &DatabaseName) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(shutdown());
        }
        let call = Box::pin(async move { self.inner.compact(database).await });
        self.write_guarded(database, call).await
    }

    /// Makes a call that may write, unless the database is poisoned.
    async fn write_guarded(
        &self,
        database: &DatabaseName,
        call: BoxFuture<'_, Result<()>>,
    ) -> Result<()> {
        if self.is_poisoned(database) {
            return Err(refused());
        }
        let result = catch_panic(call).await;
        let result = result.unwrap_or_else(|text| {
            self.poison(database);
            Err(panicked(&text).with_outcome(Outcome::Unknown))
        });
        match result {
            Ok(()) if self.is_poisoned(database) => Err(refused().with_outcome(Outcome::Unknown)),
            Err(error) if error.outcome() == Outcome::Unknown => {
                self.poison(database);
                Err(error)
            }
            result => result,
        }
    }
}

fn refused() -> Error {
    Error::new(
        ErrorKind::Closed(ClosedReason::Poisoned),
        "a write to this database failed earlier with an unknown outcome; reopen the store",
    )
}

/// Says of an error which call it ended, and in which database unless the engine has said so.
fn named(error: Error, op: &'static str, database: &DatabaseName) -> Error {
    match error.get("database") {
        Some(_) => error.with_op(op),
        None => error.with_op(op).with("database", database),
    }
}

fn panicked(text: &str) -> Error {
    Error::new(ErrorKind::Internal, "the engine panicked").with("panic", text.escape_debug())
}

#[deny(clippy::missing_trait_methods)]
impl<E: Engine> Engine for PoisonedEngine<E> {
    fn capability(&self) -> Capability {
        self.capability
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let database = database.clone();
        Box::pin(async move {
            let asked = database.clone();
            let call = Box::pin(async move { self.inner.read(&asked, request).await });
            catch_panic(call).await.unwrap_or_else(|text| {
                self.poison(&database);
                Err(panicked(&text).with_op("read").with("database", &database))
            })
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let database = batch.database().clone();
            let result = self.commit_guarded(&database, batch, durability).await;
            result.map_err(|error| named(error, "commit", &database))
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        let database = database.clone();
        Box::pin(async move {
            let asked = database.clone();
            let call = Box::pin(async move { self.inner.usage(&asked).await });
            catch_panic(call).await.unwrap_or_else(|text| {
                self.poison(&database);
                Err(panicked(&text).with_op("usage").with("database", &database))
            })
        })
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let database = database.clone();
        Box::pin(async move {
            let result = self.compact_guarded(&database).await;
            result.map_err(|error| named(error, "compact", &database))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.closed.store(true, Ordering::Release);
            let call = Box::pin(async move { self.inner.close().await });
            catch_panic(call).await.unwrap_or_else(|text| Err(panicked(&text).with_op("close")))
        })
    }
}

impl<E: Engine> fmt::Display for PoisonedEngine<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "poisoned({})", self.inner)
    }
}

#[cfg(test)]
mod tests;
