//! What every operation of a worker consists of: a function of the seed and the operation's name.

use crate::random::Random;
use chrono::{DateTime, TimeZone as _, Utc};
use forgeone_db::{
    EventMessage, EventPriority, Flag, FlagState, KeyRotation, LineEnd, NewLogEntry, Severity,
    TopicKind,
};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The thread that does what is not a write: sealing, compacting, changing keys, shredding.
pub(super) const CHORES: u32 = 1000;

/// Topics that are written to. Those that are shredded now and then come last.
pub(super) const TOPICS: [(TopicKind, &str); 10] = [
    (TopicKind::Events, "a.0"),
    (TopicKind::Events, "a.1"),
    (TopicKind::Events, "a.2"),
    (TopicKind::Events, "b.long.name"),
    (TopicKind::Logs, "l.0"),
    (TopicKind::Logs, "l.1"),
    (TopicKind::Logs, "a.0"),
    (TopicKind::Events, "gone.0"),
    (TopicKind::Events, "gone.1"),
    (TopicKind::Logs, "gone.0"),
];
/// How many of them are never shredded.
const LASTING: usize = 7;
const SETTINGS: u64 = 12;
const FLAGS: u64 = 3;

/// Whether a topic is one that may be shredded.
pub(super) const fn is_shredded_at_times(topic: usize) -> bool {
    topic >= LASTING
}

/// One operation: the worker's number, the thread, and the how manieth it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OpName {
    pub(super) cycle: u32,
    pub(super) thread: u32,
    pub(super) number: u32,
}

impl fmt::Display for OpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.cycle, self.thread, self.number)
    }
}

impl FromStr for OpName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-').map(|part| part.parse::<u32>().map_err(drop));
        let mut part = || parts.next().ok_or(())?;
        Ok(Self { cycle: part()?, thread: part()?, number: part()? })
    }
}

/// One record of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordName {
    pub(super) op: OpName,
    pub(super) part: u32,
}

impl RecordName {
    /// The name as an id, and back.
    pub(super) fn id(self) -> Uuid {
        let OpName { cycle, thread, number } = self.op;
        let pair = |high, low| u64::from(high) << 32 | u64::from(low);
        Uuid::from_u64_pair(pair(cycle, thread), pair(number, self.part))
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half is taken by itself")]
    pub(super) fn of_id(id: Uuid) -> Self {
        let (first, second) = id.as_u64_pair();
        let op = OpName {
            cycle: (first >> 32) as u32,
            thread: first as u32,
            number: (second >> 32) as u32,
        };
        Self { op, part: second as u32 }
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.op, self.part)
    }
}

/// What an operation is.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Records, each with its topic: all events or all logs. One call.
    Append { topics: Vec<usize>, ids: Ids },
    /// Settings, in one call.
    Set { keys: Vec<String>, terms: Terms },
    /// A flag.
    Flag { name: String },
    /// A fact about the store; each thread has its own.
    Fact { name: String },
    /// What is not a write.
    Chore(Chore),
}

/// Whether records have ids of their own, under which they can be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    Given,
    Derived,
}

/// On what terms settings are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terms {
    Any,
    /// Only on top of the version that the thread knows.
    Compare,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Chore {
    Seal,
    Compact,
    Rotate(KeyRotation),
    Shred(usize),
}

/// All operations of all workers of a case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) seed: u64,
}

impl Plan {
    fn random(self, op: OpName, salt: u64) -> Random {
        let number = u64::from(op.cycle) << 48 ^ u64::from(op.thread) << 32 ^ u64::from(op.number);
        Random::of_case(self.seed.wrapping_add(salt << 56), number)
    }

    pub(super) fn op(self, name: OpName) -> Op {
        let mut random = self.random(name, 0);
        if name.thread == CHORES {
            return Op::Chore(chore(&mut random));
        }
        match random.below(100) {
            0..=54 => append(&mut random, TopicKind::Events),
            55..=79 => append(&mut random, TopicKind::Logs),
            80..=88 => Op::Set { keys: vec![setting(&mut random)], terms: Terms::Any },
            89..=91 => Op::Set { keys: vec![setting(&mut random)], terms: Terms::Compare },
            92..=94 => many_settings(&mut random),
            95..=96 => Op::Flag { name: format!("f{}", random.below(FLAGS)) },
            _ => Op::Fact { name: format!("fact {}", name.thread) },
        }
    }

    /// The text that a record or a setting holds: its name, and so much more that pages differ.
    fn text(self, name: RecordName) -> String {
        let mut random = self.random(name.op, 1 + u64::from(name.part));
        let length = match random.below(60) {
            0 => 2_000 + random.below(20_000),
            1..=9 => random.below(800),
            _ => random.below(60),
        };
        let mut text = name.id().to_string();
        while (text.len() as u64) < length {
            text += &[" ", &random.next().to_string()].concat();
        }
        text
    }

    fn time(self, name: RecordName) -> DateTime<Utc> {
        let mut random = self.random(name.op, 100 + u64::from(name.part));
        let base = i64::from(name.op.cycle) * 10_000 + i64::from(name.op.number);
        let back = if random.below(8) == 0 { random.below(50_000) } else { 0 };
        let back = i64::try_from(back).unwrap_or(0);
        Utc.timestamp_opt(1_700_000_000 + base - back, 0).single().unwrap_or(DateTime::UNIX_EPOCH)
    }

    pub(super) fn event(self, name: RecordName, topic: &str) -> EventMessage {
        let number = name.op.number;
        let level = u8::try_from(number % 4).unwrap_or(0);
        EventMessage {
            id: name.id(),
            topic: topic.to_owned(),
            timestamp: self.time(name),
            priority: EventPriority::from_level(level).unwrap_or_default(),
            payload: self.text(name),
            metadata: HashMap::from([("part".to_owned(), name.part.to_string())]),
            checkpoint_marker: number.is_multiple_of(50).then(|| format!("m{number}")),
        }
    }

    pub(super) fn log(self, name: RecordName, topic: &str, ids: Ids) -> NewLogEntry {
        let severity = u8::try_from(1 + name.op.number % 24).unwrap_or(1);
        let severity = Severity::from_number(severity).unwrap_or_default();
        let mut entry = NewLogEntry::new(topic, self.time(name), severity, self.text(name));
        entry.id = (ids == Ids::Given).then(|| name.id());
        entry.line_end = if name.part % 3 == 1 { LineEnd::CrLf } else { LineEnd::Lf };
        if name.part % 5 == 2 {
            // Not UTF-8, as lines of real logs may be.
            entry.line.push(0xff);
        }
        entry
    }

    pub(super) fn value(self, op: OpName, part: u32) -> serde_json::Value {
        serde_json::Value::String(self.text(RecordName { op, part }))
    }

    pub(super) fn flag(op: OpName) -> Flag {
        let percent = f64::from(op.number % 101);
        Flag {
            description: RecordName { op, part: 0 }.id().to_string(),
            ..Flag::new(FlagState::Percentage { percent })
        }
    }

    pub(super) fn fact(self, op: OpName) -> String {
        self.text(RecordName { op, part: 0 })
    }
}

/// The record that a text begins with the name of.
pub(super) fn name_in(text: &[u8]) -> Option<RecordName> {
    let id = std::str::from_utf8(text.get(..36)?).ok()?;
    Uuid::parse_str(id).ok().map(RecordName::of_id)
}

fn chore(random: &mut Random) -> Chore {
    match random.below(20) {
        0..=9 => Chore::Seal,
        10..=12 => Chore::Compact,
        13..=14 => Chore::Rotate(KeyRotation::Wrapping),
        15..=16 => Chore::Rotate(KeyRotation::Data),
        _ => Chore::Shred(LASTING + below(random, TOPICS.len() - LASTING)),
    }
}

fn below(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.below(end as u64)).unwrap_or(0)
}

fn append(random: &mut Random, wanted: TopicKind) -> Op {
    let of_kind = |index: &usize| TOPICS.get(*index).is_some_and(|(kind, _)| *kind == wanted);
    let all: Vec<usize> = (0..TOPICS.len()).filter(of_kind).collect();
    let lasting: Vec<usize> = (0..LASTING).filter(of_kind).collect();
    let pick = |random: &mut Random, of: &[usize]| {
        of.get(below(random, of.len())).copied().unwrap_or_default()
    };
    let ids =
        if wanted == TopicKind::Logs && random.below(2) == 0 { Ids::Derived } else { Ids::Given };
    let count = if random.below(4) == 0 { 2 + random.below(30) } else { 1 };
    let topics = if count > 1 && random.below(4) == 0 {
        // Over several topics: if they lie in different shards it is refused as a whole.
        let two = [pick(random, &lasting), pick(random, &lasting)];
        (0..count).map(|_| pick(random, &two)).collect()
    } else {
        let topic = pick(random, &all);
        (0..count).map(|_| topic).collect()
    };
    Op::Append { topics, ids }
}

fn setting(random: &mut Random) -> String {
    format!("s/{}", random.below(SETTINGS))
}

fn many_settings(random: &mut Random) -> Op {
    let first = random.below(SETTINGS);
    let count = 2 + random.below(4);
    let keys = (first..first + count).map(|number| format!("s/{}", number % SETTINGS)).collect();
    Op::Set { keys, terms: Terms::Any }
}
