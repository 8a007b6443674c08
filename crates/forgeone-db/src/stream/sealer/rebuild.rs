//! Building indexes anew from the records that they follow from.

use super::garbage::collect_garbage;
use super::pass::{Pieces, is_retained};
use super::rewrite::next_manifest;
use super::{SealState, install, poisoning, prepare, take_turn};
use crate::codec::corrupt;
use crate::index::{
    Family, FamilyId, IndexContext, Memtable, Run, RunRef, RunWriter, Tombstones, merge,
};
use crate::log::{Manifest, PinnedEntry, TOPIC_ID_MIN};
use crate::piece::{Cache, delete_pieces};
use crate::stream::change::decode_changes;
use crate::stream::committer::Writer;
use crate::stream::families::{Layout, index_entries};
use crate::stream::record::RecordBatch;
use crate::stream::shard::Shard;
use crate::stream::store::Shared;
use forgeone_db_engine::Result;
use std::sync::Arc;

/// Bytes of keys and values that are sorted in memory before they are written, if there is room for
/// them, and in any case.
const SORTED_BYTES_MAX: usize = 32 << 20;
const SORTED_BYTES_MIN: usize = 1 << 20;

/// Is told how many records were read so far.
pub(crate) type OnRebuild<'a> = &'a mut (dyn FnMut(u64) + Send);

/// Writes the runs of one index anew, from every sealed record, checks them as they lie on disk, and
/// puts them in the place of the old ones in one commit. Says how many entries it has now.
///
/// # Durability
/// Durable on return. A crash at any moment leaves the old runs or the new ones.
///
/// # Errors
/// `Corrupt` when a record cannot be read, without which the index would be incomplete: the old
/// runs stay; as commits.
pub(crate) async fn rebuild(
    writer: &Writer,
    shared: &Shared,
    family: FamilyId,
    progress: OnRebuild<'_>,
) -> Result<u64> {
    let mut state = take_turn(writer).await?;
    let rebuilt = rebuild_with(writer, shared, (family, progress), &mut state).await;
    rebuilt.map_err(|error| poisoning(writer, error))
}

async fn rebuild_with(
    writer: &Writer,
    shared: &Shared,
    (family, progress): (FamilyId, OnRebuild<'_>),
    state: &mut SealState,
) -> Result<u64> {
    let shard = writer.shard();
    prepare(writer, state).await?;
    let live = Arc::clone(&shard.state().manifest);
    let family = shard.layout().by_id(family.0)?;
    let room = shared.memory.searches.take_room();
    let mut sorter = Sorter {
        sorted_bytes_max: room.bytes.clamp(SORTED_BYTES_MIN, SORTED_BYTES_MAX),
        shard,
        live: &live,
        family,
        pieces: Pieces::new(&mut state.next_piece),
        memtable: Memtable::new(),
        spilled: Vec::new(),
    };
    sorter.read_all(progress).await?;
    let built = sorter.finish().await?;
    let mut manifest = next_manifest(shard, shared, state.next_piece);
    let entries = built.replace(family, &mut manifest);
    drop(live);
    install(writer, manifest, None, state).await?;
    collect_garbage(shard, state).await?;
    Ok(entries)
}

/// What an index is after it was built.
enum Built {
    Run(RunRef),
    Pinned(Vec<PinnedEntry>),
}

impl Built {
    /// Puts it in the place of what the manifest has; says how many entries it has.
    fn replace(self, family: &Family, manifest: &mut Manifest) -> u64 {
        match self {
            Self::Run(run) => {
                let entries = run.entries;
                manifest.runs.retain(|old| old.family != family.id);
                manifest.runs.extend(Some(run).filter(|run| run.entries > 0));
                entries
            }
            Self::Pinned(pinned) => {
                let entries = pinned.len() as u64;
                manifest.pinned.retain(|old| old.family != family.id.0);
                manifest.pinned.extend(pinned);
                let order = |entry: &PinnedEntry| (entry.family, entry.key.clone());
                manifest.pinned.sort_by_cached_key(order);
                entries
            }
        }
    }
}

/// Sorts the entries of one index in bounded memory.
struct Sorter<'a> {
    shard: &'a Shard,
    live: &'a Manifest,
    family: &'a Family,
    pieces: Pieces<'a>,
    memtable: Memtable,
    sorted_bytes_max: usize,
    /// Oldest first.
    spilled: Vec<RunRef>,
}

impl Sorter<'_> {
    async fn read_all(&mut self, progress: OnRebuild<'_>) -> Result<()> {
        let mut records = 0;
        for reference in &self.live.segments {
            if (reference.subject < TOPIC_ID_MIN) != self.family.id.is_state() {
                continue;
            }
            // No index has had anything of it, and none is poorer for being built without it.
            if reference.lost.is_some() {
                continue;
            }
            let segment = self.shard.segment(reference).await?;
            let mut unit = 0;
            while unit < segment.unit_count() {
                let batches = segment.units_from(unit).await?;
                if batches.is_empty() {
                    return Err(corrupt("a unit is missing"));
                }
                unit += batches.len();
                for batch in &batches {
                    self.take(reference.subject, batch)?;
                    records += batch.records.len() as u64;
                }
                if self.memtable.bytes() >= self.sorted_bytes_max {
                    self.spill(Tombstones::Keep).await?;
                }
                progress(records);
            }
        }
        Ok(())
    }

    fn take(&mut self, subject: u64, batch: &RecordBatch) -> Result<()> {
        for (sequence, record) in (batch.first..).zip(&batch.records) {
            if self.family.id.is_state() {
                for change in decode_changes(&record.payload)? {
                    if change.family != self.family.id.0 {
                        continue;
                    }
                    match change.value {
                        Some(value) => self.memtable.put(change.key, value),
                        None => self.memtable.delete(change.key),
                    }
                }
                continue;
            }
            for (family, key, value) in index_entries(subject, sequence, record) {
                if family == self.family.id {
                    self.memtable.put(key, value);
                }
            }
        }
        Ok(())
    }

    /// Writes what is in memory as a run.
    async fn spill(&mut self, tombstones: Tombstones) -> Result<()> {
        let memtable = std::mem::take(&mut self.memtable);
        let mut piece = self.pieces.begin(self.shard, &self.family.table);
        let mut run = RunWriter::begin(self.shard.index_context(), self.family, &mut piece)?;
        for (key, value) in memtable.iter() {
            let value = value.map(|value| &**value);
            if value.is_some() || tombstones == Tombstones::Keep {
                run.push(key, value).await?;
            }
        }
        let run = run.finish().await?;
        self.pieces.end(piece)?;
        self.spilled.push(run);
        Ok(())
    }

    async fn finish(mut self) -> Result<Built> {
        if Layout::is_pinned(self.family.id) {
            return Ok(Built::Pinned(self.pinned()));
        }
        if self.spilled.is_empty() {
            self.spill(Tombstones::Drop).await?;
        } else {
            self.spill(Tombstones::Keep).await?;
        }
        self.pieces.commit(self.shard).await?;
        let context =
            IndexContext { units: Arc::new(Cache::new(0)), ..self.shard.index_context().clone() };
        let mut opened: Vec<Arc<Run>> = Vec::new();
        for run in self.spilled.iter().rev() {
            opened.push(Arc::new(Run::open(&context, self.family, run).await?));
        }
        let run = match &*opened {
            [only] => Arc::clone(only),
            _ => self.merge(&context, &opened).await?,
        };
        // As it lies on disk: nothing is given up for what cannot be read back.
        run.audit().await?;
        Ok(Built::Run(run.named().clone()))
    }

    fn pinned(&self) -> Vec<PinnedEntry> {
        let entry = |(key, value): (&bytes::Bytes, Option<&bytes::Bytes>)| {
            Some(PinnedEntry {
                family: self.family.id.0,
                key: key.to_vec(),
                value: value?.to_vec(),
            })
        };
        self.memtable.iter().filter_map(entry).collect()
    }

    async fn merge(&mut self, context: &IndexContext, opened: &[Arc<Run>]) -> Result<Arc<Run>> {
        let (live, id) = (self.live, self.family.id);
        let keeps = |key: &[u8], value: Option<&[u8]>| is_retained((live, None), id, key, value);
        let mut piece = self.pieces.begin(self.shard, &self.family.table);
        let how: (Tombstones, crate::index::Keeps<'_>) = (Tombstones::Drop, &keeps);
        let merged = merge(context, self.family, opened, how, &mut piece).await?;
        self.pieces.end(piece)?;
        self.pieces.commit(self.shard).await?;
        let parts = self.spilled.iter().map(|run| (self.family.table.clone(), run.piece.piece));
        let parts: Vec<_> = parts.collect();
        delete_pieces(&*context.engine, &context.database, &parts).await?;
        Ok(Arc::new(Run::open(context, self.family, &merged).await?))
    }
}
