//! Reading one database: by number, by time, and through its indexes.
//!
//! A read stands on the manifest as it was when it began. What that names stays in place while it
//! is held, but the keys of what was rewritten may be given up meanwhile: then the read starts
//! again on the manifest of now.

use super::Shard;
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::index::{Family, FamilyId, Index, MemtableSource, Run, RunRef};
use crate::log::{Loaded, LostRange, Manifest, SegmentRef};
use crate::piece::{CacheKey, PieceReader};
use crate::stream::families::Layout;
use crate::stream::record::{Record, RecordBatch};
use crate::stream::segment::Segment;
use crate::stream::tail::TailSection;
use forgeone_db_engine::{Error, ErrorKind, Result, TableName, mutant};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};

/// How often a read starts again on a newer manifest before it gives up.
pub(super) const READ_TRIES: u32 = 16;

/// Where a record was found, and what keeps it there while it is read.
pub(super) enum Place {
    Tail(Arc<TailSection>),
    Segment(SegmentRef, Arc<Manifest>),
}

/// A run of a family: its piece and where in it.
pub(super) type RunKey = (FamilyId, u64, u64);

fn run_key(reference: &RunRef) -> RunKey {
    (reference.family, reference.piece.piece, reference.piece.offset)
}

/// A family as of one moment.
#[derive(Debug)]
pub(crate) struct FamilyView {
    pub(crate) index: Index,
    /// Keeps the runs from being dropped while they are read.
    _manifest: Arc<Manifest>,
}

impl Shard {
    /// The newest sequence numbers of several subjects, at one moment.
    pub(crate) fn last_of(&self, subjects: &[u64]) -> Vec<u64> {
        let state = self.state();
        subjects.iter().map(|subject| state.end_of(*subject).0).collect()
    }

    /// The numbers of the records that lie together with `sequence`, as far as that can be told:
    /// its unit or section, or its whole segment if the directory cannot be read.
    pub(crate) async fn extent(&self, subject: u64, sequence: u64) -> (u64, u64) {
        match self.place(subject, sequence) {
            None => (sequence, sequence),
            Some(Place::Tail(section)) => (section.first(), section.last()),
            Some(Place::Segment(reference, _pin)) => match self.segment(&reference).await {
                Ok(segment) => segment.extent(sequence),
                Err(_) => (reference.first, reference.last),
            },
        }
    }

    /// The newest sequence number of `subject`; 0 if it has none.
    pub(crate) fn last(&self, subject: u64) -> u64 {
        self.state().end_of(subject).0
    }

    /// The oldest retained sequence number of `subject`, or the next to be given. Whatever an index
    /// says of a lower one does not count.
    pub(crate) fn first(&self, subject: u64) -> u64 {
        self.state().manifest.first(subject)
    }

    /// Whether records of `subject` that were given up had reached `time`. Those that are left may
    /// all be late then.
    pub(crate) fn reached_before_floor(&self, subject: u64, time: Timestamp) -> bool {
        self.state().manifest.floor(subject).is_some_and(|floor| floor.time_max() >= time)
    }

    pub(super) fn place(&self, subject: u64, sequence: u64) -> Option<Place> {
        let state = self.state();
        if let Some(section) = state.tail.topic(subject).and_then(|tail| tail.section(sequence)) {
            return Some(Place::Tail(section));
        }
        let segments = state.manifest.segments_of(subject);
        let index = segments.partition_point(|segment| segment.last < sequence);
        let segment = segments.get(index).filter(|segment| segment.first <= sequence)?;
        Some(Place::Segment(segment.clone(), Arc::clone(&state.manifest)))
    }

    pub(super) fn not_found(&self, subject: u64, sequence: u64) -> Error {
        let state = self.state();
        match state.manifest.floor(subject).filter(|floor| sequence < floor.first) {
            None => Error::new(ErrorKind::NotFound, "no record has this number"),
            Some(floor) => shredded(floor.shredded_at()),
        }
        .with("sequence", sequence)
    }

    /// What is missing of `subject` behind `after`: the gap as an error, and its last number.
    pub(crate) fn gap(&self, subject: u64, after: u64) -> Option<(Error, u64)> {
        let state = self.state();
        let floor = state.manifest.floor(subject).filter(|floor| after + 1 < floor.first)?;
        let last = floor.first - 1;
        let error = shredded(floor.shredded_at()).with("from", after + 1).with("to", last);
        Some((error, last))
    }

    /// The records around `sequence` that lie together: a unit or a commit's section.
    ///
    /// # Errors
    /// `NotFound` below the first retained or above the newest sequence number; `Corrupt`, naming
    /// topic and range.
    pub(crate) async fn chunk(
        &self,
        subject: u64,
        sequence: u64,
        sequential: bool,
    ) -> Result<Arc<RecordBatch>> {
        let mut tries = READ_TRIES;
        loop {
            let found = self.place(subject, sequence);
            let (reference, pin) = match found.ok_or_else(|| self.not_found(subject, sequence))? {
                Place::Segment(reference, pin) => (reference, pin),
                Place::Tail(section) => {
                    self.check_section(&section)?;
                    let batch = self.section(&section);
                    return batch.map_err(|error| self.context.locate(error));
                }
            };
            tries -= 1;
            match self.unit(&reference, sequence, sequential).await {
                Err(error) if self.is_passing(&error, &pin) && tries > 0 => {}
                unit => return unit,
            }
        }
    }

    /// # Errors
    /// `Corrupt`, naming topic and range, when the records are lost.
    pub(super) fn check_section(&self, section: &TailSection) -> Result<()> {
        section.lost_range().map_or(Ok(()), |lost| Err(self.lost_error(&lost)))
    }

    /// # Errors
    /// `Corrupt` when records are lost in what was loaded that were not when it was opened: what was
    /// acknowledged since is not there.
    pub(crate) fn check_losses(&self, loaded: &Loaded) -> Result<()> {
        let state = self.state();
        let lost = loaded
            .tail
            .iter()
            .flat_map(|block| block.lost.iter().map(|lost| lost.range(block.number)));
        let new = |lost: &LostRange| !state.lost().any(|known| known == *lost);
        lost.into_iter().find(new).map_or(Ok(()), |lost| Err(self.lost_error(&lost)))
    }

    /// The error for reading records that were lost before they were sealed.
    pub(crate) fn lost_error(&self, lost: &LostRange) -> Error {
        lost.error(&self.context.topics, &self.context.database)
    }

    /// What was lost of `subject` before it was sealed, by number. Its ids, markers and times are in
    /// no index, so that whoever looks for those must be told.
    pub(crate) fn lost_of(&self, subject: u64) -> Vec<LostRange> {
        self.state().lost().filter(|lost| lost.subject == subject).collect()
    }

    /// # Errors
    /// `Corrupt`, naming topic and range, when records of a topic were lost, which may be what an index
    /// does not have, except in topics where it was `found`.
    pub(crate) fn check_absence(&self, found: impl Fn(u64) -> bool) -> Result<()> {
        let lost = self.state().lost().find(|lost| !found(lost.subject));
        let lost = lost.filter(|_| !mutant!("deny-what-may-be-lost"));
        let error =
            |lost: LostRange| lost.may_have_it(&self.context.topics, &self.context.database);
        lost.map_or(Ok(()), |lost| Err(error(lost)))
    }

    /// The records of a section, from the cache if they are there.
    fn section(&self, section: &TailSection) -> Result<Arc<RecordBatch>> {
        let commits = CacheKey {
            database: self.context.database.clone(),
            table: self.context.tables.commits.clone(),
            piece: section.commit(),
        };
        if let Some(batch) = self.caches.segments.decoded(&commits, section.subject()) {
            return Ok(batch);
        }
        let batch = Arc::new(section.batch()?);
        self.caches.segments.keep(&commits, section.subject(), &batch);
        Ok(batch)
    }

    async fn unit(
        &self,
        reference: &SegmentRef,
        sequence: u64,
        sequential: bool,
    ) -> Result<Arc<RecordBatch>> {
        let segment = self.segment(reference).await?;
        segment.unit(&self.caches.segments, segment.unit_of(sequence), sequential).await
    }

    /// Whether an error may be due to what replaced the manifest that was read.
    pub(super) fn is_passing(&self, error: &Error, pin: &Arc<Manifest>) -> bool {
        error.kind() == ErrorKind::Corrupt && !Arc::ptr_eq(pin, &self.state().manifest)
    }

    /// One record, with its commit.
    pub(crate) async fn record(&self, subject: u64, sequence: u64) -> Result<Record> {
        let chunk = self.chunk(subject, sequence, false).await?;
        chunk.get(sequence).cloned().ok_or_else(|| corrupt("a unit lacks a record of its range"))
    }

    /// The record of this number, if it is retained and its id follows from its place.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), but for `NotFound`.
    pub(crate) async fn record_without_id(
        &self,
        subject: u64,
        sequence: u64,
    ) -> Result<Option<Record>> {
        match self.record(subject, sequence).await {
            Ok(record) => Ok(Some(record).filter(|record| record.id.is_none())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a segment, from the cache if it is there.
    pub(crate) async fn segment(&self, reference: &SegmentRef) -> Result<Arc<Segment>> {
        let reader = PieceReader::new(
            Arc::clone(&self.context.engine),
            self.context.database.clone(),
            self.layout.segments.clone(),
        );
        let keys = (&*self.context.topics, self.context.lineage);
        Segment::open(&self.caches.segments, &reader, keys, reference).await
    }

    /// The first sequence number from which on the topic's greatest time has reached `time`;
    /// `last + 1` if it never did.
    pub(crate) async fn seek_time(&self, subject: u64, time: Timestamp) -> Result<u64> {
        let mut tries = READ_TRIES;
        loop {
            let (reference, pin) = {
                let state = self.state();
                let segments = state.manifest.segments_of(subject);
                let index = segments.partition_point(|segment| segment.time_max() < time);
                let Some(reference) = segments.get(index) else {
                    let tail = state.tail.topic(subject).and_then(|tail| tail.seek_time(time));
                    return Ok(tail.unwrap_or_else(|| state.end_of(subject).0 + 1));
                };
                (reference.clone(), Arc::clone(&state.manifest))
            };
            tries -= 1;
            match self.segment(&reference).await {
                Err(error) if self.is_passing(&error, &pin) && tries > 0 => {}
                segment => return Ok(segment?.seek_time(time)),
            }
        }
    }

    /// A view of one family: memtables in front, runs behind, kept alive by the manifest.
    pub(crate) async fn family(&self, family: &Family) -> Result<FamilyView> {
        self.view(family, None).await
    }

    /// A view of one family that need not know of any key outside `prefix`: runs whose filters rule
    /// the prefix out are left out.
    pub(crate) async fn family_at(&self, family: &Family, prefix: &[u8]) -> Result<FamilyView> {
        self.view(family, Some(prefix)).await
    }

    async fn view(&self, family: &Family, prefix: Option<&[u8]>) -> Result<FamilyView> {
        let mut tries = READ_TRIES;
        loop {
            let (manifest, memtables) = self.generations(family);
            tries -= 1;
            match self.runs_at(family, &manifest, prefix).await {
                Err(error) if self.is_passing(&error, &manifest) && tries > 0 => {}
                runs => {
                    return Ok(FamilyView {
                        index: Index::new(memtables, runs?),
                        _manifest: manifest,
                    });
                }
            }
        }
    }

    async fn runs_at(
        &self,
        family: &Family,
        manifest: &Manifest,
        prefix: Option<&[u8]>,
    ) -> Result<Vec<Arc<Run>>> {
        let mut runs = Vec::new();
        for reference in manifest.runs.iter().filter(|run| run.family == family.id) {
            let run = self.run(family, reference).await?;
            let wanted = match prefix {
                Some(prefix) => run.may_contain(prefix).await?,
                None => true,
            };
            if wanted {
                runs.push(run);
            }
        }
        Ok(runs)
    }

    async fn run(&self, family: &Family, reference: &RunRef) -> Result<Arc<Run>> {
        let key = run_key(reference);
        if let Some(run) = self.opened_runs().get(&key) {
            return Ok(Arc::clone(run));
        }
        let run = Arc::new(Run::open(&self.index, family, reference).await?);
        self.opened_runs().insert(key, Arc::clone(&run));
        Ok(run)
    }

    fn opened_runs(&self) -> MutexGuard<'_, HashMap<RunKey, Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes runs that the live manifest does not name.
    pub(crate) fn retain_runs(&self) {
        let live: HashSet<RunKey> = self.state().manifest.runs.iter().map(run_key).collect();
        self.opened_runs().retain(|key, _| live.contains(key));
    }

    /// The live manifest and the memtables of a family, as of one moment.
    fn generations(&self, family: &Family) -> (Arc<Manifest>, Vec<Arc<dyn MemtableSource>>) {
        let state = self.state();
        let generations = [Some(&state.active), state.frozen.as_ref()];
        let mut memtables: Vec<_> = generations
            .into_iter()
            .flatten()
            .filter_map(|memtables| memtables.get(&family.id))
            .map(|memtable| Arc::clone(memtable) as Arc<dyn MemtableSource>)
            .collect();
        if Layout::is_pinned(family.id) {
            memtables.push(Arc::new(super::pinned(&state.manifest, family.id)));
        }
        (Arc::clone(&state.manifest), memtables)
    }

    /// Forgets what is cached of a piece that was dropped.
    pub(crate) fn forget(&self, table: &TableName, piece: u64) {
        let place =
            CacheKey { database: self.context.database.clone(), table: table.clone(), piece };
        self.caches.segments.forget(&place);
        self.caches.pages.forget_piece(&place);
    }
}

fn shredded(at: Timestamp) -> Error {
    let error =
        Error::new(ErrorKind::NotFound, "these records were shredded and are gone for good")
            .with("reason", "shredded");
    match at.to_datetime() {
        Some(at) => error.with("shredded_at", at.to_rfc3339()),
        None => error,
    }
}
