//! The records of a query that are late: found through their own index, read where they lie.

use super::{Order, TopicQuery};
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::index::Scan;
use crate::stream::families::{late_key, parse_late_key};
use crate::stream::record::{Record, RecordBatch};
use crate::stream::shard::FamilyView;
use forgeone_db_engine::{Direction, ErrorKind, KeyRange, Result, mutant};
use std::sync::Arc;

/// Entries of the index of late records that are taken at a time: few at first, since few results
/// may be asked for.
const LATE_AHEAD_MIN: usize = 16;
const LATE_AHEAD_MAX: usize = 4096;
/// Bytes of late records that are held ahead; those beyond are read again.
const LATE_AHEAD_BYTES_MAX: usize = 1 << 20;

/// An entry of the index of late records.
#[derive(Debug)]
pub(super) struct LateEntry {
    time: Timestamp,
    sequence: u64,
    pub(super) seen: Seen,
}

/// What is known of the record that an entry is about.
#[derive(Debug)]
pub(super) enum Seen {
    Nothing,
    Wanted(Record),
    Unwanted,
}

/// The stream of late records.
#[derive(Debug)]
pub(super) enum Late {
    Unopened,
    /// The view keeps the index's runs in place.
    Open(Box<Scan>, #[expect(dead_code, reason = "keeps the runs in place")] FamilyView),
    Ended,
}

impl TopicQuery {
    pub(super) async fn next_late(&mut self) -> Result<Option<(u64, Record)>> {
        loop {
            let Some(entry) = self.late_ahead.front_mut() else {
                if self.read_late_ahead().await? {
                    continue;
                }
                return Ok(None);
            };
            let (time, sequence) = (entry.time, entry.sequence);
            if let Seen::Wanted(record) = std::mem::replace(&mut entry.seen, Seen::Nothing) {
                self.late_ahead.pop_front();
                return Ok(Some((sequence, record)));
            }
            let read = self.shard.record(self.topic.id, sequence).await;
            // Only now: a caller that goes away while it is read loses nothing.
            self.late_ahead.pop_front();
            let record = read?;
            if record.time != time || !record.late {
                return Err(corrupt("the index of late records disagrees with a record")
                    .with("topic", &self.topic.name)
                    .with("sequence", sequence));
            }
            if self.spec.wants(&record)? {
                return Ok(Some((sequence, record)));
            }
        }
    }

    /// Takes the next entries of the index, more each time; says whether there were any. Looks at
    /// their records in the order in which they lie, so that each unit is read once, and drops
    /// those that are not wanted.
    async fn read_late_ahead(&mut self) -> Result<bool> {
        if matches!(self.late, Late::Unopened) {
            self.late = match self.open_late().await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    // Told once; the search then goes on without the index.
                    self.late = Late::Ended;
                    return Err(error);
                }
                opened => opened?,
            };
        }
        let oldest = self.oldest();
        let Late::Open(scan, _) = &mut self.late else { return Ok(false) };
        self.late_batch = (self.late_batch * 2).clamp(LATE_AHEAD_MIN, LATE_AHEAD_MAX);
        let mut taken = 0;
        while taken < self.late_batch {
            let entry = match scan.next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    self.late = Late::Ended;
                    break;
                }
                Err(error) => {
                    if error.kind() == ErrorKind::Corrupt {
                        self.late = Late::Ended;
                    }
                    return Err(error);
                }
            };
            taken += 1;
            let (time, sequence) = parse_late_key(&entry.key)?;
            if (oldest..=self.upto).contains(&sequence) {
                self.late_ahead.push_back(LateEntry { time, sequence, seen: Seen::Nothing });
            }
        }
        self.sift_late().await;
        Ok(taken > 0)
    }

    async fn sift_late(&mut self) {
        let mut order: Vec<usize> = (0..self.late_ahead.len()).collect();
        order.sort_unstable_by_key(|index| self.late_ahead.get(*index).map(|entry| entry.sequence));
        let (mut chunk, mut bytes) = (None::<Arc<RecordBatch>>, 0);
        for index in order {
            let Some(entry) = self.late_ahead.get_mut(index) else { continue };
            if chunk.as_ref().is_none_or(|chunk| !chunk.has(entry.sequence)) {
                // What cannot be read is met again, and told, when its turn comes.
                chunk = self.shard.chunk(self.topic.id, entry.sequence, false).await.ok();
            }
            let record = chunk.as_ref().and_then(|chunk| chunk.get(entry.sequence));
            let agrees = |record: &&Record| record.late && record.time == entry.time;
            let Some(record) = record.filter(agrees) else { continue };
            match self.spec.wants(record) {
                Ok(false) => entry.seen = Seen::Unwanted,
                Ok(true) if bytes < LATE_AHEAD_BYTES_MAX => {
                    bytes += record.bytes();
                    entry.seen = Seen::Wanted(record.clone());
                }
                _ => {}
            }
        }
        self.late_ahead.retain(|entry| !matches!(entry.seen, Seen::Unwanted));
    }

    async fn open_late(&self) -> Result<Late> {
        let subject = self.topic.id;
        let start = late_key(subject, self.spec.from.unwrap_or(Timestamp::MIN), 0);
        let end = match self.spec.to {
            Some(to) => late_key(subject, to, 0),
            None => (subject + 1).to_be_bytes().to_vec(),
        };
        if end <= start || mutant!("leave-out-late-records") {
            return Ok(Late::Ended);
        }
        let view = self.shard.family(self.shard.layout().late()?).await?;
        let direction = match self.spec.order {
            Order::Ascending => Direction::Forward,
            Order::Descending => Direction::Reverse,
        };
        let scan = view.index.scan(&KeyRange::new(start, end), direction);
        Ok(Late::Open(Box::new(scan), view))
    }
}
