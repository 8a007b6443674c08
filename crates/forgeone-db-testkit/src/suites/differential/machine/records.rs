//! Appending.

use super::Machine;
use crate::suites::differential::model::{Row, append};
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use forgeone_db::{
    ErrorKind, EventMessage, EventPriority, LineEnd, NewEvent, NewLogEntry, RedbManager, Severity,
    TopicKind, TopicPattern,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(super) const WORDS: [&str; 7] =
    ["alpha", "beta", "GET /x", "timeout", "took 17 ms", "\u{e9}t\u{e9}", "\u{0}"];

impl Machine {
    fn time(&mut self) -> DateTime<Utc> {
        let around = Utc.timestamp_opt(self.clock, 0).single().unwrap_or_default();
        let back = i64::try_from(self.random.below(500)).unwrap_or(0);
        match self.random.below(24) {
            0 if self.one_in(8) => DateTime::<Utc>::MIN_UTC,
            1 if self.one_in(30) => DateTime::<Utc>::MAX_UTC,
            2..=4 => around - TimeDelta::seconds(back),
            5..=6 => around,
            _ => {
                self.clock += i64::try_from(self.random.below(3)).unwrap_or(0);
                around + TimeDelta::nanoseconds(back)
            }
        }
    }

    fn id(&mut self) -> Uuid {
        let is_known = self.ids > 0 && self.one_in(8);
        let number = if is_known { self.random.below(self.ids) } else { self.ids };
        self.ids += u64::from(!is_known);
        Self::id_of(number)
    }

    /// Spread over all prefixes, and never of the version that derived ids have.
    pub(super) fn id_of(number: u64) -> Uuid {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !0xf000;
        Uuid::from_u64_pair(mixed, number)
    }

    fn row(&mut self, kind: TopicKind, topic: &str) -> Row {
        let is_event = kind == TopicKind::Events;
        let id = (is_event || self.one_in(3)).then(|| self.id());
        let stored = self
            .topics(kind)
            .get(topic)
            .and_then(|topic| topic.live().find(|row| id.is_some() && row.id == id).cloned());
        if let Some(stored) = stored
            && !self.one_in(4)
        {
            let assigned = self.one_in(4);
            let time = if assigned { self.time() } else { stored.time };
            return Row { seq: 0, assigned, time, ..stored };
        }
        let mut bytes = Vec::new();
        for _ in 0..self.random.below(6) {
            bytes.extend_from_slice(self.pick(&WORDS).unwrap_or_default().as_bytes());
            bytes.push(b' ');
        }
        if self.one_in(12) {
            bytes.extend(vec![b'x'; usize::try_from(self.random.below(3_000)).unwrap_or(0)]);
        }
        if !is_event && self.one_in(9) {
            bytes.insert(0, 0xff);
        }
        let metadata = (0..self.random.below(3))
            .map(|number| (format!("key{number}"), self.pick(&WORDS).unwrap_or_default().into()));
        let metadata: BTreeMap<String, String> = metadata.collect();
        let level = u8::try_from(self.random.below(24)).unwrap_or(0);
        let end = LineEnd::from_code(level % 3).unwrap_or_default();
        Row {
            topic: topic.to_owned(),
            seq: 0,
            id,
            time: self.time(),
            assigned: self.one_in(5),
            level: if is_event { level % 4 } else { level + 1 },
            bytes,
            metadata,
            marker: self.one_in(30).then(|| format!("m{}", level % 3)),
            end: if is_event { LineEnd::Lf } else { end },
        }
    }

    pub(super) fn append_one(&mut self) -> Result<(), String> {
        let kind = self.kind();
        let topic = self.topic(kind);
        let row = self.row(kind, topic);
        self.count(if kind == TopicKind::Events { "single events" } else { "single lines" });
        self.append(kind, &[row])
    }

    pub(super) fn append_many(&mut self) -> Result<(), String> {
        let kind = self.kind();
        let topics = [self.topic(kind), self.topic(kind)];
        let over_two = self.one_in(3);
        let rows: Vec<Row> = (0..self.random.below(30))
            .map(|_| {
                let both = if over_two { topics } else { [topics[0]; 2] };
                let topic = self.pick(&both).unwrap_or("a");
                self.row(kind, topic)
            })
            .collect();
        self.count(if kind == TopicKind::Events {
            "batches of events"
        } else {
            "batches of lines"
        });
        self.append(kind, &rows)
    }

    fn append(&mut self, kind: TopicKind, rows: &[Row]) -> Result<(), String> {
        let mut topics = std::mem::take(self.topics(kind));
        let mut before = topics.clone();
        let mut expected = append(&mut topics, rows);
        let mut answers = Vec::new();
        for subject in &self.bench.subjects {
            answers.push(store(&subject.store, kind, rows));
        }
        // Which shard a topic is in is the store's choice. A call over several is refused, and may
        // or may not have made the topics; one that is refused for another reason has.
        let first = self.bench.subjects.first().ok_or("no engine")?;
        let shards = shards_of(&first.store, kind, rows)?;
        for (name, _) in &shards {
            before.entry(name.clone()).or_default();
        }
        let names: BTreeSet<&str> = rows.iter().map(|row| row.topic.as_str()).collect();
        let used: BTreeSet<u32> = shards.iter().map(|(_, shard)| *shard).collect();
        if used.len() > 1 || shards.len() < names.len() {
            expected = Err(ErrorKind::Invalid);
            self.count("batches over shards");
        }
        match &expected {
            Ok(positions) if positions.iter().any(|(_, duplicate)| *duplicate) => {
                self.count("duplicates");
            }
            Err(ErrorKind::Conflict) => self.count("conflicts"),
            _ => {}
        }
        if expected.is_err() {
            topics = before;
        }
        *self.topics(kind) = topics;
        for (subject, answer) in self.bench.subjects.iter().zip(answers) {
            if answer != expected {
                return Err(format!(
                    "{}: appending {rows:?}: {answer:?}, expected {expected:?}",
                    subject.name
                ));
            }
        }
        Ok(())
    }

    /// Nothing of a call with one wrong part is stored, and no topic is made.
    pub(super) fn append_wrong(&mut self) -> Result<(), String> {
        self.count("wrong input");
        let kind = self.kind();
        let topic = self.topic(kind);
        let mut rows: Vec<Row> =
            (0..=self.random.below(4)).map(|_| self.row(kind, topic)).collect();
        let which = self.random.below(5);
        let Some(row) = rows.last_mut() else { return Ok(()) };
        match which {
            0 => row.topic = String::new(),
            1 => row.topic = "new\u{1}".into(),
            2 => row.topic = "x".repeat(256),
            3 => row.marker = Some("m".repeat(256)),
            _ => drop(row.metadata.insert("long".into(), "x".repeat(65_536))),
        }
        if let Some(first) = rows.first_mut().filter(|_| which > 2) {
            first.topic = "never made".into();
        }
        self.bench
            .ask(&"wrong input", &Err(ErrorKind::Invalid), |subject| store(subject, kind, &rows))
    }
}

/// The topics of these rows that there are, and the shards that they lie in.
fn shards_of(
    store: &RedbManager,
    kind: TopicKind,
    rows: &[Row],
) -> Result<Vec<(String, u32)>, String> {
    let names: BTreeSet<&str> = rows.iter().map(|row| row.topic.as_str()).collect();
    let mut shards = Vec::new();
    for name in names {
        let pattern = TopicPattern::exact(name).map_err(|error| error.to_string())?;
        let found = if kind == TopicKind::Events {
            store.topics(&pattern)
        } else {
            store.log_topics(&pattern)
        };
        let found = found.map_err(|error| error.to_string())?;
        shards.extend(found.into_iter().map(|info| (info.topic, info.shard)));
    }
    Ok(shards)
}

fn store(
    store: &RedbManager,
    kind: TopicKind,
    rows: &[Row],
) -> Result<Vec<(u64, bool)>, ErrorKind> {
    let kind_of = |error: forgeone_db::Error| error.kind();
    if kind == TopicKind::Events {
        let events: Vec<NewEvent> = rows.iter().map(to_event).collect();
        let positions = match events.as_slice() {
            // What needs no more is said with less.
            [one] if !one.timestamp_assigned => {
                vec![store.store_event(&one.event).map_err(kind_of)?]
            }
            _ => store.store_events_opts(events).map_err(kind_of)?,
        };
        Ok(positions.into_iter().map(|place| (place.seq, place.duplicate)).collect())
    } else {
        let lines = rows.iter().map(to_line).collect();
        let positions = store.store_logs(lines).map_err(kind_of)?;
        Ok(positions.into_iter().map(|place| (place.seq, place.duplicate)).collect())
    }
}

fn to_event(row: &Row) -> NewEvent {
    let event = EventMessage {
        id: row.id.unwrap_or_default(),
        topic: row.topic.clone(),
        timestamp: row.time,
        priority: EventPriority::from_level(row.level).unwrap_or_default(),
        payload: String::from_utf8_lossy(&row.bytes).into_owned(),
        metadata: row.metadata.clone().into_iter().collect(),
        checkpoint_marker: row.marker.clone(),
    };
    NewEvent { event, timestamp_assigned: row.assigned }
}

fn to_line(row: &Row) -> NewLogEntry {
    NewLogEntry {
        id: row.id,
        topic: row.topic.clone(),
        timestamp: row.time,
        timestamp_assigned: row.assigned,
        severity: Severity::from_number(row.level).unwrap_or_default(),
        line: row.bytes.clone(),
        line_end: row.end,
        metadata: row.metadata.clone().into_iter().collect(),
        checkpoint_marker: row.marker.clone(),
    }
}
