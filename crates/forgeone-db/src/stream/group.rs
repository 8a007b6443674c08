//! A group being made: which records are new, which are duplicates, and what numbers they get.

use super::change::Change;
use super::committer::{Entry, Position};
use super::directory::Topic;
use super::families::SUBJECT_STATE;
use super::record::{ID_BYTES, Record};
use super::shard::Shard;
use super::transaction::Pending;
use crate::environment::Timestamp;
use forgeone_db_engine::{Error, ErrorKind, Result, mutant};
use std::collections::HashMap;
use std::sync::Arc;

/// Records that one commit adds to one subject.
#[derive(Debug)]
pub(crate) struct Draft {
    /// `None` for the system topic of state changes.
    pub(crate) topic: Option<Arc<Topic>>,
    pub(crate) first: u64,
    pub(crate) records: Vec<Record>,
    time_max: Timestamp,
}

impl Draft {
    fn push(&mut self, mut record: Record) -> u64 {
        record.late = record.time < self.time_max;
        self.time_max = self.time_max.max(record.time);
        self.records.push(record);
        self.last()
    }

    fn last(&self) -> u64 {
        self.first + self.records.len() as u64 - 1
    }
}

type IdInTopic = (u64, [u8; ID_BYTES]);

/// What a group has decided so far. One request's refusal leaves it as it was.
#[derive(Debug, Default)]
pub(crate) struct Group {
    drafts: HashMap<u64, Draft>,
    ids: HashMap<IdInTopic, u64>,
    pending: Pending,
}

/// What is to become of one entry.
enum Fate {
    New,
    /// Same as the record of this number.
    Duplicate(u64),
    /// Same as an earlier entry of the request.
    Repeat(usize),
}

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// The drafts in the order of their subjects.
    pub(crate) fn into_drafts(self) -> Vec<Draft> {
        let mut drafts: Vec<Draft> = self.drafts.into_values().collect();
        drafts.sort_unstable_by_key(Draft::subject);
        if mutant!("lose-the-tail-of-a-batch") {
            let long = drafts.iter_mut().filter(|draft| draft.records.len() > 1);
            long.for_each(|draft| drop(draft.records.pop()));
        }
        drafts
    }

    fn draft(&mut self, subject: u64, topic: Option<Arc<Topic>>, shard: &Shard) -> &mut Draft {
        self.drafts.entry(subject).or_insert_with(|| {
            let (last, time_max) = shard.state().end_of(subject);
            let next = if mutant!("reuse-a-sequence-number") { last.max(1) } else { last + 1 };
            Draft { topic, first: next, records: Vec::new(), time_max }
        })
    }

    /// The changes of state that the group has so far.
    pub(crate) const fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The sequence number of the newest record of changes, the group's own included.
    pub(crate) fn state_end(&self, shard: &Shard) -> u64 {
        self.drafts.get(&SUBJECT_STATE).map_or_else(|| shard.last(SUBJECT_STATE), Draft::last)
    }

    /// Adds changes of state and the record that has them; says which number that gets.
    pub(crate) fn add_state(&mut self, record: Record, changes: &[Change], shard: &Shard) -> u64 {
        self.pending.add(changes);
        self.draft(SUBJECT_STATE, None, shard).push(record)
    }

    /// Adds one request's entries, all or none; `hits` has the number that the index knows for
    /// each entry's id.
    ///
    /// # Errors
    /// `Conflict` when an id is taken by other content; the group is then unchanged. What reading a
    /// stored record returns.
    pub(crate) async fn add(
        &mut self,
        entries: Vec<Entry>,
        hits: &[Option<u64>],
        shard: &Shard,
    ) -> Result<Vec<Position>> {
        let mut fates = Vec::with_capacity(entries.len());
        let mut seen: HashMap<IdInTopic, usize> = HashMap::with_capacity(entries.len());
        for (index, (entry, hit)) in entries.iter().zip(hits).enumerate() {
            let Some(id) = entry.record.id else {
                fates.push(Fate::New);
                continue;
            };
            let key = (entry.topic.id, id);
            let fate = if let Some(sequence) = self.ids.get(&key) {
                self.same_as_pending(entry, *sequence)?
            } else if let Some(earlier) = seen.get(&key).copied() {
                let original = entries.get(earlier).map(|entry| &entry.record);
                same(entry, original, 0)?;
                Fate::Repeat(earlier)
            } else if let Some(stored) = stored(entry, *hit, shard).await? {
                let sequence = hit.unwrap_or_default();
                same(entry, Some(&stored), sequence)?;
                Fate::Duplicate(sequence)
            } else {
                seen.insert(key, index);
                Fate::New
            };
            fates.push(fate);
        }
        Ok(self.assign(entries, &fates, shard))
    }

    fn same_as_pending(&self, entry: &Entry, sequence: u64) -> Result<Fate> {
        let pending = self.drafts.get(&entry.topic.id).and_then(|draft| {
            let index = usize::try_from(sequence.checked_sub(draft.first)?).ok()?;
            draft.records.get(index)
        });
        same(entry, pending, sequence)?;
        Ok(Fate::Duplicate(sequence))
    }

    fn assign(&mut self, entries: Vec<Entry>, fates: &[Fate], shard: &Shard) -> Vec<Position> {
        let mut positions: Vec<Position> = Vec::with_capacity(entries.len());
        for (entry, fate) in entries.into_iter().zip(fates) {
            let position = match fate {
                Fate::Duplicate(sequence) => Position {
                    sequence: *sequence,
                    duplicate: !mutant!("count-a-duplicate-as-new"),
                },
                Fate::Repeat(earlier) => Position {
                    sequence: positions.get(*earlier).map_or(0, |first| first.sequence),
                    duplicate: true,
                },
                Fate::New => {
                    let Entry { topic, record } = entry;
                    let (subject, id) = (topic.id, record.id);
                    let sequence = self.draft(subject, Some(topic), shard).push(record);
                    if let Some(id) = id {
                        self.ids.insert((subject, id), sequence);
                    }
                    Position { sequence, duplicate: false }
                }
            };
            positions.push(position);
        }
        positions
    }
}

/// The record that the index knows for an entry's id; none if it was given up meanwhile.
async fn stored(entry: &Entry, hit: Option<u64>, shard: &Shard) -> Result<Option<Record>> {
    let Some(sequence) = hit else { return Ok(None) };
    if mutant!("store-a-duplicate-again") {
        return Ok(None);
    }
    match shard.record(entry.topic.id, sequence).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        stored => stored.map(Some),
    }
}

fn same(entry: &Entry, original: Option<&Record>, sequence: u64) -> Result<()> {
    if original.is_some_and(|original| original.same_content(&entry.record))
        || mutant!("take-a-conflict-for-a-duplicate")
    {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Conflict, "the id is taken by an entry with other content")
        .with("id", uuid::Uuid::from_bytes(entry.record.id.unwrap_or_default()))
        .with("topic", &entry.topic.name);
    Err(if sequence == 0 { error } else { error.with("sequence", sequence) })
}
