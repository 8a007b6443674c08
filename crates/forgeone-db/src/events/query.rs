//! Searching events by topic and time.

use super::convert::to_stored;
use super::manager::StoredEvent;
use super::token::{TokenKind, Tokens};
use crate::codec::{Cursor, put_bytes};
use crate::environment::Timestamp;
use crate::model::{EventPriority, TopicPattern};
use crate::stream::{Order, Query, QueryCursor, QuerySpec, Streams};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::Arc;

/// How often a query beside a writer in another process starts again before it gives up.
const QUERY_TRIES: u32 = 8;

/// The order of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventOrder {
    /// Oldest first: by timestamp, then topic, then seq.
    #[default]
    OldestFirst,
    /// The reverse.
    NewestFirst,
}

/// What to search for. The default is everything, oldest first.
#[derive(Debug, Clone)]
pub struct EventQuery {
    topics: TopicPattern,
    spec: QuerySpec,
    cursor: Option<String>,
    limit: Option<u64>,
}

impl Default for EventQuery {
    fn default() -> Self {
        Self::new(TopicPattern::all())
    }
}

impl EventQuery {
    /// Events of the topics that match.
    pub fn new(topics: TopicPattern) -> Self {
        let spec = QuerySpec {
            from: None,
            to: None,
            after: 0,
            level_min: 0,
            order: Order::Ascending,
            cursor: None,
            bounds: None,
        };
        Self { topics, spec, cursor: None, limit: None }
    }

    /// Only timestamps at or after this.
    #[must_use]
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.spec.from = Some(from.into());
        self
    }

    /// Only timestamps before this.
    #[must_use]
    pub fn to(mut self, to: DateTime<Utc>) -> Self {
        self.spec.to = Some(to.into());
        self
    }

    /// Only numbers above this, in every topic.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.spec.after = seq;
        self
    }

    /// Only this priority and higher ones.
    #[must_use]
    pub fn priority_min(mut self, priority: EventPriority) -> Self {
        self.spec.level_min = priority.level();
        self
    }

    /// The order of results.
    #[must_use]
    pub fn order(mut self, order: EventOrder) -> Self {
        self.spec.order = match order {
            EventOrder::OldestFirst => Order::Ascending,
            EventOrder::NewestFirst => Order::Descending,
        };
        self
    }

    /// No more than this many results.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Only what comes behind the place that [`EventResults::cursor`] named.
    #[must_use]
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

/// Results of a query, read as they are asked for. What was stored after the query began is not
/// among them.
#[derive(Debug)]
pub struct EventResults {
    streams: Arc<Streams>,
    tokens: Arc<Tokens>,
    topics: TopicPattern,
    spec: QuerySpec,
    query: Query,
    left: u64,
    /// What the streams looked like when the query last began.
    seen: u64,
}

impl EventResults {
    pub(super) async fn start(
        streams: Arc<Streams>,
        tokens: Arc<Tokens>,
        query: EventQuery,
    ) -> Result<Self> {
        let EventQuery { topics, mut spec, cursor, limit } = query;
        if let Some(token) = cursor {
            spec.cursor = Some(open_cursor(&tokens, &token)?);
        }
        let seen = streams.version();
        let running = streams.query(&topics, spec.clone()).await?;
        spec.bounds = running.bounds();
        let left = limit.unwrap_or(u64::MAX);
        Ok(Self { streams, tokens, topics, spec, query: running, left, seen })
    }

    /// The next result; `None` after the last.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range of what is damaged. Asked again, the query goes on behind
    /// it: nothing is missing but what the error names.
    pub async fn next(&mut self) -> Result<Option<StoredEvent>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut tries = QUERY_TRIES;
        let found = loop {
            match self.query.next().await {
                // A writer in another process may have dropped what was being read.
                Err(error) if error.kind() == ErrorKind::Corrupt && tries > 0 => {
                    tries -= 1;
                    self.streams.refresh().await?;
                    let now = self.streams.version();
                    if !self.streams.follows() || now == self.seen {
                        return Err(error);
                    }
                    self.seen = now;
                    self.query = self.streams.query(&self.topics, self.spec.clone()).await?;
                }
                result => break result?,
            }
        };
        let Some(found) = found else { return Ok(None) };
        self.left -= 1;
        self.spec.cursor = Some(found.cursor());
        to_stored(found).map(Some)
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
        let Some(cursor) = &self.spec.cursor else { return Ok(None) };
        let mut payload = Vec::new();
        payload.extend_from_slice(&cursor.time.to_ordered_bytes());
        payload.extend_from_slice(&cursor.sequence.to_be_bytes());
        put_bytes(&mut payload, cursor.topic.as_bytes());
        self.tokens.seal(TokenKind::Query, &payload).map(Some)
    }
}

fn open_cursor(tokens: &Tokens, token: &str) -> Result<QueryCursor> {
    let payload = tokens.open(TokenKind::Query, token)?;
    let parse = || -> Result<QueryCursor> {
        let mut cursor = Cursor::new(&payload);
        let time = Timestamp::from_ordered_bytes(cursor.array()?);
        let sequence = cursor.u64()?;
        let topic = cursor.text()?.to_owned();
        cursor.finish()?;
        Ok(QueryCursor { time, topic, sequence })
    };
    parse().map_err(|error| {
        Error::new(ErrorKind::Invalid, "this is no cursor of a query").with_source(error)
    })
}
