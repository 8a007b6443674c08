//! What was stored, folded so small that it fits in memory, to compare with what is read back.

use super::sources::Sample;
use chrono::{DateTime, Utc};
use forgeone_db::EventMessage;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Samples that are kept at most.
const SAMPLES_MAX: usize = 2_000;

/// The events of one topic in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Fold {
    pub(super) count: u64,
    hasher: DefaultHasher,
}

/// The events of all topics.
#[derive(Debug, Clone, Default)]
pub(super) struct Folds {
    topics: BTreeMap<String, Fold>,
    pub(super) count: u64,
}

impl Folds {
    /// Adds an event; its number must be the next one of its topic.
    pub(super) fn add(&mut self, event: &EventMessage, seq: u64) -> bool {
        let fold = match self.topics.get_mut(&event.topic) {
            Some(fold) => fold,
            None => self.topics.entry(event.topic.clone()).or_default(),
        };
        self.count += 1;
        fold.count += 1;
        fingerprint(event).hash(&mut fold.hasher);
        fold.count == seq
    }

    pub(super) fn topics(&self) -> impl ExactSizeIterator<Item = (&str, &Fold)> {
        self.topics.iter().map(|(topic, fold)| (topic.as_str(), fold))
    }

    /// Whether both saw the same events in the same order.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.topics.len() == other.topics.len()
            && self.topics().zip(other.topics()).all(|(mine, theirs)| {
                mine.0 == theirs.0
                    && mine.1.count == theirs.1.count
                    && mine.1.hasher.finish() == theirs.1.hasher.finish()
            })
    }
}

/// A number for all of an event's content.
pub(super) fn fingerprint(event: &EventMessage) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.id.hash(&mut hasher);
    event.topic.hash(&mut hasher);
    event.timestamp.hash(&mut hasher);
    event.priority.hash(&mut hasher);
    event.payload.hash(&mut hasher);
    hasher.finish()
}

/// Events spread evenly over all that were stored.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) kept: Vec<Sample>,
    times: Vec<DateTime<Utc>>,
    every: usize,
    seen: usize,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self { kept: Vec::new(), times: Vec::new(), every: 1, seen: 0 }
    }

    pub(super) fn add(&mut self, event: &EventMessage) {
        if self.seen.is_multiple_of(self.every) {
            if self.kept.len() == SAMPLES_MAX {
                self.thin();
            }
            self.kept.push(Sample { id: event.id, print: fingerprint(event) });
            self.times.push(event.timestamp);
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
        index = 0;
        self.times.retain(|_| {
            index += 1;
            index % 2 == 1
        });
    }

    /// A tenth of the time that the events span.
    pub(super) fn window(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let mut times = self.times.clone();
        times.sort_unstable();
        let from = times.get(times.len() * 4 / 10)?;
        let to = times.get(times.len() / 2)?;
        Some((*from, *to))
    }
}
