//! What was stored, folded so small that it fits in memory, to compare with what is read back.

use crate::commands::TopicKind;
use chrono::{DateTime, Utc};
use forgeone_db::model::{LineEnd, Severity};
use forgeone_db::{EventMessage, LogEntry, NewLogEntry};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use uuid::Uuid;

/// Samples that are kept at most.
const SAMPLES_MAX: usize = 2_000;

/// A record of either kind, as far as it is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) kind: TopicKind,
    pub(super) topic: &'a str,
    pub(super) id: Uuid,
    pub(super) time: DateTime<Utc>,
    /// A number for all of its content.
    pub(super) print: u64,
}

impl<'a> Item<'a> {
    pub(super) fn of_event(event: &'a EventMessage) -> Self {
        let mut hasher = DefaultHasher::new();
        event.id.hash(&mut hasher);
        event.topic.hash(&mut hasher);
        event.timestamp.hash(&mut hasher);
        event.priority.hash(&mut hasher);
        event.payload.hash(&mut hasher);
        let print = hasher.finish();
        let (kind, id, time) = (TopicKind::Events, event.id, event.timestamp);
        Self { kind, topic: &event.topic, id, time, print }
    }

    /// An entry that was given this id.
    pub(super) fn of_new_log(entry: &'a NewLogEntry, id: Uuid) -> Self {
        let said = (entry.severity, &*entry.line, entry.line_end);
        Self::of_line((&entry.topic, id, entry.timestamp), said)
    }

    pub(super) fn of_log(entry: &'a LogEntry) -> Self {
        let said = (entry.severity, entry.line(), entry.line_end);
        Self::of_line((&entry.topic, entry.id, entry.timestamp), said)
    }

    fn of_line(
        (topic, id, time): (&'a str, Uuid, DateTime<Utc>),
        said: (Severity, &[u8], LineEnd),
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        (topic, id, time).hash(&mut hasher);
        said.hash(&mut hasher);
        Self { kind: TopicKind::Logs, topic, id, time, print: hasher.finish() }
    }
}

/// The records of one topic in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fold {
    pub(super) count: u64,
    hasher: DefaultHasher,
}

/// The records of all topics.
#[derive(Debug, Clone, Default)]
pub(super) struct Folds {
    events: BTreeMap<String, Fold>,
    logs: BTreeMap<String, Fold>,
    pub(super) count: u64,
}

impl Folds {
    /// Adds a record; its number must be the next one of its topic.
    pub(super) fn add(&mut self, item: &Item<'_>, seq: u64) -> bool {
        let topics = match item.kind {
            TopicKind::Events => &mut self.events,
            TopicKind::Logs => &mut self.logs,
        };
        let fold = match topics.get_mut(item.topic) {
            Some(fold) => fold,
            None => topics.entry(item.topic.to_owned()).or_default(),
        };
        self.count += 1;
        fold.count += 1;
        item.print.hash(&mut fold.hasher);
        fold.count == seq
    }

    pub(super) fn topics(&self, kind: TopicKind) -> impl ExactSizeIterator<Item = (&str, &Fold)> {
        let topics = match kind {
            TopicKind::Events => &self.events,
            TopicKind::Logs => &self.logs,
        };
        topics.iter().map(|(topic, fold)| (topic.as_str(), fold))
    }

    /// The topic of a kind that has most records.
    pub(super) fn largest(&self, kind: TopicKind) -> Option<(&str, u64)> {
        let topics = self.topics(kind).map(|(topic, fold)| (topic, fold.count));
        topics.max_by_key(|(_, count)| *count)
    }

    pub(super) fn count_of(&self, kind: TopicKind) -> u64 {
        self.topics(kind).map(|(_, fold)| fold.count).sum()
    }

    /// Whether both saw the same records in the same order.
    pub(super) fn same(&self, other: &Self) -> bool {
        [TopicKind::Events, TopicKind::Logs].into_iter().all(|kind| {
            self.topics(kind).len() == other.topics(kind).len()
                && self.topics(kind).zip(other.topics(kind)).all(|(mine, theirs)| {
                    mine.0 == theirs.0
                        && mine.1.count == theirs.1.count
                        && mine.1.hasher.finish() == theirs.1.hasher.finish()
                })
        })
    }
}

/// What is remembered of a record, to look for it later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) kind: TopicKind,
    pub(super) id: Uuid,
    pub(super) time: DateTime<Utc>,
    pub(super) print: u64,
}

/// Records spread evenly over all that were stored.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) kept: Vec<Sample>,
    every: usize,
    seen: usize,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self { kept: Vec::new(), every: 1, seen: 0 }
    }

    pub(super) fn add(&mut self, item: &Item<'_>) {
        if self.seen.is_multiple_of(self.every) {
            if self.kept.len() == SAMPLES_MAX {
                self.thin();
            }
            let Item { kind, id, time, print, .. } = *item;
            self.kept.push(Sample { kind, id, time, print });
        }
        self.seen += 1;
    }

    fn thin(&mut self) {
        self.every *= 2;
        let mut index = 0;
        self.kept.retain(|_| {
            index += 1;
            index % 2 == 1
        });
    }

    /// The first record of a kind.
    pub(super) fn first(&self, kind: TopicKind) -> Option<Uuid> {
        self.kept.iter().find(|sample| sample.kind == kind).map(|sample| sample.id)
    }

    /// A tenth of the time that the records span.
    pub(super) fn window(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let mut times: Vec<_> = self.kept.iter().map(|sample| sample.time).collect();
        times.sort_unstable();
        let from = times.get(times.len() * 4 / 10)?;
        let to = times.get(times.len() / 2)?;
        Some((*from, *to))
    }
}
