//! The states that a store can be in, each made by a script.

use super::answer::Line;
use crate::suites::differential::bench::{Bench, Leave};
use chrono::DateTime;
use forgeone_db::{
    EventMessage, EventPriority, KeyRotation, NewLogEntry, RedbManager, Severity, TopicKind,
};
use std::collections::HashMap;
use uuid::Uuid;

/// Everything that was stored, in the order in which it was.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) lines: Vec<Line>,
    pub(super) operations: u64,
}

type Script = fn(&mut Bench, &mut Rows) -> Result<(), String>;

pub(super) const EVENTS: [&str; 4] = ["shop.eu.paid", "shop.eu", "shop.us.paid", "till"];
pub(super) const LOGS: [&str; 3] = ["shop.eu", "web", "web.front.a"];
const TEXTS: [&str; 5] =
    ["order 17 paid", "error: timeout after 30 ms", "", "caf\u{e9} \u{1f600}", "error 404"];

/// Every state, and how a store comes into it.
pub(super) const STATES: [(&str, Script); 13] = [
    ("empty", |_, _| Ok(())),
    ("in the tail", |bench, rows| fill(bench, rows, 0..60, Times::Rising)),
    ("sealed", |bench, rows| {
        fill(bench, rows, 0..70, Times::Rising)?;
        all(bench, rows, RedbManager::seal)
    }),
    ("sealed and in the tail", |bench, rows| {
        fill(bench, rows, 0..50, Times::Rising)?;
        all(bench, rows, RedbManager::seal)?;
        fill(bench, rows, 50..90, Times::Rising)
    }),
    ("all at one time", |bench, rows| {
        fill(bench, rows, 0..40, Times::Same)?;
        all(bench, rows, RedbManager::seal)?;
        fill(bench, rows, 40..60, Times::Same)
    }),
    ("late ones sealed and in the tail", |bench, rows| {
        fill(bench, rows, 0..60, Times::Late)?;
        all(bench, rows, RedbManager::seal)?;
        fill(bench, rows, 60..100, Times::Late)
    }),
    ("falling times", |bench, rows| {
        fill(bench, rows, 0..50, Times::Falling)?;
        all(bench, rows, RedbManager::seal)?;
        fill(bench, rows, 50..80, Times::Falling)
    }),
    ("opened again", |bench, rows| {
        fill(bench, rows, 0..80, Times::Late)?;
        bench.reopen(Leave::Clean)
    }),
    ("opened again after a kill", |bench, rows| {
        fill(bench, rows, 0..50, Times::Late)?;
        all(bench, rows, RedbManager::seal)?;
        fill(bench, rows, 50..80, Times::Late)?;
        bench.reopen(Leave::Dirty)
    }),
    ("many small segments", |bench, rows| {
        for part in 0..12 {
            fill(bench, rows, part * 8..part * 8 + 8, Times::Late)?;
            all(bench, rows, RedbManager::seal)?;
        }
        Ok(())
    }),
    ("new keys", |bench, rows| {
        fill(bench, rows, 0..60, Times::Late)?;
        all(bench, rows, |store| store.rotate_keys(KeyRotation::Data, |_| ()))?;
        fill(bench, rows, 60..80, Times::Rising)
    }),
    ("shredded", |bench, rows| {
        fill(bench, rows, 0..60, Times::Late)?;
        shred(bench, rows)?;
        fill(bench, rows, 60..90, Times::Late)
    }),
    ("shredded, sealed, compacted and opened again", |bench, rows| {
        fill(bench, rows, 0..60, Times::Rising)?;
        all(bench, rows, RedbManager::seal)?;
        shred(bench, rows)?;
        fill(bench, rows, 60..90, Times::Late)?;
        all(bench, rows, |store| store.compact(|_| ()).map(drop))?;
        bench.reopen(Leave::Clean)
    }),
];

/// How the times of records follow one another.
#[derive(Debug, Clone, Copy)]
enum Times {
    Rising,
    Falling,
    Same,
    /// Rising, but every third comes much too late.
    Late,
}

impl Times {
    fn at(self, number: i64) -> i64 {
        match self {
            Self::Falling => 10_000 + 10 * (100 - number),
            Self::Same => 10_500,
            Self::Late if number % 3 == 2 => 10_000 + 4 * number,
            Self::Late | Self::Rising => 10_000 + 10 * number,
        }
    }
}

fn all(
    bench: &Bench,
    rows: &mut Rows,
    call: impl Fn(&RedbManager) -> forgeone_db::Result<()>,
) -> Result<(), String> {
    rows.operations += 1;
    for subject in &bench.subjects {
        call(&subject.store).map_err(|error| format!("{}: {error:?}", subject.name))?;
    }
    Ok(())
}

fn fill(
    bench: &Bench,
    rows: &mut Rows,
    numbers: std::ops::Range<i64>,
    times: Times,
) -> Result<(), String> {
    for number in numbers {
        let at = times.at(number);
        let (event, line) = (event(number, at), line(number, at));
        all(bench, rows, |store| store.store_event(&event).map(drop))?;
        all(bench, rows, |store| store.store_log(line.clone()).map(drop))?;
        let text = text(number);
        rows.add(Line {
            is_log: false,
            topic: event.topic,
            seq: 0,
            at,
            level: event.priority.level(),
            text: text.clone(),
            host: event.metadata.get("host").cloned(),
            marker: event.checkpoint_marker,
            gone: false,
        });
        rows.add(Line {
            is_log: true,
            topic: line.topic,
            seq: 0,
            at,
            level: line.severity.number(),
            text,
            host: line.metadata.get("host").cloned(),
            marker: line.checkpoint_marker,
            gone: false,
        });
    }
    Ok(())
}

impl Rows {
    fn add(&mut self, line: Line) {
        let before = self
            .lines
            .iter()
            .filter(|other| (other.is_log, &other.topic) == (line.is_log, &line.topic))
            .count() as u64;
        self.lines.push(Line { seq: before + 1, ..line });
    }
}

fn one_of<'a>(of: &[&'a str], number: i64) -> &'a str {
    let index = usize::try_from(number).unwrap_or(0).checked_rem(of.len()).unwrap_or(0);
    of.get(index).copied().unwrap_or_default()
}

fn text(number: i64) -> String {
    let filler = if number % 17 == 3 { "padding ".repeat(300) } else { String::new() };
    format!("{}{filler} {number}", one_of(&TEXTS, number * 3 + number / 5))
}

fn host(number: i64) -> HashMap<String, String> {
    let host = || ("host".to_owned(), one_of(&["north", "south"], number).to_owned());
    (number % 3 > 0).then(host).into_iter().collect()
}

fn marker(number: i64) -> Option<String> {
    (number % 20 == 7).then(|| one_of(&["noon", "night"], number / 20).to_owned())
}

fn event(number: i64, at: i64) -> EventMessage {
    let level = u8::try_from(number * 7 % 4).unwrap_or(0);
    EventMessage {
        id: Uuid::from_u64_pair(u64::MAX.wrapping_mul(number.unsigned_abs() + 3), 5),
        topic: one_of(&EVENTS, number + number / 7).to_owned(),
        timestamp: DateTime::from_timestamp(at, 0).unwrap_or_default(),
        priority: EventPriority::from_level(level).unwrap_or_default(),
        payload: text(number),
        metadata: host(number),
        checkpoint_marker: marker(number),
    }
}

fn line(number: i64, at: i64) -> NewLogEntry {
    let severity = Severity::from_number(u8::try_from(number * 5 % 24 + 1).unwrap_or(1));
    let time = DateTime::from_timestamp(at, 0).unwrap_or_default();
    let topic = one_of(&LOGS, number + number / 4);
    let mut entry = NewLogEntry::new(topic, time, severity.unwrap_or_default(), text(number));
    entry.metadata = host(number);
    entry.checkpoint_marker = marker(number);
    entry
}

/// One topic of each kind.
fn shred(bench: &Bench, rows: &mut Rows) -> Result<(), String> {
    all(bench, rows, |store| store.shred_topic(TopicKind::Events, "shop.eu").map(drop))?;
    all(bench, rows, |store| store.shred_topic(TopicKind::Logs, "shop.eu").map(drop))?;
    let gone = rows.lines.iter_mut().filter(|line| line.topic == "shop.eu");
    gone.for_each(|line| line.gone = true);
    Ok(())
}
