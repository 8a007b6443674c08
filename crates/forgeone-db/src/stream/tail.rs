//! The newest records of a database, in memory: what the log has and no segment yet.

use super::record::{CommitMark, Record, RecordBatch};
use super::segment::TimeBounds;
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::log::{Block, LostRange, LostSection, Section};
use bytes::Bytes;
use forgeone_db_engine::{Result, mutant};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What the tail has of one commit's records of one subject.
#[derive(Debug)]
pub(crate) enum Content {
    /// Opened but still compressed.
    Records(Section),
    /// Nothing that can be read: a hole in the tail.
    Lost(LostSection),
}

impl Content {
    const fn subject(&self) -> u64 {
        match self {
            Self::Records(section) => section.subject,
            Self::Lost(lost) => lost.subject(),
        }
    }

    const fn first(&self) -> u64 {
        match self {
            Self::Records(section) => section.first,
            Self::Lost(lost) => lost.first(),
        }
    }

    const fn count(&self) -> u32 {
        match self {
            Self::Records(section) => section.count,
            Self::Lost(lost) => lost.count(),
        }
    }

    fn last(&self) -> u64 {
        self.first() + u64::from(self.count()) - 1
    }

    fn stored_bytes(&self) -> usize {
        match self {
            Self::Records(section) => section.stored_bytes(),
            Self::Lost(lost) => lost.bytes().len(),
        }
    }
}

/// One commit's records of one subject.
#[derive(Debug)]
pub(crate) struct TailSection {
    content: Content,
    commit: u64,
    mark: CommitMark,
    bounds: TimeBounds,
}

impl TailSection {
    /// Number of its commit.
    pub(crate) const fn commit(&self) -> u64 {
        self.commit
    }

    /// Number, stamp and time of its commit, from its first record on.
    pub(crate) const fn mark(&self) -> CommitMark {
        self.mark
    }

    pub(crate) const fn subject(&self) -> u64 {
        self.content.subject()
    }

    pub(crate) const fn first(&self) -> u64 {
        self.content.first()
    }

    /// Bytes of its records before compression.
    pub(crate) const fn raw_bytes(&self) -> u64 {
        match &self.content {
            Content::Records(section) => section.raw_bytes(),
            Content::Lost(lost) => lost.raw_bytes(),
        }
    }

    pub(crate) fn last(&self) -> u64 {
        self.content.last()
    }

    /// What is left of it, if its records are lost.
    pub(crate) const fn lost(&self) -> Option<&LostSection> {
        match &self.content {
            Content::Records(_) => None,
            Content::Lost(lost) => Some(lost),
        }
    }

    /// Its records, if they are lost.
    pub(crate) fn lost_range(&self) -> Option<LostRange> {
        self.lost().map(|lost| lost.range(self.commit))
    }

    fn memory_bytes(&self) -> usize {
        self.content.stored_bytes() + size_of::<Self>()
    }

    /// Times of its records; of lost ones nothing is known, and they change nothing.
    pub(crate) const fn bounds(&self) -> TimeBounds {
        self.bounds
    }

    /// Decompresses and decodes.
    ///
    /// # Errors
    /// `Corrupt` if the section is not what its header says, or lost.
    pub(crate) fn batch(&self) -> Result<RecordBatch> {
        self.unpack()?.decode()
    }

    /// Decompresses.
    ///
    /// # Errors
    /// `Corrupt` if the section is not what its header says, or lost.
    pub(crate) fn unpack(&self) -> Result<Unpacked<'_>> {
        match &self.content {
            Content::Records(section) => Unpacked::new(section, self.mark),
            Content::Lost(_) => Err(corrupt("the records of a section are lost")),
        }
    }
}

/// A section that was decompressed.
#[derive(Debug)]
pub(crate) struct Unpacked<'a> {
    section: &'a Section,
    mark: CommitMark,
    ids: Bytes,
    columns: Vec<u8>,
}

impl<'a> Unpacked<'a> {
    fn new(section: &'a Section, mark: CommitMark) -> Result<Self> {
        let (ids, columns) = section.unpack()?;
        Ok(Self { section, mark, ids, columns })
    }

    pub(crate) fn columns(&self) -> &[u8] {
        &self.columns
    }

    pub(crate) fn decode(&self) -> Result<RecordBatch> {
        let Self { section, mark, ids, columns } = self;
        let mut batch = RecordBatch::decode(section.first, section.count, ids, columns)?;
        batch.commits = vec![*mark];
        Ok(batch)
    }
}

/// Decodes a section of `block`.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_section(section: &Section, block: &Block) -> Result<RecordBatch> {
    decode(section, CommitMark { first: section.first, stamp: block.stamp, time: block.time })
}

/// Decodes a section of a commit.
pub(crate) fn decode(section: &Section, mark: CommitMark) -> Result<RecordBatch> {
    Unpacked::new(section, mark)?.decode()
}

/// The newest records of one subject.
#[derive(Debug)]
pub(crate) struct TopicTail {
    /// Sequence number of the newest record, in the tail or in a segment; 0 for none.
    pub(crate) last: u64,
    /// The greatest time of a record so far.
    pub(crate) time_max: Timestamp,
    sections: VecDeque<Arc<TailSection>>,
}

impl TopicTail {
    pub(crate) const fn new(last: u64, time_max: Timestamp) -> Self {
        Self { last, time_max, sections: VecDeque::new() }
    }

    /// The section that holds `sequence`.
    pub(crate) fn section(&self, sequence: u64) -> Option<Arc<TailSection>> {
        let index = self.sections.partition_point(|section| section.last() < sequence);
        self.sections.get(index).filter(|section| section.first() <= sequence).cloned()
    }

    /// The first sequence number in the tail from which on the greatest time has reached `time`.
    pub(crate) fn seek_time(&self, time: Timestamp) -> Option<u64> {
        let index = self.sections.partition_point(|section| section.bounds.max < time);
        self.sections.get(index).map(|section| section.first())
    }
}

/// The newest records of all subjects of a database.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    topics: HashMap<u64, TopicTail>,
    /// By commit.
    lost: Vec<LostRange>,
    bytes: usize,
    records: u64,
}

impl Tail {
    pub(crate) fn topic(&self, subject: u64) -> Option<&TopicTail> {
        self.topics.get(&subject)
    }

    /// Bytes that the tail takes in memory.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records in the tail.
    pub(crate) const fn records(&self) -> u64 {
        self.records
    }

    /// What is lost of it.
    pub(crate) fn lost(&self) -> &[LostRange] {
        &self.lost
    }

    /// Adds a section with its decoded records, which must follow what is there. `before` is what
    /// the segments end with, for a subject that the tail does not know.
    ///
    /// # Errors
    /// `Corrupt` when sequence numbers leave a gap.
    pub(crate) fn push(
        &mut self,
        content: Content,
        (commit, mark): (u64, CommitMark),
        records: &[Record],
        before: impl FnOnce() -> (u64, Timestamp),
    ) -> Result<()> {
        let topic = self.topics.entry(content.subject()).or_insert_with(|| {
            let (last, time_max) = before();
            TopicTail::new(last, time_max)
        });
        if content.first() != topic.last + 1 && !mutant!("reuse-a-sequence-number") {
            return Err(corrupt("records are missing between two commits")
                .with("topic id", content.subject())
                .with("sequence", topic.last + 1));
        }
        let mut bounds = TimeBounds::before(topic.time_max);
        records.iter().for_each(|record| bounds.add(record));
        topic.last = content.last();
        topic.time_max = bounds.max;
        self.records += u64::from(content.count());
        let section = TailSection { content, commit, mark, bounds };
        self.bytes += section.memory_bytes();
        self.lost.extend(section.lost_range());
        topic.sections.push_back(Arc::new(section));
        Ok(())
    }

    /// All sections up to `commit`, by subject and sequence.
    pub(crate) fn sections_until(&self, commit: u64) -> Vec<(u64, Vec<Arc<TailSection>>)> {
        let mut subjects: Vec<_> = self
            .topics
            .iter()
            .map(|(subject, topic)| {
                let upto = topic.sections.partition_point(|section| section.commit <= commit);
                (*subject, topic.sections.iter().take(upto).cloned().collect::<Vec<_>>())
            })
            .filter(|(_, sections)| !sections.is_empty())
            .collect();
        subjects.sort_unstable_by_key(|(subject, _)| *subject);
        subjects
    }

    /// Forgets all sections up to `commit`, and subjects that have no other.
    pub(crate) fn drop_until(&mut self, commit: u64) {
        self.lost.retain(|lost| lost.commit > commit);
        let (bytes, records) = (&mut self.bytes, &mut self.records);
        self.topics.retain(|_, topic| {
            while topic.sections.front().is_some_and(|section| section.commit <= commit) {
                if let Some(section) = topic.sections.pop_front() {
                    *bytes -= section.memory_bytes();
                    *records -= u64::from(section.content.count());
                }
            }
            !topic.sections.is_empty()
        });
    }
}
