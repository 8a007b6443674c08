//! The topic directory: names to topics, state of the system database.

use super::change::Change;
use super::committer::Writer;
use super::families::{
    COUNTER_NEXT_TOPIC, FAMILY_COUNTERS, FAMILY_TOPIC_NAMES, TopicKind, topic_name_key,
};
use super::shard::Shard;
use super::store::Shared;
use crate::codec::{corrupt, put_varint};
use crate::crypto::{DomainKey, KeyId};
use crate::log::{TOPIC_ID_MIN, TopicIntro, from_cbor, to_cbor};
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
    pub(crate) key: DomainKey,
    wrapped_key: Vec<u8>,
}

impl Topic {
    /// What the topic's database must know of it.
    pub(crate) fn intro(&self) -> TopicIntro {
        TopicIntro {
            id: self.id,
            kind: self.kind.code(),
            name: self.name.clone(),
            wrapped_key: self.wrapped_key.clone(),
        }
    }
}

#[derive(Debug, Encode, Decode)]
struct TopicRecord {
    #[n(0)]
    id: u64,
    #[n(1)]
    shard: u32,
    #[cbor(n(2), with = "minicbor::bytes")]
    wrapped_key: Vec<u8>,
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
        let view = self.system.family(self.system.layout().topic_names()?).await?;
        let Some(value) = view.index.get(&topic_name_key(kind, name)).await? else {
            return Ok(None);
        };
        self.parse(kind, name, &value).map(|topic| Some(self.remember(topic)))
    }

    fn parse(&self, kind: TopicKind, name: &str, value: &[u8]) -> Result<Topic> {
        let record: TopicRecord = from_cbor(value)?;
        let key = self.system.context().topics.keys().unwrap_key(&record.wrapped_key)?;
        Ok(Topic {
            id: record.id,
            kind,
            name: name.to_owned(),
            shard: record.shard,
            key,
            wrapped_key: record.wrapped_key,
        })
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
        let writer = self.writer.as_ref().ok_or_else(read_only)?;
        let _creating = self.creating.lock().await;
        if let Some(topic) = self.get(kind, name).await? {
            return Ok(topic);
        }
        let id = self.next_id().await?;
        let (key, wrapped_key) = self.system.context().topics.keys().create_key(KeyId(id))?;
        let shard = shard_of(kind, name, shard_count);
        let record = TopicRecord { id, shard, wrapped_key: wrapped_key.clone() };
        let mut next = Vec::new();
        put_varint(&mut next, id + 1);
        let layout = self.system.layout();
        let changes = vec![
            Change {
                family: layout.topic_names()?.id.0,
                key: topic_name_key(kind, name),
                value: Some(to_cbor(&record)),
            },
            Change {
                family: layout.counters()?.id.0,
                key: COUNTER_NEXT_TOPIC.to_vec(),
                value: Some(next),
            },
        ];
        writer.change(changes).await?;
        let topic = Topic { id, kind, name: name.to_owned(), shard, key, wrapped_key };
        let topic = self.remember(topic);
        self.shared.topics.notify();
        Ok(topic)
    }

    async fn next_id(&self) -> Result<u64> {
        let view = self.system.family(self.system.layout().counters()?).await?;
        let value = view.index.get(COUNTER_NEXT_TOPIC).await?;
        value.map_or(Ok(TOPIC_ID_MIN), |value| super::families::parse_sequence(&value))
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

/// An entry of the directory, for comparing it with what shards say.
#[derive(Debug)]
pub(crate) struct DirectoryEntry {
    pub(crate) kind: u8,
    pub(crate) name: String,
    pub(crate) id: u64,
    pub(crate) shard: u32,
    pub(crate) wrapped_key: Vec<u8>,
}

type StateEntry<'a> = (&'a (u64, Vec<u8>), &'a Vec<u8>);

/// The entries of the directory among all values of state, by family and key.
pub(crate) fn parse_directory<'a>(
    state: impl Iterator<Item = StateEntry<'a>>,
) -> Vec<Result<DirectoryEntry>> {
    let entries = state.filter(|((family, _), _)| *family == FAMILY_TOPIC_NAMES);
    entries.map(|((_, key), value)| parse_entry(key, value)).collect()
}

fn parse_entry(key: &[u8], value: &[u8]) -> Result<DirectoryEntry> {
    let (kind, name) = key.split_first().ok_or_else(|| corrupt("a topic has no name"))?;
    let name = std::str::from_utf8(name).map_err(|_| corrupt("a topic's name is not text"))?;
    let TopicRecord { id, shard, wrapped_key } = from_cbor(value)?;
    Ok(DirectoryEntry { kind: *kind, name: name.to_owned(), id, shard, wrapped_key })
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
