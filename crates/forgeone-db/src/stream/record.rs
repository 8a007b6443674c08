//! Records and the encoding of a batch of them, the same in commit blocks and in segments.
//!
//! Columns rather than rows: ids are random and do not compress, so they stand apart from what
//! does. `docs/format.md` draws the layout.

use crate::codec::{Cursor, corrupt, put_bytes, put_varint, zigzag};
use crate::environment::Timestamp;
use forgeone_db_engine::Result;

const FLAG_LEVEL: u8 = 0b0001_1111; // on-disk
const FLAG_ASSIGNED: u8 = 0b0010_0000; // on-disk
const FLAG_LATE: u8 = 0b0100_0000; // on-disk
const FLAG_EXTRA: u8 = 0b1000_0000; // on-disk
/// Bytes of an id.
pub(crate) const ID_BYTES: usize = 16;

/// One entry of a topic, of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: [u8; ID_BYTES],
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
    }

    /// About how many bytes the record takes raw.
    pub(crate) fn bytes(&self) -> usize {
        let metadata: usize =
            self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
        32 + self.payload.len() + metadata + self.marker.as_ref().map_or(0, String::len)
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
        let mut ids = Vec::with_capacity(records.len() * ID_BYTES);
        let payload_bytes: usize = records.iter().map(|record| record.payload.len()).sum();
        let mut columns = Vec::with_capacity(payload_bytes + records.len() * 8 + 64);
        encode_commits(&mut columns, first, commits);

        let (mut times, mut lens, mut extras) = (Vec::new(), Vec::new(), Vec::new());
        let mut previous = 0i64;
        for record in records {
            ids.extend_from_slice(&record.id);
            put_time(&mut times, &mut previous, record.time);
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

    /// Decodes a batch that starts at `first`; `ids` gives the number of records.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not a batch.
    pub(crate) fn decode(first: u64, ids: &[u8], columns: &[u8]) -> Result<Self> {
        let (ids, rest) = ids.as_chunks::<ID_BYTES>();
        if !rest.is_empty() || ids.is_empty() {
            return Err(corrupt("a batch has no whole ids"));
        }
        let mut cursor = Cursor::new(columns);
        let commits = decode_commits(&mut cursor, first)?;
        let flags = cursor.take(ids.len())?;
        let mut previous = 0i64;
        let mut records = Vec::with_capacity(ids.len());
        for (id, flags) in ids.iter().zip(flags) {
            records.push(Record {
                id: *id,
                time: take_time(&mut cursor, &mut previous)?,
                assigned: flags & FLAG_ASSIGNED != 0,
                late: flags & FLAG_LATE != 0,
                level: flags & FLAG_LEVEL,
                payload: Vec::new(),
                metadata: Vec::new(),
                marker: None,
            });
        }
        let lens: Vec<usize> = ids.iter().map(|_| cursor.len()).collect::<Result<_>>()?;
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
    use proptest::prelude::*;

    pub(crate) fn arbitrary_record() -> impl Strategy<Value = Record> {
        (
            any::<[u8; 16]>(),
            any::<(i64, u32)>(),
            any::<[bool; 2]>(),
            0u8..32,
            any::<Vec<u8>>(),
            proptest::collection::vec(any::<(String, String)>(), 0..3),
            any::<Option<String>>(),
        )
            .prop_map(
                |(id, (seconds, nanos), [assigned, late], level, payload, metadata, marker)| {
                    Record {
                        id,
                        time: Timestamp { seconds, nanos },
                        assigned,
                        late,
                        level,
                        payload,
                        metadata,
                        marker,
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
            let decoded = RecordBatch::decode(first, &encoded.ids, &encoded.columns).unwrap();
            prop_assert_eq!(decoded, RecordBatch { first, records, commits });
        }

        #[test]
        fn arbitrary_bytes_never_panic(ids: Vec<u8>, columns: Vec<u8>) {
            let _ = RecordBatch::decode(1, &ids, &columns).is_ok();
        }
    }
}
