//! Results of a search that goes on beside a writer in another process, and from a cursor.

use super::query::{Found, Query, QueryCursor, QuerySpec};
use super::streams::Streams;
use super::token::{Purpose, Tokens};
use crate::codec::{Cursor, put_bytes};
use crate::environment::Timestamp;
use crate::model::TopicPattern;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::Arc;

/// How often a query beside a writer in another process starts again before it gives up.
const QUERY_TRIES: u32 = 8;

/// What to search for, in which topics, from where, and how much of it.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub(crate) topics: TopicPattern,
    pub(crate) spec: QuerySpec,
    pub(crate) cursor: Option<String>,
    pub(crate) limit: Option<u64>,
}

impl Search {
    /// Everything in these topics, oldest first.
    pub(crate) fn new(topics: TopicPattern) -> Self {
        Self { topics, spec: QuerySpec::default(), cursor: None, limit: None }
    }
}

/// Results of a search, read as they are asked for.
#[derive(Debug)]
pub(crate) struct Results {
    streams: Arc<Streams>,
    tokens: Arc<Tokens>,
    topics: TopicPattern,
    spec: QuerySpec,
    query: Query,
    left: u64,
    /// What the streams looked like when the query last began.
    seen: u64,
}

impl Results {
    pub(crate) async fn start(
        streams: Arc<Streams>,
        tokens: Arc<Tokens>,
        search: Search,
    ) -> Result<Self> {
        let Search { topics, mut spec, cursor, limit } = search;
        if let Some(token) = cursor {
            let payload = tokens.open((streams.kind, Purpose::Query), &token)?;
            spec.cursor = Some(parse_cursor(&payload)?);
        }
        let seen = streams.version();
        let running = streams.query(&topics, spec.clone()).await?;
        spec.bounds = running.bounds();
        let left = limit.unwrap_or(u64::MAX);
        Ok(Self { streams, tokens, topics, spec, query: running, left, seen })
    }

    pub(crate) const fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    /// The next result; `None` after the last.
    ///
    /// # Errors
    /// As [`Query::next`].
    pub(crate) async fn next(&mut self) -> Result<Option<Found>> {
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
        if let Some(found) = &found {
            self.left -= 1;
            self.spec.cursor = Some(found.cursor());
        }
        Ok(found)
    }

    /// The place behind the last result given; `None` before the first.
    ///
    /// # Errors
    /// `Internal` if it cannot be made.
    pub(crate) fn cursor(&self) -> Result<Option<String>> {
        let Some(cursor) = &self.spec.cursor else { return Ok(None) };
        let mut payload = Vec::new();
        payload.extend_from_slice(&cursor.time.to_ordered_bytes());
        payload.extend_from_slice(&cursor.sequence.to_be_bytes());
        put_bytes(&mut payload, cursor.topic.as_bytes());
        self.tokens.seal((self.streams.kind, Purpose::Query), &payload).map(Some)
    }
}

fn parse_cursor(payload: &[u8]) -> Result<QueryCursor> {
    let parse = || -> Result<QueryCursor> {
        let mut cursor = Cursor::new(payload);
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
