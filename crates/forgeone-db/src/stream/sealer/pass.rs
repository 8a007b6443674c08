//! One pass over a tail: its records into segments, its memtables into runs.

use super::{Cut, GivenUp};
use crate::environment::Timestamp;
use crate::index::{Family, FamilyId, Memtable, Run, RunRef, RunWriter, Tombstones, merge};
use crate::log::{Floor, LostSection, Manifest, PinnedEntry, SegmentRef};
use crate::piece::{PendingParts, PieceWriter, delete_pieces};
use crate::stream::families::{Layout, entry_position};
use crate::stream::segment::{SegmentWriter, write_lost};
use crate::stream::shard::{Shard, pinned};
use crate::stream::store::Shared;
use crate::stream::tail::TailSection;
use forgeone_db_engine::{Direction, ErrorKind, KeyRange, Result, TableName};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Runs of one family before all are merged into one.
const RUNS_MAX: usize = 12;
/// Segments are not merged beyond this many raw bytes.
const SEGMENT_RAW_BYTES_MAX: u64 = 64 << 20;
/// Segments smaller than this share a piece with others.
pub(super) const SHARED_SEGMENT_RAW_BYTES: u64 = 256 << 10;
/// Entries of a memtable that are copied out under its lock at a time.
const MEMTABLE_PAGE_ENTRIES: usize = 1024;

/// What a pass wrote.
#[derive(Default)]
pub(super) struct Written {
    segments: Vec<SegmentRef>,
    runs: Vec<RunRef>,
    pinned: Vec<PinnedEntry>,
}

/// Numbers for new pieces, and what finished ones have left for the next commit.
pub(super) struct Pieces<'a> {
    next: &'a mut u64,
    pending: PendingParts,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(next: &'a mut u64) -> Self {
        Self { next, pending: PendingParts::default() }
    }

    pub(super) fn begin(&mut self, shard: &Shard, table: &TableName) -> PieceWriter {
        let piece = *self.next;
        *self.next += 1;
        let mut writer = shard.index_context().piece_writer(table, piece);
        writer.carry(std::mem::take(&mut self.pending));
        writer
    }

    pub(super) fn end(&mut self, writer: PieceWriter) -> Result<()> {
        self.pending.append(writer.hand_over()?);
        Ok(())
    }

    /// Commits what is left, so that it can be read and named.
    pub(super) async fn commit(&mut self, shard: &Shard) -> Result<()> {
        let context = shard.context();
        self.pending.commit(&*context.engine, &context.database).await
    }
}

pub(super) struct Pass<'a> {
    pub(super) shard: &'a Shard,
    pub(super) cut: &'a Cut,
    pub(super) given_up: Option<&'a GivenUp>,
}

impl Pass<'_> {
    pub(super) async fn write(&self, next_piece: &mut u64) -> Result<Written> {
        let mut written = Written::default();
        let mut pieces = Pieces::new(next_piece);
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
        let sections = || self.cut.sections.iter().filter(|(one, _)| !self.is_given_up(*one));
        let touched: HashSet<u64> = sections().map(|(subject, _)| *subject).collect();
        for (subject, sections) in sections() {
            let mut all = self.cut.manifest.segments_of(*subject).to_vec();
            for alike in sections.chunk_by(|a, b| a.lost().is_none() && b.lost().is_none()) {
                match alike.first().and_then(|section| Some((section, section.lost()?))) {
                    Some(lost) => all.push(self.set_aside(lost, pieces).await?),
                    None => self.extend(&mut all, alike, (&mut shared_piece, pieces)).await?,
                }
            }
            written.segments.extend(all);
        }
        pieces.end(shared_piece)?;
        let untouched = self.cut.manifest.segments.iter();
        let untouched = untouched.filter(|segment| {
            !touched.contains(&segment.subject) && !self.is_given_up(segment.subject)
        });
        written.segments.extend(untouched.cloned());
        written.segments.sort_unstable_by_key(|segment| (segment.subject, segment.first));
        Ok(())
    }

    /// Adds a segment with `sections` to those that a subject has, with the newest of them taken in.
    async fn extend(
        &self,
        all: &mut Vec<SegmentRef>,
        sections: &[Arc<TailSection>],
        (shared_piece, pieces): (&mut PieceWriter, &mut Pieces<'_>),
    ) -> Result<()> {
        let table = &self.shard.layout().segments;
        let (kept, raw_bytes) = kept_segments(all, sections);
        let merged = all.get(kept..).unwrap_or_default();
        let mut own = None;
        let piece = if raw_bytes < SHARED_SEGMENT_RAW_BYTES {
            shared_piece
        } else {
            own.insert(pieces.begin(self.shard, table))
        };
        let segment = match self.write_segment(piece, (all, merged), sections).await {
            // A damaged segment stays as it is: what is new is sealed without it.
            Err(error) if error.kind() == ErrorKind::Corrupt && !merged.is_empty() => {
                self.write_segment(piece, (all, &[]), sections).await?
            }
            segment => {
                let segment = segment?;
                all.truncate(kept);
                segment
            }
        };
        if let Some(piece) = own {
            pieces.end(piece)?;
        }
        all.push(segment);
        Ok(())
    }

    /// Keeps what lies in the place of records that are lost, under the key that they had, in a piece
    /// of its own: it goes when its topic is shredded, and not before.
    async fn set_aside(
        &self,
        lost: (&Arc<TailSection>, &LostSection),
        pieces: &mut Pieces<'_>,
    ) -> Result<SegmentRef> {
        let context = self.shard.context();
        let domain = context.topics.key(lost.1.subject(), lost.1.key())?;
        let mut piece = pieces.begin(self.shard, &self.shard.layout().segments);
        let keys = (&domain, context.lineage);
        let segment =
            write_lost(&mut piece, keys, (&**lost.0, lost.1), &*context.environment).await?;
        pieces.end(piece)?;
        Ok(segment)
    }

    async fn write_segment(
        &self,
        piece: &mut PieceWriter,
        (old, merged): (&[SegmentRef], &[SegmentRef]),
        sections: &[Arc<TailSection>],
    ) -> Result<SegmentRef> {
        let context = self.shard.context();
        let kept = old.get(..old.len() - merged.len()).unwrap_or_default();
        let first_section =
            sections.first().map_or((0, 0), |first| (first.subject(), first.first()));
        let start = merged.first().map_or(first_section, |first| (first.subject, first.first));
        let time_max = time_before(&self.cut.manifest, start.0, kept);
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
        // Where appends wait for the pass, merging is left to the next one.
        if runs.len() < RUNS_MAX || self.given_up.is_some() {
            return Ok(runs);
        }
        pieces.commit(self.shard).await?;
        let mut opened: Vec<Arc<Run>> = Vec::with_capacity(runs.len());
        for reference in &runs {
            opened.push(Arc::new(Run::open(context, family, reference).await?));
        }
        let mut piece = pieces.begin(self.shard, &family.table);
        let keeps = |key: &[u8], value: Option<&[u8]>| self.keeps(family.id, key, value);
        let merged =
            match merge(context, family, &opened, (Tombstones::Drop, &keeps), &mut piece).await {
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
                if !self.keeps(family.id, key, value.as_deref()) {
                    continue;
                }
                run.push(key, value.as_deref()).await?;
            }
            let Some((last, _)) = page.last() else { return run.finish().await };
            range = KeyRange::from([&last[..], &[0]].concat());
        }
    }

    /// The manifest that names what was written.
    pub(super) fn manifest(&self, written: Written, shared: &Shared, next_piece: u64) -> Manifest {
        let database = self.shard.context().database.as_str();
        let mut topics = self.shard.context().topics.intros();
        let mut floors = self.cut.manifest.floors.clone();
        if let Some(GivenUp { floor, intro }) = self.given_up {
            topics.retain(|topic| topic.id != intro.id);
            topics.push(intro.clone());
            topics.sort_unstable_by_key(|topic| topic.id);
            floors.retain(|known| known.subject != floor.subject);
            floors.push(floor.clone());
            floors.sort_unstable_by_key(|floor| floor.subject);
        }
        Manifest {
            database: database.to_owned(),
            number: self.cut.manifest.number + 1,
            covers: self.cut.commit,
            covers_hash: self.cut.hash,
            next_piece,
            witnesses: shared.other_heads(database),
            topics,
            segments: written.segments,
            runs: written.runs,
            pinned: written.pinned,
            floors,
        }
    }

    fn is_given_up(&self, subject: u64) -> bool {
        self.given_up.is_some_and(|given_up| given_up.floor.subject == subject)
    }

    /// Whether an index entry is about a record that is retained.
    fn keeps(&self, family: FamilyId, key: &[u8], value: Option<&[u8]>) -> bool {
        let given_up = self.given_up.map(|given_up| &given_up.floor);
        is_retained((&self.cut.manifest, given_up), family, key, value)
    }
}

/// Whether an index entry is about a record that is not below a floor. Tombstones are kept.
pub(super) fn is_retained(
    (manifest, more): (&Manifest, Option<&Floor>),
    family: FamilyId,
    key: &[u8],
    value: Option<&[u8]>,
) -> bool {
    let Some(value) = value.filter(|_| !family.is_state()) else { return true };
    // What is not an index's own is for verification to name.
    let Ok((subject, sequence)) = entry_position(family, key, value) else { return true };
    let floor = more.filter(|floor| floor.subject == subject).or_else(|| manifest.floor(subject));
    floor.is_none_or(|floor| sequence >= floor.first)
}

/// A topic's greatest time before what follows `kept`.
pub(super) fn time_before(manifest: &Manifest, subject: u64, kept: &[SegmentRef]) -> Timestamp {
    match kept.last() {
        Some(last) => last.time_max(),
        None => manifest.floor(subject).map_or(Timestamp::MIN, Floor::time_max),
    }
}

/// How many of a topic's segments stay as they are, and the raw bytes of what is written anew: the
/// newest segments are taken in while they are smaller than twice what is to be written, so that a
/// record is rewritten a logarithmic number of times. What is lost is taken in by none.
fn kept_segments(old: &[SegmentRef], sections: &[Arc<TailSection>]) -> (usize, u64) {
    let mut raw_bytes: u64 = sections.iter().map(|section| section.raw_bytes()).sum();
    let mut kept = old.len();
    while let Some(last) = kept.checked_sub(1).and_then(|index| old.get(index)) {
        let whole = raw_bytes.saturating_add(last.raw_bytes);
        if last.lost.is_some()
            || last.raw_bytes >= raw_bytes.saturating_mul(2)
            || whole > SEGMENT_RAW_BYTES_MAX
        {
            break;
        }
        raw_bytes = whole;
        kept -= 1;
    }
    (kept, raw_bytes)
}
