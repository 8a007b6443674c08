//! The load: all that a store can be asked to do, at once, and what is done with one that is closed.

use super::Load;
use crate::random::Random;
use chrono::{TimeZone as _, Utc};
use forgeone_db::redb::{RedbEngine, RedbOptions, StoreDirectory};
use forgeone_db::{
    Durability, Error, ErrorKind, EventMessage, EventPriority, EventQuery, Key, KeyRotation,
    LogQuery, NewLogEntry, OpenMode, RedbManager, ScrubOptions, Severity, StoreOptions,
    TopicPattern, VerifyDepth, VerifyReport,
};
use forgeone_db_engine::{
    Batch, DatabaseName, Direction, Engine as _, KeyRange, Projection, Read, TableName,
};
use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// Threads that write events, each to topics of its own and shared ones.
const WRITERS: u64 = 4;
/// Events in one call.
const BATCH: u64 = 100;
const TOPICS: u64 = 40;
/// Bytes of the payloads that most of the data are; every fourth batch has small ones.
const LARGE: u64 = 4096;
const SMALL: u64 = 64;

/// What was done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Done {
    events: AtomicU64,
    bytes: AtomicU64,
    found: AtomicU64,
    searches: AtomicU64,
    reads: AtomicU64,
    rounds: AtomicU64,
    /// Verifications at standard depth, rounds of a scrub and changes of data keys, beside all else.
    whole: AtomicU64,
    /// Indexes that a repair built anew.
    rebuilt: AtomicU64,
    /// Records that a salvage wrote, and ranges that it named lost.
    salvaged: AtomicU64,
    lost: AtomicU64,
}

impl Done {
    pub(super) fn counts(&self) -> [u64; 6] {
        let Self { events, searches, reads, rounds, whole, salvaged, .. } = self;
        [events, searches, reads, rounds, whole, salvaged].map(get)
    }

    /// # Errors
    /// Something that belongs to the load was not done.
    pub(super) fn check(&self) -> Result<(), String> {
        let more = [&self.found, &self.rebuilt, &self.lost];
        if self.counts().contains(&0) || more.map(get).contains(&0) {
            return Err(format!("part of the load was not done: {self:?}"));
        }
        Ok(())
    }
}

fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

type Step = Result<(), Error>;

fn open(arguments: &Load, name: &str) -> Result<RedbManager, Error> {
    RedbManager::open(options(arguments, name).mode(OpenMode::Create))
}

fn options(arguments: &Load, name: &str) -> StoreOptions {
    let options = StoreOptions::new(arguments.place.join(name)).key(Key::raw([7; 32]));
    options.memory_max(arguments.memory_max)
}

/// Does a little of everything, one after another, so that the program's own pages are resident.
pub(super) fn warm_up(arguments: &Load) -> Result<(), String> {
    let once = || {
        let store = open(arguments, "idle")?;
        let mut random = Random::of_case(arguments.seed, u64::MAX);
        store.store_event(&event(&mut random, (WRITERS, 0), 0, SMALL))?;
        store.store_log(line(&mut random, 0, SMALL))?;
        let done = Done::default();
        for _ in 0..8 {
            search(&store, &done, &mut random)?;
            read(&store, &done, &mut random)?;
            maintain(&store, &done, &mut random)?;
            go_through(&store, &done, &mut random)?;
        }
        store.close()
    };
    once().map_err(|error: Error| format!("{error:?}"))
}

pub(super) fn run(arguments: &Load) -> Result<Done, String> {
    let failed = |error: Error| format!("{error:?}");
    let store = open(arguments, "store").map_err(failed)?;
    let (done, ended) = (Done::default(), AtomicBool::new(false));
    let (store_ref, done_ref, ended_ref) = (&store, &done, &ended);
    let worked = std::thread::scope(|scope| {
        let until_the_end = |step: fn(&RedbManager, &Done, &mut Random) -> Step, number: u64| {
            scope.spawn(move || {
                let mut random = Random::of_case(arguments.seed, 1000 + number);
                loop {
                    let last = ended_ref.load(Ordering::Acquire);
                    step(store_ref, done_ref, &mut random)?;
                    if last {
                        return Ok(());
                    }
                }
            })
        };
        let others = [
            until_the_end(search, 0),
            until_the_end(search, 1),
            until_the_end(read, 2),
            until_the_end(maintain, 3),
            until_the_end(go_through, 4),
        ];
        let writers: Vec<_> = (0..WRITERS)
            .map(|thread| scope.spawn(move || write(store_ref, done_ref, arguments, thread)))
            .collect();
        let joined = |thread: std::thread::ScopedJoinHandle<'_, Step>| {
            thread.join().map_err(|_| "a thread panicked".to_owned())?.map_err(failed)
        };
        let written: Vec<_> = writers.into_iter().map(joined).collect();
        ended.store(true, Ordering::Release);
        written.into_iter().chain(others.into_iter().map(joined)).collect::<Result<(), String>>()
    });
    worked?;
    store.close().map_err(failed)?;
    Ok(done)
}

/// Has an index of the closed store damaged and repaired, and then records, and salvages the rest.
pub(super) fn mend(arguments: &Load, done: &Done) -> Result<(), String> {
    let failed = |error: Error| format!("{error:?}");
    bend(arguments, "event_index").map_err(failed)?;
    let plan = RedbManager::plan_store_repair(options(arguments, "store"), |_| {});
    let plan = plan.map_err(failed)?;
    let repaired = RedbManager::repair_store(options(arguments, "store"), &plan, |_| {});
    add(&done.rebuilt, repaired.map_err(failed)?.rebuilt.len() as u64);
    bend(arguments, "events").map_err(failed)?;
    let [source, target] = ["store", "salvaged"].map(|name| options(arguments, name));
    let salvaged = RedbManager::salvage(source, target, |_| {}).map_err(failed)?;
    add(&done.salvaged, salvaged.topics.iter().map(|topic| topic.records).sum());
    add(&done.lost, salvaged.topics.iter().map(|topic| topic.lost.len() as u64).sum());
    Ok(())
}

/// Bends a byte of some values of a shard's table, below everything that could notice it.
fn bend(arguments: &Load, table: &str) -> Step {
    let directory = StoreDirectory::open(arguments.place.join("store"))?;
    let engine = RedbEngine::open_writer(directory, RedbOptions::default())?;
    let (database, table) = (DatabaseName::new("events_shard_1")?, TableName::new(table)?);
    let scan = Read::Scan {
        table: table.clone(),
        range: KeyRange::all(),
        direction: Direction::Forward,
        projection: Projection::Entries,
        entries_max: 3,
        bytes_max: u64::MAX,
    };
    let page = block_on(engine.read(&database, scan))?.into_page()?;
    let mut batch = Batch::new(database);
    for entry in page.entries {
        let mut value = entry.value.to_vec();
        value.iter_mut().rev().take(1).for_each(|byte| *byte ^= 4);
        batch.put(&table, entry.key.to_vec(), value);
    }
    block_on(engine.commit(batch, Durability::Sync))?;
    block_on(engine.close())
}

fn write(store: &RedbManager, done: &Done, arguments: &Load, thread: u64) -> Step {
    let mut random = Random::of_case(arguments.seed, thread);
    for batch in 0.. {
        if get(&done.bytes) >= arguments.bytes {
            break;
        }
        let bytes = if batch % 4 == 3 { SMALL } else { LARGE };
        // All of a batch goes to one topic, so that it lives in one shard.
        let topic = random.below(TOPICS);
        if batch % 8 == 5 {
            let lines: Vec<NewLogEntry> =
                (0..BATCH).map(|_| line(&mut random, topic, bytes)).collect();
            store.store_logs(lines)?;
        } else {
            let events: Vec<EventMessage> = (0..BATCH)
                .map(|number| event(&mut random, (thread, batch * BATCH + number), topic, bytes))
                .collect();
            store.store_events(&events)?;
        }
        add(&done.events, BATCH);
        add(&done.bytes, BATCH * bytes);
    }
    Ok(())
}

fn event(random: &mut Random, id: (u64, u64), topic: u64, bytes: u64) -> EventMessage {
    // One in twenty comes late, and has an index entry more.
    let late = if random.below(20) == 0 { 3600 } else { 0 };
    let seconds = 1_700_000_000 + i64::try_from(id.1).unwrap_or_default() - late;
    EventMessage {
        id: Uuid::from_u64_pair(id.0, id.1),
        topic: format!("topic.{topic}"),
        timestamp: Utc.timestamp_nanos(seconds * 1_000_000_000),
        priority: EventPriority::Normal,
        payload: text(random, bytes),
        metadata: HashMap::new(),
        checkpoint_marker: None,
    }
}

fn line(random: &mut Random, topic: u64, bytes: u64) -> NewLogEntry {
    let time = Utc.timestamp_nanos(1_700_000_000_000_000_000);
    NewLogEntry::new(format!("logs.{topic}"), time, Severity::Info, text(random, bytes))
}

/// Text that hardly compresses.
fn text(random: &mut Random, bytes: u64) -> String {
    let words: Vec<String> = (0..bytes / 16).map(|_| format!("{:016x}", random.next())).collect();
    words.concat()
}

fn search(store: &RedbManager, done: &Done, random: &mut Random) -> Step {
    add(&done.searches, 1);
    let all = TopicPattern::all();
    let limit = 2000;
    let mut found = 0;
    if random.below(2) == 0 {
        // Rare, so that everything is looked through.
        let query = LogQuery::new(all).contains(&format!("{:04x}", random.below(1 << 16)));
        for entry in store.query_logs(query)?.take(limit) {
            entry?;
            found += 1;
        }
    } else {
        for event in store.query_events(EventQuery::new(all))?.take(limit) {
            event?;
            found += 1;
        }
    }
    add(&done.found, found);
    Ok(())
}

fn read(store: &RedbManager, done: &Done, random: &mut Random) -> Step {
    let id = Uuid::from_u64_pair(random.below(WRITERS), random.below(5000));
    add(&done.reads, 1);
    store.get_event(id)?;
    Ok(())
}

fn maintain(store: &RedbManager, done: &Done, random: &mut Random) -> Step {
    match random.below(3) {
        0 => {
            store.compact(|_| {})?;
        }
        1 => store.seal()?,
        _ => {}
    }
    check(&store.verify(VerifyDepth::Quick, |_| {})?)?;
    add(&done.rounds, 1);
    Ok(())
}

/// What reads or writes the whole store: each in turn.
fn go_through(store: &RedbManager, done: &Done, _: &mut Random) -> Step {
    match get(&done.whole) % 3 {
        0 => check(&store.verify(VerifyDepth::Standard, |_| {})?)?,
        1 => store.rotate_keys(KeyRotation::Data, |_| {})?,
        _ => {
            let once = ScrubOptions::default().bytes_per_second(0).rounds_max(1);
            let scrubbed = store.scrub(once, |_| {})?.wait();
            check(&scrubbed.last.ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a scrub did not go through")
                    .with("why", format_args!("{:?}", scrubbed.failed))
            })?)?;
        }
    }
    add(&done.whole, 1);
    Ok(())
}

fn check(report: &VerifyReport) -> Step {
    if report.is_sound() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Corrupt, "the store is damaged")
        .with("findings", format_args!("{:?}", report.findings)))
}
