//! Finding what a tour has stored, in every way there is, and checking what is found.

use super::fold::{Folds, Item};
use super::report::{Check, Lookups};
use super::{Stored, ms};
use crate::commands::TopicKind;
use crate::exit::Failure;
use chrono::{DateTime, Utc};
use forgeone_db::{
    EventQuery, LogQuery, QueryOrder, RedbManager, StartFrom, StoredLogEntry, TopicPattern,
};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Instant;

/// Lookups by id that are timed.
const LOOKUPS: usize = 1_000;

/// What was found.
pub(super) struct Found {
    pub(super) lookups: Lookups,
    pub(super) search: Option<TextSearch>,
    pub(super) checks: Vec<Check>,
}

/// A search for a text in log lines.
#[derive(Debug, Serialize)]
pub(super) struct TextSearch {
    pub(super) text: String,
    pub(super) found: u64,
    pub(super) ms: f64,
}

/// Finds records in every way there is, and checks what is found.
pub(super) fn find(manager: &RedbManager, stored: &Stored) -> Result<Found, Failure> {
    let mut lookups = Lookups::default();
    let by_id = find_by_id(manager, stored, &mut lookups)?;
    let newest = find_newest(manager, stored, &mut lookups)?;
    let window = stored.samples.window();
    if let Some((from, to)) = window {
        let start = Instant::now();
        lookups.window_records = events(manager, EventQuery::default().from(from).to(to))?
            + logs(manager, LogQuery::default().from(from).to(to))?;
        lookups.window_ms = ms(start);
    }
    let search = find_text(manager, stored.word.as_deref())?;

    let start = Instant::now();
    let mut again = ReadBack::new(window, search.as_ref());
    again.read(manager)?;
    lookups.read_all_seconds = start.elapsed().as_secs_f64();
    let mut checks = vec![
        (
            "after reopening, every record is there, unchanged and in order",
            again.in_order && again.folds.same(&stored.folds),
        ),
        ("records are found by id", by_id),
        ("the newest records of a topic are found", newest),
        ("a search by time finds as many as there are", again.in_window == lookups.window_records),
    ];
    if let Some(search) = &search {
        let all = again.with_text == search.found && search.found > 0;
        checks.push(("a search for text finds as many lines as there are", all));
    }
    let whole = &stored.read.logs.whole;
    if !whole.is_empty() {
        let same = whole.iter().all(|file| again.hash_of(&file.topic) == file.hash);
        checks.push(("every log file came back byte for byte", same));
    }
    let checks = checks.into_iter().map(|(what, ok)| Check { what, ok }).collect();
    Ok(Found { lookups, search, checks })
}

fn find_by_id(
    manager: &RedbManager,
    stored: &Stored,
    lookups: &mut Lookups,
) -> Result<bool, Failure> {
    let samples = &stored.samples.kept;
    let step = (samples.len() / LOOKUPS).max(1);
    let mut times = Vec::new();
    let mut found = true;
    for sample in samples.iter().step_by(step).take(LOOKUPS) {
        let start = Instant::now();
        let prints: Vec<u64> = match sample.kind {
            TopicKind::Events => {
                let events = manager.get_event(sample.id)?;
                times.push(ms(start));
                events.iter().map(|event| Item::of_event(&event.event).print).collect()
            }
            TopicKind::Logs => {
                let entries = manager.get_log(sample.id)?;
                times.push(ms(start));
                entries.iter().map(|entry| Item::of_log(&entry.entry).print).collect()
            }
        };
        found &= prints.contains(&sample.print);
    }
    lookups.by_id = times.len() as u64;
    lookups.first_ms = times.first().copied().unwrap_or_default();
    times.sort_unstable_by(f64::total_cmp);
    lookups.median_ms = times.get(times.len() / 2).copied().unwrap_or_default();
    lookups.p99_ms = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    Ok(found)
}

/// Finds the newest records of the largest topic of each kind; the slower search counts.
fn find_newest(
    manager: &RedbManager,
    stored: &Stored,
    lookups: &mut Lookups,
) -> Result<bool, Failure> {
    let mut all = true;
    for kind in [TopicKind::Events, TopicKind::Logs] {
        let Some((topic, count)) = stored.folds.largest(kind) else { continue };
        let topic = TopicPattern::exact(topic)?;
        let start = Instant::now();
        let order = QueryOrder::NewestFirst;
        let found = match kind {
            TopicKind::Events => events(manager, EventQuery::new(topic).order(order).limit(100))?,
            TopicKind::Logs => logs(manager, LogQuery::new(topic).order(order).limit(100))?,
        };
        all &= found == count.min(100);
        lookups.newest_100_ms = lookups.newest_100_ms.max(ms(start));
    }
    Ok(all)
}

fn find_text(manager: &RedbManager, word: Option<&str>) -> Result<Option<TextSearch>, Failure> {
    let Some(word) = word else { return Ok(None) };
    let start = Instant::now();
    let found = logs(manager, LogQuery::default().contains(word))?;
    Ok(Some(TextSearch { text: word.to_owned(), found, ms: ms(start) }))
}

fn events(manager: &RedbManager, query: EventQuery) -> Result<u64, Failure> {
    let mut count = 0;
    for event in manager.query_events(query)? {
        event?;
        count += 1;
    }
    Ok(count)
}

fn logs(manager: &RedbManager, query: LogQuery) -> Result<u64, Failure> {
    let mut count = 0;
    for entry in manager.query_logs(query)? {
        entry?;
        count += 1;
    }
    Ok(count)
}

/// Everything once more, in the order of numbers.
struct ReadBack {
    folds: Folds,
    in_order: bool,
    window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    in_window: u64,
    query: Option<LogQuery>,
    with_text: u64,
    /// Of the bytes of each topic of logs.
    hashes: HashMap<String, blake3::Hasher>,
}

impl ReadBack {
    fn new(window: Option<(DateTime<Utc>, DateTime<Utc>)>, search: Option<&TextSearch>) -> Self {
        Self {
            folds: Folds::default(),
            in_order: true,
            window,
            in_window: 0,
            query: search.map(|search| LogQuery::default().contains(&search.text)),
            with_text: 0,
            hashes: HashMap::new(),
        }
    }

    fn read(&mut self, manager: &RedbManager) -> Result<(), Failure> {
        for event in manager.replay(&TopicPattern::all(), StartFrom::Oldest)? {
            let event = event?;
            self.add(&Item::of_event(&event.event), event.seq);
        }
        for entry in manager.replay_logs(&TopicPattern::all(), StartFrom::Oldest)? {
            let entry = entry?;
            self.add(&Item::of_log(&entry.entry), entry.seq);
            self.add_line(&entry);
        }
        Ok(())
    }

    fn add(&mut self, item: &Item<'_>, seq: u64) {
        self.in_order &= self.folds.add(item, seq);
        let in_window = self.window.is_some_and(|(from, to)| from <= item.time && item.time < to);
        self.in_window += u64::from(in_window);
    }

    fn add_line(&mut self, stored: &StoredLogEntry) {
        let found =
            self.query.as_ref().is_some_and(|query| matches!(query.matches(stored), Ok(true)));
        self.with_text += u64::from(found);
        let entry = &stored.entry;
        let hasher = match self.hashes.get_mut(&entry.topic) {
            Some(hasher) => hasher,
            None => self.hashes.entry(entry.topic.clone()).or_default(),
        };
        hasher.update(entry.line()).update(entry.line_end.as_bytes());
    }

    fn hash_of(&self, topic: &str) -> blake3::Hash {
        self.hashes.get(topic).map_or_else(|| blake3::hash(b""), blake3::Hasher::finalize)
    }
}
