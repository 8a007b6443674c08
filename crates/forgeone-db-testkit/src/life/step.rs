//! What a store is asked to do.

use crate::random::Random;
use chrono::{DateTime, TimeZone as _, Utc};
use forgeone_db::{
    EventMessage, EventPriority, NewLogEntry, NewSetting, RepairPlan, RepairStep, Severity,
};
use std::collections::HashMap;
use std::ops::Range;
use uuid::Uuid;

/// Topics of each kind; a life begins with the first of them.
pub(crate) const TOPICS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Settings.
const KEYS: [&str; 4] = ["k.one", "k.two", "k.three", "other"];
/// The number of the index of ids, as `docs/format.md` has it.
const INDEX_OF_IDS: u64 = 32;
/// Bytes of the longest payload.
const PAYLOAD_BYTES_MAX: u64 = 1200;

/// One call.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// One event, or a batch of them in one topic.
    Events {
        topic: &'static str,
        numbers: Range<u64>,
    },
    /// Lines of a log, in one topic.
    Lines {
        topic: &'static str,
        numbers: Range<u64>,
    },
    /// Settings that are set together.
    Settings {
        keys: Vec<&'static str>,
        number: u64,
    },
    Seal,
    Compact,
    /// The key of the first slot is replaced.
    Slot,
    /// The wrapping key is replaced.
    Wrapping,
    /// The data keys are replaced.
    Data,
    /// A topic's events are made unreadable.
    Shred {
        topic: &'static str,
    },
    /// Indexes of records are built anew.
    Repair,
    /// A clean close, and an opening.
    Reopen,
}

/// The kinds of steps, each of which a suite must have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Event,
    Batch,
    Lines,
    Settings,
    Seal,
    Compact,
    Slot,
    Wrapping,
    Data,
    Shred,
    Repair,
    Reopen,
}

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::Event,
        Self::Batch,
        Self::Lines,
        Self::Settings,
        Self::Seal,
        Self::Compact,
        Self::Slot,
        Self::Wrapping,
        Self::Data,
        Self::Shred,
        Self::Repair,
        Self::Reopen,
    ];

    /// As it is counted.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Event => "steps.event",
            Self::Batch => "steps.batch",
            Self::Lines => "steps.lines",
            Self::Settings => "steps.settings",
            Self::Seal => "steps.seal",
            Self::Compact => "steps.compact",
            Self::Slot => "steps.slot",
            Self::Wrapping => "steps.wrapping",
            Self::Data => "steps.data",
            Self::Shred => "steps.shred",
            Self::Repair => "steps.repair",
            Self::Reopen => "steps.reopen",
        }
    }
}

impl Step {
    /// One event.
    pub(crate) fn event(topic: &'static str, number: u64) -> Self {
        Self::Events { topic, numbers: number..number + 1 }
    }

    /// A step of the kind. `number` is the first number that no record has; it is raised by as many
    /// as the step takes.
    pub(crate) fn of(kind: Kind, random: &mut Random, number: &mut u64) -> Self {
        let topic = random.of(&TOPICS);
        let mut take = |count: u64| {
            let numbers = *number..*number + count;
            *number += count;
            numbers
        };
        match kind {
            Kind::Event => Self::Events { topic, numbers: take(1) },
            Kind::Batch => Self::Events { topic, numbers: take(2 + random.below(6)) },
            Kind::Lines => Self::Lines { topic, numbers: take(1 + random.below(8)) },
            Kind::Settings => {
                let first = random.of(&KEYS);
                let second = random.of(&KEYS);
                let keys = if first == second { vec![first] } else { vec![first, second] };
                Self::Settings { keys, number: take(1).start }
            }
            Kind::Seal => Self::Seal,
            Kind::Compact => Self::Compact,
            Kind::Slot => Self::Slot,
            Kind::Wrapping => Self::Wrapping,
            Kind::Data => Self::Data,
            // Every life begins with an event in the first topic.
            Kind::Shred => Self::Shred { topic: TOPICS[0] },
            Kind::Repair => Self::Repair,
            Kind::Reopen => Self::Reopen,
        }
    }
}

/// A kind, writes more often than the others.
pub(crate) fn any_kind(random: &mut Random) -> Kind {
    match random.below(12) {
        0..3 => Kind::Event,
        3..5 => Kind::Batch,
        5..7 => Kind::Lines,
        7..9 => Kind::Settings,
        _ => random.of(&Kind::ALL),
    }
}

pub(super) fn time(number: u64) -> DateTime<Utc> {
    let nanos = i64::try_from(number * 1_000_000).unwrap_or(0);
    Utc.timestamp_nanos(1_700_000_000_000_000_000 + nanos)
}

/// The bytes of a record, which its number determines.
pub(super) fn payload(number: u64) -> String {
    let mut random = Random::of_case(number, 1);
    let mut text = format!("{number}:");
    let end = random.below(PAYLOAD_BYTES_MAX);
    while (text.len() as u64) < end {
        text.push_str(&random.next().to_string());
    }
    text
}

/// The number that a payload begins with, if the rest is as it must be.
pub(super) fn number(found: &str) -> Option<u64> {
    let number = found.split_once(':')?.0.parse().ok()?;
    (payload(number) == found).then_some(number)
}

pub(super) fn event(topic: &str, number: u64) -> EventMessage {
    EventMessage {
        id: Uuid::from_u64_pair(1 + number, number.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        topic: topic.to_owned(),
        timestamp: time(number),
        priority: EventPriority::Normal,
        payload: payload(number),
        metadata: HashMap::new(),
        checkpoint_marker: None,
    }
}

pub(super) fn line(topic: &str, number: u64) -> NewLogEntry {
    NewLogEntry::new(topic, time(number), Severity::Info, payload(number))
}

pub(super) fn settings(keys: &[&'static str], number: u64) -> Vec<NewSetting> {
    let setting = |key: &&str| NewSetting { options: super::ANY, ..NewSetting::new(*key, number) };
    keys.iter().map(setting).collect()
}

/// A plan that builds the indexes of ids anew, of the shards that every store has.
pub(super) fn repair() -> RepairPlan {
    let step = |database: &str| RepairStep {
        database: database.to_owned(),
        index: INDEX_OF_IDS,
        purpose: "ids".to_owned(),
    };
    RepairPlan {
        steps: ["events_shard_0", "logs_shard_0"].map(step).into(),
        ..RepairPlan::default()
    }
}
