//! Readers beside a writer that seals, merges and drops all the time.
//!
//! A reader on another handle holds no snapshot in the engine, so what it is reading may be dropped
//! under it. It must notice, go on from where it was, and never answer short.

use crate::support::{event, key, open, options};
use forgeone_db::{
    Durability, EventQuery, MemoryEngine, OpenMode, RedbManager, StartFrom, StoreOptions,
    TopicPattern,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const EVENTS: u64 = 1500;

fn reader(path: &Path) -> RedbManager {
    RedbManager::open(options(path).mode(OpenMode::Read)).unwrap()
}

#[test]
fn readers_beside_a_busy_writer_never_answer_short() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).seal_at(4 << 10, 30)).unwrap();
    store.store_event(&event("a", 1)).unwrap();
    let (acked, done) = (AtomicU64::new(1), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = 2;
            while next <= EVENTS {
                let batch: Vec<_> =
                    (next..(next + 1 + next % 7).min(EVENTS + 1)).map(|n| event("a", n)).collect();
                let last = store.store_events(&batch).unwrap().last().unwrap().seq;
                acked.store(last, Ordering::Release);
                next = last + 1;
            }
            done.store(true, Ordering::Release);
        });
        // One reader searches and looks up, again and again.
        scope.spawn(|| {
            let reader = reader(&path);
            while !done.load(Ordering::Acquire) {
                let before = acked.load(Ordering::Acquire);
                let found: Vec<u64> = reader
                    .query_events(EventQuery::default())
                    .unwrap()
                    .map(|found| found.unwrap().seq)
                    .collect();
                assert!(found.len() as u64 >= before, "{} of {before}", found.len());
                assert!(found.iter().copied().eq(1..=found.len() as u64));
                for number in [1, before / 2 + 1, before] {
                    let found = reader.get_event(event("a", number).id).unwrap();
                    assert_eq!((found.len(), found[0].seq), (1, number));
                }
            }
        });
        // One opens anew each time.
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let before = acked.load(Ordering::Acquire);
                let reader = reader(&path);
                let replay = reader.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
                let found: Vec<u64> = replay.map(|found| found.unwrap().seq).collect();
                assert!(found.len() as u64 >= before, "{} of {before}", found.len());
                assert!(found.iter().copied().eq(1..=found.len() as u64));
            }
        });
        // Two follow, one in the process's own store.
        scope.spawn(|| {
            let following =
                reader(&path).subscribe(&TopicPattern::all(), StartFrom::Oldest).unwrap();
            let seen = following.take(usize::try_from(EVENTS).unwrap());
            assert!(seen.map(|found| found.unwrap().seq).eq(1..=EVENTS));
        });
        scope.spawn(|| {
            let following = store.subscribe(&TopicPattern::all(), StartFrom::Oldest).unwrap();
            let seen = following.take(usize::try_from(EVENTS).unwrap());
            assert!(seen.map(|found| found.unwrap().seq).eq(1..=EVENTS));
        });
    });
    store.close().unwrap();
    let store = open(&path);
    assert_eq!(store.query_events(EventQuery::default()).unwrap().count() as u64, EVENTS);
}

#[test]
fn a_reader_opens_beside_a_writer_that_never_pauses() {
    let engine = MemoryEngine::new();
    let options = |mode| {
        StoreOptions::with_engine(Arc::new(engine.reopen()))
            .durability(Durability::None)
            .mode(mode)
            .key(key())
    };
    let store = RedbManager::open(options(OpenMode::Create)).unwrap();
    for number in 1..=2000 {
        store.store_event(&event("a", number)).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 2001;
            while !done.load(Ordering::Acquire) {
                store.store_event(&event("a", number)).unwrap();
                number += 1;
            }
        });
        for _ in 0..5 {
            let reader = RedbManager::open(options(OpenMode::Read)).unwrap();
            assert!(reader.query_events(EventQuery::default()).unwrap().count() >= 2000);
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn threads_that_share_a_reader_see_no_damage_where_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).seal_at(4 << 10, 30)).unwrap();
    store.store_event(&event("a", 1)).unwrap();
    let reader = reader(&path);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 2..=900 {
                let mut event = event("a", number);
                // Some are late, so that queries hold the index of late records.
                if number.is_multiple_of(5) {
                    event.timestamp -= chrono::TimeDelta::hours(1);
                }
                store.store_event(&event).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    assert_eq!(reader.get_event(event("a", 1).id).unwrap()[0].seq, 1);
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let found: Vec<_> = reader
                    .query_events(EventQuery::default())
                    .unwrap()
                    .map(|found| found.unwrap().seq)
                    .collect();
                let mut numbers = found.clone();
                numbers.sort_unstable();
                assert!(numbers.iter().copied().eq(1..=found.len() as u64));
            }
        });
    });
}
