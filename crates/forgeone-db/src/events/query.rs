//! Searching events by topic and time.

use super::convert::to_stored;
use super::manager::StoredEvent;
use crate::model::{EventPriority, QueryOrder, TopicPattern};
use crate::stream::{Results, Search, Streams, Tokens};
use chrono::{DateTime, Utc};
use forgeone_db_engine::Result;
use std::sync::Arc;

/// What to search for. The default is everything, oldest first.
#[derive(Debug, Clone)]
pub struct EventQuery(Search);

impl Default for EventQuery {
    fn default() -> Self {
        Self::new(TopicPattern::all())
    }
}

impl EventQuery {
    /// Events of the topics that match.
    pub fn new(topics: TopicPattern) -> Self {
        Self(Search::new(topics))
    }

    /// Only timestamps at or after this.
    #[must_use]
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.0.spec.from = Some(from.into());
        self
    }

    /// Only timestamps before this.
    #[must_use]
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.0.spec.to = Some(to.into());
        self
    }

    /// Only numbers above this, in every topic.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.0.spec.after = seq;
        self
    }

    /// Only this priority and higher ones.
    #[must_use]
    pub fn priority_min(mut self, priority: EventPriority) -> Self {
        self.0.spec.level_min = priority.level();
        self
    }

    /// The order of results.
    #[must_use]
    pub fn order(mut self, order: QueryOrder) -> Self {
        self.0.spec.order = order.into();
        self
    }

    /// No more than this many results.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.0.limit = Some(limit);
        self
    }

    /// Only what comes behind the place that [`EventResults::cursor`] named.
    #[must_use]
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.0.cursor = Some(cursor.into());
        self
    }
}

/// Results of a query, read as they are asked for. What was stored after the query began is not
/// among them.
#[derive(Debug)]
pub struct EventResults(Results);

impl EventResults {
    pub(super) async fn start(
        streams: Arc<Streams>,
        tokens: Arc<Tokens>,
        query: EventQuery,
    ) -> Result<Self> {
        Results::start(streams, tokens, query.0).await.map(Self)
    }

    /// The next result; `None` after the last.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range of what is damaged. Asked again, the query goes on behind
    /// it: nothing is missing but what the error names.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>> {
        self.0.next().await?.map(to_stored).transpose()
    }

    /// All results that are left.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    ///
    /// # Limits
    /// Holds them in memory together.
    pub async fn all(mut self) -> Result<Vec<StoredEvent>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }

    /// The place behind the last result given, for [`EventQuery::cursor`]: opaque text, valid for
    /// this store and the same order. `None` before the first result.
    ///
    /// # Errors
    /// `Internal` if it cannot be made.
    pub fn cursor(&self) -> Result<Option<String>> {
        self.0.cursor()
    }
}
