//! What one database knows of its topics: names and domain keys, so that its tail opens without
//! asking any other database.

use super::block::TopicIntro;
use crate::codec::corrupt;
use crate::crypto::{DomainKey, KeyId, KeyStore};
use forgeone_db_engine::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Subjects below this are system topics and families, sealed under the system's key.
pub(crate) const TOPIC_ID_MIN: u64 = 1024; // on-disk

/// One topic of a database.
#[derive(Debug)]
pub(crate) struct TopicInfo {
    pub(crate) intro: TopicIntro,
    /// Newest first, once they were asked for.
    keys: OnceLock<Vec<DomainKey>>,
}

/// The topics of one database, by id.
#[derive(Debug)]
pub(crate) struct TopicTable {
    keys: Arc<KeyStore>,
    topics: RwLock<HashMap<u64, Arc<TopicInfo>>>,
}

impl TopicTable {
    pub(crate) fn new(keys: Arc<KeyStore>) -> Self {
        Self { keys, topics: RwLock::default() }
    }

    /// A table that knows no topic yet, with the same keyring.
    pub(crate) fn without_topics(&self) -> Self {
        Self::new(Arc::clone(&self.keys))
    }

    /// The keyring.
    pub(crate) fn keys(&self) -> &KeyStore {
        &self.keys
    }

    /// Adds a topic that a block names; one that is known stays as it is, because a manifest that
    /// was installed after the block may have other keys for it.
    pub(crate) fn introduce(&self, intro: &TopicIntro) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.entry(intro.id).or_insert_with(|| TopicInfo::new(intro));
    }

    /// Takes over what a manifest says of its topics.
    pub(crate) fn adopt(&self, intros: &[TopicIntro]) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        for intro in intros {
            if topics.get(&intro.id).is_none_or(|known| known.intro != *intro) {
                topics.insert(intro.id, TopicInfo::new(intro));
            }
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<TopicInfo>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<TopicInfo>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Every topic as a manifest names it, in order of id.
    pub(crate) fn intros(&self) -> Vec<TopicIntro> {
        let mut intros: Vec<_> = self.all().iter().map(|topic| topic.intro.clone()).collect();
        intros.sort_unstable_by_key(|intro| intro.id);
        intros
    }

    /// The key of `subject` that has the number `id`.
    ///
    /// # Errors
    /// `Corrupt` for an unknown topic, or one that has no such key.
    pub(crate) fn key(&self, subject: u64, id: KeyId) -> Result<DomainKey> {
        if subject < TOPIC_ID_MIN {
            return self.keys.system_key_of(id);
        }
        let keys = self.keys_of(subject)?;
        let key = keys.into_iter().find(|key| key.id() == id);
        key.ok_or_else(|| corrupt("a piece is sealed under an unknown key").with("key", id.0))
    }

    /// The key that new pieces of `subject` are sealed with.
    ///
    /// # Errors
    /// As [`key`](Self::key).
    pub(crate) fn present_key(&self, subject: u64) -> Result<DomainKey> {
        if subject < TOPIC_ID_MIN {
            return Ok(self.keys.system_key());
        }
        let newest = self.keys_of(subject)?.into_iter().next();
        newest.ok_or_else(|| unknown_topic(subject))
    }

    /// All keys of a topic, newest first.
    ///
    /// # Errors
    /// `Corrupt` for an unknown topic, or one whose keys do not open.
    pub(crate) fn keys_of(&self, id: u64) -> Result<Vec<DomainKey>> {
        loop {
            let keyring = self.keys.number();
            let topic = self.get(id).ok_or_else(|| unknown_topic(id))?;
            if let Some(keys) = topic.keys.get() {
                return Ok(keys.clone());
            }
            match self.keys.unwrap_keys(topic.intro.wrapped()) {
                Ok(keys) => return Ok(topic.keys.get_or_init(|| keys).clone()),
                // Wrapped anew meanwhile, and the key that had wrapped them is gone.
                Err(_) if self.keys.number() != keyring => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl TopicInfo {
    fn new(intro: &TopicIntro) -> Arc<Self> {
        Arc::new(Self { intro: intro.clone(), keys: OnceLock::new() })
    }
}

fn unknown_topic(id: u64) -> Error {
    corrupt("records of an unknown topic").with("topic id", id)
}
