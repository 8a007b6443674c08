//! Manifests that name other keys, and rewriting what is sealed under older ones. Appends go on
//! meanwhile.

use super::garbage::collect_garbage;
use super::pass::{Pieces, SHARED_SEGMENT_RAW_BYTES, is_retained, time_before};
use super::{SealState, install, poisoning, prepare, take_turn};
use crate::index::{Family, Run, RunRef, Tombstones, merge};
use crate::log::{Manifest, SegmentRef};
use crate::piece::PieceWriter;
use crate::stream::committer::Writer;
use crate::stream::families::Layout;
use crate::stream::segment::SegmentWriter;
use crate::stream::shard::Shard;
use crate::stream::store::Shared;
use forgeone_db_engine::Result;
use std::sync::Arc;

/// Raw bytes of segments that are rewritten before a manifest names them, so that the sealer gets
/// its turn and little is lost when the process ends.
const STEP_RAW_BYTES: u64 = 32 << 20;

/// What is still sealed under older keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) segments: u64,
    pub(crate) runs: u64,
    /// Stored bytes of both.
    pub(crate) bytes: u64,
}

/// What to do about a database that was never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfAbsent {
    /// Nothing.
    Skip,
    /// Makes it, with a manifest and no commit.
    Create,
}

/// Installs the live manifest again, sealed under the present keys and as `change` makes it. No
/// commit is made meanwhile: whatever comes later uses the keys that it names.
///
/// # Durability
/// Durable on return.
///
/// # Errors
/// As commits; what `change` fails with.
pub(crate) async fn amend(
    writer: &Writer,
    shared: &Shared,
    if_absent: IfAbsent,
    change: impl FnOnce(&mut Manifest) -> Result<()>,
) -> Result<()> {
    let mut state = take_turn(writer).await?;
    let shard = writer.shard();
    let amended = async {
        prepare(writer, &mut state).await?;
        let _rekeying = writer.rekeying().lock().await;
        if shard.state().head.is_none() && if_absent == IfAbsent::Skip {
            return Ok(());
        }
        let mut manifest = next_manifest(shard, shared, state.next_piece);
        change(&mut manifest)?;
        manifest.topics.sort_unstable_by_key(|topic| topic.id);
        install(writer, manifest, None, &mut state).await?;
        collect_garbage(shard, &mut state).await
    };
    amended.await.map_err(|error| poisoning(writer, error))
}

/// The live manifest with the next number, and the topics as they are known now.
pub(super) fn next_manifest(shard: &Shard, shared: &Shared, next_piece: u64) -> Manifest {
    let live = Arc::clone(&shard.state().manifest);
    Manifest {
        number: live.number + 1,
        next_piece,
        witnesses: shared.other_heads(shard.context().database.as_str()),
        topics: shard.context().topics.intros(),
        ..(*live).clone()
    }
}

/// Rewrites some of what is sealed under a key whose number is below `boundary`; says what is left.
/// To be called until nothing is.
///
/// # Durability
/// What was rewritten is durable on return, and not removed from its old place before.
///
/// # Errors
/// `Corrupt` when what is to be rewritten is damaged; as commits. Everything is then as before.
pub(crate) async fn rewrite_older(
    writer: &Writer,
    shared: &Shared,
    boundary: u64,
) -> Result<Remaining> {
    let older = |key: u64| key < boundary;
    rewrite(writer, shared, &older, |run| older(run.key)).await
}

/// Writes the runs of all indexes of records anew, without entries of what was shredded.
///
/// # Errors
/// As [`rewrite_older`].
pub(crate) async fn drop_shredded_entries(writer: &Writer, shared: &Shared) -> Result<()> {
    // What was in the memtables when the records went is in a run by now.
    rewrite(writer, shared, &|_| false, |run| !run.family.is_state()).await.map(drop)
}

async fn rewrite(
    writer: &Writer,
    shared: &Shared,
    older: &(dyn Fn(u64) -> bool + Sync),
    stale: impl Fn(&RunRef) -> bool,
) -> Result<Remaining> {
    let mut state = take_turn(writer).await?;
    let rewritten = rewrite_with(writer, shared, (older, stale), &mut state).await;
    rewritten.map_err(|error| poisoning(writer, error))
}

async fn rewrite_with(
    writer: &Writer,
    shared: &Shared,
    (older, stale): (&(dyn Fn(u64) -> bool + Sync), impl Fn(&RunRef) -> bool),
    state: &mut SealState,
) -> Result<Remaining> {
    let shard = writer.shard();
    prepare(writer, state).await?;
    let live = Arc::clone(&shard.state().manifest);
    let stale: Vec<&Family> = shard
        .layout()
        .families()
        .iter()
        .filter(|family| live.runs.iter().any(|run| run.family == family.id && stale(run)))
        .collect();
    if stale.is_empty() && !live.segments.iter().any(|segment| older(segment.key)) {
        return Ok(Remaining::default());
    }
    let step = Step { shard, live: &live, older };
    let mut pieces = Pieces::new(&mut state.next_piece);
    let segments = step.segments(&mut pieces).await?;
    let mut runs = live.runs.clone();
    for family in stale {
        let merged = step.merge(family, &mut pieces).await?;
        runs.retain(|run| run.family != family.id);
        runs.extend(merged);
    }
    pieces.commit(shard).await?;
    let manifest = Manifest { segments, runs, ..next_manifest(shard, shared, state.next_piece) };
    let remaining = remaining(&manifest, older);
    drop(live);
    install(writer, manifest, None, state).await?;
    collect_garbage(shard, state).await?;
    Ok(remaining)
}

fn remaining(manifest: &Manifest, older: &(dyn Fn(u64) -> bool + Sync)) -> Remaining {
    let segments = manifest.segments.iter().filter(|segment| older(segment.key));
    let runs = manifest.runs.iter().filter(|run| older(run.key));
    let mut left = Remaining::default();
    for segment in segments {
        left.segments += 1;
        left.bytes += segment.stored_bytes();
    }
    for run in runs {
        left.runs += 1;
        left.bytes += run.piece.bytes();
    }
    left
}

struct Step<'a> {
    shard: &'a Shard,
    live: &'a Manifest,
    older: &'a (dyn Fn(u64) -> bool + Sync),
}

impl Step<'_> {
    /// All segments, the first of the older ones written anew.
    async fn segments(&self, pieces: &mut Pieces<'_>) -> Result<Vec<SegmentRef>> {
        let table = &self.shard.layout().segments;
        let mut shared_piece = pieces.begin(self.shard, table);
        let mut segments: Vec<SegmentRef> = Vec::with_capacity(self.live.segments.len());
        let mut raw_bytes = 0;
        for old in &self.live.segments {
            if !(self.older)(old.key) || raw_bytes >= STEP_RAW_BYTES {
                segments.push(old.clone());
                continue;
            }
            raw_bytes += old.raw_bytes.max(1);
            let rewritten = if old.raw_bytes < SHARED_SEGMENT_RAW_BYTES {
                self.segment(old, &segments, &mut shared_piece).await?
            } else {
                let mut own = pieces.begin(self.shard, table);
                let rewritten = self.segment(old, &segments, &mut own).await?;
                pieces.end(own)?;
                rewritten
            };
            segments.push(rewritten);
        }
        pieces.end(shared_piece)?;
        Ok(segments)
    }

    async fn segment(
        &self,
        old: &SegmentRef,
        before: &[SegmentRef],
        piece: &mut PieceWriter,
    ) -> Result<SegmentRef> {
        let context = self.shard.context();
        let first = before.partition_point(|segment| segment.subject < old.subject);
        let same_topic = before.get(first..).unwrap_or_default();
        let mut segment = SegmentWriter::begin(
            piece,
            (&context.topics.present_key(old.subject)?, context.lineage),
            (old.subject, old.first),
            time_before(self.live, old.subject, same_topic),
            &*context.environment,
        )?;
        segment.add_segment(&*self.shard.segment(old).await?).await?;
        segment.finish().await
    }

    /// All runs of a family as one.
    async fn merge(&self, family: &Family, pieces: &mut Pieces<'_>) -> Result<Option<RunRef>> {
        if Layout::is_pinned(family.id) {
            return Ok(None);
        }
        let context = self.shard.index_context();
        let mut opened: Vec<Arc<Run>> = Vec::new();
        for reference in self.live.runs.iter().filter(|run| run.family == family.id) {
            opened.push(Arc::new(Run::open(context, family, reference).await?));
        }
        let keeps = |key: &[u8], value: Option<&[u8]>| {
            is_retained((self.live, None), family.id, key, value)
        };
        let mut piece = pieces.begin(self.shard, &family.table);
        let merged =
            merge(context, family, &opened, (Tombstones::Drop, &keeps), &mut piece).await?;
        pieces.end(piece)?;
        Ok(Some(merged))
    }
}
