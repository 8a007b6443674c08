//! An engine that fails and lies on demand, for tests of what stands above an engine.
//!
//! Absent on purpose: delays and chance; the same plan and calls fail the same way every time.

mod plan;

use crate::contract::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Read, ReadResult, Usage,
};
use crate::error::{Error, ErrorKind, Outcome, Result};
use crate::task::lock;
use plan::Target;
pub use plan::{CommitFault, FaultPlan, Repeat};
use std::fmt;
use std::sync::Mutex;

/// A hook that may change the answer to a read before the caller sees it.
pub type Tamper = Box<dyn FnMut(&DatabaseName, &Read, &mut ReadResult) + Send>;

/// Calls that passed the check of the request, failed ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallCounts {
    /// Reads.
    pub reads: u64,
    /// Commits.
    pub commits: u64,
    /// Calls of `usage`.
    pub usages: u64,
    /// Calls of `compact`.
    pub compactions: u64,
}

/// Fails calls after a [`FaultPlan`], and bends answers with a hook. With an empty plan and no hook
/// it changes nothing.
///
/// Requests outside the capability reach the inner engine, which refuses them: they are neither
/// counted nor failed by the plan. `close` never fails by plan.
pub struct FaultyEngine<E> {
    inner: E,
    state: Mutex<State>,
    tamper: Mutex<Option<Tamper>>,
}

#[derive(Default)]
struct State {
    plan: FaultPlan,
    counts: CallCounts,
}

impl<E: Engine> FaultyEngine<E> {
    /// Wraps `inner`; what `plan` says fails.
    pub fn new(inner: E, plan: FaultPlan) -> Self {
        let state = State { plan, counts: CallCounts::default() };
        Self { inner, state: Mutex::new(state), tamper: Mutex::default() }
    }

    /// The engine below.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// Replaces the plan; its counting starts now. [`counts`](Self::counts) goes on.
    pub fn set_plan(&self, plan: FaultPlan) {
        lock(&self.state).plan = plan;
    }

    /// The calls so far, with which a sweep finds out how many places there are to fail.
    pub fn counts(&self) -> CallCounts {
        lock(&self.state).counts
    }

    /// Lets `hook` change the answer of every later successful read: bend, drop or replace values,
    /// or answer with the wrong variant. It runs under a lock, so it must not use this engine.
    pub fn tamper(&self, hook: impl FnMut(&DatabaseName, &Read, &mut ReadResult) + Send + 'static) {
        *lock(&self.tamper) = Some(Box::new(hook));
    }

    /// Stops tampering.
    pub fn clear_tamper(&self) {
        *lock(&self.tamper) = None;
    }

    /// The first fault that hits this call. Every fault that could hit it counts it.
    fn next(&self, what: fn(&Target) -> bool, database: &DatabaseName) -> Option<Hit> {
        let mut state = lock(&self.state);
        let mut hit = None;
        for fault in state.plan.faults.iter_mut().filter(|fault| what(&fault.target)) {
            if fault.hits(database) && hit.is_none() {
                hit = Some(Hit { target: fault.target, kind: fault.kind });
            }
        }
        hit
    }
}

struct Hit {
    target: Target,
    kind: ErrorKind,
}

impl Hit {
    fn error(&self, op: &'static str, database: &DatabaseName) -> Error {
        let outcome = match self.target {
            Target::Read | Target::Usage => Outcome::Rejected,
            Target::Commit(fault) | Target::Compact(fault) => fault.outcome(),
        };
        Error::new(self.kind, "an injected fault")
            .with_op(op)
            .with("database", database)
            .with_outcome(outcome)
    }
}

#[deny(clippy::missing_trait_methods)]
impl<E: Engine> Engine for FaultyEngine<E> {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let database = database.clone();
        Box::pin(async move {
            if request.check(&self.inner.capability()).is_ok() {
                lock(&self.state).counts.reads += 1;
                if let Some(hit) = self.next(|target| *target == Target::Read, &database) {
                    return Err(hit.error("read", &database));
                }
            }
            let mut result = self.inner.read(&database, request.clone()).await?;
            if let Some(hook) = &mut *lock(&self.tamper) {
                hook(&database, &request, &mut result);
            }
            Ok(result)
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if batch.check(durability, &self.inner.capability()).is_err() {
                return self.inner.commit(batch, durability).await;
            }
            lock(&self.state).counts.commits += 1;
            let database = batch.database().clone();
            let Some(hit) = self.next(|target| matches!(target, Target::Commit(_)), &database)
            else {
                return self.inner.commit(batch, durability).await;
            };
            if hit.target == Target::Commit(CommitFault::UnknownApplied) {
                self.inner.commit(batch, durability).await?;
            }
            Err(hit.error("commit", &database))
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        let database = database.clone();
        Box::pin(async move {
            lock(&self.state).counts.usages += 1;
            if let Some(hit) = self.next(|target| *target == Target::Usage, &database) {
                return Err(hit.error("usage", &database));
            }
            self.inner.usage(&database).await
        })
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let database = database.clone();
        Box::pin(async move {
            lock(&self.state).counts.compactions += 1;
            let Some(hit) = self.next(|target| matches!(target, Target::Compact(_)), &database)
            else {
                return self.inner.compact(&database).await;
            };
            if hit.target == Target::Compact(CommitFault::UnknownApplied) {
                self.inner.compact(&database).await?;
            }
            Err(hit.error("compact", &database))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}

impl<E: Engine> fmt::Display for FaultyEngine<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty({})", self.inner)
    }
}

impl<E: Engine> fmt::Debug for FaultyEngine<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("FaultyEngine")
            .field("inner", &self.inner)
            .field("plan", &state.plan)
            .field("counts", &state.counts)
            .field("tampers", &lock(&self.tamper).is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests;
