//! Events that follow from a seed and a number, so that whoever knows both knows the event.

use crate::random::Random;
use chrono::{TimeZone as _, Utc};
use forgeone_db::{EventMessage, EventPriority, Key, StoreOptions};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

/// An event, by its number and the round in which it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Name {
    /// None for what is never shredded.
    pub(super) round: Option<u64>,
    pub(super) number: u64,
}

impl Name {
    pub(super) fn id(self) -> Uuid {
        Uuid::from_u64_pair(self.number + 1, 0xF0)
    }

    pub(super) fn topic(self) -> String {
        self.round.map_or_else(|| "kept".to_owned(), topic_of)
    }

    /// Some kilobytes that no compression makes small.
    pub(super) fn event(self, seed: u64) -> EventMessage {
        let mut random = Random::of_case(seed, self.number);
        let words = 100 + random.below(400);
        let payload: Vec<String> = (0..words).map(|_| format!("{:016x}", random.next())).collect();
        EventMessage {
            id: self.id(),
            topic: self.topic(),
            timestamp: Utc.timestamp_nanos(0),
            priority: EventPriority::Normal,
            payload: payload.concat(),
            metadata: HashMap::new(),
            checkpoint_marker: None,
        }
    }
}

/// The topic of a round.
pub(super) fn topic_of(round: u64) -> String {
    format!("round.{round}")
}

/// How a store on a disk of so many MiB is opened: so that sealing belongs to each round.
pub(super) fn options(options: StoreOptions, mib: u64) -> StoreOptions {
    let tail = usize::try_from(mib << 16).unwrap_or(usize::MAX);
    options.key(Key::raw([7; 32])).shard_count(1).memory_max(48 << 20).seal_at(tail, 10_000)
}
