//! Segments: one topic's older records, in separately sealed units with a directory.

mod audit;
mod lost;
mod remains;
mod sift;

pub(crate) use lost::{read_lost, write_lost};
pub(crate) use sift::{Ahead, Sifted, Wanted};

use super::record::{CommitMark, ID_BYTES, Record, RecordBatch};
use crate::codec::{Compression, compress, corrupt, decompress};
use crate::crypto::{Binding, DomainKey, KeyId, Lineage, PieceType};
use crate::environment::{Environment, Timestamp};
use crate::log::{SegmentRef, TopicTable, from_cbor, to_cbor};
use crate::piece::{Cache, CacheKey, Member, MemberWriter, PieceReader, PieceWriter, UnitRef};
use forgeone_db_engine::{Error, ErrorKind, Result};
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// A unit is closed before a record would take it beyond this many raw bytes.
const UNIT_RAW_BYTES: usize = 16 << 10;
const UNIT_COMPRESSION_LEVEL: i32 = 3;
/// Units with fewer bytes in their columns are joined with their neighbours when segments merge.
const UNIT_COPIED_BYTES_MIN: u64 = UNIT_RAW_BYTES as u64 / 2;
/// Sequential readers open this many units with one read of the engine.
pub(crate) const READ_AHEAD_UNITS: usize = 8;

#[derive(Debug, Encode, Decode)]
struct SegmentDirectory {
    #[n(0)]
    units: Vec<UnitEntry>,
}

/// Where a unit lies and which records it has.
#[derive(Debug, Clone, Encode, Decode)]
struct UnitEntry {
    #[n(0)]
    unit: UnitRef,
    #[n(1)]
    first: u64,
    #[n(2)]
    count: u32,
    #[n(3)]
    columns_len: u64,
    #[n(4)]
    compression: u8,
    /// The topic's greatest time up to the end of the unit.
    #[n(5)]
    time_max: (i64, u32),
    /// The smallest time of a record in it that is not late.
    #[n(6)]
    on_time_min: Option<(i64, u32)>,
    /// Stamp of the commit of its first record.
    #[n(7)]
    stamp: u64,
    /// Bit `n` is set if a record of level `n` is in it.
    #[n(8)]
    levels: u32,
    /// Records with an id of their own.
    #[n(9)]
    own_ids: u32,
}

/// Time bounds of consecutive records of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeBounds {
    /// The topic's greatest time up to the last of them.
    pub(crate) max: Timestamp,
    /// The smallest time of one that is not late; none if all are.
    pub(crate) on_time_min: Option<Timestamp>,
}

impl TimeBounds {
    pub(crate) const fn before(max: Timestamp) -> Self {
        Self { max, on_time_min: None }
    }

    pub(crate) fn add(&mut self, record: &Record) {
        if !record.late {
            self.max = self.max.max(record.time);
            self.on_time_min.get_or_insert(record.time);
        }
    }
}

const fn pair(time: Timestamp) -> (i64, u32) {
    (time.seconds, time.nanos)
}

const fn timestamp((seconds, nanos): (i64, u32)) -> Timestamp {
    Timestamp { seconds, nanos }
}

/// Writes one segment into a piece.
#[derive(Debug)]
pub(crate) struct SegmentWriter<'a> {
    member: MemberWriter<'a>,
    lineage: Lineage,
    subject: u64,
    key: u64,
    /// Sequence number of the first record of the segment.
    first: u64,
    /// Sequence number of the first record in `records`.
    unit_first: u64,
    records: Vec<Record>,
    commits: Vec<CommitMark>,
    unit_bytes: usize,
    raw_bytes: u64,
    units: Vec<UnitEntry>,
    bounds: TimeBounds,
    segment_on_time_min: Option<Timestamp>,
}

impl<'a> SegmentWriter<'a> {
    /// Starts a segment of `subject` at sequence number `first`; `time_max` is the topic's greatest
    /// time before it.
    pub(crate) fn begin(
        piece: &'a mut PieceWriter,
        (domain, lineage): (&DomainKey, Lineage),
        (subject, first): (u64, u64),
        time_max: Timestamp,
        environment: &dyn Environment,
    ) -> Result<Self> {
        Ok(Self {
            member: piece.begin(domain, PieceType::Segment, environment)?,
            lineage,
            subject,
            key: domain.id().0,
            first,
            unit_first: first,
            records: Vec::new(),
            commits: Vec::new(),
            unit_bytes: 0,
            raw_bytes: 0,
            units: Vec::new(),
            bounds: TimeBounds::before(time_max),
            segment_on_time_min: None,
        })
    }

    fn next(&self) -> u64 {
        self.unit_first + self.records.len() as u64
    }

    /// Adds all records of `batch`, which must follow what was added before.
    ///
    /// # Errors
    /// `Corrupt` when it does not follow; as the engine's.
    pub(crate) async fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.first != self.next() {
            return Err(corrupt("records are missing between two batches of a topic")
                .with("topic id", self.subject)
                .with("sequence", self.next()));
        }
        for (sequence, record) in (batch.first..).zip(&batch.records) {
            let bytes = record.unit_bytes();
            if !self.records.is_empty() && self.unit_bytes + bytes > UNIT_RAW_BYTES {
                self.flush().await?;
            }
            if let Some(commit) = batch.commit_of(sequence)
                && self.commits.last().is_none_or(|last| last.stamp != commit.stamp)
            {
                self.commits.push(CommitMark { first: sequence, ..*commit });
            }
            self.bounds.add(record);
            self.unit_bytes += bytes;
            self.records.push(record.clone());
        }
        Ok(())
    }

    /// Adds all records of an older segment, which must follow what was added before. Units that
    /// are well filled are sealed anew as they are, without being decompressed.
    ///
    /// # Errors
    /// `Corrupt` when it does not follow, or is damaged; as the engine's.
    pub(crate) async fn add_segment(&mut self, old: &Segment) -> Result<()> {
        let mut raw_bytes = old.reference.raw_bytes;
        for index in (0..old.units.len()).step_by(READ_AHEAD_UNITS) {
            for (entry, stored) in old.read_stored(index, READ_AHEAD_UNITS).await? {
                if entry.columns_len < UNIT_COPIED_BYTES_MIN {
                    let batch =
                        entry.decode(stored).map_err(|error| locate(error, &old.reference))?;
                    let bytes: usize = batch.records.iter().map(Record::unit_bytes).sum();
                    raw_bytes = raw_bytes.saturating_sub(bytes as u64);
                    self.add(&batch).await?;
                } else {
                    self.copy(entry, stored).await?;
                }
            }
        }
        self.raw_bytes += raw_bytes;
        Ok(())
    }

    /// Seals a unit of an older segment anew.
    async fn copy(&mut self, entry: &UnitEntry, stored: Vec<u8>) -> Result<()> {
        self.flush().await?;
        if entry.first != self.unit_first {
            return Err(corrupt("records are missing between two segments of a topic")
                .with("topic id", self.subject)
                .with("sequence", self.unit_first));
        }
        let mut entry = entry.clone();
        let binding = entry.binding(self.lineage, self.subject)?;
        entry.unit = self.member.add_unit(&binding, stored).await?;
        let TimeBounds { max, on_time_min } = entry.bounds();
        self.bounds.max = self.bounds.max.max(max);
        self.segment_on_time_min = self.segment_on_time_min.or(on_time_min);
        self.unit_first = entry.last() + 1;
        self.units.push(entry);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let Some(count) = u32::try_from(self.records.len()).ok().filter(|count| *count > 0) else {
            return Ok(());
        };
        let encoded = RecordBatch::encode(self.unit_first, &self.records, &self.commits);
        let columns_len = encoded.columns.len() as u64;
        let own_ids = u32::try_from(encoded.ids.len() / ID_BYTES).unwrap_or(count);
        let (compression, packed) = compress(encoded.columns, UNIT_COMPRESSION_LEVEL)?;
        let mut stored = encoded.ids;
        stored.extend_from_slice(&packed);
        let mut entry = UnitEntry {
            unit: UnitRef { offset: 0, len: 0, tag: [0; 16] },
            first: self.unit_first,
            count,
            columns_len,
            compression: compression.code(),
            time_max: pair(self.bounds.max),
            on_time_min: self.bounds.on_time_min.map(pair),
            stamp: self.commits.first().map_or(0, |commit| commit.stamp),
            levels: self.records.iter().fold(0, |mask, record| mask | 1 << (record.level & 31)),
            own_ids,
        };
        entry.unit =
            self.member.add_unit(&entry.binding(self.lineage, self.subject)?, stored).await?;
        self.segment_on_time_min = self.segment_on_time_min.or(self.bounds.on_time_min);
        self.bounds.on_time_min = None;
        self.raw_bytes += self.unit_bytes as u64;
        self.unit_bytes = 0;
        self.unit_first += u64::from(count);
        self.records.clear();
        self.commits.clear();
        self.units.push(entry);
        Ok(())
    }

    /// Writes the directory. REQUIRES: at least one record was added.
    pub(crate) async fn finish(mut self) -> Result<SegmentRef> {
        self.flush().await?;
        let (first, last) = (self.first, self.unit_first - 1);
        let binding = directory_binding(self.lineage, self.subject);
        let directory = SegmentDirectory { units: self.units };
        let piece = self.member.finish(to_cbor(&directory), &binding).await?;
        Ok(SegmentRef {
            subject: self.subject,
            first,
            last,
            piece,
            raw_bytes: self.raw_bytes,
            key: self.key,
            seconds_max: self.bounds.max.seconds,
            nanos_max: self.bounds.max.nanos,
            on_time_min: self.segment_on_time_min.map(pair),
            quarantined: None,
            lost: None,
        })
    }
}

/// The range is what the directory says, and what the manifest says must be the same: so that one
/// whose manifest is lost can be opened.
fn directory_binding(lineage: Lineage, subject: u64) -> Binding {
    Binding { lineage, subject, first: 0, last: 0, compression: Compression::None }
}

/// Units must follow one another and have the records from `first` to `last`.
fn check_units(units: &[UnitEntry], (first, last): (u64, u64)) -> Result<()> {
    let mut next = Some(first);
    for unit in units {
        if Some(unit.first) != next || unit.count == 0 {
            return Err(corrupt("a segment's units leave a gap"));
        }
        next = unit.first.checked_add(u64::from(unit.count));
    }
    if next.is_some() && next == last.checked_add(1) {
        Ok(())
    } else {
        Err(corrupt("a segment has another range than its manifest says"))
    }
}

/// For the fuzzer: reads the directory of a segment, `first u64 | last u64 | length u16 |
/// directory | unit`, and decodes its first unit.
#[cfg(fuzzing)]
pub(super) fn fuzz_directory(data: &[u8]) -> bool {
    let mut cursor = crate::codec::Cursor::new(data);
    let mut parts = || {
        let range = (cursor.u64()?, cursor.u64()?);
        let len = cursor.array().map(u16::from_be_bytes)?;
        let directory: SegmentDirectory = from_cbor(cursor.take(len.into())?)?;
        check_units(&directory.units, range)?;
        let unit = cursor.take(cursor.remaining())?.to_vec();
        directory.units.first().map(|entry| entry.decode(unit)).transpose()
    };
    parts().is_ok_and(|batch| batch.is_some())
}

impl UnitEntry {
    fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    fn binding(&self, lineage: Lineage, subject: u64) -> Result<Binding> {
        Ok(Binding {
            lineage,
            subject,
            first: self.first,
            last: self.last(),
            compression: Compression::from_code(self.compression)?,
        })
    }

    fn bounds(&self) -> TimeBounds {
        TimeBounds { max: timestamp(self.time_max), on_time_min: self.on_time_min.map(timestamp) }
    }

    fn decode(&self, stored: Vec<u8>) -> Result<RecordBatch> {
        let (ids, columns) = self.unpack(stored)?;
        RecordBatch::decode(self.first, self.count, &ids, &columns)
    }

    /// Ids and columns as they were encoded.
    fn unpack(&self, mut stored: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>)> {
        let ids_len = self.own_ids as usize * ID_BYTES;
        if stored.len() < ids_len {
            return Err(corrupt("a unit is shorter than its ids"));
        }
        let packed = stored.split_off(ids_len);
        let columns_len = usize::try_from(self.columns_len)
            .map_err(|_| corrupt("a unit is too large for this machine"))?;
        let compression = Compression::from_code(self.compression)?;
        Ok((stored, decompress(compression, packed, columns_len)?))
    }
}

/// Opened segments and units, by piece and offset, within byte budgets.
#[derive(Debug)]
pub(crate) struct SegmentCache {
    segments: Cache<Arc<Segment>>,
    units: Cache<Arc<RecordBatch>>,
}

impl SegmentCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { segments: Cache::new(bytes_max / 2), units: Cache::new(bytes_max / 2) }
    }

    /// Decoded records of one subject in one commit.
    pub(crate) fn decoded(&self, commit: &CacheKey, subject: u64) -> Option<Arc<RecordBatch>> {
        self.units.get(commit, subject)
    }

    pub(crate) fn keep(&self, commit: &CacheKey, subject: u64, batch: &Arc<RecordBatch>) {
        self.units.insert(commit, subject, Arc::clone(batch), batch.memory_bytes());
    }

    pub(crate) fn forget(&self, piece: &CacheKey) {
        self.segments.forget_piece(piece);
        self.units.forget_piece(piece);
    }
}

/// An opened segment.
#[derive(Debug)]
pub(crate) struct Segment {
    reference: SegmentRef,
    place: CacheKey,
    lineage: Lineage,
    member: Member,
    units: Vec<UnitEntry>,
}

impl Segment {
    /// Opens the segment that `reference` names, from the cache if it is there.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range, when it is not what the manifest names.
    pub(crate) async fn open(
        cache: &SegmentCache,
        reader: &PieceReader,
        (topics, lineage): (&TopicTable, Lineage),
        reference: &SegmentRef,
    ) -> Result<Arc<Self>> {
        let place = CacheKey {
            database: reader.database().clone(),
            table: reader.table().clone(),
            piece: reference.piece.piece,
        };
        if let Some(segment) = cache.segments.get(&place, reference.piece.offset) {
            return Ok(segment);
        }
        if let Some(lost) = reference.lost_range() {
            return Err(lost.error(topics, reader.database()));
        }
        let binding = directory_binding(lineage, reference.subject);
        let open = async {
            let domain = topics.key(reference.subject, KeyId(reference.key))?;
            let mut member =
                reader.open(&reference.piece, &domain, PieceType::Segment, &binding).await?;
            let directory: SegmentDirectory = from_cbor(&member.take_directory())?;
            let segment = Self {
                reference: reference.clone(),
                place: place.clone(),
                lineage,
                member,
                units: directory.units,
            };
            segment.check()?;
            Ok(Arc::new(segment))
        };
        let segment = open.await.map_err(|error| locate(error, reference))?;
        let bytes = segment.member.memory_bytes() + segment.units.len() * size_of::<UnitEntry>();
        cache.segments.insert(&place, reference.piece.offset, Arc::clone(&segment), bytes);
        Ok(segment)
    }

    fn check(&self) -> Result<()> {
        check_units(&self.units, (self.reference.first, self.reference.last))
    }

    pub(crate) fn unit_count(&self) -> usize {
        self.units.len()
    }

    /// The index of the unit that holds `sequence`.
    pub(crate) fn unit_of(&self, sequence: u64) -> usize {
        self.units.partition_point(|unit| unit.last() < sequence)
    }

    /// The first sequence number from which on the topic's greatest time has reached `time`, as
    /// far as unit bounds tell.
    pub(crate) fn seek_time(&self, time: Timestamp) -> u64 {
        let index = self.units.partition_point(|unit| timestamp(unit.time_max) < time);
        self.units.get(index).map_or(self.reference.last + 1, |unit| unit.first)
    }

    /// Records of unit `index`, read ahead with those that follow it when
    /// `sequential`.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range.
    pub(crate) async fn unit(
        &self,
        cache: &SegmentCache,
        index: usize,
        sequential: bool,
    ) -> Result<Arc<RecordBatch>> {
        let entry = self.entry(index)?;
        let offset = self.cache_offset(entry);
        if let Some(batch) = cache.units.get(&self.place, offset) {
            return Ok(batch);
        }
        let ahead = if sequential { READ_AHEAD_UNITS } else { 1 };
        let units = match self.read_stored(index, ahead).await {
            // One of the others may be damaged; this one is wanted.
            Err(error) if error.kind() == ErrorKind::Corrupt && ahead > 1 => {
                self.read_stored(index, 1).await?
            }
            units => units?,
        };
        let mut wanted = None;
        for (unit, stored) in units {
            let batch = match unit.decode(stored) {
                Ok(batch) => batch,
                // Said when that unit is wanted itself.
                Err(_) if wanted.is_some() => break,
                Err(error) => return Err(self.locate(error, unit.first, unit.last())),
            };
            let batch = Arc::new(batch);
            let bytes = batch.memory_bytes();
            cache.units.insert(&self.place, self.cache_offset(unit), Arc::clone(&batch), bytes);
            wanted.get_or_insert(batch);
        }
        wanted.ok_or_else(|| locate(corrupt("a unit is missing"), &self.reference))
    }

    fn entry(&self, index: usize) -> Result<&UnitEntry> {
        let entry = self.units.get(index);
        entry.ok_or_else(|| locate(corrupt("a unit is missing"), &self.reference))
    }

    /// Up to `count` units from `index` on as they are stored, opened but still compressed, past
    /// the cache.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range.
    async fn read_stored(&self, index: usize, count: usize) -> Result<Vec<(&UnitEntry, Vec<u8>)>> {
        let end = (index + count).min(self.units.len());
        let entries = self.units.get(index..end).unwrap_or_default();
        let read = async {
            let places = entries
                .iter()
                .map(|unit| Ok((unit.unit, unit.binding(self.lineage, self.reference.subject)?)))
                .collect::<Result<Vec<_>>>()?;
            let counter = u32::try_from(index).map_err(|_| corrupt("too many units"))?;
            self.member.read_units(counter, &places).await
        };
        let opened = read.await.map_err(|error| {
            let first = entries.first().map_or(self.reference.first, |unit| unit.first);
            let last = entries.last().map_or(self.reference.last, UnitEntry::last);
            self.locate(error, first, last)
        })?;
        Ok(entries.iter().zip(opened).collect())
    }

    fn locate(&self, error: Error, first: u64, last: u64) -> Error {
        error.with("topic id", self.reference.subject).with("from", first).with("to", last)
    }

    /// The numbers of the records in the unit that holds `sequence`.
    pub(crate) fn extent(&self, sequence: u64) -> (u64, u64) {
        let unit = self.units.get(self.unit_of(sequence));
        unit.map_or((self.reference.first, self.reference.last), |unit| (unit.first, unit.last()))
    }

    /// Records of unit `index`, past the cache: for looking at what nobody may ask for.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range.
    pub(crate) async fn unit_uncached(&self, index: usize) -> Result<RecordBatch> {
        let read = async {
            let entry = self.units.get(index).ok_or_else(|| corrupt("a unit is missing"))?;
            let binding = entry.binding(self.lineage, self.reference.subject)?;
            let counter = u32::try_from(index).map_err(|_| corrupt("too many units"))?;
            entry.decode(self.member.read_unit(counter, &entry.unit, &binding).await?)
        };
        read.await.map_err(|error| locate(error, &self.reference))
    }

    fn cache_offset(&self, unit: &UnitEntry) -> u64 {
        self.reference.piece.offset + unit.unit.offset
    }
}

fn locate(error: Error, reference: &SegmentRef) -> Error {
    error
        .with("topic id", reference.subject)
        .with("from", reference.first)
        .with("to", reference.last)
}
