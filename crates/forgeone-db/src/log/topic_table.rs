//! What one database knows of its topics: names and domain keys, so that its tail opens without
//! asking any other database.

use super::block::TopicIntro;
use crate::codec::corrupt;
use crate::crypto::{DomainKey, KeyId};
use forgeone_db_engine::Result;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Subjects below this are system topics and families, sealed under the system's key.
pub(crate) const TOPIC_ID_MIN: u64 = 1024; // on-disk

/// Makes, wraps and opens domain keys: the keyring, as the log sees it.
pub(crate) trait KeyWrap: Debug + Send + Sync {
    /// A fresh domain key under `id`, and the same wrapped for keeping.
    ///
    /// # Errors
    /// `Unavailable` when there is no randomness.
    fn create_key(&self, id: KeyId) -> Result<(DomainKey, Vec<u8>)>;

    /// # Errors
    /// `Corrupt` when the bytes are not a key wrapped by this store's keyring.
    fn unwrap_key(&self, wrapped: &[u8]) -> Result<DomainKey>;
}

/// One topic of a database.
#[derive(Debug)]
pub(crate) struct TopicInfo {
    pub(crate) intro: TopicIntro,
    key: OnceLock<DomainKey>,
}

/// The topics of one database, by id.
#[derive(Debug)]
pub(crate) struct TopicTable {
    keys: Arc<dyn KeyWrap>,
    system: DomainKey,
    topics: RwLock<HashMap<u64, Arc<TopicInfo>>>,
}

impl TopicTable {
    pub(crate) fn new(keys: Arc<dyn KeyWrap>, system: DomainKey) -> Self {
        Self { keys, system, topics: RwLock::default() }
    }

    /// A table that knows no topic yet, with the same keyring.
    pub(crate) fn without_topics(&self) -> Self {
        Self::new(Arc::clone(&self.keys), self.system.clone())
    }

    /// The keyring.
    pub(crate) fn keys(&self) -> &dyn KeyWrap {
        &*self.keys
    }

    /// Adds a topic; one that is known stays as it is.
    pub(crate) fn introduce(&self, intro: &TopicIntro) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics
            .entry(intro.id)
            .or_insert_with(|| Arc::new(TopicInfo { intro: intro.clone(), key: OnceLock::new() }));
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<TopicInfo>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<TopicInfo>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The key that seals `subject`, which must have the number `id`.
    ///
    /// # Errors
    /// `Corrupt` for an unknown topic, or one whose key has another number.
    pub(crate) fn key(&self, subject: u64, id: KeyId) -> Result<DomainKey> {
        let key = self.present_key(subject)?;
        if key.id() == id {
            Ok(key)
        } else {
            Err(corrupt("a piece is sealed under an unknown key"))
        }
    }

    /// The key that new pieces of `subject` are sealed with.
    pub(crate) fn present_key(&self, subject: u64) -> Result<DomainKey> {
        if subject < TOPIC_ID_MIN {
            return Ok(self.system.clone());
        }
        let topic = self
            .get(subject)
            .ok_or_else(|| corrupt("records of an unknown topic").with("topic id", subject))?;
        if let Some(key) = topic.key.get() {
            return Ok(key.clone());
        }
        let key = self.keys.unwrap_key(&topic.intro.wrapped_key)?;
        Ok(topic.key.get_or_init(|| key).clone())
    }
}
