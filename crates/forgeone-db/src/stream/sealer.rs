//! The sealer: rewrites the older part of a log into segments and runs, and names them in a new
//! manifest.
//!
//! A crash at any moment leaves the old manifest live and, at worst, pieces that nothing names;
//! the first pass after the next open removes those.

mod garbage;
mod pass;
mod rebuild;
mod rewrite;

pub(crate) use rebuild::rebuild;
pub(crate) use rewrite::{IfAbsent, Remaining, amend, drop_shredded_entries, rewrite_older};

use super::committer::Writer;
use super::shard::{Memtables, Shard, fresh_memtables, memtable_bytes};
use super::store::Shared;
use super::tail::TailSection;
use crate::environment::Timestamp;
use crate::log::{Floor, Hash, Head, Manifest, TopicIntro};
use crate::pool::run_blocking;
use forgeone_db_engine::{Error, ErrorKind, Outcome, Result, mutant};
use futures::lock::MutexGuard;
use garbage::{Garbage, collect_garbage, collect_orphans, dead_pieces};
use pass::Pass;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Blocks in a tail before it is sealed, however little is in them.
const TAIL_BLOCKS_MAX: u64 = 65_536;
/// Bytes of keys and values in the memtables before a tail is sealed: values of state may be many
/// times as large as what they compress to in the tail.
const MEMTABLE_BYTES_MAX: usize = 32 << 20;
/// How far a tail may grow beyond the limits before appends wait for the sealer.
const BACKLOG_FACTOR: usize = 2;
/// What one database's tail, and its memtables, get of what all may hold.
const DATABASE_PARTS: usize = 6;

/// When a tail is sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SealLimits {
    /// Compressed bytes in the tail.
    tail_bytes: usize,
    /// Records in the tail.
    tail_records: u64,
    /// Bytes in the memtables.
    memtable_bytes: usize,
}

impl SealLimits {
    /// Limits of one database, of those that together may hold `tails` bytes unsealed. One that
    /// cannot be sealed leaves the others their part.
    pub(crate) fn new(tail_bytes: usize, tail_records: u64, tails: usize) -> Self {
        Self {
            tail_bytes: tail_bytes.min(tails / DATABASE_PARTS),
            tail_records,
            memtable_bytes: MEMTABLE_BYTES_MAX.min(tails / DATABASE_PARTS),
        }
    }

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
            || memtable_bytes(&state.active) >= self.memtable_bytes.saturating_mul(factor)
    }

    /// Waits until the sealer has caught up with `shard`, so that memory stays bounded.
    ///
    /// # Errors
    /// What sealing failed with, if it did.
    pub(crate) async fn wait_for_sealer(&self, writer: &Writer, shared: &Shared) -> Result<()> {
        loop {
            let seen = shared.sealed.version();
            let crowded = shared.memory.tails.is_full();
            if !crowded && !self.exceeded(writer.shard(), BACKLOG_FACTOR) {
                return Ok(());
            }
            // Even after a failure: what failed in passing succeeds at the next try.
            shared.seal.notify();
            let stuck = || shared.memory.tails.stuck().filter(|_| crowded);
            if let Some(error) = writer.seal_error().or_else(stuck) {
                return Err(error);
            }
            shared.sealed.changed(seen).await;
        }
    }
}

/// What the sealer keeps of a database between passes.
#[derive(Debug, Default)]
pub(crate) struct SealState {
    garbage: VecDeque<Garbage>,
    /// The next piece number.
    next_piece: u64,
    /// Whether pieces that an interrupted pass has left are gone.
    swept: bool,
}

impl SealState {
    /// Has the next pass remove what an interrupted one has left. REQUIRES: nobody reads through
    /// an older manifest than the live one.
    pub(super) fn sweep_again(&mut self) {
        if self.garbage.is_empty() {
            self.swept = false;
        }
    }
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
    if writer.shard().check().is_err() {
        // What would look superfluous there is all that is left of its records.
        return Ok(false);
    }
    let mut state = take_turn(writer).await?;
    let sealed = async {
        prepare(writer, &mut state).await?;
        let Some(cut) = freeze(writer.shard(), Freeze::IfNew) else {
            collect_garbage(writer.shard(), &mut state).await?;
            return Ok(false);
        };
        run_pass(writer, shared, (cut, None), &mut state).await.map(|()| true)
    };
    sealed.await.map_err(|error| poisoning(writer, error))
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
    // Most of the tail is sealed while appends go on; they wait only for what came since. Where room is
    // short, they wait for all of it, and what is given up is not written at all.
    let unsealed = writer.shard().state().tail.bytes();
    if shared.has_room_to_seal(unsealed as u64).await? {
        match seal(writer, shared).await {
            Err(error) if error.kind() == ErrorKind::Full => writer.heal().await?,
            sealed => drop(sealed?),
        }
    }
    let mut state = take_turn(writer).await?;
    // No pass may have run before this one: without it, numbers of pieces would begin anew.
    prepare(writer, &mut state).await.map_err(|error| poisoning(writer, error))?;
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
    let passed = run_pass(writer, shared, (cut, Some(GivenUp { floor, intro })), &mut state).await;
    passed.map_err(|error| poisoning(writer, error))
}

/// Waits until no other pass runs, and has a database that met a full disk go on first: also one that
/// met it in the pass that was waited for.
///
/// # Errors
/// As healing fails.
async fn take_turn(writer: &Writer) -> Result<MutexGuard<'_, SealState>> {
    loop {
        writer.heal().await?;
        let state = writer.seal_state().lock().await;
        if !writer.is_poisoned() {
            return Ok(state);
        }
    }
}

async fn prepare(writer: &Writer, state: &mut SealState) -> Result<()> {
    let shard = writer.shard();
    shard.check()?;
    if !state.swept {
        writer.shared().add_orphans_removed(collect_orphans(shard).await?);
        // Never a number again that this process may have read something under.
        state.next_piece = state.next_piece.max(shard.state().manifest.next_piece);
        state.swept = true;
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
        live.replace_manifest(manifest)
    };
    writer.note_memory();
    let pieces = dead_pieces(shard, &old, &shard.state().manifest);
    shard.retain_runs();
    state.garbage.push_back(Garbage { manifest: old, pieces });
    writer.log().drop_covered(&head).await
}

/// After a write of unknown outcome nothing may be written before the database was opened anew: what
/// failed on the way of any pass comes through here.
fn poisoning(writer: &Writer, error: Error) -> Error {
    writer.note_failure(error)
}

/// Removes what earlier passes made superfluous and nobody reads any more.
///
/// # Errors
/// As the engine's. What is left is removed by the first pass after the next opening.
pub(crate) async fn tidy_up(writer: &Writer) -> Result<()> {
    let mut state = writer.seal_state().lock().await;
    let collected = collect_garbage(writer.shard(), &mut state).await;
    collected.map_err(|error| poisoning(writer, error))
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

/// Builds the index of ids anew when appends have found it damaged.
fn rebuild_wanted(writer: &Writer, shared: &Shared) {
    if writer.is_poisoned() || !writer.take_wanted_rebuild() {
        return;
    }
    let work = async {
        let family = writer.shard().layout().ids()?.id;
        rebuild(writer, shared, family, &mut |_| ()).await
    };
    // What it fails with is what appends of these ids go on to be told; `verify` names it.
    if catch_unwind(AssertUnwindSafe(|| run_blocking(work))).is_err() {
        let error = Error::new(ErrorKind::Internal, "a panic while an index was built anew");
        writer.poison(&error);
    }
}

/// The background task that seals whichever database has enough in its tail.
pub(crate) fn run_sealer(writers: &[Arc<Writer>], shared: &Shared) {
    loop {
        let seen = shared.seal.version();
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        writers.iter().for_each(|writer| rebuild_wanted(writer, shared));
        seal_due(writers, shared);
        run_blocking(shared.seal.changed(seen));
    }
}

/// Seals every database that has enough in its tail, and then the largest until all together hold
/// little enough.
pub(crate) fn seal_due(writers: &[Arc<Writer>], shared: &Shared) {
    for writer in writers.iter().filter(|writer| writer.limits().reached(writer.shard())) {
        seal_one(writer, shared);
    }
    let tails = &shared.memory.tails;
    let mut stuck = None;
    for database in tails.largest_first() {
        if !tails.is_due() {
            break;
        }
        let writer = writers.iter().find(|writer| writer.shard().context().database == database);
        stuck = stuck.or(writer.and_then(|writer| seal_one(writer, shared)));
    }
    tails.set_stuck(stuck.filter(|_| tails.is_full()));
    shared.sealed.notify();
}

/// Seals a database unless the disk is nearly full: what is left then is for what frees space. The
/// records stay in the log.
async fn seal_if_room(writer: &Writer, shared: &Shared) -> Result<bool> {
    let unsealed = writer.shard().state().tail.bytes();
    if shared.has_room_to_seal(unsealed as u64).await? {
        return seal(writer, shared).await;
    }
    Err(Error::new(ErrorKind::Full, "the disk is almost full; free space, then try again"))
}

/// Seals a database of whose newest records some are lost. Whether those are lost must not change once
/// anything stands behind them that was stored without their ids and times.
///
/// # Errors
/// As [`seal`], rejected; `Full` on a disk that is nearly full.
pub(crate) async fn set_losses_aside(writer: &Writer, shared: &Shared) -> Result<()> {
    if writer.shard().state().tail.lost().is_empty() || mutant!("append-behind-what-may-come-right")
    {
        return Ok(());
    }
    let sealed = seal_if_room(writer, shared).await;
    sealed.map(drop).map_err(|error| error.with_outcome(Outcome::Rejected))
}

/// Seals a database unless it is poisoned; gives and notes what that failed with.
fn seal_one(writer: &Arc<Writer>, shared: &Shared) -> Option<Error> {
    if writer.is_poisoned() {
        return Some(
            Error::new(ErrorKind::Unavailable, "a poisoned database keeps what is not sealed")
                .with("database", &writer.shard().context().database),
        );
    }
    let pass = AssertUnwindSafe(|| run_blocking(seal_if_room(writer, shared)));
    let result = catch_unwind(pass).unwrap_or_else(|_| {
        let error = Error::new(ErrorKind::Internal, "sealing panicked; reopen the store");
        writer.poison(&error);
        Err(error)
    });
    let error = result.err().map(|error| {
        // A disk without room is told as such: that is what the caller can do something about.
        let kind = match error.kind() {
            ErrorKind::Full => ErrorKind::Full,
            _ => ErrorKind::Unavailable,
        };
        Error::new(kind, "older records could not be sealed")
            .with("database", &writer.shard().context().database)
            .with_source(error)
    });
    writer.set_seal_error(error.as_ref().map(Error::duplicate));
    shared.sealed.notify();
    error
}
