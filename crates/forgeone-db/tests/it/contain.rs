//! Damage is contained: it costs what it hit and nothing else, and nothing is left out silently.

use crate::support::{event, key};
use forgeone_db::{
    Durability, Engine, ErrorKind, EventMessage, EventQuery, MemoryEngine, OpenMode, QueryOrder,
    RedbManager, StartFrom, StoreOptions, TopicPattern,
};
use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Direction, KeyRange, Projection, Read, ReadResult,
    Result, TableName, Usage,
};
use futures::FutureExt as _;
use futures::executor::block_on;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn options(engine: &MemoryEngine) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(engine.reopen()))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(key())
        .shard_count(1)
}

/// An event whose payload does not compress, so that units are many.
fn random_event(topic: &str, number: u64) -> EventMessage {
    let payload: String = (0..60).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    EventMessage { payload, ..event(topic, number) }
}

/// Flips a bit in the middle of the first part of every piece of records.
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

fn damaged_store() -> (MemoryEngine, RedbManager) {
    let engine = MemoryEngine::new();
    let store = RedbManager::open(options(&engine)).unwrap();
    let batch: Vec<_> = (1..=200).map(|number| random_event("a", number)).collect();
    store.store_events(&batch).unwrap();
    store.seal().unwrap();
    store.store_event(&event("b", 1000)).unwrap();
    store.close().unwrap();
    damage(&engine);
    (engine.reopen(), RedbManager::open(options(&engine)).unwrap())
}

#[test]
fn a_query_tells_damage_and_goes_on_behind_it() {
    let (_engine, store) = damaged_store();
    for order in [QueryOrder::OldestFirst, QueryOrder::NewestFirst] {
        let mut found = BTreeSet::new();
        let mut told = BTreeSet::new();
        let query = EventQuery::new(TopicPattern::exact("a").unwrap()).order(order);
        let mut results = store.query_events(query).unwrap();
        for _ in 0..1000 {
            match results.next() {
                None => break,
                Some(Ok(event)) => assert!(found.insert(event.seq), "{} came twice", event.seq),
                Some(Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    let bound = |name| error.get(name).unwrap().parse::<u64>().unwrap();
                    told.extend(bound("from")..=bound("to"));
                }
            }
        }
        assert!(!told.is_empty() && told.len() < 50, "{} of 200 are told as damaged", told.len());
        assert!(found.is_disjoint(&told));
        assert_eq!(found.union(&told).count(), 200);
        for seq in &found {
            assert_eq!(store.get_event_at("a", *seq).unwrap().seq, *seq);
        }
    }
    let all: Vec<_> = store.query_events(EventQuery::default()).unwrap().collect();
    let of_b = all.iter().flatten().filter(|found| found.event.topic == "b").count();
    assert_eq!(of_b, 1);
}

#[test]
fn a_damaged_segment_stops_no_writes_and_no_sealing() {
    let (_engine, store) = damaged_store();
    for round in 0..30 {
        for topic in ["a", "b", "c"] {
            let batch: Vec<_> =
                (0..20).map(|n| random_event(topic, 2000 + round * 20 + n)).collect();
            store.store_events(&batch).unwrap();
        }
        store.seal().unwrap();
    }
    for topic in ["b", "c"] {
        let query = EventQuery::new(TopicPattern::exact(topic).unwrap());
        let found: Vec<_> =
            store.query_events(query).unwrap().map(|found| found.unwrap()).collect();
        assert!(found.len() >= 600, "{} in {topic}", found.len());
    }
    assert!(!store.verify(forgeone_db::VerifyDepth::Standard, |_| {}).unwrap().is_sound());
}

#[test]
fn a_marker_or_a_number_beyond_all_limits_is_refused_or_finds_nothing() {
    let store = RedbManager::open(options(&MemoryEngine::new())).unwrap();
    store.store_event(&event("a", 1)).unwrap();
    let all = TopicPattern::all();
    let long = StartFrom::Marker("m".repeat(300));
    assert_eq!(store.replay(&all, long).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.query_events(EventQuery::default().after(u64::MAX)).unwrap().count(), 0);
    assert_eq!(store.replay(&all, StartFrom::After(u64::MAX)).unwrap().count(), 0);
}

#[test]
fn a_dropped_opening_leaves_no_store_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    crate::support::open(&path).close().unwrap();
    for _ in 0..3 {
        let opening = forgeone_db::Database::open(crate::support::options(&path));
        drop(Box::pin(opening).as_mut().now_or_never());
    }
    let waiting = crate::support::options(&path).lock_wait(std::time::Duration::from_secs(20));
    RedbManager::open(waiting).unwrap().close().unwrap();
}

#[test]
fn a_dropped_first_write_to_a_new_topic_is_made_all_the_same() {
    let engine = MemoryEngine::new();
    let database = block_on(forgeone_db::Database::open(options(&engine))).unwrap();
    let message = event("new", 1);
    drop(Box::pin(database.events().publish(&message)).as_mut().now_or_never());
    let all = TopicPattern::all();
    let mut following = block_on(database.events().subscribe(&all, StartFrom::Oldest)).unwrap();
    assert_eq!(block_on(following.next()).unwrap().unwrap().event, message);
}

/// Memory that says how much room is left.
#[derive(Debug)]
struct SmallDisk(MemoryEngine, AtomicU64);

impl Engine for SmallDisk {
    fn capability(&self) -> Capability {
        self.0.capability()
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        self.0.read(database, request)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        self.0.commit(batch, durability)
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        let usage = self.0.usage(database);
        let available_bytes = Some(self.1.load(Ordering::Relaxed));
        Box::pin(async move { Ok(Usage { available_bytes, ..usage.await? }) })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.0.close()
    }
}

impl fmt::Display for SmallDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("small_disk")
    }
}

#[test]
fn a_disk_that_is_almost_full_refuses_writes_until_there_is_room() {
    let disk = Arc::new(SmallDisk(MemoryEngine::new(), AtomicU64::new(1 << 30)));
    let options = StoreOptions::with_engine(Arc::<SmallDisk>::clone(&disk))
        .durability(Durability::None)
        .mode(OpenMode::Create);
    let store = RedbManager::open(options).unwrap();
    store.store_event(&event("a", 1)).unwrap();
    disk.1.store(100, Ordering::Relaxed);
    let error = store.store_event(&event("a", 2)).unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Full, forgeone_db::Outcome::Rejected),
        "{error}"
    );
    assert_eq!(store.query_events(EventQuery::default()).unwrap().count(), 1);
    disk.1.store(1 << 30, Ordering::Relaxed);
    assert_eq!(store.store_event(&event("a", 2)).unwrap().seq, 2);
}
