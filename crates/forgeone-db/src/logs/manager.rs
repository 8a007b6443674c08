//! The manager of log storage and search.

use super::convert::{to_record, to_stored};
use super::query::{LogQuery, LogResults};
use super::subscription::LogSubscription;
use crate::model::{LineEnd, LogEntry, Severity, StartFrom, TopicInfo, TopicPattern, check_topic};
use crate::stream::{AtTheEnd, Found, Streams, Tokens};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Stores log entries and finds them again. Cheap to clone; every clone is the same store.
///
/// Methods are async and need no particular runtime; reads that block are made by a bounded pool
/// of threads, writes by one committer thread for each shard. `RedbManager` has the same in
/// blocking form. Topics of logs are apart from those of events: one name may be used by both.
#[derive(Debug, Clone)]
pub struct LogManager {
    streams: Arc<Streams>,
    tokens: Arc<Tokens>,
}

/// A log entry to store.
///
/// # Example
/// ```
/// use forgeone_db::{NewLogEntry, Severity};
/// use chrono::Utc;
///
/// let entry = NewLogEntry::new("web.front", Utc::now(), Severity::Warn, "slow request");
/// assert_eq!(entry.id, None, "the store gives it an id");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLogEntry {
    /// The entry's id, unique within its topic. Without one the store derives it from the entry's
    /// place, which takes no space; then storing the entry twice makes two entries.
    pub id: Option<Uuid>,
    /// The topic, named as [`check_topic`] accepts.
    pub topic: String,
    /// When it was logged.
    pub timestamp: DateTime<Utc>,
    /// Whether the timestamp was made up on the way in (an arrival time) rather than found in the
    /// line. Then storing the entry again with another timestamp is no conflict.
    pub timestamp_assigned: bool,
    /// How severe it is.
    pub severity: Severity,
    /// The line's bytes without its end: any bytes, none included.
    pub line: Vec<u8>,
    /// How the line ended.
    pub line_end: LineEnd,
    /// Facts about the line.
    pub metadata: HashMap<String, String>,
    /// A name for this place in the topic, from which a replay can start.
    pub checkpoint_marker: Option<String>,
}

impl NewLogEntry {
    /// An entry without id, metadata and marker.
    pub fn new(
        topic: impl Into<String>,
        timestamp: DateTime<Utc>,
        severity: Severity,
        line: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            id: None,
            topic: topic.into(),
            timestamp,
            timestamp_assigned: false,
            severity,
            line: line.into(),
            line_end: LineEnd::Lf,
            metadata: HashMap::new(),
            checkpoint_marker: None,
        }
    }
}

/// The nil id stands for none. The content hash is not taken over: it is computed on read.
impl From<LogEntry> for NewLogEntry {
    fn from(entry: LogEntry) -> Self {
        Self {
            id: (!entry.id.is_nil()).then_some(entry.id),
            topic: entry.topic,
            timestamp: entry.timestamp,
            timestamp_assigned: false,
            severity: entry.severity,
            line: entry.raw.unwrap_or_else(|| entry.message.into_bytes()),
            line_end: entry.line_end,
            metadata: entry.metadata,
            checkpoint_marker: entry.checkpoint_marker,
        }
    }
}

/// Where a log entry is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// Its number in its topic: 1, 2, 3 ... without gaps.
    pub seq: u64,
    /// Its id, given or derived.
    pub id: Uuid,
    /// Whether it was there before: the same given id with the same content.
    pub duplicate: bool,
}

/// A log entry with its number in its topic. In JSON: the fields of [`LogEntry`] and `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLogEntry {
    /// The entry as it was stored.
    #[serde(flatten)]
    pub entry: LogEntry,
    /// Its number in its topic.
    pub seq: u64,
}

impl LogManager {
    /// The records behind it.
    pub(crate) const fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    pub(crate) fn new(streams: Arc<Streams>, tokens: Arc<Tokens>) -> Self {
        Self { streams, tokens }
    }

    /// Stores one entry.
    ///
    /// An entry whose given id is in its topic already is not stored again: with the same content
    /// the answer is its present place and `duplicate`, with other content the error is `Conflict`.
    /// That holds for ids that the store derived, too: what was read from it can be given back.
    ///
    /// # Durability
    /// Durable on return, at the store's level. Dropping the returned future after its first poll
    /// may or may not stop the write; dropping it once the write is queued does not.
    ///
    /// # Errors
    /// `Invalid` for a part beyond its limit; `Conflict`; `Full` at quota or disk limit;
    /// `Unsupported` on a handle that only reads; `Closed`. The error's `outcome` says whether the
    /// entry may have been stored all the same; storing it again is safe if it has an id.
    pub async fn append(&self, entry: NewLogEntry) -> Result<LogPosition> {
        let positions = self.append_batch(vec![entry]).await?;
        positions.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a write was answered without a position")
        })
    }

    /// Stores entries, all or none. They get consecutive numbers in each topic, in the order given.
    ///
    /// # Durability
    /// As [`append`](Self::append).
    ///
    /// # Errors
    /// As [`append`](Self::append); also `Invalid` when the topics live in different shards, since
    /// a batch is atomic, or when the batch exceeds 32 MiB.
    pub async fn append_batch(&self, entries: Vec<NewLogEntry>) -> Result<Vec<LogPosition>> {
        let records = entries.into_iter().map(to_record).collect::<Result<Vec<_>>>()?;
        let given: Vec<Option<[u8; 16]>> = records.iter().map(|(_, record)| record.id).collect();
        let appended = self.streams.append(records).await?;
        let ids = &self.streams.shared().ids;
        let positions = given.into_iter().zip(appended).map(|(given, (topic, position))| {
            let id = given.unwrap_or_else(|| ids.id_of(topic, position.sequence));
            LogPosition {
                seq: position.sequence,
                id: Uuid::from_bytes(id),
                duplicate: position.duplicate,
            }
        });
        Ok(positions.collect())
    }

    /// Every entry with this id, ordered by topic: a given id is unique in its topic only.
    ///
    /// # Errors
    /// `Corrupt` when what is stored is damaged. An unknown id is an empty answer, but `Corrupt` where
    /// records were lost before they were sealed: one of those may have it.
    ///
    /// # Limits
    /// A derived id leads straight to its entry. For given ids every shard is asked.
    pub async fn get(&self, id: Uuid) -> Result<Vec<StoredLogEntry>> {
        let found = self.streams.get(id.into_bytes()).await?;
        found.into_iter().map(|found| to_stored(found, &self.streams.shared().ids)).collect()
    }

    /// The entry of this number.
    ///
    /// # Errors
    /// `NotFound` when there is no such topic or number; `Corrupt`.
    pub async fn get_at(&self, topic: &str, seq: u64) -> Result<StoredLogEntry> {
        let topic = self.streams.topic(topic).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "there is no such topic of logs")
                .with("topic", topic.escape_debug())
        })?;
        let record = self.streams.record(&topic, seq).await?;
        let found = Found { topic, sequence: seq, record };
        to_stored(found, &self.streams.shared().ids)
    }

    /// Starts a search; results come in the order (timestamp, topic, seq).
    ///
    /// # Errors
    /// `Invalid` for a cursor that is none; `Corrupt`.
    ///
    /// # Limits
    /// Reads all entries of the topics and times asked for, but for those whose severities the
    /// segments rule out. Text, metadata and the literals that an expression starts with are
    /// looked for before entries are decoded.
    pub async fn query(&self, query: LogQuery) -> Result<LogResults> {
        LogResults::start(Arc::clone(&self.streams), Arc::clone(&self.tokens), query).await
    }

    /// Follows topics: what is there from `start` on, then what comes.
    ///
    /// # Errors
    /// `Invalid` for a token of another store or from the future; `NotFound` for a marker that no
    /// entry carries; `Corrupt`.
    pub async fn subscribe(
        &self,
        topics: &TopicPattern,
        start: StartFrom,
    ) -> Result<LogSubscription> {
        self.follow(topics, (start, AtTheEnd::Wait)).await
    }

    /// Reads what is there from `start` on, in the order of commits, and ends: a subscription that
    /// does not wait.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn replay(&self, topics: &TopicPattern, start: StartFrom) -> Result<LogSubscription> {
        self.follow(topics, (start, AtTheEnd::Stop)).await
    }

    async fn follow(
        &self,
        topics: &TopicPattern,
        start: (StartFrom, AtTheEnd),
    ) -> Result<LogSubscription> {
        let streams = Arc::clone(&self.streams);
        LogSubscription::start(streams, Arc::clone(&self.tokens), topics, start).await
    }

    /// The topics that match, by name.
    ///
    /// # Errors
    /// `Corrupt`.
    pub async fn topics(&self, topics: &TopicPattern) -> Result<Vec<TopicInfo>> {
        self.streams.topics(topics).await
    }

    /// Makes a topic, if there is none of this name. Storing into a topic makes it, too.
    ///
    /// # Errors
    /// `Invalid` for a name beyond the limits; as [`append`](Self::append).
    pub async fn create_topic(&self, topic: &str) -> Result<()> {
        check_topic(topic)?;
        self.streams.open_topic(topic).await.map(|_| ())
    }
}
