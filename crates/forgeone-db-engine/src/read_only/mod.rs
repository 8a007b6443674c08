//! An engine that refuses writes, for handles that must not change what they look at.
//!
//! Absent on purpose: any check of who asks; this is a fact about the handle, not a permission.

use crate::contract::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Read, ReadResult, Usage,
};
use crate::error::{Error, ErrorKind, Result};
use crate::task::shutdown;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Refuses every commit with `Unsupported` and outcome `Rejected`, an empty one too, and every
/// compaction; passes all else on.
///
/// A commit that the inner engine's limits forbid is `Invalid`, and one after
/// [`close`](Engine::close) is `Closed(Shutdown)`, as on every engine. The capability is the inner
/// engine's: it says how large what is read can be.
#[derive(Debug)]
pub struct ReadOnlyEngine<E> {
    inner: E,
    closed: AtomicBool,
}

impl<E: Engine> ReadOnlyEngine<E> {
    /// Wraps `inner`.
    pub const fn new(inner: E) -> Self {
        Self { inner, closed: AtomicBool::new(false) }
    }

    /// The engine below.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    fn refuse(&self, batch: &Batch, durability: Durability) -> Result<()> {
        self.check_open()?;
        batch.check(durability, &self.inner.capability())?;
        Err(Error::new(ErrorKind::Unsupported, "this handle is read-only and takes no commits"))
    }

    fn refuse_compaction(&self) -> Result<()> {
        self.check_open()?;
        Err(Error::new(ErrorKind::Unsupported, "this handle is read-only and compacts nothing"))
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(shutdown()) } else { Ok(()) }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<E: Engine> Engine for ReadOnlyEngine<E> {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        self.inner.read(database, request)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.refuse(&batch, durability)
                .map_err(|error| error.with_op("commit").with("database", batch.database()))
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.inner.usage(database)
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let database = database.clone();
        Box::pin(async move {
            self.refuse_compaction()
                .map_err(|error| error.with_op("compact").with("database", &database))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.closed.store(true, Ordering::Release);
            self.inner.close().await
        })
    }
}

impl<E: Engine> fmt::Display for ReadOnlyEngine<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read_only({})", self.inner)
    }
}

#[cfg(test)]
mod tests;
