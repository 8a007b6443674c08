//! The sealer: rewrites the older part of a log into segments and runs, and names them in a new
//! manifest.
//!
//! A crash at any moment leaves the old manifest live and, at worst, pieces that nothing names;
//! the first pass after the next open removes those.

mod garbage;
mod pass;
mod rewrite;

pub(crate) use rewrite::{IfAbsent, Remaining, amend, drop_shredded_entries, rewrite_older};

use super::committer::Writer;
use super::shard::{Memtables, Shard, fresh_memtables};
use super::store::Shared;
use super::tail::TailSection;
use crate::environment::Timestamp;
use crate::index::Memtable;
use crate::log::{Floor, Hash, Head, Manifest, TopicIntro};
use crate::pool::run_blocking;
use forgeone_db_engine::{Error, ErrorKind, Outcome, Result, mutant};
use garbage::{Garbage, collect_garbage, collect_orphans, dead_pieces};
use pass::Pass;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

/// Blocks in a tail before it is sealed, however little is in them.
const TAIL_BLOCKS_MAX: u64 = 65_536;
/// Bytes of keys and values in the memtables before a tail is sealed: values of state may be many
/// times as large as what they compress to in the tail.
const MEMTABLE_BYTES_MAX: usize = 32 << 20;
/// How far a tail may grow beyond the limits before appends wait for the sealer.
const BACKLOG_FACTOR: usize = 2;

/// When a tail is sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealLimits {
    /// Compressed bytes in the tail.
    pub(crate) tail_bytes: usize,
    /// Records in the tail.
    pub(crate) tail_records: u64,
}

impl Default for SealLimits {
    fn default() -> Self {
        Self { tail_bytes: 4 << 20, tail_records: 65_536 }
    }
}

impl SealLimits {
    /// Whether the tail of `shard` is to be sealed.
    pub(crate) fn reached(&self, shard: &Shard) -> bool {
        self.exceeded(shard, 1)
    }

    fn exceeded(&self, shard: &Shard, factor: usize) -> bool {
        let state = shard.state();
        let newest = state.head.as_ref().map_or(0, |head| head.number);
        state.tail.bytes() >= self.tail_bytes * factor
            || state.tail.records() >= self.tail_records * factor as u64
            || newest - state.manifest.covers >= TAIL_BLOCKS_MAX * factor as u64
            || memtable_bytes(&state.active) >= MEMTABLE_BYTES_MAX * factor
    }

    /// Waits until the sealer has caught up with `shard`, so that memory stays bounded.
    ///
    /// # Errors
    /// What sealing failed with, if it did.
    pub(crate) async fn wait_for_sealer(&self, writer: &Writer, shared: &Shared) -> Result<()> {
        loop {
            let seen = shared.sealed.version();
            if !self.exceeded(writer.shard(), BACKLOG_FACTOR) {
                return Ok(());
            }
            // Even after a failure: what failed in passing succeeds at the next try.
            shared.seal.notify();
            if let Some(error) = writer.seal_error() {
                return Err(error);
            }
            shared.sealed.changed(seen).await;
        }
    }
}

/// Bytes of all keys and values.
fn memtable_bytes(memtables: &Memtables) -> usize {
    let bytes = |memtable: &Arc<RwLock<Memtable>>| {
        memtable.read().unwrap_or_else(PoisonError::into_inner).bytes()
    };
    memtables.values().map(bytes).sum()
}

/// What the sealer keeps of a database between passes.
#[derive(Debug, Default)]
pub(crate) struct SealState {
    garbage: VecDeque<Garbage>,
    /// The next piece number; 0 before the first pass.
    next_piece: u64,
}

/// The part of the log that a pass seals.
struct Cut {
    /// The head at its end.
    commit: u64,
    hash: Hash,
    manifest: Arc<Manifest>,
    sections: Vec<(u64, Vec<Arc<TailSection>>)>,
    memtables: Memtables,
}

/// A topic whose records up to now are given up.
struct GivenUp {
    floor: Floor,
    /// The topic with the keys that it has from now on.
    intro: TopicIntro,
}

/// Seals everything in the tail of one database; says whether there was anything.
///
/// # Durability
/// What was sealed is durable in its new place before its old place is given up.
///
/// # Errors
/// `Corrupt` when what is to be rewritten is damaged; as commits. The log is then as before.
pub(crate) async fn seal(writer: &Writer, shared: &Shared) -> Result<bool> {
    let mut state = writer.seal_state().lock().await;
    prepare(writer.shard(), &mut state).await?;
    let Some(cut) = freeze(writer.shard(), Freeze::IfNew) else {
        collect_garbage(writer.shard(), &mut state).await?;
        return Ok(false);
    };
    run_pass(writer, shared, (cut, None), &mut state).await.map(|()| true)
}

/// Gives up every record that the topic of `intro` has, in the log and in segments, and the keys
/// that `intro` does not have. The topic's next record has the number behind them.
///
/// # Durability
/// Durable on return; a crash leaves all of the records or none.
///
/// # Errors
/// As [`seal`].
pub(crate) async fn give_up(
    writer: &Writer,
    shared: &Shared,
    (intro, at): (TopicIntro, Timestamp),
) -> Result<()> {
    if writer.shard().state().head.is_none() {
        // Nothing was ever written there: the topic's keys get a place.
        amend(writer, shared, IfAbsent::Create, |_| Ok(())).await?;
    }
    // Most of the tail is sealed while appends go on; they wait only for what came since.
    seal(writer, shared).await?;
    let mut state = writer.seal_state().lock().await;
    let _rekeying = writer.rekeying().lock().await;
    let shard = writer.shard();
    let (last, time_max) = shard.state().end_of(intro.id);
    let floor = Floor {
        subject: intro.id,
        first: last + 1,
        seconds_max: time_max.seconds,
        nanos_max: time_max.nanos,
        seconds: at.seconds,
        nanos: at.nanos,
    };
    let Some(cut) = freeze(shard, Freeze::Always) else {
        return Err(Error::new(ErrorKind::Internal, "a database that was written has no head"));
    };
    run_pass(writer, shared, (cut, Some(GivenUp { floor, intro })), &mut state).await
}

async fn prepare(shard: &Shard, state: &mut SealState) -> Result<()> {
    if state.next_piece == 0 {
        collect_orphans(shard).await?;
        state.next_piece = shard.state().manifest.next_piece;
    }
    Ok(())
}

async fn run_pass(
    writer: &Writer,
    shared: &Shared,
    (cut, given_up): (Cut, Option<GivenUp>),
    state: &mut SealState,
) -> Result<()> {
    let shard = writer.shard();
    let pass = Pass { shard, cut: &cut, given_up: given_up.as_ref() };
    let installed = match pass.write(&mut state.next_piece).await {
        Ok(written) => {
            if mutant!("drop-blocks-before-the-manifest") {
                let head = writer.log().head().await;
                writer.log().drop_covered(&Head { oldest: cut.commit + 1, ..head }).await?;
            }
            let manifest = pass.manifest(written, shared, state.next_piece);
            install(writer, manifest, Some(cut.commit), state).await
        }
        Err(error) => Err(error),
    };
    // It holds the old manifest, whose pieces may go now.
    drop(cut);
    if let Err(error) = installed {
        unfreeze(shard);
        return Err(poisoning(writer, error));
    }
    collect_garbage(shard, state).await
}

/// Makes `manifest` the live one. `sealed` is the commit up to which the tail went into it.
async fn install(
    writer: &Writer,
    manifest: Manifest,
    sealed: Option<u64>,
    state: &mut SealState,
) -> Result<()> {
    let shard = writer.shard();
    let installed = writer.log().install(&manifest).await;
    let head = installed.map_err(|error| poisoning(writer, error))?;
    shard.context().topics.adopt(&manifest.topics);
    let old = {
        let mut live = shard.state_mut();
        if let Some(commit) = sealed {
            live.frozen = None;
            live.tail.drop_until(commit);
        }
        live.adopt(&head);
        std::mem::replace(&mut live.manifest, Arc::new(manifest))
    };
    let pieces = dead_pieces(shard, &old, &shard.state().manifest);
    shard.retain_runs();
    state.garbage.push_back(Garbage { manifest: old, pieces });
    writer.log().drop_covered(&head).await
}

/// After a write of unknown outcome nothing may be written before the store is reopened.
fn poisoning(writer: &Writer, error: Error) -> Error {
    if error.outcome() == Outcome::Unknown {
        writer.poison(&error);
    }
    error
}

/// Removes what earlier passes made superfluous and nobody reads any more.
///
/// # Errors
/// As the engine's. What is left is removed by the first pass after the next opening.
pub(crate) async fn tidy_up(writer: &Writer) -> Result<()> {
    let mut state = writer.seal_state().lock().await;
    collect_garbage(writer.shard(), &mut state).await
}

/// When there is something to set aside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Freeze {
    /// If the log has gone on since the last pass.
    IfNew,
    /// If there is a log.
    Always,
}

/// Sets the memtables aside; `None` if nothing is in the tail.
fn freeze(shard: &Shard, when: Freeze) -> Option<Cut> {
    let mut state = shard.state_mut();
    let head = state.head.clone()?;
    if state.manifest.covers == head.number && when == Freeze::IfNew {
        return None;
    }
    let memtables = std::mem::replace(&mut state.active, fresh_memtables(shard.layout()));
    state.frozen = Some(memtables.clone());
    Some(Cut {
        commit: head.number,
        hash: head.hash,
        manifest: Arc::clone(&state.manifest),
        sections: state.tail.sections_until(head.number),
        memtables,
    })
}

/// Puts set-aside memtables back behind the active ones.
fn unfreeze(shard: &Shard) {
    let mut state = shard.state_mut();
    let Some(frozen) = state.frozen.take() else { return };
    let active = std::mem::replace(&mut state.active, frozen);
    for (family, newer) in active {
        let Some(memtable) = state.active.get(&family) else { continue };
        let mut memtable = memtable.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in newer.read().unwrap_or_else(PoisonError::into_inner).iter() {
            match value {
                Some(value) => memtable.put(key.clone(), value.clone()),
                None => memtable.delete(key.clone()),
            }
        }
    }
}

/// The background task that seals whichever database has enough in its tail.
pub(crate) fn run_sealer(writers: &[Arc<Writer>], shared: &Shared) {
    loop {
        let seen = shared.seal.version();
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        for writer in writers {
            if writer.limits().reached(writer.shard()) && !writer.is_poisoned() {
                let pass = AssertUnwindSafe(|| run_blocking(seal(writer, shared)));
                let result = catch_unwind(pass).unwrap_or_else(|_| {
                    writer.poison("a panic while sealing");
                    Err(Error::new(ErrorKind::Internal, "sealing panicked; reopen the store"))
                });
                writer.set_seal_error(result.err().map(|error| {
                    Error::new(ErrorKind::Unavailable, "older records could not be sealed")
                        .with("database", &writer.shard().context().database)
                        .with_source(error)
                }));
                shared.sealed.notify();
            }
        }
        run_blocking(shared.seal.changed(seen));
    }
}
