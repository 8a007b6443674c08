//! The manager of event storage and retrieval.

use super::convert::{to_record, to_stored};
use super::query::{EventQuery, EventResults};
use super::subscription::EventSubscription;
use crate::model::{
    EventMessage, StartFrom, StreamableEvent, TopicInfo, TopicPattern, check_topic,
};
use crate::stream::{AtTheEnd, Found, Position, Streams, Tokens};
use chrono::DateTime;
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// Stores events and finds them again. Cheap to clone; every clone is the same store.
///
/// Methods are async and need no particular runtime; reads that block are made by a bounded pool
/// of threads, writes by one committer thread for each shard. `RedbManager` has the same in
/// blocking form.
#[derive(Debug, Clone)]
pub struct EventManager {
    streams: Arc<Streams>,
    tokens: Arc<Tokens>,
}

/// An event to store, with what the store must know about its timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The event.
    pub event: EventMessage,
    /// Whether the timestamp was made up on the way in (an arrival time) rather than given by the
    /// event's source. Then storing the event again with another timestamp is no conflict.
    pub timestamp_assigned: bool,
}

impl From<EventMessage> for NewEvent {
    fn from(event: EventMessage) -> Self {
        Self { event, timestamp_assigned: false }
    }
}

/// Where an event is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventPosition {
    /// Its number in its topic: 1, 2, 3 ... without gaps.
    pub seq: u64,
    /// Whether it was there before: the same id with the same content.
    pub duplicate: bool,
}

impl From<Position> for EventPosition {
    fn from(position: Position) -> Self {
        Self { seq: position.sequence, duplicate: position.duplicate }
    }
}

/// An event with its number in its topic. In JSON: the fields of [`EventMessage`] and `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// The event as it was stored.
    #[serde(flatten)]
    pub event: EventMessage,
    /// Its number in its topic.
    pub seq: u64,
}

impl EventManager {
    /// The records behind it.
    pub(crate) const fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    pub(crate) fn new(streams: Arc<Streams>, tokens: Arc<Tokens>) -> Self {
        Self { streams, tokens }
    }

    /// Stores one event.
    ///
    /// An event whose id is in its topic already is not stored again: with the same content the
    /// answer is its present place and `duplicate`, with other content the error is `Conflict`.
    ///
    /// # Durability
    /// Durable on return, at the store's level. Dropping the returned future after its first poll
    /// may or may not stop the write; dropping it once the write is queued does not.
    ///
    /// # Errors
    /// `Invalid` for a part beyond its limit; `Conflict`; `Full` at quota or disk limit;
    /// `Unsupported` on a handle that only reads; `Closed`. The error's `outcome` says whether the
    /// event may have been stored all the same; storing it again with the same id is safe.
    pub async fn publish(&self, event: &EventMessage) -> Result<EventPosition> {
        let positions = self.publish_batch(std::slice::from_ref(event)).await?;
        first(positions)
    }

    /// Stores events, all or none. They get consecutive numbers in each topic, in the order given.
    ///
    /// # Durability
    /// As [`publish`](Self::publish).
    ///
    /// # Errors
    /// As [`publish`](Self::publish); also `Invalid` when the topics live in different shards,
    /// since a batch is atomic, or when the batch exceeds 32 MiB.
    pub async fn publish_batch(&self, events: &[EventMessage]) -> Result<Vec<EventPosition>> {
        self.publish_opts(events.iter().cloned().map(NewEvent::from).collect()).await
    }

    /// Stores events, all or none, with what the store must know of each.
    ///
    /// # Errors
    /// As [`publish_batch`](Self::publish_batch).
    pub async fn publish_opts(&self, events: Vec<NewEvent>) -> Result<Vec<EventPosition>> {
        let records = events.into_iter().map(to_record).collect::<Result<Vec<_>>>()?;
        let positions = self.streams.append(records).await?;
        Ok(positions.into_iter().map(|(_, position)| position.into()).collect())
    }

    /// Stores a value of the caller's own type. An event without an id gets a random one, and one
    /// without a timestamp the present time; both are in the message that is returned.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); `Invalid` when the value cannot be written as JSON.
    pub async fn publish_typed<T: StreamableEvent + Sync>(
        &self,
        value: &T,
    ) -> Result<(EventMessage, EventPosition)> {
        let environment = &self.streams.shared().environment;
        let mut random = [0; 16];
        environment.fill_random(&mut random)?;
        let id = uuid::Builder::from_random_bytes(random).into_uuid();
        let now = environment.now().in_calendar().to_datetime().unwrap_or(DateTime::UNIX_EPOCH);
        let event = value.to_message(id, now)?;
        let new =
            NewEvent { event: event.clone(), timestamp_assigned: value.timestamp().is_none() };
        let position = first(self.publish_opts(vec![new]).await?)?;
        Ok((event, position))
    }

    /// Every event with this id, ordered by topic: an id is unique in its topic only.
    ///
    /// # Errors
    /// `Corrupt` when what is stored is damaged. An unknown id is an empty answer, but `Corrupt` where
    /// records were lost before they were sealed: one of those may have it.
    ///
    /// # Limits
    /// Asks every shard. Runs without the id are ruled out by filters in memory; then one unit of
    /// at most 16 KiB is read for each hit.
    pub async fn get(&self, id: Uuid) -> Result<Vec<StoredEvent>> {
        let found = self.streams.get(id.into_bytes()).await?;
        found.into_iter().map(to_stored).collect()
    }

    /// The event of this number.
    ///
    /// # Errors
    /// `NotFound` when there is no such topic or number; `Corrupt`.
    pub async fn get_at(&self, topic: &str, seq: u64) -> Result<StoredEvent> {
        let topic = self.streams.topic(topic).await?.ok_or_else(|| no_topic(topic))?;
        let record = self.streams.record(&topic, seq).await?;
        to_stored(Found { topic, sequence: seq, record })
    }

    /// Starts a search by topic and time; results come in the order (timestamp, topic, seq).
    ///
    /// # Errors
    /// `Invalid` for a pattern or cursor that is none; `Corrupt`.
    pub async fn query(&self, query: EventQuery) -> Result<EventResults> {
        EventResults::start(Arc::clone(&self.streams), Arc::clone(&self.tokens), query).await
    }

    /// Follows topics: what is there from `start` on, then what comes.
    ///
    /// # Errors
    /// `Invalid` for a token of another store or from the future; `NotFound` for a marker that no
    /// event carries; `Corrupt`.
    pub async fn subscribe(
        &self,
        topics: &TopicPattern,
        start: StartFrom,
    ) -> Result<EventSubscription> {
        self.follow(topics, (start, AtTheEnd::Wait)).await
    }

    async fn follow(
        &self,
        topics: &TopicPattern,
        start: (StartFrom, AtTheEnd),
    ) -> Result<EventSubscription> {
        let streams = Arc::clone(&self.streams);
        EventSubscription::start(streams, Arc::clone(&self.tokens), topics, start).await
    }

    /// Reads what is there from `start` on, in the order of commits, and ends: a subscription that
    /// does not wait.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub async fn replay(
        &self,
        topics: &TopicPattern,
        start: StartFrom,
    ) -> Result<EventSubscription> {
        self.follow(topics, (start, AtTheEnd::Stop)).await
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
    /// `Invalid` for a name beyond the limits; as [`publish`](Self::publish).
    pub async fn create_topic(&self, topic: &str) -> Result<()> {
        check_topic(topic)?;
        self.streams.open_topic(topic).await.map(|_| ())
    }
}

fn first(positions: Vec<EventPosition>) -> Result<EventPosition> {
    positions
        .into_iter()
        .next()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a write was answered without a position"))
}

fn no_topic(topic: &str) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such topic").with("topic", topic.escape_debug())
}
