//! What a salvage writes: the new store, and the report of what is in it.

use super::report::{
    KeptRange, LostRange, SalvageDamage, SalvageProgress, SalvageReport, SalvagedTopic,
};
use super::source::Source;
use crate::log::TOPIC_ID_MIN;
use crate::stream::{PlaceIds, Record, RecordBatch, Streams, TopicKind, Writer};
use forgeone_db_engine::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Raw bytes that are collected at most before they are appended to the new store.
const PENDING_BYTES_MAX: usize = 4 << 20;
/// Damaged places kept in a report; more are only counted.
const DAMAGE_MAX: usize = 10_000;

/// The new store.
pub(crate) struct Target {
    pub(crate) events: Arc<Streams>,
    pub(crate) logs: Arc<Streams>,
    pub(crate) system: Arc<Writer>,
    /// Raw bytes of requests that it has memory for.
    pub(crate) request_bytes: usize,
}

/// Is told from time to time how far a salvage has come.
pub(crate) type OnSalvage<'a> = &'a mut (dyn FnMut(&SalvageProgress) + Send);

/// A topic on its way into the new store.
struct Topic {
    kind: TopicKind,
    name: String,
    /// The next number that is expected of the damaged store.
    next: u64,
    kept: Vec<KeptRange>,
    lost: Vec<LostRange>,
    /// Whether a commit since its last record cannot be read.
    doubt: bool,
}

/// Records of one topic, with the numbers that they had.
type Pending = (TopicKey, Vec<(u64, Record)>);

/// Kind and name of a topic.
type TopicKey = (u8, String);

/// The new store while it is written.
pub(super) struct Out<'a> {
    pub(super) target: &'a Target,
    /// What gave entries their ids in the damaged store, if that is known.
    pub(super) ids: Option<PlaceIds>,
    pub(super) report: SalvageReport,
    /// Payloads of state records, as they are found.
    pub(super) state: Vec<Vec<u8>>,
    /// State records that were lost.
    pub(super) state_lost: bool,
    state_next: u64,
    topics: BTreeMap<TopicKey, Topic>,
    pending: BTreeMap<u64, Pending>,
    pending_bytes: usize,
    progress: SalvageProgress,
    on_progress: OnSalvage<'a>,
}

impl<'a> Out<'a> {
    pub(super) fn new(target: &'a Target, store: String, on_progress: OnSalvage<'a>) -> Self {
        Self {
            target,
            ids: None,
            report: SalvageReport { store, ..SalvageReport::default() },
            state: Vec::new(),
            state_lost: false,
            state_next: 1,
            topics: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_bytes: 0,
            progress: SalvageProgress::default(),
            on_progress,
        }
    }

    /// Begins with a database.
    pub(super) fn begin(&mut self, database: &str) {
        database.clone_into(&mut self.progress.database);
        (self.on_progress)(&self.progress);
    }

    /// Notes a place that could not be read.
    pub(super) fn damage(&mut self, database: &str, error: &Error) {
        if self.report.damage.len() < DAMAGE_MAX {
            let what = error.to_string();
            self.report.damage.push(SalvageDamage { database: database.to_owned(), what });
        } else {
            self.report.damage_dropped += 1;
        }
    }

    fn topic(&mut self, source: &Source, subject: u64) -> Option<&mut Topic> {
        let (kind, name) = source.topic(subject)?;
        self.named(kind, &name)
    }

    fn named(&mut self, kind: u8, name: &str) -> Option<&mut Topic> {
        let known = TopicKind::from_code(kind)?;
        let topic = self.topics.entry((kind, name.to_owned()));
        Some(topic.or_insert_with(|| Topic {
            kind: known,
            name: name.to_owned(),
            next: 1,
            kept: Vec::new(),
            lost: Vec::new(),
            doubt: false,
        }))
    }

    /// Takes note of a topic that the directory names.
    pub(super) fn expect(&mut self, kind: u8, name: &str) {
        let _known = self.named(kind, name);
    }

    /// The records of a subject begin with `first`: older ones were shredded.
    pub(super) fn begin_at(&mut self, source: &Source, subject: u64, first: u64) {
        if let Some(topic) = self.topic(source, subject) {
            topic.next = topic.next.max(first);
        }
    }

    /// A topic of which nobody knows whether there was more than what was found.
    pub(super) fn lose_rest(&mut self, kind: u8, name: &str, what: &str) {
        if let Some(topic) = self.named(kind, name) {
            topic.lose(topic.next, None, what);
        }
    }

    /// A commit of a database cannot be read: any of its topics may have had records there.
    pub(super) fn doubt(&mut self, source: &Source) {
        self.state_lost |= source.layout.ids().is_err();
        for topic in source.context.topics.all() {
            if let Some(topic) = self.named(topic.intro.kind, &topic.intro.name) {
                topic.doubt = true;
            }
        }
    }

    /// Says of topics that may have had records at the end of a database that these are lost.
    pub(super) fn settle_doubts(&mut self) {
        for topic in self.topics.values_mut().filter(|topic| topic.doubt) {
            topic.doubt = false;
            topic.lose(topic.next, None, "a commit that may have had more records cannot be read");
        }
    }

    /// Notes records that cannot be read.
    pub(super) fn lose(
        &mut self,
        source: &Source,
        subject: u64,
        (from, to): (u64, u64),
        error: &Error,
    ) -> Result<()> {
        let what = error.to_string();
        if subject < TOPIC_ID_MIN {
            self.state_lost |= to >= self.state_next;
            self.state_next = self.state_next.max(to + 1);
            self.damage(source.context.database.as_str(), error);
        } else if let Some(topic) = self.topic(source, subject) {
            topic.skip_to(from);
            topic.lose(from.max(topic.next), Some(to), &what);
            topic.next = topic.next.max(to + 1);
        } else {
            self.damage(source.context.database.as_str(), error);
        }
        Ok(())
    }

    /// Takes records that are authentic.
    pub(super) async fn take(
        &mut self,
        source: &Source,
        subject: u64,
        batch: RecordBatch,
    ) -> Result<()> {
        let last = batch.last();
        if subject < TOPIC_ID_MIN {
            self.state_lost |= batch.first > self.state_next;
            let numbered = (batch.first..).zip(batch.records);
            let new = numbered.filter(|(sequence, _)| *sequence >= self.state_next);
            self.state.extend(new.map(|(_, record)| record.payload));
            self.state_next = self.state_next.max(last + 1);
            return Ok(());
        }
        let Some(topic) = self.topic(source, subject) else {
            let error = crate::codec::corrupt("records of a topic that nothing names");
            let error = error.with("topic id", subject).with("from", batch.first).with("to", last);
            self.damage(source.context.database.as_str(), &error);
            return Ok(());
        };
        topic.doubt = false;
        topic.skip_to(batch.first);
        let first = topic.next;
        topic.next = topic.next.max(last + 1);
        let key = (topic.kind.code(), topic.name.clone());
        let ids = self.ids.clone();
        let (_, pending) = self.pending.entry(subject).or_insert_with(|| (key, Vec::new()));
        for (sequence, mut record) in (batch.first..).zip(batch.records) {
            if sequence >= first {
                record.id = record.id.or_else(|| Some(ids.as_ref()?.id_of(subject, sequence)));
                self.pending_bytes += record.bytes();
                pending.push((sequence, record));
            }
        }
        let enough = PENDING_BYTES_MAX.min(self.target.request_bytes);
        if self.pending_bytes >= enough { self.flush().await } else { Ok(()) }
    }

    /// Appends what was collected.
    pub(super) async fn flush(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.pending_bytes);
        for (_, (key, records)) in std::mem::take(&mut self.pending) {
            let Some(topic) = self.topics.get_mut(&key) else { continue };
            let streams = match topic.kind {
                TopicKind::Events => &self.target.events,
                TopicKind::Logs => &self.target.logs,
            };
            let (numbers, records): (Vec<u64>, Vec<_>) = records
                .into_iter()
                .map(|(sequence, record)| (sequence, (topic.name.clone(), record)))
                .unzip();
            let count = numbers.len() as u64;
            let positions = streams.append(records).await?;
            for (old, (_, position)) in numbers.into_iter().zip(positions) {
                topic.keep(old, position.sequence);
            }
            self.report.records += count;
        }
        self.progress.records = self.report.records;
        self.progress.bytes += bytes as u64;
        (self.on_progress)(&self.progress);
        Ok(())
    }

    /// Makes topics that have no record, and closes the report.
    pub(super) async fn finish(mut self) -> Result<SalvageReport> {
        self.flush().await?;
        for topic in self.topics.values() {
            let streams = match topic.kind {
                TopicKind::Events => &self.target.events,
                TopicKind::Logs => &self.target.logs,
            };
            streams.open_topic(&topic.name).await?;
        }
        let mut report = self.report;
        for topic in self.topics.into_values() {
            let lost = topic.lost.iter().filter_map(|lost| Some(lost.to_seq? - lost.from_seq + 1));
            report.records_lost += lost.sum::<u64>();
            let kind = match topic.kind {
                TopicKind::Events => "events",
                TopicKind::Logs => "logs",
            };
            report.topics.push(SalvagedTopic {
                kind: kind.to_owned(),
                topic: topic.name,
                records: topic.kept.iter().map(|kept| kept.to_seq - kept.from_seq + 1).sum(),
                kept: topic.kept,
                lost: topic.lost,
            });
        }
        report.ids_are_kept = self.ids.is_some();
        Ok(report)
    }
}

impl Topic {
    /// Records before `first` that nothing had are lost.
    fn skip_to(&mut self, first: u64) {
        if first > self.next {
            self.lose(self.next, Some(first - 1), "the commits that had these records are lost");
            self.next = first;
        }
    }

    fn lose(&mut self, from_seq: u64, to_seq: Option<u64>, what: &str) {
        if to_seq.is_some_and(|to| to < from_seq) {
            return;
        }
        match self.lost.last_mut() {
            Some(last) if last.what == what && last.to_seq == from_seq.checked_sub(1) => {
                last.to_seq = to_seq;
            }
            _ => self.lost.push(LostRange { from_seq, to_seq, what: what.to_owned() }),
        }
    }

    fn keep(&mut self, old: u64, new: u64) {
        match self.kept.last_mut() {
            Some(last)
                if last.to_seq + 1 == old && new == last.new_from_seq + (old - last.from_seq) =>
            {
                last.to_seq = old;
            }
            _ => self.kept.push(KeptRange { from_seq: old, to_seq: old, new_from_seq: new }),
        }
    }
}
