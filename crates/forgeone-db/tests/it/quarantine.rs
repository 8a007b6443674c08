//! Damage does not keep a store under its old keys: a change of data keys goes round what it cannot
//! read, keeps the keys that this needs, and tells of it. Without that, one damaged segment would
//! mean that no key could ever be given up again. Contract lines I4, K4 and K5.

use crate::support::{event, unsealed_options as options};
use forgeone_db::{
    Durability, Engine, ErrorKind, EventMessage, EventQuery, KeyRotation, MemoryEngine,
    RedbManager, TopicKind, TopicPattern, VerifyDepth,
};
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use forgeone_db_engine::{
    Batch, DatabaseName, Direction, FaultyEngine, KeyRange, Projection, Read, TableName,
};
use futures::executor::block_on;
use std::sync::Arc;

const RECORDS: u64 = 40;

fn open(memory: &MemoryEngine) -> RedbManager {
    RedbManager::open(options(Arc::new(memory.reopen()))).unwrap()
}

/// An event whose payload does not compress, so that units are many.
fn large(topic: &str, number: u64) -> EventMessage {
    let payload: String = (0..60).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    EventMessage { payload, ..event(topic, number) }
}

/// Flips a bit in the first unit of the oldest piece of a table, or flips it back.
fn bend(memory: &MemoryEngine, table: &str) {
    let database = DatabaseName::new("events_shard_0").unwrap();
    let table = TableName::new(table).unwrap();
    let scan = Read::Scan {
        table: table.clone(),
        range: KeyRange::all(),
        direction: Direction::Forward,
        projection: Projection::Entries,
        entries_max: 1,
        bytes_max: u64::MAX,
    };
    let page = block_on(memory.read(&database, scan)).unwrap().into_page().unwrap();
    let entry = &page.entries[0];
    let mut value = entry.value.to_vec();
    value[40] ^= 1;
    let mut batch = Batch::new(database);
    batch.put(&table, entry.key.clone(), value);
    block_on(memory.commit(batch, Durability::None)).unwrap();
}

/// A closed store with sealed records in topics a and b, and with `table` damaged.
fn damaged(table: &str) -> MemoryEngine {
    let memory = MemoryEngine::new();
    let store = open(&memory);
    for topic in ["a", "b"] {
        let first = if topic == "a" { 1 } else { 1 + RECORDS };
        let events: Vec<_> = (first..first + RECORDS).map(|number| large(topic, number)).collect();
        store.store_events(&events).unwrap();
        store.seal().unwrap();
    }
    store.close().unwrap();
    bend(&memory, table);
    memory
}

fn quarantined(store: &RedbManager) -> u64 {
    store.stats().unwrap().databases.iter().map(|database| database.quarantined).sum()
}

/// Records of a topic that can be read, and errors.
fn read(store: &RedbManager, topic: &str) -> (usize, usize) {
    let query = EventQuery::new(TopicPattern::exact(topic).unwrap());
    let (found, errors): (Vec<_>, Vec<_>) =
        store.query_events(query).unwrap().partition(Result::is_ok);
    (found.len(), errors.len())
}

fn all(topic_count: usize) -> (usize, usize) {
    (usize::try_from(RECORDS).unwrap() * topic_count, 0)
}

fn rotate(store: &RedbManager) {
    store.rotate_keys(KeyRotation::Data, |_| ()).unwrap();
    assert_eq!(store.stats().unwrap().key_change, None);
}

#[test]
fn a_change_of_data_keys_goes_round_a_damaged_segment_and_keeps_its_key() {
    let memory = damaged("events");
    let store = open(&memory);
    let before = read(&store, "a");
    assert!(before.0 > 0 && before.1 > 0, "{before:?}");
    // Twice: each change tries again.
    for _ in 0..2 {
        rotate(&store);
        assert_eq!(quarantined(&store), 1);
        assert_eq!(read(&store, "a"), before);
        assert_eq!(read(&store, "b"), all(1));
    }
    assert!(!store.verify(VerifyDepth::Standard, |_| ()).unwrap().is_sound());
    store.close().unwrap();
    // Nothing of it was removed, and its key is there: what comes right again can be read.
    bend(&memory, "events");
    let store = open(&memory);
    assert_eq!(read(&store, "a"), all(1));
    rotate(&store);
    assert_eq!(quarantined(&store), 0);
    assert!(store.verify(VerifyDepth::Deep, |_| ()).unwrap().is_sound());
}

#[test]
fn a_change_of_data_keys_goes_round_a_damaged_index_which_a_repair_then_mends() {
    let memory = damaged("event_index");
    let store = open(&memory);
    rotate(&store);
    assert!(quarantined(&store) > 0);
    for topic in ["a", "b"] {
        assert_eq!(read(&store, topic), all(1));
    }
    let plan = store.plan_repair(|_| ()).unwrap();
    assert!(plan.mends_all() && !plan.steps.is_empty(), "{plan:#?}");
    store.execute_repair(&plan, |_| ()).unwrap();
    assert_eq!(quarantined(&store), 0);
    rotate(&store);
    assert!(store.verify(VerifyDepth::Deep, |_| ()).unwrap().is_sound());
}

/// contract K5: what is set aside is no reason to keep the key of what is to be gone.
#[test]
fn a_shredding_takes_what_was_set_aside_and_its_key_with_it() {
    let memory = damaged("events");
    let store = open(&memory);
    rotate(&store);
    assert_eq!(quarantined(&store), 1);
    store.shred_topic(TopicKind::Events, "a").unwrap();
    assert_eq!(quarantined(&store), 0);
    assert_eq!(read(&store, "a"), (0, 0));
    assert_eq!(read(&store, "b"), all(1));
    rotate(&store);
    assert!(store.verify(VerifyDepth::Deep, |_| ()).unwrap().is_sound());
}

#[test]
fn a_change_of_keys_beside_damage_may_be_cut_off_at_every_write() {
    for table in ["events", "event_index"] {
        let counted = Arc::new(FaultyEngine::new(damaged(table), FaultPlan::new()));
        let engine: Arc<dyn Engine> = Arc::<FaultyEngine<_>>::clone(&counted);
        let store = RedbManager::open(options(engine)).unwrap();
        let opened = counted.counts().commits;
        rotate(&store);
        let done = counted.counts().commits;
        assert!(done > opened + 8, "{opened} {done}");
        for commit in opened + 1..=done {
            let fault = if commit % 2 == 0 {
                CommitFault::UnknownApplied
            } else {
                CommitFault::UnknownNotApplied
            };
            let (kind, after) = (ErrorKind::Unavailable, CommitFault::UnknownNotApplied);
            let plan = FaultPlan::new().fail_commit(commit, Repeat::Once, kind, fault).fail_commit(
                commit + 1,
                Repeat::Forever,
                kind,
                after,
            );
            let memory = damaged(table);
            let faulty = FaultyEngine::new(memory.reopen(), plan);
            let store = RedbManager::open(options(Arc::new(faulty))).unwrap();
            let rotated = store.rotate_keys(KeyRotation::Data, |_| ());
            assert!(rotated.is_err(), "{table}, commit {commit}");
            drop(store);
            let store = open(&memory);
            block_on(store.database().finish_key_changes()).unwrap();
            store.close().unwrap();
            // Everything is there, and so are the keys of what was set aside.
            bend(&memory, table);
            let store = open(&memory);
            for topic in ["a", "b"] {
                assert_eq!(read(&store, topic), all(1), "{table}, commit {commit}");
            }
            rotate(&store);
            let what = format!("{table}, commit {commit}");
            assert_eq!(quarantined(&store), 0, "{what}");
            let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
            assert!(report.is_sound(), "{what}: {report:#?}");
        }
    }
}
