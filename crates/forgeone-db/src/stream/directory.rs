//! The topic directory: names to topics, state of the system database.

mod keys;

pub(crate) use keys::Shredding;

use super::change::Change;
use super::committer::Writer;
use super::families::{
    COUNTER_NEXT_TOPIC, FAMILY_COUNTERS, FAMILY_TOPIC_NAMES, TopicKind, topic_name_key,
};
use super::shard::Shard;
use super::store::Shared;
use crate::codec::{corrupt, put_varint};
use crate::crypto::{DomainKey, KeyId, KeyStore};
use crate::log::{TOPIC_ID_MIN, TopicIntro, WrappedKeys, from_cbor, to_cbor};
use crate::model::TopicPattern;
use forgeone_db_engine::{Direction, Error, ErrorKind, KeyRange, Result};
use futures::lock::Mutex;
use minicbor::{Decode, Encode};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Topics kept in memory; the whole set is forgotten when it grows beyond this.
const KNOWN_TOPICS_MAX: usize = 65_536;

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) id: u64,
    pub(crate) kind: TopicKind,
    pub(crate) name: String,
    /// Index of the shard it lives in, for its life.
    pub(crate) shard: u32,
    /// Newest first; none on a handle that only reads, which finds them in the shard.
    keys: Vec<DomainKey>,
}

impl Topic {
    /// The key that the topic's first records are sealed with.
    ///
    /// # Errors
    /// `Internal` on a handle that only reads.
    pub(crate) fn first_key(&self) -> Result<&DomainKey> {
        self.keys.first().ok_or_else(|| Error::new(ErrorKind::Internal, "a reader has no keys"))
    }

    /// What the topic's database must know of it, wrapped by the present keyring.
    ///
    /// # Errors
    /// `Unavailable` when there is no randomness.
    pub(crate) fn intro(&self, keys: &KeyStore) -> Result<TopicIntro> {
        Ok(TopicIntro {
            id: self.id,
            kind: self.kind.code(),
            name: self.name.clone(),
            wrapped_keys: wrap(keys, &self.keys)?,
        })
    }
}

/// Wraps keys for the directory or a manifest.
pub(super) fn wrap(keys: &KeyStore, domain: &[DomainKey]) -> Result<WrappedKeys> {
    Ok(keys.wrap(domain)?.into_iter().map(Into::into).collect())
}

/// What the directory has of a topic.
#[derive(Debug, Clone, Encode, Decode)]
pub(super) struct TopicRecord {
    #[n(0)]
    pub(super) id: u64,
    #[n(1)]
    pub(super) shard: u32,
    /// As in [`TopicIntro`].
    #[n(2)]
    pub(super) wrapped_keys: WrappedKeys,
}

impl TopicRecord {
    pub(super) fn wrapped(&self) -> impl Iterator<Item = &[u8]> {
        self.wrapped_keys.iter().map(|key| key.as_slice())
    }
}

/// Names to topics.
#[derive(Debug)]
pub(crate) struct Directory {
    system: Arc<Shard>,
    writer: Option<Arc<Writer>>,
    shared: Arc<Shared>,
    known: RwLock<HashMap<(TopicKind, String), Arc<Topic>>>,
    creating: Mutex<()>,
}

impl Directory {
    pub(crate) fn new(
        system: Arc<Shard>,
        writer: Option<Arc<Writer>>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { system, writer, shared, known: RwLock::default(), creating: Mutex::new(()) }
    }

    fn keys(&self) -> &KeyStore {
        self.system.context().topics.keys()
    }

    fn remembered(&self, kind: TopicKind, name: &str) -> Option<Arc<Topic>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(kind, name.to_owned())).cloned()
    }

    /// Whether [`get`](Self::get) answers without reading anything.
    pub(crate) fn is_remembered(&self, kind: TopicKind, name: &str) -> bool {
        self.remembered(kind, name).is_some()
    }

    fn remember(&self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_TOPICS_MAX {
            known.clear();
        }
        known.insert((topic.kind, topic.name.clone()), Arc::clone(&topic));
        topic
    }

    /// The topic of this name, if there is one.
    pub(crate) async fn get(&self, kind: TopicKind, name: &str) -> Result<Option<Arc<Topic>>> {
        if let Some(topic) = self.remembered(kind, name) {
            return Ok(Some(topic));
        }
        self.with_present_keys(|| async move {
            let view = self.system.family(self.system.layout().topic_names()?).await?;
            let Some(value) = view.index.get(&topic_name_key(kind, name)).await? else {
                return Ok(None);
            };
            self.parse(kind, name, &value).map(|topic| Some(self.remember(topic)))
        })
        .await
    }

    /// Runs a read of the directory again if the keyring changed under it: what it had read may
    /// have been wrapped by a key that is gone meanwhile, and is wrapped anew.
    async fn with_present_keys<T, F: Future<Output = Result<T>>>(
        &self,
        read: impl Fn() -> F,
    ) -> Result<T> {
        loop {
            let keyring = self.keys().number();
            match read().await {
                Err(error)
                    if error.kind() == ErrorKind::Corrupt && self.keys().number() != keyring => {}
                result => return result,
            }
        }
    }

    fn parse(&self, kind: TopicKind, name: &str, value: &[u8]) -> Result<Topic> {
        let record: TopicRecord = from_cbor(value)?;
        let keys = match &self.writer {
            Some(_) => self.keys().unwrap_keys(record.wrapped())?,
            None => Vec::new(),
        };
        Ok(Topic { id: record.id, kind, name: name.to_owned(), shard: record.shard, keys })
    }

    /// The topic of this name; made durable first if it is new, in one of `shard_count` shards.
    ///
    /// # Errors
    /// `Unsupported` on a handle that only reads; as a commit.
    pub(crate) async fn get_or_create(
        &self,
        kind: TopicKind,
        name: &str,
        shard_count: u32,
    ) -> Result<Arc<Topic>> {
        if let Some(topic) = self.get(kind, name).await? {
            return Ok(topic);
        }
        let _creating = self.creating.lock().await;
        let writer = self.writer_in_step().await?;
        if let Some(topic) = self.get(kind, name).await? {
            return Ok(topic);
        }
        let id = self.next_id().await?;
        let keys = vec![self.keys().create_key(KeyId(id))?];
        let shard = shard_of(kind, name, shard_count);
        let record = TopicRecord { id, shard, wrapped_keys: wrap(self.keys(), &keys)? };
        let changes = vec![
            topic_change((kind.code(), name), &record),
            counter_change(COUNTER_NEXT_TOPIC, id + 1),
        ];
        writer.change(changes).await?;
        let topic = Topic { id, kind, name: name.to_owned(), shard, keys };
        let topic = self.remember(topic);
        self.shared.topics.notify();
        Ok(topic)
    }

    /// The writer, with the state in memory that is on disk: a change of unknown outcome may be there
    /// after all, and what was read before it was found must decide nothing.
    ///
    /// # Errors
    /// `Unsupported` on a handle that only reads; as [`Writer::heal`].
    pub(super) async fn writer_in_step(&self) -> Result<&Arc<Writer>> {
        let writer = self.writer.as_ref().ok_or_else(read_only)?;
        writer.heal().await?;
        Ok(writer)
    }

    /// The next id for a topic or a key. REQUIRES: the state is that on disk.
    pub(super) async fn next_id(&self) -> Result<u64> {
        Ok(self.counter(COUNTER_NEXT_TOPIC).await?.unwrap_or(TOPIC_ID_MIN))
    }

    /// A number that the store records about itself.
    pub(super) async fn counter(&self, name: &[u8]) -> Result<Option<u64>> {
        let value = self.noted(name).await?;
        value.map(|value| super::families::parse_sequence(&value)).transpose()
    }

    /// What the store records about itself under `name`.
    pub(super) async fn noted(&self, name: &[u8]) -> Result<Option<bytes::Bytes>> {
        let view = self.system.family(self.system.layout().counters()?).await?;
        view.index.get(name).await
    }

    /// The topics of `kind` that match `pattern`, by name.
    ///
    /// # Limits
    /// Holds all matching topics in memory, about 300 bytes each.
    pub(crate) async fn list(
        &self,
        kind: TopicKind,
        pattern: &TopicPattern,
    ) -> Result<Vec<Arc<Topic>>> {
        self.with_present_keys(|| self.list_once(kind, pattern)).await
    }

    async fn list_once(&self, kind: TopicKind, pattern: &TopicPattern) -> Result<Vec<Arc<Topic>>> {
        let prefix = topic_name_key(kind, pattern.literal_prefix());
        let view = self.system.family(self.system.layout().topic_names()?).await?;
        let mut found = Vec::new();
        let mut scan = view.index.scan(&prefix_range(&prefix), Direction::Forward);
        while let Some(entry) = scan.next().await? {
            let name = entry
                .key
                .get(1..)
                .and_then(|name| std::str::from_utf8(name).ok())
                .ok_or_else(|| corrupt("a topic's name is not text"))?;
            if !pattern.matches(name) {
                continue;
            }
            found.push(match self.remembered(kind, name) {
                Some(topic) => topic,
                None => self.remember(self.parse(kind, name, &entry.value)?),
            });
        }
        Ok(found)
    }
}

/// Writes a topic's entry.
pub(super) fn topic_change((kind, name): (u8, &str), record: &TopicRecord) -> Change {
    let key = [&[kind], name.as_bytes()].concat();
    Change { family: FAMILY_TOPIC_NAMES, key, value: Some(to_cbor(record)) }
}

/// Sets a number that the store records about itself.
pub(super) fn counter_change(name: &[u8], number: u64) -> Change {
    let mut value = Vec::new();
    put_varint(&mut value, number);
    Change { family: FAMILY_COUNTERS, key: name.to_vec(), value: Some(value) }
}

/// An entry of the directory, for comparing it with what shards say.
#[derive(Debug)]
pub(crate) struct DirectoryEntry {
    pub(crate) kind: u8,
    pub(crate) name: String,
    pub(crate) id: u64,
    pub(crate) shard: u32,
    pub(crate) wrapped_keys: WrappedKeys,
}

impl DirectoryEntry {
    pub(crate) fn wrapped(&self) -> impl Iterator<Item = &[u8]> {
        self.wrapped_keys.iter().map(|key| key.as_slice())
    }
}

type StateEntry<'a> = (&'a (u64, Vec<u8>), &'a Vec<u8>);

/// The entries of the directory among all values of state, by family and key.
pub(crate) fn parse_directory<'a>(
    state: impl Iterator<Item = StateEntry<'a>>,
) -> Vec<Result<DirectoryEntry>> {
    let entries = state.filter(|((family, _), _)| *family == FAMILY_TOPIC_NAMES);
    entries.map(|((_, key), value)| parse_entry(key, value)).collect()
}

pub(crate) fn parse_entry(key: &[u8], value: &[u8]) -> Result<DirectoryEntry> {
    let (kind, name) = key.split_first().ok_or_else(|| corrupt("a topic has no name"))?;
    let name = std::str::from_utf8(name).map_err(|_| corrupt("a topic's name is not text"))?;
    let TopicRecord { id, shard, wrapped_keys } = from_cbor(value)?;
    Ok(DirectoryEntry { kind: *kind, name: name.to_owned(), id, shard, wrapped_keys })
}

/// The id that the next topic will have, among all values of state.
pub(crate) fn next_topic_id<'a>(mut state: impl Iterator<Item = StateEntry<'a>>) -> Option<u64> {
    let counter =
        state.find(|((family, key), _)| *family == FAMILY_COUNTERS && **key == *COUNTER_NEXT_TOPIC);
    super::families::parse_sequence(counter?.1).ok()
}

/// The keys that start with `prefix`.
pub(crate) fn prefix_range(prefix: &[u8]) -> KeyRange {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    match end.last_mut() {
        Some(last) => {
            *last += 1;
            KeyRange::new(prefix.to_vec(), end)
        }
        None => KeyRange::from(prefix.to_vec()),
    }
}

fn read_only() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "this handle only reads; open the store for writing to append",
    )
}

/// Spreads topics over shards by a hash of their names.
pub(super) fn shard_of(kind: TopicKind, name: &str, shard_count: u32) -> u32 {
    let hash = blake3::hash(&topic_name_key(kind, name));
    let [a, b, c, d, ..] = *hash.as_bytes();
    u32::from_be_bytes([a, b, c, d]) % shard_count.max(1)
}
