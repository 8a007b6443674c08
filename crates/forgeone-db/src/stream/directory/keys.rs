//! The keys of topics in the directory: wrapped again, renewed, given up.
//!
//! Each step leaves the directory whole and can be taken again; what a step is for is noted in the
//! same commit, so that whoever opens the store after a crash knows what to finish. Only one caller
//! at a time.

use super::{
    Change, Directory, DirectoryEntry, TopicRecord, counter_change, parse_entry, prefix_range,
    read_only, topic_change, wrap,
};
use crate::crypto::{DomainKey, KeyId};
use crate::environment::Timestamp;
use crate::log::{TopicIntro, from_cbor, to_cbor};
use crate::stream::committer::Writer;
use crate::stream::families::{
    COUNTER_NEXT_TOPIC, COUNTER_REKEY, COUNTER_SHRED, COUNTER_TOKEN_KEY, FAMILY_COUNTERS, TopicKind,
};
use bytes::Bytes;
use forgeone_db_engine::{Direction, Error, ErrorKind, KeyRange, Result};
use minicbor::{Decode, Encode};
use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

/// Topics that one commit changes.
const PAGE_TOPICS: usize = 256;

/// A topic on its way to being shredded.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Shredding {
    #[n(0)]
    pub(crate) kind: u8,
    #[n(1)]
    pub(crate) name: String,
    #[n(2)]
    pub(crate) topic: u64,
    #[n(3)]
    pub(crate) shard: u32,
    /// The key that the topic has from then on.
    #[n(4)]
    pub(crate) key: u64,
    #[n(5)]
    seconds: i64,
    #[n(6)]
    nanos: u32,
}

impl Shredding {
    pub(crate) const fn at(&self) -> Timestamp {
        Timestamp { seconds: self.seconds, nanos: self.nanos }
    }
}

/// Makes new keys from their numbers, old ones go through it unchanged.
type NewKeys<'a> = &'a mut (dyn FnMut(&mut Vec<DomainKey>) -> Result<bool> + Send);

impl Directory {
    /// Wraps the keys of every topic under the present wrapping key.
    ///
    /// # Errors
    /// `Corrupt` when a key does not open; as commits.
    pub(crate) async fn rewrap(&self) -> Result<()> {
        // A topic that is being made may still be wrapped as before.
        drop(self.creating.lock().await);
        self.change_keys(&mut |_| Ok(false)).await
    }

    /// The number below which every key is to be replaced, noted until
    /// [`end_rekey`](Self::end_rekey); `token_key` is kept, so that tokens stay valid.
    ///
    /// # Errors
    /// As a commit.
    pub(crate) async fn begin_rekey(&self, token_key: &[u8; 32]) -> Result<u64> {
        let _creating = self.creating.lock().await;
        self.writer_in_step().await?;
        if let Some(boundary) = self.rekey_boundary().await? {
            return Ok(boundary);
        }
        let boundary = self.next_id().await?;
        let mut changes = vec![counter_change(COUNTER_REKEY, boundary)];
        if self.token_key().await?.is_none() {
            changes.push(note(COUNTER_TOKEN_KEY, Some(token_key.to_vec())));
        }
        self.writer()?.change(changes).await?;
        Ok(boundary)
    }

    /// The number below which keys are being replaced, if they are.
    ///
    /// # Errors
    /// `Corrupt` when it is no number.
    pub(crate) async fn rekey_boundary(&self) -> Result<Option<u64>> {
        self.counter(COUNTER_REKEY).await
    }

    /// The key of tokens, once it was kept.
    ///
    /// # Errors
    /// As a read.
    pub(crate) async fn token_key(&self) -> Result<Option<Bytes>> {
        self.noted(COUNTER_TOKEN_KEY).await
    }

    /// Notes that no key is being replaced any more.
    ///
    /// # Errors
    /// As a commit.
    pub(crate) async fn end_rekey(&self) -> Result<()> {
        self.writer()?.change(vec![note(COUNTER_REKEY, None)]).await
    }

    /// A number for a key.
    ///
    /// # Errors
    /// As a commit.
    pub(crate) async fn take_key_id(&self) -> Result<KeyId> {
        let _creating = self.creating.lock().await;
        let writer = self.writer_in_step().await?;
        let id = self.next_id().await?;
        writer.change(vec![counter_change(COUNTER_NEXT_TOPIC, id + 1)]).await?;
        Ok(KeyId(id))
    }

    /// Gives every topic whose newest key has a number below `boundary` a new one, beside those
    /// that it has.
    ///
    /// # Errors
    /// As [`rewrap`](Self::rewrap).
    pub(crate) async fn add_keys(&self, boundary: u64) -> Result<()> {
        let mut range = KeyRange::all();
        loop {
            let _creating = self.creating.lock().await;
            self.writer_in_step().await?;
            let (page, rest) = self.page(range).await?;
            let first = self.next_id().await?;
            let mut next = first;
            let mut add = |keys: &mut Vec<DomainKey>| {
                if keys.first().is_some_and(|newest| newest.id().0 >= boundary) {
                    return Ok(false);
                }
                keys.insert(0, self.keys().create_key(KeyId(next))?);
                next += 1;
                Ok(true)
            };
            let mut changes = self.changed(&page, &mut add)?;
            if next != first {
                changes.push(counter_change(COUNTER_NEXT_TOPIC, next));
            }
            self.commit(&page, changes).await?;
            let Some(rest) = rest else { return Ok(()) };
            range = rest;
        }
    }

    /// Forgets every key whose number is below `boundary` and that is not `kept`.
    ///
    /// # Errors
    /// As [`rewrap`](Self::rewrap).
    pub(crate) async fn trim_keys(&self, boundary: u64, kept: &HashSet<KeyId>) -> Result<()> {
        self.change_keys(&mut |keys| {
            let before = keys.len();
            keys.retain(|key| key.id().0 >= boundary || kept.contains(&key.id()));
            Ok(keys.len() != before)
        })
        .await
    }

    /// What a shard is to know of all topics that live in it.
    ///
    /// # Errors
    /// As a read.
    ///
    /// # Limits
    /// Holds them in memory, about 300 bytes each.
    pub(crate) async fn intros_of(&self, kind: TopicKind, shard: u32) -> Result<Vec<TopicIntro>> {
        let mut intros = Vec::new();
        let mut range = Some(prefix_range(&[kind.code()]));
        while let Some(next) = range {
            let (page, rest) = self.page(next).await?;
            let here = page.into_iter().filter(|entry| entry.shard == shard);
            intros.extend(here.map(|entry| TopicIntro {
                id: entry.id,
                kind: entry.kind,
                name: entry.name,
                wrapped_keys: entry.wrapped_keys,
            }));
            range = rest;
        }
        Ok(intros)
    }

    /// Notes that a topic is to be shredded, and gives it a new key beside the ones it has.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic; as a commit.
    pub(crate) async fn begin_shredding(
        &self,
        kind: TopicKind,
        name: &str,
        at: Timestamp,
    ) -> Result<Shredding> {
        let _creating = self.creating.lock().await;
        self.writer_in_step().await?;
        let key = super::topic_name_key(kind, name);
        let view = self.system.family(self.system.layout().topic_names()?).await?;
        let value = view.index.get(&key).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such topic").with("topic", name)
        })?;
        drop(view);
        let entry = parse_entry(&key, &value)?;
        let id = self.next_id().await?;
        let shredding = Shredding {
            kind: entry.kind,
            name: entry.name.clone(),
            topic: entry.id,
            shard: entry.shard,
            key: id,
            seconds: at.seconds,
            nanos: at.nanos,
        };
        let mut changes = self.changed(std::slice::from_ref(&entry), &mut |keys| {
            keys.insert(0, self.keys().create_key(KeyId(id))?);
            Ok(true)
        })?;
        changes.push(counter_change(COUNTER_NEXT_TOPIC, id + 1));
        changes.push(note(COUNTER_SHRED, Some(to_cbor(&shredding))));
        self.commit(std::slice::from_ref(&entry), changes).await?;
        Ok(shredding)
    }

    /// The topic that is being shredded, if one is.
    ///
    /// # Errors
    /// `Corrupt` when the note is damaged.
    pub(crate) async fn shredding(&self) -> Result<Option<Shredding>> {
        let noted = self.noted(COUNTER_SHRED).await?;
        noted.map(|noted| from_cbor(&noted)).transpose()
    }

    /// The topic with the key that it keeps, for its shard.
    ///
    /// # Errors
    /// `Corrupt` when the directory does not have it.
    pub(crate) async fn shredded_intro(&self, shredding: &Shredding) -> Result<TopicIntro> {
        let key = [&[shredding.kind], shredding.name.as_bytes()].concat();
        let (page, _) = self.page(prefix_range(&key)).await?;
        let entry = page.into_iter().find(|entry| entry.id == shredding.topic);
        let entry = entry.ok_or_else(|| super::corrupt("a topic to shred is not there"))?;
        let mut keys = self.open(&entry)?;
        keys.retain(|key| key.id().0 >= shredding.key || key.id() == KeyId::NONE);
        Ok(TopicIntro {
            id: entry.id,
            kind: entry.kind,
            name: entry.name,
            wrapped_keys: wrap(self.keys(), &keys)?,
        })
    }

    /// Forgets the keys that a topic had before it was shredded.
    ///
    /// # Errors
    /// As [`rewrap`](Self::rewrap).
    pub(crate) async fn forget_shredded(&self, shredding: &Shredding) -> Result<()> {
        self.writer_in_step().await?;
        let key = [&[shredding.kind], shredding.name.as_bytes()].concat();
        let (mut page, _) = self.page(prefix_range(&key)).await?;
        page.retain(|entry| entry.id == shredding.topic);
        let changes = self.changed(&page, &mut |keys| {
            let before = keys.len();
            keys.retain(|key| key.id().0 >= shredding.key);
            Ok(keys.len() != before)
        })?;
        self.commit(&page, changes).await
    }

    /// Notes that no topic is being shredded any more.
    ///
    /// # Errors
    /// As a commit.
    pub(crate) async fn end_shredding(&self) -> Result<()> {
        self.writer()?.change_for_room(vec![note(COUNTER_SHRED, None)]).await
    }

    /// Changes the keys of every topic, page by page; what is wrapped by an older key is wrapped
    /// anew in any case.
    async fn change_keys(&self, change: NewKeys<'_>) -> Result<()> {
        self.writer_in_step().await?;
        let mut range = Some(KeyRange::all());
        while let Some(next) = range {
            let (page, rest) = self.page(next).await?;
            let changes = self.changed(&page, change)?;
            self.commit(&page, changes).await?;
            range = rest;
        }
        Ok(())
    }

    /// Some entries in order of kind and name, and the range of those behind them.
    async fn page(&self, range: KeyRange) -> Result<(Vec<DirectoryEntry>, Option<KeyRange>)> {
        let view = self.system.family(self.system.layout().topic_names()?).await?;
        let mut scan = view.index.scan(&range, Direction::Forward);
        let mut page = Vec::new();
        while let Some(entry) = scan.next().await? {
            page.push(parse_entry(&entry.key, &entry.value)?);
            if page.len() == PAGE_TOPICS {
                let start = [&entry.key[..], &[0]].concat();
                return Ok((page, Some(KeyRange { start: start.into(), end: range.end })));
            }
        }
        Ok((page, None))
    }

    fn open(&self, entry: &DirectoryEntry) -> Result<Vec<DomainKey>> {
        self.keys().unwrap_keys(entry.wrapped()).map_err(|error| error.with("topic", &entry.name))
    }

    /// The changes that bring entries up to date.
    fn changed(&self, page: &[DirectoryEntry], change: NewKeys<'_>) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for entry in page {
            let mut keys = self.open(entry)?;
            let changed = change(&mut keys)?;
            if changed || !self.keys().is_present(entry.wrapped())? {
                let wrapped_keys = wrap(self.keys(), &keys)?;
                let record = TopicRecord { id: entry.id, shard: entry.shard, wrapped_keys };
                changes.push(topic_change((entry.kind, &entry.name), &record));
            }
        }
        Ok(changes)
    }

    async fn commit(&self, page: &[DirectoryEntry], changes: Vec<Change>) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        self.writer()?.change_for_room(changes).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, topic| !page.iter().any(|entry| entry.id == topic.id));
        Ok(())
    }

    fn writer(&self) -> Result<&Arc<Writer>> {
        self.writer.as_ref().ok_or_else(read_only)
    }
}

fn note(name: &[u8], value: Option<Vec<u8>>) -> Change {
    Change { family: FAMILY_COUNTERS, key: name.to_vec(), value }
}
