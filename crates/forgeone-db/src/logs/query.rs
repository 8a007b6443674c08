//! Searching logs by topic, time, severity and what lines say.

use super::convert::to_stored;
use super::filter::LogFilter;
use super::manager::StoredLogEntry;
use crate::environment::Timestamp;
use crate::model::{QueryOrder, Severity, TopicPattern};
use crate::stream::{Results, Search, Streams, Tokens};
use chrono::{DateTime, Utc};
use forgeone_db_engine::Result;
use std::sync::Arc;

/// What to search for. The default is everything, oldest first. Conditions hold together.
///
/// # Example
/// ```
/// use forgeone_db::{LogQuery, QueryOrder, Severity, TopicPattern};
///
/// let query = LogQuery::new(TopicPattern::new("web.*")?)
///     .severity_min(Severity::Warn)
///     .contains("timeout")
///     .regex(r"took \d{4,} ms")?
///     .order(QueryOrder::NewestFirst)
///     .limit(100);
/// assert!(query.regex("(").is_err());
/// # Ok::<(), forgeone_db::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LogQuery {
    search: Search,
    filter: LogFilter,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self::new(TopicPattern::all())
    }
}

impl LogQuery {
    /// Entries of the topics that match.
    pub fn new(topics: TopicPattern) -> Self {
        Self { search: Search::new(topics), filter: LogFilter::default() }
    }

    /// Only timestamps at or after this.
    #[must_use]
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.search.spec.from = Some(from.into());
        self
    }

    /// Only timestamps before this.
    #[must_use]
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.search.spec.to = Some(to.into());
        self
    }

    /// Only numbers above this, in every topic.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.search.spec.after = seq;
        self
    }

    /// Only this severity and higher ones.
    #[must_use]
    pub fn severity_min(mut self, severity: Severity) -> Self {
        self.search.spec.level_min = severity.number();
        self
    }

    /// Only lines that contain this text, as it is written. Given again, both must be there.
    #[must_use]
    pub fn contains(mut self, text: &str) -> Self {
        self.filter.add_text(text);
        self
    }

    /// Only lines in which this regular expression matches, in the syntax of the crate `regex`.
    /// Given again, both must match.
    ///
    /// # Errors
    /// `Invalid` for what is no expression or exceeds the limits.
    ///
    /// # Limits
    /// An expression has at most 4,096 bytes and takes at most 1 MiB once compiled. Matching takes
    /// time linear in the line: nothing backtracks. A line that could take much longer than a second
    /// (the expression needs a new state for nearly every byte, and length times states exceeds
    /// 100 million) is `Invalid`, told when the search meets it; asked again, it goes on behind it.
    pub fn regex(mut self, pattern: &str) -> Result<Self> {
        self.filter.add_regex(pattern)?;
        Ok(self)
    }

    /// Only entries whose metadata has exactly this value under this key.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.filter.add_metadata(key.into(), value.into());
        self
    }

    /// The order of results.
    #[must_use]
    pub fn order(mut self, order: QueryOrder) -> Self {
        self.search.spec.order = order.into();
        self
    }

    /// No more than this many results.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.search.limit = Some(limit);
        self
    }

    /// Whether an entry meets the conditions of this query; limit and cursor are none. With it, what
    /// a replay or a subscription gives can be filtered.
    ///
    /// # Example
    /// ```
    /// # use forgeone_db::{LogQuery, NewLogEntry, OpenMode, RedbManager};
    /// # use forgeone_db::{Severity, StartFrom, StoreOptions, TopicPattern};
    /// # let directory = tempfile::tempdir()?;
    /// # let options = StoreOptions::new(directory.path().join("s")).mode(OpenMode::Create);
    /// # let store = RedbManager::open(options)?;
    /// # for line in ["all is well", "disk is full"] {
    /// #     store.store_log(NewLogEntry::new("t", chrono::Utc::now(), Severity::Info, line))?;
    /// # }
    /// let topics = TopicPattern::new("t")?;
    /// let query = LogQuery::new(topics.clone()).contains("disk");
    /// for entry in store.replay_logs(&topics, StartFrom::Oldest)? {
    ///     let entry = entry?;
    ///     assert_eq!(query.matches(&entry)?, entry.seq == 2);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn matches(&self, stored: &StoredLogEntry) -> Result<bool> {
        let StoredLogEntry { entry, seq } = stored;
        let Search { topics, spec, .. } = &self.search;
        let time = Timestamp::from(entry.timestamp);
        let in_place = topics.matches(&entry.topic)
            && *seq > spec.after
            && entry.severity.number() >= spec.level_min
            && spec.from.is_none_or(|from| time >= from)
            && spec.to.is_none_or(|to| time < to);
        if !in_place {
            return Ok(false);
        }
        self.filter.matches_line(entry.line(), |key| entry.metadata.get(key).map(String::as_str))
    }

    /// Only what comes behind the place that [`LogResults::cursor`] named.
    #[must_use]
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.search.cursor = Some(cursor.into());
        self
    }
}

/// Results of a query, read as they are asked for. What was stored after the query began is not
/// among them.
#[derive(Debug)]
pub struct LogResults(Results);

impl LogResults {
    pub(super) async fn start(
        streams: Arc<Streams>,
        tokens: Arc<Tokens>,
        query: LogQuery,
    ) -> Result<Self> {
        let LogQuery { mut search, filter } = query;
        if !filter.is_empty() {
            search.spec.filter = Some(Arc::new(filter));
        }
        Results::start(streams, tokens, search).await.map(Self)
    }

    /// The next result; `None` after the last. Reads on until one is found.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range of what is damaged. Asked again, the query goes on behind
    /// it: nothing is missing but what the error names.
    pub async fn next(&mut self) -> Result<Option<StoredLogEntry>> {
        let Some(found) = self.0.next().await? else { return Ok(None) };
        to_stored(found, &self.0.streams().shared().ids).map(Some)
    }

    /// All results that are left.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    ///
    /// # Limits
    /// Holds them in memory together.
    pub async fn all(mut self) -> Result<Vec<StoredLogEntry>> {
        let mut entries = Vec::new();
        while let Some(entry) = self.next().await? {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The place behind the last result given, for [`LogQuery::cursor`]: opaque text, valid for
    /// this store and the same order. `None` before the first result.
    ///
    /// # Errors
    /// `Internal` if it cannot be made.
    pub fn cursor(&self) -> Result<Option<String>> {
        self.0.cursor()
    }
}
