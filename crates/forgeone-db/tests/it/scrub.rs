//! Scrubbing in the background. Without it damage waits until somebody meets it; with a bad one,
//! writers wait, space is held, or a store cannot be closed. Provoked by damage to an open store, by
//! writers beside it, and by closing in the middle of a slow round.

use crate::support::{event, key, options};
use forgeone_db::environment::{Environment as _, SystemEnvironment};
use forgeone_db::{
    Durability, Engine as _, EventMessage, MemoryEngine, OpenMode, RedbManager, ScrubOptions,
    StoreOptions, TopicPattern, VerifyDepth, VerifyReport,
};
use forgeone_db_engine::faulty::{FaultPlan, FaultyEngine, Repeat};
use forgeone_db_engine::{
    Batch, DatabaseName, Direction, Error, ErrorKind, KeyRange, Projection, Read, TableName,
};
use futures::executor::block_on;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(2);

fn in_memory(engine: &MemoryEngine) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(engine.reopen()))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(key())
        .shard_count(1)
}

/// Events that do not compress: about 2 KiB each.
fn random_events(topic: &str, numbers: std::ops::Range<u64>) -> Vec<EventMessage> {
    let payload = || (0..60).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    numbers.map(|number| EventMessage { payload: payload(), ..event(topic, number) }).collect()
}

use forgeone_db::ScrubRound as Round;

fn told() -> (impl FnMut(Round<'_>) + Send + 'static, Receiver<VerifyReport>) {
    let (sender, receiver) = mpsc::channel();
    let tell = move |round: Round<'_>| drop(sender.send(round.unwrap().clone()));
    (tell, receiver)
}

/// Flips a bit in the middle of the first part of the records.
fn damage(engine: &MemoryEngine) {
    let database = DatabaseName::new("events_shard_0").unwrap();
    let table = TableName::new("events").unwrap();
    let scan = Read::Scan {
        table: table.clone(),
        range: KeyRange::all(),
        direction: Direction::Forward,
        projection: Projection::Entries,
        entries_max: 1,
        bytes_max: u64::MAX,
    };
    let page = block_on(engine.read(&database, scan)).unwrap().into_page().unwrap();
    let entry = &page.entries[0];
    let mut value = entry.value.to_vec();
    let middle = value.len() / 2;
    value[middle] ^= 1;
    let mut batch = Batch::new(database);
    batch.put(&table, entry.key.clone(), value);
    block_on(engine.commit(batch, Durability::None)).unwrap();
}

#[test]
fn damage_that_comes_while_it_runs_is_found_in_the_next_round() {
    let engine = MemoryEngine::new();
    let store = RedbManager::open(in_memory(&engine)).unwrap();
    store.store_events(&random_events("a", 1..100)).unwrap();
    store.seal().unwrap();
    let (tell, rounds) = told();
    let options = ScrubOptions::default().bytes_per_second(0).pause(Duration::from_millis(20));
    let scrub = store.scrub(options, tell).unwrap();
    assert!(rounds.recv_timeout(PATIENCE).unwrap().is_sound());
    damage(&engine);
    // One round may have been over that place already.
    let mut found = (0..2).map(|_| rounds.recv_timeout(PATIENCE).unwrap());
    let report = found.find(|report| !report.is_sound()).unwrap();
    let finding = report.errors().next().unwrap();
    assert_eq!(finding.topic.as_deref(), Some("a"));
    assert!(finding.from_seq.is_some() && finding.to_seq.is_some(), "{finding:?}");
    assert!(scrub.status().errors().next().is_some());
    scrub.stop();
    let status = scrub.wait();
    assert!(!status.is_running && status.rounds >= 2 && status.failed.is_none(), "{status:?}");
    store.close().unwrap();
}

#[test]
fn a_rate_is_kept_and_so_many_rounds_are_made() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbManager::open(options(&directory.path().join("store"))).unwrap();
    store.store_events(&random_events("a", 1..400)).unwrap();
    store.seal().unwrap();
    let (tell, rounds) = told();
    let options = || ScrubOptions::default().pause(Duration::ZERO);
    let scrub = store.scrub(options().bytes_per_second(0).rounds_max(2), tell).unwrap();
    assert_eq!(scrub.wait().rounds, 2);
    let bytes = rounds.recv_timeout(PATIENCE).unwrap().bytes;
    assert!(bytes > 300_000, "{bytes}");
    // A round that must take a second: it may take longer, but no less.
    let environment = SystemEnvironment::new();
    let (start, (tell, _rounds)) = (environment.monotonic(), told());
    let scrub = store.scrub(options().bytes_per_second(bytes).rounds_max(1), tell).unwrap();
    assert!(scrub.wait().last.unwrap().is_sound());
    let taken = environment.monotonic().saturating_sub(start);
    assert!(taken >= Duration::from_millis(900), "{taken:?}");
    store.close().unwrap();
}

#[test]
fn writers_and_sealing_go_on_beside_a_slow_round_and_closing_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).seal_at(1 << 20, 60)).unwrap();
    store.store_events(&random_events("t0", 1..400)).unwrap();
    store.seal().unwrap();
    let (tell, rounds) = told();
    // It would take about a minute.
    let slow = ScrubOptions::default().bytes_per_second(10_000);
    let scrub = store.scrub(slow, tell).unwrap();
    // Beside it another that goes round and round over what changes.
    let (tell, quick_rounds) = told();
    let quick = ScrubOptions::default().bytes_per_second(0).pause(Duration::ZERO);
    let _quick = store.scrub(quick, tell).unwrap();
    for round in 0..20 {
        let topic = format!("t{}", round % 3);
        let first = 1000 + round * 100;
        store.store_events(&random_events(&topic, first..first + 100)).unwrap();
        store.seal().unwrap();
    }
    for report in quick_rounds.try_iter() {
        assert!(report.is_sound(), "{:#?}", report.findings);
    }
    assert!(scrub.status().is_running);
    let environment = SystemEnvironment::new();
    let start = environment.monotonic();
    store.close().unwrap();
    let taken = environment.monotonic().saturating_sub(start);
    assert!(taken < Duration::from_secs(20), "{taken:?}");
    assert!(!scrub.wait().is_running);
    assert!(rounds.try_recv().is_err(), "a minute's work was done in no time");
}

#[test]
fn rounds_that_fail_are_told_and_so_is_a_panic_of_whom_they_are_told() {
    let engine = Arc::new(FaultyEngine::new(MemoryEngine::new(), FaultPlan::new()));
    let options = StoreOptions::with_engine(Arc::clone(&engine) as Arc<dyn forgeone_db::Engine>);
    let options = options.durability(Durability::None).mode(OpenMode::OpenOrCreate);
    let store = RedbManager::open(options.key(key()).shard_count(1)).unwrap();
    store.store_events(&random_events("a", 1..100)).unwrap();
    store.seal().unwrap();
    let (sender, rounds) = mpsc::channel();
    let tell = move |round: Round<'_>| {
        // Nobody listens to the last ones.
        let _ = sender.send(round.map_err(Error::kind).map(|_| ()));
    };
    let options = || ScrubOptions::default().bytes_per_second(0).pause(Duration::ZERO);
    engine.set_plan(FaultPlan::new().fail_read(1, Repeat::Forever, ErrorKind::Unavailable));
    let scrub = store.scrub(options(), tell).unwrap();
    assert_eq!(rounds.recv_timeout(PATIENCE).unwrap(), Err(ErrorKind::Unavailable));
    assert!(scrub.status().failed.is_some());
    engine.set_plan(FaultPlan::new());
    // Rounds that began before may fail still.
    while rounds.recv_timeout(PATIENCE).unwrap().is_err() {}
    scrub.stop();
    assert_eq!(scrub.wait().failed, None);
    let scrub = store.scrub(options(), |_| panic!("whoever is told panics")).unwrap();
    assert!(scrub.wait().failed.unwrap().contains("panicked"));
    store.close().unwrap();
}

/// A handle knows the shards that were there when it was opened: topics in new ones are no damage.
#[test]
fn a_store_that_was_given_more_shards_is_not_called_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let writer = RedbManager::open(options(&path).shard_count(1)).unwrap();
    writer.store_events(&random_events("a", 1..50)).unwrap();
    let reader = RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
    writer.close().unwrap();
    let writer = RedbManager::open(options(&path).shard_count(3)).unwrap();
    for topic in ["b", "c", "d", "e"] {
        writer.store_events(&random_events(topic, 1..5)).unwrap();
    }
    // The reader follows within a moment.
    while reader.topics(&TopicPattern::all()).is_ok() {}
    let error = reader.topics(&TopicPattern::all()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = reader.verify(VerifyDepth::Standard, |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let (sender, rounds) = mpsc::channel();
    let tell = move |round: Round<'_>| assert!(sender.send(round.is_err()).is_ok());
    let scrub = reader.scrub(ScrubOptions::default().rounds_max(1), tell).unwrap();
    assert!(scrub.wait().failed.unwrap().contains("open it again"));
    assert!(rounds.recv_timeout(PATIENCE).unwrap());
    reader.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn a_handle_that_only_reads_may_scrub_and_dropping_the_scrub_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let writer = RedbManager::open(options(&path)).unwrap();
    writer.store_events(&random_events("a", 1..50)).unwrap();
    let reader = RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
    let (tell, rounds) = told();
    let options = ScrubOptions::default().bytes_per_second(0).pause(Duration::from_millis(1));
    let scrub = reader.scrub(options, tell).unwrap();
    assert!(rounds.recv_timeout(PATIENCE).unwrap().is_sound());
    drop(scrub);
    // The sender goes with the scrub's thread.
    while let Ok(report) = rounds.recv_timeout(PATIENCE) {
        assert!(report.is_sound());
    }
    reader.close().unwrap();
    assert!(reader.scrub(ScrubOptions::default(), |_| ()).is_err(), "the store is closed");
    writer.close().unwrap();
}
