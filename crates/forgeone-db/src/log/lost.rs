//! Records whose bytes were found damaged before they were sealed: which ones they are is known from
//! an authentic header, and nothing else of them.

use super::block::SectionEntry;
use super::topic_table::TopicTable;
use crate::codec::corrupt;
use crate::crypto::KeyId;
use bytes::Bytes;
use forgeone_db_engine::{DatabaseName, Error};

/// A section of a topic whose bytes are not those that its block names.
#[derive(Debug, Clone)]
pub(crate) struct LostSection {
    entry: SectionEntry,
    /// What lies in its place, as far as the block reaches.
    bytes: Bytes,
}

impl LostSection {
    pub(super) fn new(entry: SectionEntry, bytes: &Bytes) -> Self {
        // Not a part of what was read with it, which may be much more.
        Self { entry, bytes: Bytes::copy_from_slice(bytes) }
    }

    /// One that was set aside.
    pub(crate) const fn kept(entry: SectionEntry, bytes: Bytes) -> Self {
        Self { entry, bytes }
    }

    pub(crate) const fn subject(&self) -> u64 {
        self.entry.subject
    }

    pub(crate) const fn first(&self) -> u64 {
        self.entry.first
    }

    pub(crate) fn last(&self) -> u64 {
        self.first() + u64::from(self.count()) - 1
    }

    pub(crate) const fn count(&self) -> u32 {
        self.entry.count
    }

    /// The domain key that it was sealed under.
    pub(crate) const fn key(&self) -> KeyId {
        KeyId(self.entry.key)
    }

    /// Bytes of its records before compression.
    pub(crate) const fn raw_bytes(&self) -> u64 {
        self.entry.ids_len as u64 + self.entry.columns_len
    }

    /// What its block says of it: whoever has the right bytes can open them with that.
    pub(crate) const fn entry(&self) -> &SectionEntry {
        &self.entry
    }

    /// What lies in its place.
    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where it is.
    pub(crate) fn range(&self, commit: u64) -> LostRange {
        LostRange { subject: self.subject(), first: self.first(), last: self.last(), commit }
    }
}

/// Records that cannot be read, because they were found damaged before they were sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LostRange {
    pub(crate) subject: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) commit: u64,
}

impl LostRange {
    pub(crate) fn has(&self, sequence: u64) -> bool {
        (self.first..=self.last).contains(&sequence)
    }

    /// The error for reading any of them.
    pub(crate) fn error(&self, topics: &TopicTable, database: &DatabaseName) -> Error {
        self.say(
            "these records are damaged and set aside, all others can be read; see what verify says, \
             then restore them from a backup, or write a new store without them: forgeone-db salvage",
            (topics, database),
        )
    }

    /// The error for not finding what may be among them.
    pub(crate) fn may_have_it(&self, topics: &TopicTable, database: &DatabaseName) -> Error {
        self.say(
            "it is not among the records that can be read, but these cannot, and may have it; look \
             in a backup, or write a new store without them: forgeone-db salvage",
            (topics, database),
        )
    }

    fn say(&self, what: &str, (topics, database): (&TopicTable, &DatabaseName)) -> Error {
        let error = corrupt(what).with("database", database);
        let error = match topics.get(self.subject) {
            Some(topic) => error.with("topic", &topic.intro.name),
            None => error,
        };
        error
            .with("topic id", self.subject)
            .with("from", self.first)
            .with("to", self.last)
            .with("commit", self.commit)
    }
}
