//! Searching by topic and time, in both directions, in the order (time, topic, sequence).
//!
//! A topic's records that are on time never go back in time, so unit bounds find where to start
//! and stop. Late records are found through their own index. Both streams of a topic, and those of
//! all topics, are merged as they are read.

mod late;
mod losses;

use super::directory::Topic;
use super::memory::{OpenUnits, Units};
use super::record::{Record, RecordBatch};
use super::segment::{Ahead, READ_AHEAD_UNITS, Sifted, Wanted};
use super::shard::Shard;
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::model::QueryOrder;
use forgeone_db_engine::{Error, ErrorKind, Result};
use late::{Late, LateEntry, Seen};
use losses::Losses;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

/// The order of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Order {
    /// Oldest first.
    #[default]
    Ascending,
    /// Newest first.
    Descending,
}

impl From<QueryOrder> for Order {
    fn from(order: QueryOrder) -> Self {
        match order {
            QueryOrder::OldestFirst => Self::Ascending,
            QueryOrder::NewestFirst => Self::Descending,
        }
    }
}

/// The place of a result in the order, from which a query can go on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueryCursor {
    pub(crate) time: Timestamp,
    pub(crate) topic: String,
    pub(crate) sequence: u64,
}

/// A condition on what a record says.
pub(crate) trait RecordFilter: fmt::Debug + Send + Sync {
    /// Whether one of the records whose columns these are may match. Every payload, and every
    /// key and value of metadata, stands in them as it is. Never wrong when it says no.
    fn may_match(&self, columns: &[u8]) -> bool;

    /// Whether the record matches.
    ///
    /// # Errors
    /// What keeps it from finding out.
    fn matches(&self, record: &Record) -> Result<bool>;
}

/// What is asked of a query, besides its topics. The default is everything, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct QuerySpec {
    /// First time, included.
    pub(crate) from: Option<Timestamp>,
    /// End of the times, excluded.
    pub(crate) to: Option<Timestamp>,
    /// Only sequence numbers above this.
    pub(crate) after: u64,
    /// Only this level and above.
    pub(crate) level_min: u8,
    /// Only records that match.
    pub(crate) filter: Option<Arc<dyn RecordFilter>>,
    pub(crate) order: Order,
    /// Only what comes behind this place in the order.
    pub(crate) cursor: Option<QueryCursor>,
    /// Only records up to these numbers, by topic id; what there is now, if not given.
    pub(crate) bounds: Option<Arc<Bounds>>,
}

/// The newest record of each topic at some moment, by topic id.
pub(crate) type Bounds = HashMap<u64, u64>;

/// The newest record of each topic: of all topics of a shard at one moment, so that a batch is seen
/// whole or not at all.
fn bounds(topics: &[(Arc<Topic>, Arc<Shard>)]) -> Bounds {
    let mut bounds = Bounds::with_capacity(topics.len());
    let mut rest: Vec<&(Arc<Topic>, Arc<Shard>)> = topics.iter().collect();
    while let Some((_, shard)) = rest.first().copied() {
        let (of_shard, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|(_, other)| Arc::ptr_eq(shard, other));
        let ids: Vec<u64> = of_shard.iter().map(|(topic, _)| topic.id).collect();
        bounds.extend(ids.iter().copied().zip(shard.last_of(&ids)));
        rest = others;
    }
    bounds
}

impl QuerySpec {
    fn contains(&self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }

    /// Whether any record may be unwanted for what it says, not for its place and time.
    fn is_selective(&self) -> bool {
        self.filter.is_some() || self.level_min > 0
    }

    fn wants(&self, record: &Record) -> Result<bool> {
        if !self.contains(record.time) || record.level < self.level_min {
            return Ok(false);
        }
        self.filter.as_ref().map_or(Ok(true), |filter| filter.matches(record))
    }

    /// The narrowest time range that the cursor allows.
    fn narrowed(mut self) -> Self {
        if let Some(cursor) = &self.cursor {
            match self.order {
                Order::Ascending => self.from = self.from.max(Some(cursor.time)),
                Order::Descending => {
                    // The end is excluded, so one nanosecond above the cursor's time.
                    let above = match cursor.time.nanos.checked_add(1) {
                        Some(nanos) => Timestamp { nanos, ..cursor.time },
                        None => {
                            Timestamp { seconds: cursor.time.seconds.saturating_add(1), nanos: 0 }
                        }
                    };
                    self.to = Some(self.to.map_or(above, |to| to.min(above)));
                }
            }
        }
        self
    }
}

/// One result.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) topic: Arc<Topic>,
    pub(crate) sequence: u64,
    pub(crate) record: Record,
}

impl Found {
    /// The result's place in the order.
    pub(crate) fn cursor(&self) -> QueryCursor {
        QueryCursor {
            time: self.record.time,
            topic: self.topic.name.clone(),
            sequence: self.sequence,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.record
            .time
            .cmp(&other.record.time)
            .then_with(|| self.topic.name.cmp(&other.topic.name))
            .then_with(|| self.sequence.cmp(&other.sequence))
    }
}

/// A running query: a snapshot of the topics as they were when it began.
#[derive(Debug)]
pub(crate) struct Query {
    spec: Arc<QuerySpec>,
    topics: Vec<TopicQuery>,
    heap: BinaryHeap<Next>,
    /// Topics whose next result is still to be read.
    owing: Vec<usize>,
    /// Room for a unit of each topic; without it each gives its unit back between two records.
    open_units: Option<OpenUnits>,
}

/// The next result of one topic, ordered so that the heap gives the wanted one first.
#[derive(Debug)]
struct Next {
    found: Found,
    topic: usize,
    order: Order,
}

impl Ord for Next {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.order {
            Order::Ascending => other.found.compare(&self.found),
            Order::Descending => self.found.compare(&other.found),
        }
    }
}

impl PartialOrd for Next {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next {}

impl Query {
    /// A query over `topics` with the shard that each lives in. Nothing is read before the first
    /// [`next`](Self::next).
    pub(crate) fn new(
        topics: Vec<(Arc<Topic>, Arc<Shard>)>,
        spec: QuerySpec,
        units: &Arc<Units>,
    ) -> Self {
        let mut spec = spec.narrowed();
        let bounds = spec.bounds.take().unwrap_or_else(|| Arc::new(bounds(&topics)));
        spec.bounds = Some(Arc::clone(&bounds));
        let spec = Arc::new(spec);
        let topics: Vec<TopicQuery> = topics
            .into_iter()
            .map(|(topic, shard)| {
                let upto = bounds.get(&topic.id).copied().unwrap_or(0);
                TopicQuery::new(topic, shard, Arc::clone(&spec), upto)
            })
            .collect();
        let owing = (0..topics.len()).rev().collect();
        // A search for what few records say reads ahead.
        let held = if spec.is_selective() { topics.len() * READ_AHEAD_UNITS } else { topics.len() };
        Self { spec, topics, heap: BinaryHeap::new(), owing, open_units: units.take(held) }
    }

    /// The newest record of each topic when the query began, for beginning it again.
    pub(crate) fn bounds(&self) -> Option<Arc<Bounds>> {
        self.spec.bounds.clone()
    }

    /// The next result in order; `None` after the last.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range. Asked again, the query goes on behind the damage: the
    /// records in it are the ones that the error names.
    pub(crate) async fn next(&mut self) -> Result<Option<Found>> {
        loop {
            while let Some(index) = self.owing.last().copied() {
                self.refill(index).await?;
                self.owing.pop();
            }
            let Some(next) = self.heap.pop() else { return Ok(None) };
            self.owing.push(next.topic);
            if self.is_wanted(&next.found) {
                return Ok(Some(next.found));
            }
        }
    }

    fn is_wanted(&self, found: &Found) -> bool {
        self.spec.cursor.as_ref().is_none_or(|cursor| match self.spec.order {
            Order::Ascending => found.cursor() > *cursor,
            Order::Descending => found.cursor() < *cursor,
        })
    }

    async fn refill(&mut self, index: usize) -> Result<()> {
        // One topic's unit is no more than what the result at hand takes.
        let crowded = self.open_units.is_none() && self.topics.len() > 1;
        let Some(topic) = self.topics.get_mut(index) else { return Ok(()) };
        if let Some(found) = topic.next().await? {
            self.heap.push(Next { found, topic: index, order: self.spec.order });
        }
        if crowded {
            topic.on_time.chunk = None;
            topic.on_time.ahead.clear();
            topic.late_ahead.iter_mut().for_each(|entry| entry.seen = Seen::Nothing);
        }
        Ok(())
    }
}

/// The part of a query that concerns one topic.
#[derive(Debug)]
struct TopicQuery {
    topic: Arc<Topic>,
    shard: Arc<Shard>,
    spec: Arc<QuerySpec>,
    /// Why the topic cannot be searched at all, until that is told.
    damage: Option<Error>,
    losses: Losses,
    /// The oldest and the newest record when the query began.
    first: u64,
    upto: u64,
    on_time: OnTime,
    late: Late,
    /// What was taken from the index, in the query's order.
    late_ahead: VecDeque<LateEntry>,
    /// How many entries were taken last.
    late_batch: usize,
    /// What the stream of records that are on time gives next.
    on_time_next: Option<(u64, Record)>,
    /// What the stream of late records gives next.
    late_next: Option<(u64, Record)>,
}

/// The stream of records that are on time.
#[derive(Debug, Default)]
struct OnTime {
    /// The next sequence number to look at; `None` at the end.
    next: Option<u64>,
    started: bool,
    chunk: Option<Arc<RecordBatch>>,
    /// What was read ahead by a selective query, in its order.
    ahead: VecDeque<Sifted>,
    /// How much is read ahead next.
    next_ahead: Ahead,
}

impl TopicQuery {
    fn new(topic: Arc<Topic>, shard: Arc<Shard>, spec: Arc<QuerySpec>, upto: u64) -> Self {
        let first = shard.first(topic.id);
        let damage = shard.check().err().map(|error| error.with("topic", &topic.name));
        Self {
            damage,
            losses: Losses::of(&shard, topic.id, (&spec, first, upto)),
            topic,
            shard,
            spec,
            first,
            upto,
            on_time: OnTime::default(),
            late: Late::Unopened,
            late_ahead: VecDeque::new(),
            late_batch: 0,
            on_time_next: None,
            late_next: None,
        }
    }

    async fn next(&mut self) -> Result<Option<Found>> {
        if let Some(damage) = self.damage.take() {
            return Err(damage);
        }
        if let Some(lost) = self.losses.tell() {
            return Err(self.shard.lost_error(&lost));
        }
        if self.on_time_next.is_none() {
            self.on_time_next = self.next_on_time().await?;
        }
        if self.late_next.is_none() {
            self.late_next = self.next_late().await?;
        }
        let choose_late = match (&self.on_time_next, &self.late_next) {
            (Some((a, on_time)), Some((b, late))) => {
                let late_first = (late.time, *b) < (on_time.time, *a);
                late_first == (self.spec.order == Order::Ascending)
            }
            (on_time, _) => on_time.is_none(),
        };
        let taken = if choose_late { self.late_next.take() } else { self.on_time_next.take() };
        Ok(taken.map(|(sequence, record)| Found {
            topic: Arc::clone(&self.topic),
            sequence,
            record,
        }))
    }

    async fn next_on_time(&mut self) -> Result<Option<(u64, Record)>> {
        if !self.on_time.started {
            let start = self.start().await;
            // Said once; then the search goes through everything, and meets the damage where it is.
            self.on_time.started = true;
            self.on_time.next = match self.spec.order {
                Order::Ascending => Some(self.oldest()),
                Order::Descending => Some(self.upto),
            };
            self.on_time.next = start?;
        }
        while let Some(sequence) = self.on_time.next {
            if sequence < self.oldest() || sequence > self.upto {
                self.on_time.next = None;
                return Ok(None);
            }
            let chunk = match self.chunk_at(sequence).await {
                Ok(chunk) => chunk,
                Err(error) => {
                    self.pass_over(sequence, &error).await;
                    if error.kind() == ErrorKind::Corrupt && self.losses.is_told(sequence) {
                        continue;
                    }
                    return Err(error);
                }
            };
            let found = match chunk {
                Sifted::Passed { first, last, bounds } => {
                    self.on_time.next = self.behind(first, last);
                    if bounds.on_time_min.is_some_and(|min| self.is_beyond(min, bounds.max)) {
                        self.on_time.next = None;
                    }
                    continue;
                }
                Sifted::Records(batch) => batch,
            };
            self.on_time.next = self.behind(sequence, sequence);
            let record =
                found.get(sequence).ok_or_else(|| corrupt("a unit lacks a record of its range"))?;
            if record.late {
                continue;
            }
            if self.is_beyond(record.time, record.time) {
                self.on_time.next = None;
                return Ok(None);
            }
            if self.spec.wants(record)? {
                return Ok(Some((sequence, record.clone())));
            }
        }
        Ok(None)
    }

    /// The next number in the query's order behind a range.
    fn behind(&self, first: u64, last: u64) -> Option<u64> {
        match self.spec.order {
            Order::Ascending => last.checked_add(1),
            Order::Descending => first.checked_sub(1),
        }
    }

    /// Whether records on time with times from `min` to `max` lie behind all that is wanted.
    fn is_beyond(&self, min: Timestamp, max: Timestamp) -> bool {
        match self.spec.order {
            Order::Ascending => self.spec.to.is_some_and(|to| min >= to),
            Order::Descending => self.spec.from.is_some_and(|from| max < from),
        }
    }

    /// Goes on behind damage that was told.
    async fn pass_over(&mut self, sequence: u64, error: &Error) {
        if error.kind() == ErrorKind::NotFound {
            // Given up while the query ran.
            let first = self.shard.first(self.topic.id);
            let ascending = self.spec.order == Order::Ascending;
            self.on_time.next = Some(first).filter(|first| ascending && *first > sequence);
            return;
        }
        if error.kind() != ErrorKind::Corrupt {
            return;
        }
        let (first, last) = self.shard.extent(self.topic.id, sequence).await;
        self.on_time.next = self.behind(first.min(sequence), last.max(sequence));
    }

    /// The first number that may be wanted.
    fn oldest(&self) -> u64 {
        self.first.max(self.spec.after.saturating_add(1))
    }

    /// Where records that are on time start to be in range.
    async fn start(&self) -> Result<Option<u64>> {
        let oldest = self.oldest();
        match (self.spec.order, self.spec.from, self.spec.to) {
            (Order::Ascending, None, _) => Ok(Some(oldest)),
            (Order::Ascending, Some(from), _) => {
                Ok(Some(self.shard.seek_time(self.topic.id, from).await?.max(oldest)))
            }
            (Order::Descending, _, None) => Ok(Some(self.upto)),
            (Order::Descending, _, Some(to)) => {
                let sequence = self.shard.seek_time(self.topic.id, to).await?;
                if sequence > self.upto {
                    return Ok(Some(self.upto));
                }
                // The boundary lies somewhere in this chunk; start at its end.
                let chunk = self.shard.chunk(self.topic.id, sequence, false).await?;
                Ok(Some(chunk.last().min(self.upto)))
            }
        }
    }

    /// What lies together with `sequence`: its records, or that none of them is wanted.
    async fn chunk_at(&mut self, sequence: u64) -> Result<Sifted> {
        if let Some(chunk) = self.on_time.chunk.as_ref().filter(|chunk| chunk.has(sequence)) {
            return Ok(Sifted::Records(Arc::clone(chunk)));
        }
        let forward = self.spec.order == Order::Ascending;
        if !self.spec.is_selective() {
            let chunk = self.shard.chunk(self.topic.id, sequence, forward).await?;
            self.on_time.chunk = Some(Arc::clone(&chunk));
            return Ok(Sifted::Records(chunk));
        }
        while self.on_time.ahead.front().is_some_and(|ahead| !ahead.has(sequence)) {
            self.on_time.ahead.pop_front();
        }
        if self.on_time.ahead.is_empty() {
            let wanted = Wanted {
                level_min: self.spec.level_min,
                filter: self.spec.filter.as_deref(),
                ahead: self.on_time.next_ahead,
            };
            let sifted = self.shard.sift(self.topic.id, sequence, forward, wanted).await?;
            self.on_time.next_ahead = wanted.ahead.after(&sifted);
            self.on_time.ahead = sifted.into();
        }
        let next = self.on_time.ahead.pop_front();
        let next = next.filter(|next| next.has(sequence));
        if let Some(Sifted::Records(chunk)) = &next {
            self.on_time.chunk = Some(Arc::clone(chunk));
        }
        next.ok_or_else(|| corrupt("a unit lacks a record of its range"))
    }
}
