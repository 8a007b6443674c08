//! Subscriptions: what is there, then what comes, without gap or repeat.
//!
//! There is no hand-over from catch-up to live: a subscription always reads by sequence number
//! what is durable behind its position, and waits when there is nothing. So it holds no snapshot,
//! buffers at most one page, and never slows a writer.

use super::directory::Topic;
use super::query::Found;
use super::record::Record;
use super::streams::Streams;
use crate::codec::{Cursor, put_varint};
use crate::environment::Timestamp;
use crate::model::{TopicPattern, check_checkpoint_marker};
use forgeone_db_engine::{Error, ErrorKind, Result, mutant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Records and bytes that one subscription buffers.
const PAGE_RECORDS_MAX: usize = 1024;
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Where a subscription starts.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// With the oldest retained record.
    Oldest,
    /// Behind the newest record there is now.
    Now,
    /// Behind this sequence number, in every topic.
    After(u64),
    /// With the first record whose topic has reached this time.
    Time(Timestamp),
    /// With the newest record that carries this marker; topics without one start behind their
    /// newest record.
    Marker(String),
    /// Behind what a token says, by topic id.
    Positions(BTreeMap<u64, u64>),
}

/// A running subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    streams: Arc<Streams>,
    pattern: TopicPattern,
    topics: Vec<Arc<Topic>>,
    /// The version of the directory that `topics` is from.
    directory_seen: u64,
    /// The last sequence number delivered, by topic id.
    delivered: BTreeMap<u64, u64>,
    buffer: VecDeque<Found>,
    /// Counts the topics looked at, so that each gets its turn.
    turn: usize,
    /// Where damage was told last, by topic and number: met there again, it is passed over.
    told: Option<(u64, u64)>,
    /// Topics that cannot be read at all, of which that was told.
    unreadable: BTreeSet<u64>,
    /// What lies before the place where a topic starts and may have had what was asked for.
    untold: VecDeque<Error>,
}

impl Subscription {
    pub(crate) async fn start(
        streams: Arc<Streams>,
        pattern: TopicPattern,
        start: Start,
    ) -> Result<Self> {
        if let Start::Marker(marker) = &start {
            check_checkpoint_marker(Some(marker))?;
        }
        let directory_seen = streams.shared().topics.version();
        let topics = streams.matching_topics(&pattern).await?;
        let mut delivered = BTreeMap::new();
        let mut marked = false;
        let mut untold = VecDeque::new();
        // Told by the first page, not here: the other topics can be followed.
        for topic in topics.iter().filter(|topic| streams.check(topic).is_ok()) {
            if let Start::Marker(marker) = &start {
                let newest = streams.marked(topic, marker).await?.pop();
                marked |= newest.is_some();
                let Some(newest) = newest else {
                    let last = streams.last(topic)?;
                    untold.extend(streams.losses(topic, last)?);
                    delivered.insert(topic.id, last);
                    continue;
                };
                delivered.insert(topic.id, newest.saturating_sub(1));
            } else if let Some(position) = position(&streams, topic, &start).await? {
                if matches!(start, Start::Time(_)) {
                    untold.extend(streams.losses(topic, position)?);
                }
                delivered.insert(topic.id, position);
            }
        }
        if let Start::Marker(marker) = &start
            && !marked
        {
            // Whether one that cannot be read has it, nobody knows.
            topics.iter().try_for_each(|topic| streams.check(topic))?;
            untold.pop_front().map_or(Ok(()), Err)?;
            return Err(Error::new(ErrorKind::NotFound, "no record carries this marker")
                .with("marker", marker.escape_debug()));
        }
        let buffer = VecDeque::new();
        Ok(Self {
            streams,
            pattern,
            topics,
            directory_seen,
            delivered,
            buffer,
            turn: 0,
            told: None,
            unreadable: BTreeSet::new(),
            untold,
        })
    }

    /// What was delivered so far, for a token.
    pub(crate) fn positions(&self) -> BTreeMap<u64, u64> {
        let mut positions = self.delivered.clone();
        if mutant!("repeat-a-record-on-resuming") {
            positions.values_mut().for_each(|sequence| *sequence = sequence.saturating_sub(1));
        }
        if mutant!("lose-what-is-buffered-on-resuming") {
            return positions;
        }
        // What waits in the buffer was not delivered; its first record in each topic says where.
        for found in self.buffer.iter().rev() {
            positions.insert(found.topic.id, found.sequence - 1);
        }
        positions
    }

    /// The next record that is there now, if any.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range. Asked again, the subscription tries the same place, and
    /// goes on behind it if it is damaged still.
    pub(crate) async fn try_next(&mut self) -> Result<Option<Found>> {
        if self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(self.buffer.pop_front())
    }

    /// The next record; waits for it.
    ///
    /// # Errors
    /// As [`try_next`](Self::try_next); `Closed` when the store closes.
    pub(crate) async fn next(&mut self) -> Result<Found> {
        loop {
            let seen = self.streams.shared().commits.version();
            if let Some(found) = self.try_next().await? {
                return Ok(found);
            }
            self.streams.shared().check_open()?;
            self.streams.shared().wait_for_commit(seen).await;
            if mutant!("drop-a-record-between-catching-up-and-live") {
                self.delivered.values_mut().for_each(|sequence| *sequence += 1);
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if let Some(missing) = self.untold.pop_front() {
            return Err(missing);
        }
        self.streams.refresh().await?;
        self.find_new_topics().await?;
        let mut page = Vec::new();
        let mut bytes = 0;
        // Where the last page ended for want of room, the next one begins.
        for _ in 0..self.topics.len() {
            if page.len() >= PAGE_RECORDS_MAX || bytes >= PAGE_BYTES_MAX {
                break;
            }
            let Some(topic) = self.topics.get(self.turn % self.topics.len()) else { break };
            let topic = Arc::clone(topic);
            let limits = (PAGE_RECORDS_MAX - page.len(), PAGE_BYTES_MAX - bytes);
            match self.read(&topic, limits).await {
                Ok(records) => {
                    for (sequence, stamp, record) in records {
                        bytes += record.bytes();
                        let topic = Arc::clone(&topic);
                        page.push((stamp, Found { topic, sequence, record }));
                    }
                }
                Err(missing) if page.is_empty() => return Err(self.tell(&topic, missing)),
                // Told after what was found before it.
                Err(_) => break,
            }
            self.turn = self.turn.wrapping_add(1);
        }
        page.sort_by_key(|(stamp, found)| (*stamp, found.topic.id, found.sequence));
        for (_, found) in page {
            self.delivered.insert(found.topic.id, found.sequence);
            self.buffer.push_back(found);
        }
        Ok(())
    }

    /// The next records of a topic.
    async fn read(&mut self, topic: &Topic, limits: (usize, usize)) -> Result<Records, Missing> {
        if self.unreadable.contains(&topic.id) {
            return Ok(Records::new());
        }
        self.streams.check(topic).map_err(Missing::Topic)?;
        loop {
            let after = self.delivered.get(&topic.id).copied().unwrap_or(0);
            if self.streams.last(topic)? <= after {
                return Ok(Records::new());
            }
            if let Some((gap, last)) = self.streams.gap(topic, after)? {
                return Err(Missing::Gap(gap, last));
            }
            match self.streams.read_after(topic, after, limits).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    if self.told != Some((topic.id, after)) {
                        return Err(Missing::Damaged(error, after));
                    }
                    let (_, last) = self.streams.extent(topic, after + 1).await?;
                    self.delivered.insert(topic.id, last.max(after + 1));
                    self.told = None;
                }
                records => return Ok(records?),
            }
        }
    }

    /// Notes that something is missing, and gives the error that says so.
    fn tell(&mut self, topic: &Topic, missing: Missing) -> Error {
        match missing {
            Missing::Gap(error, last) => {
                self.delivered.insert(topic.id, last);
                error
            }
            Missing::Damaged(error, after) => {
                self.told = Some((topic.id, after));
                error
            }
            Missing::Topic(error) => {
                self.unreadable.insert(topic.id);
                error
            }
            Missing::Other(error) => error,
        }
    }

    async fn find_new_topics(&mut self) -> Result<()> {
        let version = self.streams.shared().topics.version();
        if version != self.directory_seen || self.streams.shared().is_follower() {
            self.topics = self.streams.matching_topics(&self.pattern).await?;
            self.directory_seen = version;
        }
        Ok(())
    }
}

/// Records with the number and stamp of each.
type Records = Vec<(u64, u64, Record)>;

/// Why records do not come.
enum Missing {
    /// Given up on purpose, up to this number.
    Gap(Error, u64),
    /// Damaged, behind this number.
    Damaged(Error, u64),
    /// The whole topic cannot be read.
    Topic(Error),
    /// It may pass.
    Other(Error),
}

impl From<Error> for Missing {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The sequence number behind which a subscription to `topic` starts; `None` from the oldest.
async fn position(streams: &Streams, topic: &Topic, start: &Start) -> Result<Option<u64>> {
    let last = streams.last(topic)?;
    Ok(match start {
        Start::Oldest => Some(streams.first(topic)?.saturating_sub(1)),
        Start::Marker(_) => None,
        Start::Now => Some(last),
        Start::After(sequence) => Some((*sequence).min(last)),
        Start::Time(time) => Some(streams.seek_time(topic, *time).await?.saturating_sub(1)),
        Start::Positions(positions) => match positions.get(&topic.id) {
            Some(position) if *position > last => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "the token is ahead of the store, so it is from another history",
                )
                .with("topic", &topic.name));
            }
            position => position.copied(),
        },
    })
}

/// Encodes positions for a token.
pub(crate) fn encode_positions(positions: &BTreeMap<u64, u64>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before = 0;
    for (topic, sequence) in positions {
        put_varint(&mut out, topic - before);
        put_varint(&mut out, *sequence);
        before = *topic;
    }
    out
}

/// # Errors
/// `Corrupt` when the bytes are no positions.
pub(crate) fn decode_positions(bytes: &[u8]) -> Result<BTreeMap<u64, u64>> {
    let mut cursor = Cursor::new(bytes);
    let mut positions = BTreeMap::new();
    let mut topic = 0u64;
    while cursor.remaining() > 0 {
        topic = topic.wrapping_add(cursor.varint()?);
        positions.insert(topic, cursor.varint()?);
    }
    Ok(positions)
}
