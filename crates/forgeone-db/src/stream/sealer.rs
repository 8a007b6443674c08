//! The sealer: rewrites the older part of a log into segments and runs, and names them in a new
//! manifest.
//!
//! A crash at any moment leaves the old manifest live and, at worst, pieces that nothing names;
//! the first pass after the next open removes those.

use super::committer::Writer;
use super::families::Layout;
use super::segment::SegmentWriter;
use super::shard::{Memtables, Shard, fresh_memtables, pinned};
use super::store::Shared;
use super::tail::TailSection;
use crate::environment::Timestamp;
use crate::index::{Family, Memtable, Run, RunRef, RunWriter, Tombstones, merge};
use crate::log::{Hash, Manifest, PinnedEntry, SegmentRef};
use crate::piece::{PendingParts, PieceWriter, delete_pieces, list_pieces};
use crate::pool::run_blocking;
use forgeone_db_engine::{Direction, Error, ErrorKind, KeyRange, Outcome, Result, TableName};
use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

/// Runs of one family before all are merged into one.
const RUNS_MAX: usize = 12;
/// Blocks in a tail before it is sealed, however little is in them.
const TAIL_BLOCKS_MAX: u64 = 65_536;
/// Bytes of keys and values in the memtables before a tail is sealed: values of state may be many
/// times as large as what they compress to in the tail.
const MEMTABLE_BYTES_MAX: usize = 32 << 20;
/// Segments are not merged beyond this many raw bytes.
const SEGMENT_RAW_BYTES_MAX: u64 = 64 << 20;
/// Segments smaller than this share a piece with others.
const SHARED_SEGMENT_RAW_BYTES: u64 = 256 << 10;
/// Entries of a memtable that are copied out under its lock at a time.
const MEMTABLE_PAGE_ENTRIES: usize = 1024;
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

/// Pieces that no manifest names any more, once nobody reads through `manifest` or an older one.
#[derive(Debug)]
struct Garbage {
    manifest: Arc<Manifest>,
    pieces: Vec<(TableName, u64)>,
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
    commit: u64,
    hash: Hash,
    manifest: Arc<Manifest>,
    sections: Vec<(u64, Vec<Arc<TailSection>>)>,
    memtables: Memtables,
}

/// What a pass wrote.
#[derive(Default)]
struct Written {
    segments: Vec<SegmentRef>,
    runs: Vec<RunRef>,
    pinned: Vec<PinnedEntry>,
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
    let shard = writer.shard();
    if state.next_piece == 0 {
        collect_orphans(shard).await?;
        state.next_piece = shard.state().manifest.next_piece;
    }
    let Some(cut) = freeze(shard) else {
        collect_garbage(shard, &mut state).await?;
        return Ok(false);
    };
    let pass = Pass { shard, shared, cut: &cut };
    let sealed = pass.write(&mut state.next_piece).await;
    let installed = match sealed {
        Ok(written) => pass.install(writer, written, &mut state).await,
        Err(error) => Err(error),
    };
    // It holds the old manifest, whose pieces may go now.
    drop(cut);
    match installed {
        Ok(()) => {
            collect_garbage(shard, &mut state).await?;
            Ok(true)
        }
        Err(error) => {
            unfreeze(shard);
            if error.outcome() == Outcome::Unknown {
                writer.poison();
            }
            Err(error)
        }
    }
}

/// Removes what earlier passes made superfluous and nobody reads any more.
///
/// # Errors
/// As the engine's. What is left is removed by the first pass after the next opening.
pub(crate) async fn tidy_up(writer: &Writer) -> Result<()> {
    let mut state = writer.seal_state().lock().await;
    collect_garbage(writer.shard(), &mut state).await
}

/// Sets the memtables aside; `None` if nothing is in the tail.
fn freeze(shard: &Shard) -> Option<Cut> {
    let mut state = shard.state_mut();
    let head = state.head.clone()?;
    if state.manifest.covers == head.number {
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

/// Numbers for new pieces, and what finished ones have left for the next commit.
struct Pieces<'a> {
    next: &'a mut u64,
    pending: PendingParts,
}

impl Pieces<'_> {
    fn begin(&mut self, shard: &Shard, table: &TableName) -> PieceWriter {
        let piece = *self.next;
        *self.next += 1;
        let mut writer = shard.index_context().piece_writer(table, piece);
        writer.carry(std::mem::take(&mut self.pending));
        writer
    }

    fn end(&mut self, writer: PieceWriter) -> Result<()> {
        self.pending.append(writer.hand_over()?);
        Ok(())
    }

    /// Commits what is left, so that it can be read and named.
    async fn commit(&mut self, shard: &Shard) -> Result<()> {
        let context = shard.context();
        self.pending.commit(&*context.engine, &context.database).await
    }
}

struct Pass<'a> {
    shard: &'a Shard,
    shared: &'a Shared,
    cut: &'a Cut,
}

impl Pass<'_> {
    async fn write(&self, next_piece: &mut u64) -> Result<Written> {
        let mut written = Written::default();
        let mut pieces = Pieces { next: next_piece, pending: PendingParts::default() };
        self.write_segments(&mut pieces, &mut written).await?;
        for family in self.shard.layout().families() {
            if Layout::is_pinned(family.id) {
                written.pinned.extend(self.pin(family));
                continue;
            }
            let runs = self.write_runs(family, &mut pieces).await?;
            written.runs.extend(runs);
        }
        pieces.commit(self.shard).await?;
        Ok(written)
    }

    /// Writes the segments of every subject in the cut; small ones share a piece.
    async fn write_segments(&self, pieces: &mut Pieces<'_>, written: &mut Written) -> Result<()> {
        let table = &self.shard.layout().segments;
        let mut shared_piece = pieces.begin(self.shard, table);
        let touched: HashSet<u64> = self.cut.sections.iter().map(|(subject, _)| *subject).collect();
        for (subject, sections) in &self.cut.sections {
            let old = self.cut.manifest.segments_of(*subject);
            let (kept, raw_bytes) = kept_segments(old, sections);
            written.segments.extend(old.iter().take(kept).cloned());
            let merged = old.get(kept..).unwrap_or_default();
            let mut own = None;
            let piece = if raw_bytes < SHARED_SEGMENT_RAW_BYTES {
                &mut shared_piece
            } else {
                own.insert(pieces.begin(self.shard, table))
            };
            let segment = match self.write_segment(piece, (old, merged), sections).await {
                // A damaged segment stays as it is: what is new is sealed without it.
                Err(error) if error.kind() == ErrorKind::Corrupt && !merged.is_empty() => {
                    written.segments.extend(merged.iter().cloned());
                    self.write_segment(piece, (old, &[]), sections).await?
                }
                segment => segment?,
            };
            if let Some(piece) = own {
                pieces.end(piece)?;
            }
            written.segments.push(segment);
        }
        pieces.end(shared_piece)?;
        let untouched = self.cut.manifest.segments.iter();
        written
            .segments
            .extend(untouched.filter(|segment| !touched.contains(&segment.subject)).cloned());
        written.segments.sort_unstable_by_key(|segment| (segment.subject, segment.first));
        Ok(())
    }

    async fn write_segment(
        &self,
        piece: &mut PieceWriter,
        (old, merged): (&[SegmentRef], &[SegmentRef]),
        sections: &[Arc<TailSection>],
    ) -> Result<SegmentRef> {
        let context = self.shard.context();
        let kept = old.get(..old.len() - merged.len()).unwrap_or_default();
        let time_max = kept.last().map_or(Timestamp::MIN, SegmentRef::time_max);
        let first_section =
            sections.first().map_or((0, 0), |first| (first.subject(), first.first()));
        let start = merged.first().map_or(first_section, |first| (first.subject, first.first));
        let domain = context.topics.present_key(start.0)?;
        let mut segment = SegmentWriter::begin(
            piece,
            (&domain, context.lineage),
            start,
            time_max,
            &*context.environment,
        )?;
        for reference in merged {
            segment.add_segment(&*self.shard.segment(reference).await?).await?;
        }
        for section in sections {
            segment.add(&section.batch()?).await?;
        }
        segment.finish().await
    }

    /// The entries that the manifest carries itself after the pass, in order.
    fn pin(&self, family: &Family) -> Vec<PinnedEntry> {
        let mut merged = pinned(&self.cut.manifest, family.id);
        if let Some(newer) = self.cut.memtables.get(&family.id) {
            for (key, value) in newer.read().unwrap_or_else(PoisonError::into_inner).iter() {
                match value {
                    Some(value) => merged.put(key.clone(), value.clone()),
                    None => merged.delete(key.clone()),
                }
            }
        }
        let entry = |(key, value): (&bytes::Bytes, Option<&bytes::Bytes>)| {
            value.map(|value| PinnedEntry {
                family: family.id.0,
                key: key.to_vec(),
                value: value.to_vec(),
            })
        };
        merged.iter().filter_map(entry).collect()
    }

    /// The runs that a family has after the pass, newest first.
    async fn write_runs(&self, family: &Family, pieces: &mut Pieces<'_>) -> Result<Vec<RunRef>> {
        let old: Vec<RunRef> =
            self.cut.manifest.runs.iter().filter(|run| run.family == family.id).cloned().collect();
        let Some(memtable) = self.cut.memtables.get(&family.id) else { return Ok(old) };
        if memtable.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(old);
        }
        let context = self.shard.index_context();
        let mut piece = pieces.begin(self.shard, &family.table);
        let run = self.write_run(family, memtable, &mut piece).await?;
        pieces.end(piece)?;
        let mut runs = vec![run];
        runs.extend(old);
        if runs.len() < RUNS_MAX {
            return Ok(runs);
        }
        pieces.commit(self.shard).await?;
        let mut opened: Vec<Arc<Run>> = Vec::with_capacity(runs.len());
        for reference in &runs {
            opened.push(Arc::new(Run::open(context, family, reference).await?));
        }
        let mut piece = pieces.begin(self.shard, &family.table);
        let merged = match merge(context, family, &opened, Tombstones::Drop, &mut piece).await {
            // A damaged run stays as it is, and so do the others.
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(runs),
            merged => merged?,
        };
        pieces.end(piece)?;
        let fresh = runs.first().map(|run| run.piece.piece);
        if let Some(fresh) = fresh {
            // The memtable's own run lived only to be merged.
            let fresh = [(family.table.clone(), fresh)];
            delete_pieces(&*context.engine, &context.database, &fresh).await?;
        }
        Ok(vec![merged])
    }

    /// Writes a memtable as a run, a page at a time, so that readers are not locked out.
    async fn write_run(
        &self,
        family: &Family,
        memtable: &RwLock<Memtable>,
        piece: &mut PieceWriter,
    ) -> Result<RunRef> {
        let mut run = RunWriter::begin(self.shard.index_context(), family, piece)?;
        let mut range = KeyRange::all();
        loop {
            let page = memtable.read().unwrap_or_else(PoisonError::into_inner).page(
                &range,
                Direction::Forward,
                MEMTABLE_PAGE_ENTRIES,
            );
            for (key, value) in &page {
                run.push(key, value.as_deref()).await?;
            }
            let Some((last, _)) = page.last() else { return run.finish().await };
            range = KeyRange::from([&last[..], &[0]].concat());
        }
    }

    async fn install(
        &self,
        writer: &Writer,
        written: Written,
        state: &mut SealState,
    ) -> Result<()> {
        let context = self.shard.context();
        let database = context.database.as_str();
        let mut topics: Vec<_> =
            context.topics.all().iter().map(|topic| topic.intro.clone()).collect();
        topics.sort_unstable_by_key(|topic| topic.id);
        let manifest = Manifest {
            database: database.to_owned(),
            number: self.cut.manifest.number + 1,
            covers: self.cut.commit,
            covers_hash: self.cut.hash,
            next_piece: state.next_piece,
            witnesses: self.shared.other_heads(database),
            topics,
            segments: written.segments,
            runs: written.runs,
            pinned: written.pinned,
        };
        let head = writer.log().install(&manifest).await?;
        let pieces = self.dead_pieces(&manifest);
        let old = {
            let mut shard = self.shard.state_mut();
            shard.frozen = None;
            shard.tail.drop_until(self.cut.commit);
            shard.adopt(&head);
            std::mem::replace(&mut shard.manifest, Arc::new(manifest))
        };
        self.shard.retain_runs();
        state.garbage.push_back(Garbage { manifest: old, pieces });
        writer.log().drop_covered(&head).await
    }

    /// Pieces of the old manifest that the new one does not name.
    fn dead_pieces(&self, new: &Manifest) -> Vec<(TableName, u64)> {
        let live = live_pieces(self.shard, new);
        live_pieces(self.shard, &self.cut.manifest)
            .into_iter()
            .filter(|piece| !live.contains(piece))
            .collect()
    }
}

/// How many of a topic's segments stay as they are, and the raw bytes of what is written anew: the
/// newest segments are taken in while they are smaller than twice what is to be written, so that a
/// record is rewritten a logarithmic number of times.
fn kept_segments(old: &[SegmentRef], sections: &[Arc<TailSection>]) -> (usize, u64) {
    let mut raw_bytes: u64 = sections.iter().map(|section| section.raw_bytes()).sum();
    let mut kept = old.len();
    while let Some(last) = kept.checked_sub(1).and_then(|index| old.get(index)) {
        let whole = raw_bytes.saturating_add(last.raw_bytes);
        if last.raw_bytes >= raw_bytes.saturating_mul(2) || whole > SEGMENT_RAW_BYTES_MAX {
            break;
        }
        raw_bytes = whole;
        kept -= 1;
    }
    (kept, raw_bytes)
}

fn live_pieces(shard: &Shard, manifest: &Manifest) -> HashSet<(TableName, u64)> {
    let layout = shard.layout();
    let segments =
        manifest.segments.iter().map(|segment| (layout.segments.clone(), segment.piece.piece));
    let runs = manifest.runs.iter().filter_map(|run| {
        let family = layout.families().iter().find(|family| family.id == run.family)?;
        Some((family.table.clone(), run.piece.piece))
    });
    segments.chain(runs).collect()
}

async fn collect_garbage(shard: &Shard, state: &mut SealState) -> Result<()> {
    let context = shard.context();
    while let Some(garbage) = state.garbage.front() {
        // A reader that holds an older manifest holds back this and everything after it.
        if Arc::strong_count(&garbage.manifest) > 1 {
            return Ok(());
        }
        delete_pieces(&*context.engine, &context.database, &garbage.pieces).await?;
        for (table, piece) in &garbage.pieces {
            shard.forget(table, *piece);
        }
        state.garbage.pop_front();
    }
    Ok(())
}

/// Removes pieces that the manifest does not name: what a crash between two passes left.
async fn collect_orphans(shard: &Shard) -> Result<()> {
    let context = shard.context();
    let manifest = Arc::clone(&shard.state().manifest);
    let live = live_pieces(shard, &manifest);
    let mut tables: Vec<TableName> = vec![shard.layout().segments.clone()];
    tables.extend(shard.layout().families().iter().map(|family| family.table.clone()));
    tables.sort_unstable();
    tables.dedup();
    let mut orphans = Vec::new();
    for table in tables {
        let pieces = list_pieces(&*context.engine, &context.database, &table).await?;
        orphans.extend(pieces.into_iter().map(|piece| (table.clone(), piece)));
    }
    orphans.retain(|piece| !live.contains(piece));
    delete_pieces(&*context.engine, &context.database, &orphans).await
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
                    writer.poison();
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
