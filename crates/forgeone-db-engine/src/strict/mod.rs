//! An engine for tests that is as awkward as the contract lets it be.
//!
//! Absent on purpose: anything that the contract forbids. What works over this engine relies on
//! the contract alone.

mod gate;

use crate::contract::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Entry, Read, ReadResult, Usage,
};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::MemoryEngine;
use crate::task::{lock, shutdown, yield_once};
use bytes::Bytes;
use gate::Gate;
use std::fmt;
use std::sync::Mutex;

/// The smallest limits that the contract allows, apart from the bytes of values and batches, which
/// stay the inner engine's.
pub const SMALL_LIMITS: Capability = Capability {
    durability_max: Durability::Sync,
    key_bytes_max: 32,
    value_bytes_max: u64::MAX,
    value_bytes_preferred: u32::MAX,
    batch_operations_max: 64,
    batch_bytes_max: u64::MAX,
    range_delete_entries_max: 64,
    get_keys_max: 64,
    page_entries_max: 64,
};

/// The smallest limits that the contract allows, values of 64 KiB included.
pub const MINIMUM_LIMITS: Capability =
    Capability { value_bytes_max: 64 << 10, batch_bytes_max: (64 << 10) + 32, ..SMALL_LIMITS };

/// The call that is about to happen, as the interference hook sees it.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// A read.
    Read(&'a DatabaseName, &'a Read),
    /// A commit.
    Commit(&'a Batch, Durability),
    /// A call of `usage`.
    Usage(&'a DatabaseName),
    /// A call of `compact`.
    Compact(&'a DatabaseName),
}

/// A hook that plays the concurrent writer: it sees the call that is about to happen, and returns
/// batches that are committed to the inner engine first.
pub type Interfere = Box<dyn FnMut(Call<'_>) -> Vec<Batch> + Send>;

/// Behaves as badly as the contract allows, and refuses what the contract forbids:
///
/// - every call suspends before the inner call and again after it, waking itself, so that a
///   dropped future may have done all or nothing;
/// - pages are shorter than asked, by a seeded sequence; every page with entries says `more`;
/// - every key and value returned is a fresh allocation;
/// - the limits are small: the lesser of the inner engine's and those given, field by field; only
///   `range_delete_entries_max` stays the inner engine's, which alone can count inside a commit
///   ([`over_memory`](Self::over_memory) makes that one small too);
/// - after `close` has begun, every call is `Closed(Shutdown)`, one made earlier but not yet polled
///   included; `close` waits for the calls in progress;
/// - a hook may change the data between any two calls, as a concurrent writer would
///   ([`interfere`](Self::interfere)).
///
/// Two engines with equal seeds, hooks and calls answer alike.
pub struct StrictEngine<E> {
    inner: E,
    capability: Capability,
    gate: Gate,
    random: Mutex<u64>,
    interfere: Mutex<Option<Interfere>>,
}

impl StrictEngine<MemoryEngine> {
    /// A strict engine over an empty memory engine, both under [`SMALL_LIMITS`].
    pub fn over_memory(seed: u64) -> Self {
        Self::new(MemoryEngine::with_limits(SMALL_LIMITS), seed)
    }
}

impl<E: Engine> StrictEngine<E> {
    /// Wraps `inner` under [`SMALL_LIMITS`].
    pub fn new(inner: E, seed: u64) -> Self {
        Self::with_limits(inner, SMALL_LIMITS, seed)
    }

    /// Wraps `inner` under the lesser of its own limits and `limits`, field by field.
    pub fn with_limits(inner: E, limits: Capability, seed: u64) -> Self {
        let own = inner.capability();
        let range_delete_entries_max = own.range_delete_entries_max;
        let capability = Capability { range_delete_entries_max, ..own.lesser(limits) };
        let (random, interfere) = (Mutex::new(seed), Mutex::default());
        Self { inner, capability, gate: Gate::default(), random, interfere }
    }

    /// The engine below. What is committed there directly is a concurrent writer's doing too.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// Lets `hook` change the data before every later call. Its batches are committed to the inner
    /// engine one by one; a `Conflict` is ignored, as another writer's would be, and any other
    /// failure fails the call as `Internal`. It runs under a lock, so it must not use this engine.
    pub fn interfere(&self, hook: impl FnMut(Call<'_>) -> Vec<Batch> + Send + 'static) {
        *lock(&self.interfere) = Some(Box::new(hook));
    }

    /// Stops interfering.
    pub fn clear_interference(&self) {
        *lock(&self.interfere) = None;
    }

    async fn before(&self, call: Call<'_>) -> Result<()> {
        yield_once().await;
        let batches = lock(&self.interfere).as_mut().map_or_else(Vec::new, |hook| hook(call));
        for batch in batches {
            match self.inner.commit(batch, Durability::None).await {
                Err(error) if error.kind() != ErrorKind::Conflict => {
                    let message = "the inner engine refused a batch of the interference hook";
                    return Err(Error::new(ErrorKind::Internal, message).with_source(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A page size between 1 and `max`, the next of the seeded sequence (splitmix64).
    fn shorter(&self, max: u32) -> u32 {
        let mut state = lock(&self.random);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        u32::try_from(mixed % u64::from(max.max(1))).map_or(1, |below| below + 1)
    }
}

/// The same answer in fresh allocations, saying `more` wherever that is allowed.
fn awkward(result: ReadResult) -> ReadResult {
    let fresh = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    match result {
        ReadResult::Values(values) => {
            ReadResult::Values(values.iter().map(|value| value.as_ref().map(fresh)).collect())
        }
        ReadResult::Page(mut page) => {
            for entry in &mut page.entries {
                *entry = Entry { key: fresh(&entry.key), value: fresh(&entry.value) };
            }
            page.more = !page.entries.is_empty();
            ReadResult::Page(page)
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<E: Engine> Engine for StrictEngine<E> {
    fn capability(&self) -> Capability {
        self.capability
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let database = database.clone();
        Box::pin(async move {
            let _call = self.gate.enter().ok_or_else(shutdown)?;
            let mut request = request;
            request.check(&self.capability)?;
            self.before(Call::Read(&database, &request)).await?;
            if let Read::Scan { entries_max, .. } = &mut request {
                *entries_max = self.shorter(*entries_max);
            }
            let result = self.inner.read(&database, request).await;
            yield_once().await;
            result.map(awkward)
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let _call = self.gate.enter().ok_or_else(shutdown)?;
            batch.check(durability, &self.capability)?;
            self.before(Call::Commit(&batch, durability)).await?;
            let result = self.inner.commit(batch, durability).await;
            yield_once().await;
            result
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        let database = database.clone();
        Box::pin(async move {
            let _call = self.gate.enter().ok_or_else(shutdown)?;
            self.before(Call::Usage(&database)).await?;
            let result = self.inner.usage(&database).await;
            yield_once().await;
            result
        })
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let database = database.clone();
        Box::pin(async move {
            let _call = self.gate.enter().ok_or_else(shutdown)?;
            self.before(Call::Compact(&database)).await?;
            let result = self.inner.compact(&database).await;
            yield_once().await;
            result
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.gate.close().await;
            yield_once().await;
            self.inner.close().await
        })
    }
}

impl<E: Engine> fmt::Display for StrictEngine<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "strict({})", self.inner)
    }
}

impl<E: Engine> fmt::Debug for StrictEngine<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrictEngine")
            .field("inner", &self.inner)
            .field("capability", &self.capability)
            .field("gate", &self.gate)
            .field("random", &*lock(&self.random))
            .field("interferes", &lock(&self.interfere).is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests;
