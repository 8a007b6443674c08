//! Records and the encoding of a batch of them, the same in commit blocks and in segments.
//!
//! Columns rather than rows: ids are random and do not compress, so they stand apart from what
//! does. `docs/format.md` draws the layout.

mod times;

use crate::codec::{Cursor, corrupt, put_bytes, put_varint, zigzag};
use crate::environment::Timestamp;
use crate::model::LineEnd;
use forgeone_db_engine::Result;
use times::{FORM_TIMES, Times};

const FLAG_LEVEL: u8 = 0b0001_1111; // on-disk
const FLAG_ASSIGNED: u8 = 0b0010_0000; // on-disk
const FLAG_LATE: u8 = 0b0100_0000; // on-disk
const FLAG_EXTRA: u8 = 0b1000_0000; // on-disk
/// The part of a batch's form that says which records have an id of their own: all, none, or those
/// of a bitmap.
const FORM_IDS: u8 = 0b0000_0011; // on-disk
const FORM_IDS_NONE: u8 = 1; // on-disk
const FORM_IDS_SOME: u8 = 2; // on-disk
/// The part that says how lines end: the code of all of them, or one code for each.
const FORM_ENDS: u8 = 0b0000_1100; // on-disk
const FORM_ENDS_EACH: u8 = 0b0000_1100; // on-disk
/// Bytes of an id.
pub(crate) const ID_BYTES: usize = 16;

/// What a record takes besides its contents, about: in requests and in memory, and in a unit.
const RECORD_BYTES_ABOUT: usize = 32;
const UNIT_RECORD_BYTES_ABOUT: usize = 6;

/// One entry of a topic, of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// None if it follows from the record's place.
    pub(crate) id: Option<[u8; ID_BYTES]>,
    pub(crate) time: Timestamp,
    /// Whether the store chose the time; then it says nothing about the content.
    pub(crate) assigned: bool,
    /// Whether the time lies below the topic's running maximum. Set by the committer.
    pub(crate) late: bool,
    /// Priority or severity, 0 to 31.
    pub(crate) level: u8,
    pub(crate) payload: Vec<u8>,
    /// Sorted by key.
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) marker: Option<String>,
    /// How a log line ended.
    pub(crate) end: LineEnd,
}

impl Record {
    /// Whether two records with the same id are the same entry, sent twice. Times count only if
    /// both sides were given theirs.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        (self.assigned || other.assigned || self.time == other.time)
            && self.level == other.level
            && self.payload == other.payload
            && self.metadata == other.metadata
            && self.marker == other.marker
            && self.end == other.end
    }

    /// About how many bytes the record takes raw.
    pub(crate) fn bytes(&self) -> usize {
        let metadata: usize =
            self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        RECORD_BYTES_ABOUT
            + self.payload.len()
            + metadata
            + self.marker.as_ref().map_or(0, String::len)
    }

    /// About how many bytes the record takes in a unit before compression.
    pub(crate) fn unit_bytes(&self) -> usize {
        let id = if self.id.is_some() { ID_BYTES } else { 0 };
        // Flags, time and length; lengths of metadata are not worth counting.
        self.bytes() - RECORD_BYTES_ABOUT + UNIT_RECORD_BYTES_ABOUT + id
    }

    fn flags(&self) -> u8 {
        let mut flags = self.level & FLAG_LEVEL;
        for (set, flag) in [
            (self.assigned, FLAG_ASSIGNED),
            (self.late, FLAG_LATE),
            (self.marker.is_some() || !self.metadata.is_empty(), FLAG_EXTRA),
        ] {
            if set {
                flags |= flag;
            }
        }
        flags
    }
}

/// The commit that records from one sequence number on came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitMark {
    /// First sequence number of the commit in this topic.
    pub(crate) first: u64,
    pub(crate) stamp: u64,
    pub(crate) time: Timestamp,
}

/// Records with consecutive sequence numbers, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordBatch {
    /// Sequence number of the first record.
    pub(crate) first: u64,
    pub(crate) records: Vec<Record>,
    /// Ascending; the first covers the first record.
    pub(crate) commits: Vec<CommitMark>,
}

/// A batch as bytes: what does not compress, and what does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncodedBatch {
    pub(crate) ids: Vec<u8>,
    pub(crate) columns: Vec<u8>,
}

impl RecordBatch {
    pub(crate) fn last(&self) -> u64 {
        self.first + self.records.len() as u64 - 1
    }

    /// The record with this sequence number.
    pub(crate) fn get(&self, sequence: u64) -> Option<&Record> {
        self.records.get(usize::try_from(sequence.checked_sub(self.first)?).ok()?)
    }

    /// Whether the batch has a record of this number.
    pub(crate) fn has(&self, sequence: u64) -> bool {
        self.get(sequence).is_some()
    }

    /// The commit that `sequence` came in.
    pub(crate) fn commit_of(&self, sequence: u64) -> Option<&CommitMark> {
        let after = self.commits.partition_point(|commit| commit.first <= sequence);
        self.commits.get(after.checked_sub(1)?)
    }

    /// Bytes that the decoded batch takes in memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.records.iter().map(|record| record.bytes() + size_of::<Record>()).sum()
    }

    pub(crate) fn encode(first: u64, records: &[Record], commits: &[CommitMark]) -> EncodedBatch {
        let mut ids = Vec::new();
        let payload_bytes: usize = records.iter().map(|record| record.payload.len()).sum();
        let mut columns = Vec::with_capacity(payload_bytes + records.len() * 8 + 64);
        let (form_times, times) = times::encode(records);
        encode_form(&mut columns, form_times, records);
        encode_commits(&mut columns, first, commits);

        let (mut lens, mut extras) = (Vec::new(), Vec::new());
        for record in records {
            ids.extend(record.id.iter().flatten());
            columns.push(record.flags());
            put_varint(&mut lens, record.payload.len() as u64);
            if record.flags() & FLAG_EXTRA != 0 {
                encode_extra(&mut extras, record);
            }
        }
        columns.extend_from_slice(&times);
        columns.extend_from_slice(&lens);
        columns.extend_from_slice(&extras);
        for record in records {
            columns.extend_from_slice(&record.payload);
        }
        EncodedBatch { ids, columns }
    }

    /// Decodes a batch of `count` records that starts at `first`.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not a batch.
    pub(crate) fn decode(first: u64, count: u32, ids: &[u8], columns: &[u8]) -> Result<Self> {
        let count = count as usize;
        // A byte at least for each record, so a false count cannot ask for much memory.
        if count == 0 || count > columns.len() {
            return Err(corrupt("a batch has another number of records"));
        }
        let mut cursor = Cursor::new(columns);
        let (forms, mut times) = decode_form(&mut cursor, count, ids)?;
        let commits = decode_commits(&mut cursor, first)?;
        let flags = cursor.take(count)?;
        let mut records = Vec::with_capacity(count);
        for ((id, end), flags) in forms.into_iter().zip(flags) {
            records.push(Record {
                id,
                time: times.take(&mut cursor)?,
                assigned: flags & FLAG_ASSIGNED != 0,
                late: flags & FLAG_LATE != 0,
                level: flags & FLAG_LEVEL,
                payload: Vec::new(),
                metadata: Vec::new(),
                marker: None,
                end,
            });
        }
        let lens: Vec<usize> = flags.iter().map(|_| cursor.len()).collect::<Result<_>>()?;
        for (record, flags) in records.iter_mut().zip(flags) {
            if flags & FLAG_EXTRA != 0 {
                decode_extra(&mut cursor, record)?;
            }
        }
        for (record, len) in records.iter_mut().zip(lens) {
            record.payload = cursor.take(len)?.to_vec();
        }
        cursor.finish()?;
        Ok(Self { first, records, commits })
    }
}

/// What of a record stands in its batch's form: its own id, and how its line ends.
type Form = (Option<[u8; ID_BYTES]>, LineEnd);

fn encode_form(out: &mut Vec<u8>, form_times: u8, records: &[Record]) {
    let own = records.iter().filter(|record| record.id.is_some()).count();
    let ids = match own {
        0 => FORM_IDS_NONE,
        all if all == records.len() => 0,
        _ => FORM_IDS_SOME,
    };
    let end = records.first().map_or(LineEnd::Lf, |record| record.end);
    let uniform = records.iter().all(|record| record.end == end);
    let ends = if uniform { end.code() << 2 } else { FORM_ENDS_EACH };
    out.push(ids | ends | form_times);
    if ids == FORM_IDS_SOME {
        for eight in records.chunks(8) {
            let bit = |(index, record): (usize, &Record)| u8::from(record.id.is_some()) << index;
            out.push(eight.iter().enumerate().map(bit).fold(0, |byte, bit| byte | bit));
        }
    }
    if !uniform {
        out.extend(records.iter().map(|record| record.end.code()));
    }
}

fn decode_form(cursor: &mut Cursor<'_>, count: usize, ids: &[u8]) -> Result<(Vec<Form>, Times)> {
    let form = cursor.u8()?;
    if form & !(FORM_IDS | FORM_ENDS | FORM_TIMES) != 0 {
        return Err(corrupt("a batch has an unknown form"));
    }
    let bitmap = match form & FORM_IDS {
        0 => None,
        FORM_IDS_NONE => Some(&[][..]),
        FORM_IDS_SOME => Some(cursor.take(count.div_ceil(8))?),
        _ => return Err(corrupt("a batch has an unknown form")),
    };
    let ends = if form & FORM_ENDS == FORM_ENDS_EACH { Some(cursor.take(count)?) } else { None };
    let end_of = |code| LineEnd::from_code(code).ok_or_else(|| corrupt("a line has no such end"));
    let uniform = if ends.is_some() { LineEnd::Lf } else { end_of((form & FORM_ENDS) >> 2)? };
    let mut ids = Cursor::new(ids);
    let mut forms = Vec::with_capacity(count);
    for index in 0..count {
        let has_id = bitmap.is_none_or(|bitmap| {
            bitmap.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 != 0)
        });
        let id = if has_id { Some(ids.array()?) } else { None };
        let end = match ends.and_then(|ends| ends.get(index)) {
            Some(code) => end_of(*code)?,
            None => uniform,
        };
        forms.push((id, end));
    }
    ids.finish()?;
    Ok((forms, Times::of_form(form)?))
}

fn put_time(out: &mut Vec<u8>, previous: &mut i64, time: Timestamp) {
    put_varint(out, zigzag(time.seconds.wrapping_sub(*previous)));
    put_varint(out, u64::from(time.nanos));
    *previous = time.seconds;
}

fn take_time(cursor: &mut Cursor<'_>, previous: &mut i64) -> Result<Timestamp> {
    *previous = previous.wrapping_add(cursor.signed()?);
    let nanos = u32::try_from(cursor.varint()?).map_err(|_| corrupt("a time is out of range"))?;
    Ok(Timestamp { seconds: *previous, nanos })
}

fn encode_commits(out: &mut Vec<u8>, first: u64, commits: &[CommitMark]) {
    put_varint(out, commits.len() as u64);
    let (mut sequence, mut stamp, mut seconds) = (first, 0, 0);
    for commit in commits {
        put_varint(out, commit.first.wrapping_sub(sequence));
        put_varint(out, commit.stamp.wrapping_sub(stamp));
        put_time(out, &mut seconds, commit.time);
        (sequence, stamp) = (commit.first, commit.stamp);
    }
}

fn decode_commits(cursor: &mut Cursor<'_>, first: u64) -> Result<Vec<CommitMark>> {
    let count = cursor.len()?;
    let (mut sequence, mut stamp, mut seconds) = (first, 0u64, 0);
    // Four bytes at least for each, so a false count cannot ask for much memory.
    let mut commits = Vec::with_capacity(count.min(cursor.remaining() / 4));
    for _ in 0..count {
        sequence = sequence.wrapping_add(cursor.varint()?);
        stamp = stamp.wrapping_add(cursor.varint()?);
        let time = take_time(cursor, &mut seconds)?;
        commits.push(CommitMark { first: sequence, stamp, time });
    }
    Ok(commits)
}

fn encode_extra(out: &mut Vec<u8>, record: &Record) {
    put_varint(out, record.metadata.len() as u64 * 2 + u64::from(record.marker.is_some()));
    if let Some(marker) = &record.marker {
        put_bytes(out, marker.as_bytes());
    }
    for (key, value) in &record.metadata {
        put_bytes(out, key.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

fn decode_extra(cursor: &mut Cursor<'_>, record: &mut Record) -> Result<()> {
    let head = cursor.len()?;
    if head & 1 != 0 {
        record.marker = Some(cursor.text()?.to_owned());
    }
    for _ in 0..head / 2 {
        record.metadata.push((cursor.text()?.to_owned(), cursor.text()?.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{CommitMark, Record, RecordBatch};
    use crate::environment::Timestamp;
    use crate::model::LineEnd;
    use proptest::prelude::*;

    pub(crate) fn arbitrary_record() -> impl Strategy<Value = Record> {
        (
            any::<(Option<[u8; 16]>, u8)>(),
            any::<(i64, u32)>(),
            any::<[bool; 2]>(),
            0u8..32,
            any::<Vec<u8>>(),
            proptest::collection::vec(any::<(String, String)>(), 0..3),
            any::<Option<String>>(),
        )
            .prop_map(
                |(
                    (id, end),
                    (seconds, nanos),
                    [assigned, late],
                    level,
                    payload,
                    metadata,
                    marker,
                )| {
                    Record {
                        id,
                        time: Timestamp { seconds, nanos },
                        assigned,
                        late,
                        level,
                        payload,
                        metadata,
                        marker,
                        end: LineEnd::from_code(end % 3).unwrap(),
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_batch_comes_back(
            first in 1u64..1 << 60,
            records in proptest::collection::vec(arbitrary_record(), 1..20),
            stamps: Vec<(u64, i64, u32)>,
        ) {
            let commits: Vec<CommitMark> = stamps
                .into_iter()
                .enumerate()
                .map(|(index, (stamp, seconds, nanos))| CommitMark {
                    first: first + index as u64,
                    stamp,
                    time: Timestamp { seconds, nanos },
                })
                .collect();
            let encoded = RecordBatch::encode(first, &records, &commits);
            let count = u32::try_from(records.len()).unwrap();
            let decoded =
                RecordBatch::decode(first, count, &encoded.ids, &encoded.columns).unwrap();
            prop_assert_eq!(decoded, RecordBatch { first, records, commits });
        }

        #[test]
        fn records_alike_in_form_come_back(
            mut records in proptest::collection::vec(arbitrary_record(), 1..20),
            id: Option<[u8; 16]>,
            end in 0u8..3,
        ) {
            for record in &mut records {
                (record.id, record.end) = (id, LineEnd::from_code(end).unwrap());
            }
            let encoded = RecordBatch::encode(1, &records, &[]);
            let count = u32::try_from(records.len()).unwrap();
            let decoded = RecordBatch::decode(1, count, &encoded.ids, &encoded.columns).unwrap();
            prop_assert_eq!(decoded.records, records);
        }

        #[test]
        fn arbitrary_bytes_never_panic(count in 0u32..40, ids: Vec<u8>, columns: Vec<u8>) {
            let _ = RecordBatch::decode(1, count, &ids, &columns).is_ok();
        }
    }
}
