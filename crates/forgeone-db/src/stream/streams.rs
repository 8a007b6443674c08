//! All topics of one kind, over their shards.

use super::committer::{Entry, Position, REQUEST_BYTES_MAX, Writer};
use super::directory::{Directory, Topic, shard_of};
use super::families::{TopicKind, key_sequence, marker_prefix, parse_id_entry};
use super::query::{Found, Query, QuerySpec};
use super::record::Record;
use super::shard::Shard;
use super::store::Shared;
use super::subscription::{Start, Subscription};
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::model::{TopicInfo, TopicPattern};
use crate::pool::off_thread;
use forgeone_db_engine::{Direction, Error, ErrorKind, Result};
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

/// How often a read beside a writer in another process starts again before it gives up.
const READ_TRIES: u32 = 8;

/// All topics of one kind.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) kind: TopicKind,
    directory: Arc<Directory>,
    system: Arc<Shard>,
    shards: Vec<Arc<Shard>>,
    /// One for each shard; none on a handle that only reads.
    writers: Vec<Arc<Writer>>,
    shared: Arc<Shared>,
}

impl Streams {
    pub(crate) fn new(
        kind: TopicKind,
        directory: Arc<Directory>,
        (system, shards): (Arc<Shard>, Vec<Arc<Shard>>),
        writers: Vec<Arc<Writer>>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { kind, directory, system, shards, writers, shared }
    }

    /// Whether another process may write while this handle reads.
    pub(crate) fn follows(&self) -> bool {
        self.writers.is_empty()
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Catches up with a writer in another process; does nothing on the writer itself.
    ///
    /// # Errors
    /// `Corrupt` when a log went back or is damaged.
    pub(crate) async fn refresh(&self) -> Result<bool> {
        if !self.follows() {
            return Ok(false);
        }
        let mut changed = false;
        for shard in &self.shards {
            changed |= shard.refresh().await?;
        }
        // After the shards: a topic is in the directory before its first record is in a shard.
        changed |= self.system.refresh().await?;
        Ok(changed)
    }

    /// Grows with every change that this handle has seen, whoever looked for it.
    pub(crate) fn version(&self) -> u64 {
        let shards = self.shards.iter().chain([&self.system]);
        shards.map(|shard| shard.changed.version()).fold(0, u64::wrapping_add)
    }

    /// Runs a read again when a writer in another process dropped what it was reading. Missing
    /// under an unchanged state is damage.
    async fn reading<T, F: Future<Output = Result<T>>>(&self, read: impl Fn() -> F) -> Result<T> {
        self.refresh().await?;
        let mut tries = READ_TRIES;
        loop {
            let before = self.version();
            match read().await {
                Err(error) if error.kind() == ErrorKind::Corrupt && self.follows() && tries > 0 => {
                    tries -= 1;
                    self.refresh().await?;
                    if self.version() == before {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// The shard of a topic, if it is in use.
    fn shard(&self, topic: &Topic) -> Result<&Arc<Shard>> {
        let shard = self.shard_as_it_is(topic)?;
        shard.check().map_err(|error| error.with("topic", &topic.name))?;
        Ok(shard)
    }

    fn shard_as_it_is(&self, topic: &Topic) -> Result<&Arc<Shard>> {
        self.shards.get(topic.shard as usize).ok_or_else(|| {
            let error = if self.follows() {
                Error::new(
                    ErrorKind::Unavailable,
                    "the topic is in a shard that the store was given since; open the store again",
                )
            } else {
                corrupt("a topic names a shard that the store does not have")
            };
            error.with("topic", &topic.name).with("shard", topic.shard)
        })
    }

    fn shard_count(&self) -> u32 {
        u32::try_from(self.shards.len()).unwrap_or(u32::MAX)
    }

    /// The topic of this name, which is made if there is none.
    pub(crate) async fn open_topic(&self, name: &str) -> Result<Arc<Topic>> {
        self.directory.get_or_create(self.kind, name, self.shard_count()).await
    }

    /// The shard that a topic lives in, or would if it were made now.
    async fn shard_of(&self, name: &str) -> Result<u32> {
        let topic = self.directory.get(self.kind, name).await?;
        Ok(topic.map_or_else(|| shard_of(self.kind, name, self.shard_count()), |topic| topic.shard))
    }

    pub(crate) async fn topic(&self, name: &str) -> Result<Option<Arc<Topic>>> {
        self.refresh().await?;
        self.directory.get(self.kind, name).await
    }

    /// Appends records, all or none, and says where each is: its topic's id and position.
    ///
    /// # Errors
    /// `Invalid` when their topics live in different shards; as [`Writer::append`].
    pub(crate) async fn append(
        self: &Arc<Self>,
        records: Vec<(String, Record)>,
    ) -> Result<Vec<(u64, Position)>> {
        // Once for each run of one topic: a batch mostly has one.
        let mut runs = records.chunk_by(|(a, _), (b, _)| a == b).filter_map(<[_]>::first);
        if runs.all(|(name, _)| self.directory.is_remembered(self.kind, name)) {
            // Nothing is awaited before the records are the committer's.
            return self.append_now(records).await;
        }
        // A topic may have to be made first; the write happens even if the caller goes away.
        let streams = Arc::clone(self);
        let work = async move { streams.append_now(records).await };
        off_thread(&*self.shared.environment, "append", work).await?
    }

    async fn append_now(&self, records: Vec<(String, Record)>) -> Result<Vec<(u64, Position)>> {
        check_request(&records)?;
        let Some((first, _)) = records.first() else { return Ok(Vec::new()) };
        // All of them are looked at before any topic is made: a refused batch leaves nothing.
        let shard = self.shard_of(first).await?;
        let mut names: Vec<&String> = records.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        for other in &names {
            if self.shard_of(other).await? != shard {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "a batch is atomic, so its topics must live in one shard; send these apart",
                )
                .with("topic", first)
                .with("other topic", other));
            }
        }
        // Before a topic is made there that could not be written to.
        self.shards.get(shard as usize).map_or(Ok(()), |shard| shard.check())?;
        let mut topics: HashMap<String, Arc<Topic>> = HashMap::with_capacity(names.len());
        for name in names {
            topics.insert(name.clone(), self.open_topic(name).await?);
        }
        let entries: Vec<Entry> = records
            .into_iter()
            .filter_map(|(name, record)| {
                let topic = Arc::clone(topics.get(&name)?);
                Some(Entry { topic, record })
            })
            .collect();
        let writer = self.writers.get(shard as usize).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "this handle only reads; open the store for writing to append",
            )
        })?;
        let subjects: Vec<u64> = entries.iter().map(|entry| entry.topic.id).collect();
        let positions = writer.append(entries).await?;
        Ok(subjects.into_iter().zip(positions).collect())
    }

    /// Every record with this id, by topic name.
    ///
    /// # Errors
    /// `Corrupt` when index and records disagree, or either is damaged.
    pub(crate) async fn get(&self, id: [u8; 16]) -> Result<Vec<Found>> {
        self.reading(|| self.get_once(id)).await
    }

    async fn get_once(&self, id: [u8; 16]) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        found.extend(self.placed(id).await?);
        for (index, shard) in self.shards.iter().enumerate() {
            // It may have the id.
            shard.check()?;
            let view = shard.family_at(shard.layout().ids()?, &id).await?;
            let range = super::directory::prefix_range(&id);
            let mut scan = view.index.scan(&range, Direction::Forward);
            while let Some(entry) = scan.next().await? {
                let (subject, sequence) = parse_id_entry(&entry.key, &entry.value)?;
                if sequence < shard.first(subject) {
                    continue;
                }
                let record = shard.record(subject, sequence).await?;
                if record.id != Some(id) {
                    return Err(corrupt("the index of ids disagrees with a record")
                        .with("database", &shard.context().database)
                        .with("sequence", sequence));
                }
                let topic = self.topic_of(shard, subject).await?;
                if topic.shard as usize != index {
                    return Err(
                        corrupt("a topic has records outside its shard").with("topic", &topic.name)
                    );
                }
                found.push(Found { topic, sequence, record });
            }
        }
        // Ids of records that were lost before they were sealed are in no index; a topic has an id once.
        let has_it = |subject: u64| found.iter().any(|found| found.topic.id == subject);
        self.shards.iter().try_for_each(|shard| shard.check_absence(has_it))?;
        found.sort_by(|a, b| a.topic.name.cmp(&b.topic.name));
        Ok(found)
    }

    /// The record whose id follows from its place.
    async fn placed(&self, id: [u8; 16]) -> Result<Option<Found>> {
        let Some((subject, sequence)) = self.shared.ids.place_of(id) else { return Ok(None) };
        let has_topic = |shard: &&Arc<Shard>| shard.context().topics.get(subject).is_some();
        let Some(shard) = self.shards.iter().find(has_topic) else { return Ok(None) };
        let found = shard.record_without_id(subject, sequence).await?;
        let Some(record) = found else { return Ok(None) };
        let topic = self.topic_of(shard, subject).await?;
        Ok(Some(Found { topic, sequence, record }))
    }

    async fn topic_of(&self, shard: &Shard, subject: u64) -> Result<Arc<Topic>> {
        let info = shard
            .context()
            .topics
            .get(subject)
            .ok_or_else(|| corrupt("records of an unknown topic").with("topic id", subject))?;
        let topic = self.directory.get(self.kind, &info.intro.name).await?;
        topic.filter(|topic| topic.id == subject).ok_or_else(|| {
            corrupt("a topic is missing from the directory").with("topic", &info.intro.name)
        })
    }

    /// The record of this number.
    ///
    /// # Errors
    /// `NotFound` when the topic has no such record.
    pub(crate) async fn record(&self, topic: &Topic, sequence: u64) -> Result<Record> {
        let shard = self.shard(topic)?;
        self.reading(|| shard.record(topic.id, sequence)).await
    }

    /// The topics that match, with the shard of each, whether or not it is in use.
    async fn matching(&self, pattern: &TopicPattern) -> Result<Vec<(Arc<Topic>, Arc<Shard>)>> {
        let topics = match pattern.exact_topic() {
            Some(name) => self.directory.get(self.kind, name).await?.into_iter().collect(),
            None => self.directory.list(self.kind, pattern).await?,
        };
        topics
            .into_iter()
            .map(|topic| {
                let shard = Arc::clone(self.shard_as_it_is(&topic)?);
                Ok((topic, shard))
            })
            .collect()
    }

    /// Starts a query over the topics that match now.
    pub(crate) async fn query(&self, pattern: &TopicPattern, spec: QuerySpec) -> Result<Query> {
        let topics = self.reading(|| self.matching(pattern)).await?;
        Ok(Query::new(topics, spec, &self.shared.memory.searches))
    }

    /// The topics that match, by name, with what is known of each.
    ///
    /// # Errors
    /// `Corrupt` when one of them lies in a database that is out of use.
    pub(crate) async fn topics(&self, pattern: &TopicPattern) -> Result<Vec<TopicInfo>> {
        let topics = self.reading(|| self.matching(pattern)).await?;
        topics
            .into_iter()
            .map(|(topic, shard)| shard.check().map(|()| info(&topic, &shard)))
            .collect()
    }

    /// How many topics live in databases that are out of use.
    pub(crate) async fn topics_out_of_use(&self) -> Result<u64> {
        let all = TopicPattern::all();
        let topics = self.reading(|| self.matching(&all)).await?;
        Ok(topics.iter().filter(|(_, shard)| shard.check().is_err()).count() as u64)
    }

    /// The sequence numbers of the records of a topic that carry `marker`, ascending.
    pub(crate) async fn marked(&self, topic: &Topic, marker: &str) -> Result<Vec<u64>> {
        let shard = self.shard(topic)?;
        self.reading(|| async move {
            let prefix = marker_prefix(topic.id, marker);
            let view = shard.family(shard.layout().markers()?).await?;
            let range = super::directory::prefix_range(&prefix);
            let mut scan = view.index.scan(&range, Direction::Forward);
            let mut sequences = Vec::new();
            while let Some(entry) = scan.next().await? {
                sequences.push(key_sequence(&entry.key)?);
            }
            let first = shard.first(topic.id);
            sequences.retain(|sequence| *sequence >= first);
            Ok(sequences)
        })
        .await
    }

    /// The first sequence number at which a topic has reached `time`: the first record that is on
    /// time and not before it, or the oldest one if records that were given up had reached it. One
    /// beyond the newest if there is none.
    pub(crate) async fn seek_time(&self, topic: &Topic, time: Timestamp) -> Result<u64> {
        let shard = self.shard(topic)?;
        self.reading(|| async move {
            if shard.reached_before_floor(topic.id, time) {
                return Ok(shard.first(topic.id));
            }
            let sequence = shard.seek_time(topic.id, time).await?;
            if sequence > shard.last(topic.id) {
                return Ok(sequence);
            }
            let batch = shard.chunk(topic.id, sequence, false).await?;
            let reached = |record: &&Record| !record.late && record.time >= time;
            let before = batch.records.iter().take_while(|record| !reached(record)).count();
            Ok(batch.first + before as u64)
        })
        .await
    }

    /// The errors for what a topic has lost before it was sealed, as far as it begins with one of the
    /// numbers up to `last`: no index says what its markers and times were.
    pub(crate) fn losses(&self, topic: &Topic, last: u64) -> Result<Vec<Error>> {
        let shard = self.shard(topic)?;
        let lost = shard.lost_of(topic.id).into_iter().filter(|lost| lost.first <= last);
        Ok(lost.map(|lost| shard.lost_error(&lost)).collect())
    }

    /// Up to `count_max` records of a topic behind `after`, in order of sequence, and about
    /// `bytes_max` of them, with the stamp of each.
    pub(crate) async fn read_after(
        &self,
        topic: &Topic,
        after: u64,
        (count_max, bytes_max): (usize, usize),
    ) -> Result<Vec<(u64, u64, Record)>> {
        let shard = self.shard(topic)?;
        let last = shard.last(topic.id);
        let mut next = after + 1;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while next <= last && found.len() < count_max && bytes < bytes_max {
            let chunk = match self.reading(|| shard.chunk(topic.id, next, true)).await {
                // Given up meanwhile: what was found so far counts, and the gap is told next.
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                // What lies before the damage is no worse for it.
                Err(error) if error.kind() == ErrorKind::Corrupt && !found.is_empty() => break,
                chunk => chunk?,
            };
            for (sequence, record) in (chunk.first..).zip(&chunk.records) {
                if sequence < next || found.len() >= count_max || bytes >= bytes_max {
                    continue;
                }
                let stamp = chunk.commit_of(sequence).map_or(0, |commit| commit.stamp);
                bytes += record.bytes();
                found.push((sequence, stamp, record.clone()));
                next = sequence + 1;
            }
        }
        Ok(found)
    }

    /// # Errors
    /// `Corrupt` when the topic lies in a database that is out of use.
    pub(crate) fn check(&self, topic: &Topic) -> Result<()> {
        self.shard(topic).map(drop)
    }

    /// The numbers of the records that lie together with `sequence`, as far as can be told.
    pub(crate) async fn extent(&self, topic: &Topic, sequence: u64) -> Result<(u64, u64)> {
        Ok(self.shard(topic)?.extent(topic.id, sequence).await)
    }

    /// What is missing of a topic behind `after`: the gap as an error, and its last number.
    pub(crate) fn gap(&self, topic: &Topic, after: u64) -> Result<Option<(Error, u64)>> {
        let gap = self.shard(topic)?.gap(topic.id, after);
        Ok(gap.map(|(error, last)| (error.with("topic", &topic.name), last)))
    }

    /// The newest sequence number of a topic.
    pub(crate) fn last(&self, topic: &Topic) -> Result<u64> {
        Ok(self.shard(topic)?.last(topic.id))
    }

    /// The oldest retained sequence number of a topic.
    pub(crate) fn first(&self, topic: &Topic) -> Result<u64> {
        Ok(self.shard(topic)?.first(topic.id))
    }

    /// The topics that match, without counting.
    pub(crate) async fn matching_topics(&self, pattern: &TopicPattern) -> Result<Vec<Arc<Topic>>> {
        let topics = self.reading(|| self.matching(pattern)).await?;
        Ok(topics.into_iter().map(|(topic, _)| topic).collect())
    }

    /// Subscribes to the topics that match, now and later.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        pattern: TopicPattern,
        start: Start,
    ) -> Result<Subscription> {
        Subscription::start(Arc::clone(self), pattern, start).await
    }
}

/// # Errors
/// `Invalid` for more bytes than one commit may have.
fn check_request(records: &[(String, Record)]) -> Result<()> {
    let bytes: usize = records.iter().map(|(_, record)| record.bytes()).sum();
    if bytes > REQUEST_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Invalid,
            "a batch is too large; split it into smaller ones",
        )
        .with("bytes", bytes)
        .with("bytes_max", REQUEST_BYTES_MAX));
    }
    Ok(())
}

fn info(topic: &Topic, shard: &Shard) -> TopicInfo {
    let state = shard.state();
    let segments = state.manifest.segments_of(topic.id);
    let (last_seq, time_max) = state.end_of(topic.id);
    let first_seq = state.manifest.first(topic.id);
    // A lost record may have had a greater time.
    let is_known = last_seq > 0 && !state.lost().any(|lost| lost.subject == topic.id);
    TopicInfo {
        topic: topic.name.clone(),
        shard: topic.shard,
        first_seq,
        last_seq,
        count: (last_seq + 1).saturating_sub(first_seq),
        last_timestamp: if is_known { time_max.to_datetime() } else { None },
        segments: segments.len() as u64,
        sealed_raw_bytes: segments.iter().map(|segment| segment.raw_bytes).sum(),
        sealed_bytes: segments.iter().map(crate::log::SegmentRef::stored_bytes).sum(),
    }
}
