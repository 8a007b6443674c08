//! The blocking face of a store's logs.

use super::database::Database;
use super::redb_manager::RedbManager;
use crate::logs::{
    LogManager, LogPosition, LogQuery, LogResults, LogSubscription, NewLogEntry, StoredLogEntry,
};
use crate::model::{StartFrom, TopicInfo, TopicPattern};
use crate::pool::run_blocking;
use forgeone_db_engine::Result;
use uuid::Uuid;

impl RedbManager {
    /// The async face of the logs.
    pub fn logs(&self) -> &LogManager {
        self.database().logs()
    }

    /// Stores one log entry; durable on return.
    ///
    /// # Errors
    /// As [`LogManager::append`].
    pub fn store_log(&self, entry: impl Into<NewLogEntry>) -> Result<LogPosition> {
        run_blocking(self.logs().append(entry.into()))
    }

    /// Stores log entries, all or none, with one sync; durable on return.
    ///
    /// # Errors
    /// As [`LogManager::append_batch`].
    pub fn store_logs(&self, entries: Vec<NewLogEntry>) -> Result<Vec<LogPosition>> {
        run_blocking(self.logs().append_batch(entries))
    }

    /// Every log entry with this id, ordered by topic.
    ///
    /// # Errors
    /// As [`LogManager::get`].
    pub fn get_log(&self, id: Uuid) -> Result<Vec<StoredLogEntry>> {
        run_blocking(self.logs().get(id))
    }

    /// The log entry of this number.
    ///
    /// # Errors
    /// As [`LogManager::get_at`].
    pub fn get_log_at(&self, topic: &str, seq: u64) -> Result<StoredLogEntry> {
        run_blocking(self.logs().get_at(topic, seq))
    }

    /// Searches logs; the iterator reads as it is asked.
    ///
    /// # Errors
    /// As [`LogManager::query`].
    pub fn query_logs(&self, query: LogQuery) -> Result<BlockingLogResults> {
        let results = run_blocking(self.logs().query(query))?;
        Ok(BlockingLogResults { results, _store: self.database().clone() })
    }

    /// Follows topics of logs; the iterator waits for what comes.
    ///
    /// # Errors
    /// As [`LogManager::subscribe`].
    pub fn subscribe_logs(
        &self,
        topics: &TopicPattern,
        start: StartFrom,
    ) -> Result<BlockingLogSubscription> {
        let subscription = run_blocking(self.logs().subscribe(topics, start))?;
        Ok(BlockingLogSubscription { subscription, _store: self.database().clone() })
    }

    /// Reads what is there of topics of logs from `start` on, in the order of commits.
    ///
    /// # Errors
    /// As [`LogManager::replay`].
    pub fn replay_logs(
        &self,
        topics: &TopicPattern,
        start: StartFrom,
    ) -> Result<BlockingLogSubscription> {
        let subscription = run_blocking(self.logs().replay(topics, start))?;
        Ok(BlockingLogSubscription { subscription, _store: self.database().clone() })
    }

    /// The topics of logs that match, by name.
    ///
    /// # Errors
    /// As [`LogManager::topics`].
    pub fn log_topics(&self, topics: &TopicPattern) -> Result<Vec<TopicInfo>> {
        run_blocking(self.logs().topics(topics))
    }
}

/// Results of a search in logs as an iterator, which keeps the store open. After an error it may be
/// asked again, and goes on behind the damage that the error names.
#[derive(Debug)]
pub struct BlockingLogResults {
    results: LogResults,
    _store: Database,
}

impl BlockingLogResults {
    /// As [`LogResults::cursor`].
    ///
    /// # Errors
    /// As [`LogResults::cursor`].
    pub fn cursor(&self) -> Result<Option<String>> {
        self.results.cursor()
    }
}

impl Iterator for BlockingLogResults {
    type Item = Result<StoredLogEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        run_blocking(self.results.next()).transpose()
    }
}

/// A subscription to logs, or a replay, as an iterator, which keeps the store open: waits for the
/// next entry, and ends after an error or at the end of a replay.
#[derive(Debug)]
pub struct BlockingLogSubscription {
    subscription: LogSubscription,
    _store: Database,
}

impl BlockingLogSubscription {
    /// As [`LogSubscription::token`].
    ///
    /// # Errors
    /// As [`LogSubscription::token`].
    pub fn token(&self) -> Result<Option<String>> {
        self.subscription.token()
    }
}

impl Iterator for BlockingLogSubscription {
    type Item = Result<StoredLogEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        run_blocking(self.subscription.next()).transpose()
    }
}
