//! Giving space back: sealing leaves a file with a third of it free, which only compaction returns.
//! A compaction that lost or changed a record would do so silently, so every case reads all back.

use crate::support::{event, open, options};
use forgeone_db::{
    Durability, ErrorKind, EventQuery, MemoryEngine, OpenMode, Outcome, RedbManager, StartFrom,
    StoreOptions, TopicPattern, VerifyDepth,
};
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use forgeone_db_engine::{DatabaseName, FaultyEngine};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const EVENTS: u64 = 6000;

/// A store whose tail was sealed again and again, so that its files are mostly free.
fn worked(path: &Path) -> RedbManager {
    let store = RedbManager::open(options(path).shard_count(1).seal_at(64 << 10, 400)).unwrap();
    for first in (1..=EVENTS).step_by(100) {
        let batch: Vec<_> = (first..first + 100).map(|number| event("a", number)).collect();
        store.store_events(&batch).unwrap();
        // Whenever it is due, so that it does not depend on how fast the sealer is.
        store.settle().unwrap();
    }
    store
}

fn assert_whole(store: &RedbManager, events: u64) {
    let found = store.query_events(EventQuery::default()).unwrap().map(Result::unwrap);
    assert!(found.map(|found| found.event).eq((1..=events).map(|number| event("a", number))));
}

#[test]
fn compaction_gives_space_back_and_changes_no_record() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = worked(&path);
    let before = store.stats().unwrap().allocated_bytes;
    let mut told = Vec::new();
    let report = store.compact(|at| told.push(at.clone())).unwrap();
    assert_eq!(report.before_bytes, before);
    assert_eq!(report.after_bytes, store.stats().unwrap().allocated_bytes);
    assert!(report.after_bytes * 10 < before * 9, "{report:?}");
    let names: Vec<_> = report.databases.iter().map(|one| one.database.as_str()).collect();
    assert_eq!(names, ["system", "events_shard_0", "logs_shard_0"]);
    let told: Vec<_> =
        told.iter().map(|at| (at.database.as_deref(), at.databases_done, at.databases)).collect();
    let expected = [Some("system"), Some("events_shard_0"), Some("logs_shard_0"), None];
    assert!(told.iter().map(|(name, ..)| *name).eq(expected), "{told:?}");
    assert_eq!(told.last(), Some(&(None, 3, 3)));
    assert_whole(&store, EVENTS);
    store.store_event(&event("a", EVENTS + 1)).unwrap();
    assert!(store.verify(VerifyDepth::Deep, |_| {}).unwrap().is_sound());
    store.close().unwrap();
    let store = open(&path);
    assert_whole(&store, EVENTS + 1);
    assert!(store.database().recoveries().is_empty());
}

#[test]
fn writers_and_readers_go_on_beside_a_compaction() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = worked(&path);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = EVENTS + 1;
            while !done.load(Ordering::Acquire) {
                store.store_event(&event("a", next)).unwrap();
                next += 1;
            }
            assert_whole(&store, next - 1);
        });
        scope.spawn(|| {
            let reader = RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
            while !done.load(Ordering::Acquire) {
                let found = reader.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
                let found = found.inspect(|found| assert!(found.is_ok(), "{found:?}"));
                assert!(found.count() as u64 >= EVENTS);
            }
        });
        for _ in 0..5 {
            // The reader opened the files for itself, as one in another process would.
            if let Err(error) = store.compact(|_| {}) {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                assert_eq!(error.outcome(), Outcome::Rejected);
            }
        }
        done.store(true, Ordering::Release);
    });
    assert!(store.verify(VerifyDepth::Standard, |_| {}).unwrap().is_sound());
}

#[test]
fn a_handle_that_reads_or_is_closed_compacts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    store.store_event(&event("a", 1)).unwrap();
    let reader = RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
    assert_eq!(reader.compact(|_| {}).unwrap_err().kind(), ErrorKind::Unsupported);
    store.close().unwrap();
    let error = store.compact(|_| {}).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed(_)), "{error:?}");
}

#[test]
fn a_failed_compaction_stops_its_database_alone() {
    let plan = FaultPlan::new()
        .fail_compact(1, Repeat::Once, ErrorKind::Full, CommitFault::UnknownNotApplied)
        .in_database(&DatabaseName::new("events_shard_0").unwrap());
    let engine = Arc::new(FaultyEngine::new(MemoryEngine::new(), plan));
    let options = StoreOptions::with_engine(Arc::<FaultyEngine<_>>::clone(&engine))
        .durability(Durability::None)
        .mode(OpenMode::Create)
        .shard_count(1);
    let store = RedbManager::open(options).unwrap();
    store.store_event(&event("a", 1)).unwrap();
    let error = store.compact(|_| {}).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, Outcome::Unknown));
    assert_eq!(error.get("database"), Some("events_shard_0"));
    assert_eq!(engine.counts().compactions, 3, "the other databases were not spared");
    assert!(store.store_event(&event("a", 2)).is_err(), "nobody knows what the file holds");
    assert_whole(&store, 1);
}
