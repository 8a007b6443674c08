//! Manifests that name other keys, and rewriting what is sealed under older ones. Appends go on
//! meanwhile.

use super::garbage::collect_garbage;
use super::pass::{Pieces, SHARED_SEGMENT_RAW_BYTES, is_retained, time_before};
use super::{SealState, install, poisoning, prepare, take_turn};
use crate::index::{Family, Run, RunRef, Tombstones, merge};
use crate::log::{Manifest, SegmentRef, is_older};
use crate::piece::PieceWriter;
use crate::stream::committer::Writer;
use crate::stream::families::Layout;
use crate::stream::segment::SegmentWriter;
use crate::stream::shard::Shard;
use crate::stream::store::Shared;
use forgeone_db_engine::{Error, ErrorKind, Outcome, Result};
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
    /// Segments and runs that cannot be read, which stay under the key that they have.
    pub(crate) quarantined: u64,
}

impl Remaining {
    /// Whether everything that can be read is sealed under newer keys.
    pub(crate) const fn is_nothing(self) -> bool {
        self.segments == 0 && self.runs == 0
    }
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
/// To be called until nothing is. What is damaged is set aside: the manifest says so of it, and its
/// key is to be kept.
///
/// # Durability
/// What was rewritten is durable on return, and not removed from its old place before.
///
/// # Errors
/// As commits. Everything is then as before.
pub(crate) async fn rewrite_older(
    writer: &Writer,
    shared: &Shared,
    boundary: u64,
) -> Result<Remaining> {
    let stale = |run: &RunRef| is_older(run.key, run.quarantined, boundary);
    rewrite(writer, shared, (boundary, OnDamage::SetAside), stale).await
}

/// What becomes of an index that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDamage {
    /// It stays as it is.
    SetAside,
    /// The work fails.
    Fail,
}

/// Writes the runs of all indexes of records anew, without entries of what was shredded.
///
/// # Errors
/// `Corrupt` when an index is damaged; as commits. Everything is then as before.
pub(crate) async fn drop_shredded_entries(writer: &Writer, shared: &Shared) -> Result<()> {
    // What was in the memtables when the records went is in a run by now.
    rewrite(writer, shared, (0, OnDamage::Fail), |run| !run.family.is_state()).await.map(drop)
}

async fn rewrite(
    writer: &Writer,
    shared: &Shared,
    from: (u64, OnDamage),
    stale: impl Fn(&RunRef) -> bool,
) -> Result<Remaining> {
    let mut state = take_turn(writer).await?;
    let rewritten = rewrite_with((writer, shared), from, stale, &mut state).await;
    rewritten.map_err(|error| poisoning(writer, error))
}

async fn rewrite_with(
    (writer, shared): (&Writer, &Shared),
    (boundary, on_damage): (u64, OnDamage),
    stale: impl Fn(&RunRef) -> bool,
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
    if stale.is_empty() && !live.segments.iter().any(|segment| segment.is_older(boundary)) {
        return Ok(remaining(&live, boundary));
    }
    let step = Step { shard, live: &live, boundary };
    let mut pieces = Pieces::new(&mut state.next_piece);
    let segments = step.segments(&mut pieces).await?;
    let mut runs = live.runs.clone();
    for family in stale {
        match step.merge(family, &mut pieces).await {
            Ok(merged) => {
                runs.retain(|run| run.family != family.id);
                runs.extend(merged);
            }
            Err(error) if on_damage == OnDamage::SetAside && is_damage(&error) => {
                let own = runs.iter_mut().filter(|run| run.family == family.id);
                own.filter(|run| run.key < boundary)
                    .for_each(|run| run.quarantined = Some(boundary));
            }
            Err(error) => return Err(error),
        }
    }
    pieces.commit(shard).await?;
    let manifest = Manifest { segments, runs, ..next_manifest(shard, shared, state.next_piece) };
    let remaining = remaining(&manifest, boundary);
    drop(live);
    install(writer, manifest, None, state).await?;
    collect_garbage(shard, state).await?;
    Ok(remaining)
}

/// Whether stored bytes are damaged, and nothing was written because of it.
fn is_damage(error: &Error) -> bool {
    error.kind() == ErrorKind::Corrupt && error.outcome() == Outcome::Rejected
}

fn remaining(manifest: &Manifest, boundary: u64) -> Remaining {
    let segments = manifest.segments.iter().filter(|segment| segment.is_older(boundary));
    let runs = manifest.runs.iter().filter(|run| is_older(run.key, run.quarantined, boundary));
    let quarantined = manifest.quarantined_keys().count() as u64;
    let mut left = Remaining { quarantined, ..Remaining::default() };
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
    /// Keys below it are old.
    boundary: u64,
}

impl Step<'_> {
    /// All segments, the first of the older ones written anew.
    async fn segments(&self, pieces: &mut Pieces<'_>) -> Result<Vec<SegmentRef>> {
        let table = &self.shard.layout().segments;
        let mut shared_piece = pieces.begin(self.shard, table);
        let mut segments: Vec<SegmentRef> = Vec::with_capacity(self.live.segments.len());
        let mut raw_bytes = 0;
        for old in &self.live.segments {
            if !old.is_older(self.boundary) || raw_bytes >= STEP_RAW_BYTES {
                segments.push(old.clone());
                continue;
            }
            raw_bytes += old.raw_bytes.max(1);
            let mut own = (old.raw_bytes >= SHARED_SEGMENT_RAW_BYTES)
                .then(|| pieces.begin(self.shard, table));
            let piece = own.as_mut().unwrap_or(&mut shared_piece);
            let rewritten = match self.segment(old, &segments, piece).await {
                Err(error) if is_damage(&error) && self.is_damaged(old).await? => {
                    SegmentRef { quarantined: Some(self.boundary), ..old.clone() }
                }
                rewritten => rewritten?,
            };
            // Also of one that came to nothing: what others have left over is in it.
            own.map_or(Ok(()), |own| pieces.end(own))?;
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

    /// Whether it is the segment that cannot be read, and not what it was to be written to.
    async fn is_damaged(&self, old: &SegmentRef) -> Result<bool> {
        let read = async {
            let segment = self.shard.segment(old).await?;
            let mut unit = 0;
            while unit < segment.unit_count() {
                unit += segment.units_from(unit).await?.len().max(1);
            }
            Ok(())
        };
        let read: Result<()> = read.await;
        match read {
            Err(error) if !is_damage(&error) => Err(error),
            read => Ok(read.is_err()),
        }
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
            match merge(context, family, &opened, (Tombstones::Drop, &keeps), &mut piece).await {
                Err(error) if !is_damage(&error) => return Err(error),
                merged => merged,
            };
        // Also of one that came to nothing: what others have left over is in it.
        pieces.end(piece)?;
        merged.map(Some)
    }
}
