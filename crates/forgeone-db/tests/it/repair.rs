//! Repair builds what follows from records anew, drops nothing, and may be cut short. Without these
//! tests a damaged index could stay damaged, or a repair could lose what it was to mend. Contract
//! lines I2, I4 and S7.

use crate::stock::{Image, SHARDS, Stock, ask, engine, image, open_and_ask, options};
use crate::support::{event, key, options as in_files};
use forgeone_db::{
    Durability, Engine, ErrorKind, OpenMode, Outcome, RedbManager, RepairPlan, RepairStep,
    StoreOptions, VerifyDepth,
};
use forgeone_db_engine::FaultyEngine;
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The index that finds events by their ids.
const INDEX_OF_IDS: u64 = 32;

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
            let kind = ErrorKind::Unavailable;
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
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert_eq!(error.outcome(), Outcome::Rejected);
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

/// A store in files, with a topic whose records are not sealed yet and one whose index is.
fn store_in_files(path: &Path) {
    let store = RedbManager::open(in_files(path).shard_count(1)).unwrap();
    for number in 1..120 {
        store.store_event(&event("sealed", number)).unwrap();
    }
    store.seal().unwrap();
    for number in 200..280 {
        store.store_event(&event("open", number)).unwrap();
    }
    store.close().unwrap();
}

/// Name and content of every file.
fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// As a plan from before the damage, or by hand.
fn blind_plan() -> RepairPlan {
    let (database, purpose) = ("events_shard_0".to_owned(), "ids".to_owned());
    let step = RepairStep { database, index: INDEX_OF_IDS, purpose };
    RepairPlan { steps: vec![step], ..RepairPlan::default() }
}

/// contract I4: opening for writing already commits, and redb may then put to use what only looks free:
/// a byte of its own that is bent cost a whole database once somebody wrote to it.
#[test]
fn a_store_with_damaged_pages_of_the_engine_is_never_opened_for_writing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    store_in_files(&path);
    let sound = files(&path);
    let mut refused = 0;
    for database in ["events_shard_0.redb", "system.redb"] {
        let file = path.join(database);
        let content = fs::read(&file).unwrap();
        for page in 1..content.len() / 4096 {
            let mut bytes = content.clone();
            bytes[page * 4096 + 1] ^= 1;
            fs::write(&file, &bytes).unwrap();
            let before = files(&path);
            let plan = RedbManager::plan_store_repair(in_files(&path), |_| ()).unwrap();
            if plan.pages_damaged.is_empty() {
                // Nothing of this page counts.
                assert!(plan.is_empty(), "{database}, page {page}: {plan:#?}");
                continue;
            }
            refused += 1;
            assert_eq!(plan.pages_damaged, [database.strip_suffix(".redb").unwrap()]);
            assert!(plan.steps.is_empty() && !plan.mends_all(), "{plan:#?}");
            assert!(plan.remaining.iter().any(|one| one.remedy.contains("salvage")), "{plan:#?}");
            assert!(plan.remaining.iter().all(|one| !one.remedy.contains("repair`")), "{plan:#?}");
            for plan in [plan, blind_plan()] {
                let repaired = RedbManager::repair_store(in_files(&path), &plan, |_| ());
                let error = repaired.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert_eq!(error.outcome(), Outcome::Rejected);
                assert!(error.message().contains("salvage"), "{error}");
            }
            assert!(files(&path) == before, "{database}, page {page}: something was written");
        }
        fs::write(&file, &content).unwrap();
    }
    assert!(refused > 10, "{refused}");
    assert!(files(&path) == sound);
}

#[test]
fn a_repair_with_nothing_to_mend_leaves_every_byte_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    store_in_files(&path);
    let before = files(&path);
    let plan = RedbManager::plan_store_repair(in_files(&path), |_| ()).unwrap();
    assert!(plan.is_empty(), "{plan:#?}");
    let done = RedbManager::repair_store(in_files(&path), &plan, |_| ()).unwrap();
    assert!(done.rebuilt.is_empty());
    assert!(files(&path) == before);
}

#[test]
fn a_store_that_is_not_open_is_repaired_and_closed_again() {
    let stock = Stock::new(true);
    let place = stock.closed.keys().find(|place| place.1 == "event_index").unwrap();
    let memory = engine(&bend(&stock.closed, place, 0));
    let opened = || options(memory.reopen(), true);
    let planned = RedbManager::plan_store_repair(opened(), |_| ()).unwrap();
    assert!(planned.mends_all() && !planned.steps.is_empty(), "{planned:#?}");
    let done = RedbManager::repair_store(opened(), &planned, |_| ()).unwrap();
    assert_eq!(done.rebuilt.len(), planned.steps.len());
    assert!(open_and_ask(opened(), &stock.ids).unwrap() == stock.answers);
    // In files, where the pages are checked first; beside another writer it is in use.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    store_in_files(&path);
    let done = RedbManager::repair_store(in_files(&path), &blind_plan(), |_| ()).unwrap();
    assert!(done.rebuilt.iter().any(|one| one.entries > 0), "{done:?}");
    let report = RedbManager::verify_store(in_files(&path), VerifyDepth::Deep, |_| ()).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
    let writer = RedbManager::open(in_files(&path)).unwrap();
    let beside = RedbManager::repair_store(in_files(&path), &blind_plan(), |_| ());
    assert_eq!(beside.unwrap_err().kind(), ErrorKind::InUse);
    writer.close().unwrap();
}

#[test]
fn a_plan_of_an_open_store_has_the_engines_pages_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    store_in_files(&path);
    let writer = RedbManager::open(in_files(&path)).unwrap();
    assert!(plan(&writer).is_empty(), "{:#?}", plan(&writer));
    writer.close().unwrap();
    let file = path.join("events_shard_0.redb");
    let content = fs::read(&file).unwrap();
    let mut found = 0;
    for page in 1..content.len() / 4096 {
        let mut bytes = content.clone();
        bytes[page * 4096 + 1] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let Ok(reader) = RedbManager::open(in_files(&path).mode(OpenMode::Read)) else { continue };
        found += usize::from(plan(&reader).pages_damaged == ["events_shard_0"]);
        reader.close().unwrap();
    }
    assert!(found > 5, "{found}");
    fs::write(&file, &content).unwrap();
    // An open store does not do what a plan says that it must not.
    let writer = RedbManager::open(in_files(&path)).unwrap();
    let refusing = RepairPlan { pages_damaged: vec!["system".to_owned()], ..blind_plan() };
    let error = writer.execute_repair(&refusing, |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    writer.close().unwrap();
}
