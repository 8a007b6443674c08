//! Repair builds what follows from records anew, drops nothing, and may be cut short. Without these
//! tests a damaged index could stay damaged, or a repair could lose what it was to mend. Contract
//! lines I2, I4 and S7.

use crate::stock::{Image, SHARDS, Stock, ask, engine, image, open_and_ask, options};
use crate::support::{event, key};
use forgeone_db::{
    Durability, Engine, OpenMode, RedbManager, RepairPlan, StoreOptions, VerifyDepth,
};
use forgeone_db_engine::FaultyEngine;
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use std::sync::Arc;

const INDEXES: [&str; 3] = ["event_index", "metadata", "settings"];

/// Bends a value; every second time takes it away.
fn bend(image: &Image, place: &crate::stock::Place, at: usize) -> Image {
    let mut bent = image.clone();
    if at.is_multiple_of(2) {
        let value = bent.get_mut(place).unwrap();
        let middle = value.len() / 2;
        value[middle] ^= 1;
    } else {
        bent.remove(place);
    }
    bent
}

fn plan(store: &RedbManager) -> RepairPlan {
    store.plan_repair(|_| ()).unwrap()
}

#[test]
fn every_damaged_index_is_built_anew_from_the_records() {
    for encrypted in [true, false] {
        let stock = Stock::new(encrypted);
        let (mut repaired, places) = (0, stock.closed.keys());
        for (at, place) in places.filter(|place| INDEXES.contains(&&*place.1)).enumerate() {
            let memory = engine(&bend(&stock.closed, place, at));
            let store = RedbManager::open(options(memory.reopen(), encrypted)).unwrap();
            let planned = plan(&store);
            assert!(planned.mends_all() && !planned.steps.is_empty(), "{place:?}: {planned:#?}");
            assert!(planned.steps.iter().all(|step| step.database == place.0), "{planned:#?}");
            let before = image(&memory, SHARDS);
            assert_eq!(plan(&store), planned, "planning changes nothing");
            assert!(image(&memory, SHARDS) == before);
            let done = store.execute_repair(&planned, |_| ()).unwrap();
            assert_eq!(done.rebuilt.len(), planned.steps.len());
            assert!(plan(&store).is_empty(), "{place:?}");
            assert!(store.verify(VerifyDepth::Deep, |_| ()).unwrap().is_sound(), "{place:?}");
            store.close().unwrap();
            let answers = open_and_ask(options(memory.reopen(), encrypted), &stock.ids).unwrap();
            assert!(answers == stock.answers, "{place:?}");
            repaired += done.rebuilt.len();
        }
        assert!(repaired > 10, "{repaired}");
    }
}

#[test]
fn an_index_is_left_alone_while_a_record_of_it_cannot_be_read() {
    let stock = Stock::new(true);
    let first = |table: &str| {
        let mut places = stock.closed.keys().filter(|place| place.0 == "events_shard_0");
        places.find(|place| place.1 == table).unwrap().clone()
    };
    let bent = bend(&stock.closed, &first("event_index"), 0);
    let bent = bend(&bent, &first("events"), 0);
    let store = RedbManager::open(stock.options(&bent)).unwrap();
    let planned = plan(&store);
    assert!(planned.steps.is_empty() && !planned.mends_all(), "{planned:#?}");
    assert!(planned.remaining.iter().any(|one| one.index.is_some()));
    assert!(planned.remaining.iter().any(|one| one.from_seq.is_some()));
}

#[test]
fn a_repair_may_fail_at_every_commit_and_loses_nothing() {
    let stock = Stock::new(true);
    let mut place = stock.closed.keys().filter(|place| place.1 == "event_index");
    let bent = bend(&stock.closed, place.next().unwrap(), 0);
    let run = |plan_of_faults: FaultPlan| {
        let memory = engine(&bent);
        let faulty = Arc::new(FaultyEngine::new(memory.reopen(), plan_of_faults));
        let opened = StoreOptions::with_engine(Arc::clone(&faulty) as Arc<dyn Engine>)
            .durability(Durability::None)
            .mode(OpenMode::Open)
            .key(key());
        if let Ok(store) = RedbManager::open(opened) {
            drop(store.execute_repair(&plan(&store), |_| ()));
            drop(store.close());
        }
        (memory, faulty.counts().commits)
    };
    let (_, commits) = run(FaultPlan::new());
    assert!(commits > 5, "{commits}");
    let unknown = [CommitFault::UnknownNotApplied, CommitFault::UnknownApplied];
    for fault in unknown.into_iter().chain([CommitFault::Before]) {
        for at in 1..=commits {
            let what = format!("commit {at} of {commits}, {fault:?}");
            let kind = forgeone_db::ErrorKind::Unavailable;
            let plan_of_faults = FaultPlan::new().fail_commit(at, Repeat::Forever, kind, fault);
            let (memory, _) = run(plan_of_faults);
            let store = RedbManager::open(options(memory.reopen(), true)).unwrap();
            let again = plan(&store);
            assert!(again.mends_all(), "{what}: {again:#?}");
            store.execute_repair(&again, |_| ()).unwrap();
            assert!(ask(&store, &stock.ids).unwrap() == stock.answers, "{what}");
            let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
            assert!(report.is_sound(), "{what}: {:#?}", report.findings);
        }
    }
}

#[test]
fn appends_that_meet_a_damaged_index_of_ids_have_it_built_anew() {
    let stock = Stock::new(true);
    let mut tried = 0;
    for place in stock.closed.keys().filter(|place| place.1 == "event_index") {
        let store = RedbManager::open(stock.options(&bend(&stock.closed, place, 1))).unwrap();
        let mut refused = 0;
        for topic in ["alpha", "beta.one", "beta.two", "gamma"] {
            let new = event(topic, 1_000_000 + u64::from(topic.as_bytes()[0]));
            while let Err(error) = store.store_event(&new) {
                assert_eq!(error.kind(), forgeone_db::ErrorKind::Corrupt, "{error}");
                assert_eq!(error.outcome(), forgeone_db::Outcome::Rejected);
                refused += 1;
                assert!(refused < 100_000, "{place:?}: the index is never built");
                // Waits for whoever seals or builds at the moment.
                store.seal().unwrap();
                std::thread::yield_now();
            }
        }
        tried += u64::from(refused > 0);
    }
    assert!(tried > 0, "no damage hit an append");
}
