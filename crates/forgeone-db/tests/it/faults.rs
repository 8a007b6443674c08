//! Every commit of a small life of a store fails once, in each way a commit can fail.
//!
//! A write that was refused must not be there afterwards, one that was acknowledged must, and one
//! whose outcome is unknown may. A database whose commit failed with unknown outcome takes no more
//! writes until it is reopened, while the other one goes on.

use crate::support::{event, key};
use forgeone_db::{
    Durability, ErrorKind, EventQuery, MemoryEngine, NewSetting, OpenMode, Outcome, RedbManager,
    SettingVersion, StoreOptions, VerifyDepth, WatchFrom,
};
use forgeone_db_engine::FaultyEngine;
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use std::collections::BTreeMap;
use std::sync::Arc;

const TOPICS: [&str; 2] = ["a", "b"];

/// What became of each event.
type Outcomes = BTreeMap<u64, Option<Outcome>>;

fn options(engine: Arc<dyn forgeone_db::Engine>) -> StoreOptions {
    StoreOptions::with_engine(engine)
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(key())
        .shard_count(2)
        // Nothing is sealed but by hand, so that the count of commits is the same in every run.
        .seal_at(usize::MAX / 8, u64::MAX / 8)
}

/// Creates a store, fills it, seals it, reopens it and fills it further, through whatever faults;
/// says what became of each event and how many commits were made.
fn live(memory: &MemoryEngine, plan: FaultPlan) -> (Outcomes, u64) {
    let faulty = Arc::new(FaultyEngine::new(memory.reopen(), plan));
    let mut outcomes = Outcomes::new();
    let engine = || Arc::clone(&faulty) as Arc<dyn forgeone_db::Engine>;
    if let Ok(store) = RedbManager::open(options(engine())) {
        let mut poisoned = BTreeMap::new();
        for number in 1..=12 {
            let topic = TOPICS[usize::try_from(number % 2).unwrap()];
            let result = store.store_event(&event(topic, number));
            if let Err(error) = &result {
                if poisoned.contains_key(topic) {
                    assert!(matches!(error.kind(), ErrorKind::Closed(_)), "{error}");
                    assert_eq!(error.outcome(), Outcome::Rejected);
                }
                if error.outcome() == Outcome::Unknown {
                    poisoned.insert(topic, number);
                }
            } else {
                assert!(!poisoned.contains_key(topic), "a poisoned database took {number}");
            }
            outcomes.insert(number, result.err().map(|error| error.outcome()));
            if number == 6 {
                // A failure to seal is told, and loses nothing.
                drop(store.seal());
            }
        }
        drop(store.close());
    }
    (outcomes, faulty.counts().commits)
}

fn check(memory: &MemoryEngine, outcomes: &Outcomes, what: &str) {
    let store = RedbManager::open(options(Arc::new(memory.reopen())))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    for (number, outcome) in outcomes {
        let found = store.get_event(event("", *number).id).unwrap();
        match outcome {
            None => assert_eq!(found.len(), 1, "{what}: acknowledged event {number} is gone"),
            Some(Outcome::Rejected) => {
                assert!(found.is_empty(), "{what}: refused event {number} is there");
            }
            Some(Outcome::Unknown) => assert!(found.len() <= 1),
        }
    }
    let before = store.query_events(EventQuery::default()).unwrap().count();
    // Sending everything again fills what is missing and doubles nothing.
    for number in 1..=12 {
        let topic = TOPICS[usize::try_from(number % 2).unwrap()];
        let again = store.store_event(&event(topic, number)).unwrap();
        assert!(!again.duplicate || before > 0);
    }
    store.seal().unwrap();
    let after: Vec<_> = store.query_events(EventQuery::default()).unwrap().collect();
    assert_eq!(after.len(), 12, "{what}");
    store.close().unwrap();
}

#[test]
fn every_commit_may_fail_in_every_way() {
    let (outcomes, commits) = live(&MemoryEngine::new(), FaultPlan::new());
    assert!(outcomes.values().all(Option::is_none));
    assert!(commits > 20, "{commits}");
    let faults = [
        (CommitFault::Before, ErrorKind::Full),
        (CommitFault::UnknownNotApplied, ErrorKind::Unavailable),
        (CommitFault::UnknownApplied, ErrorKind::Full),
    ];
    let mut images = 0;
    for (fault, kind) in faults {
        for repeat in [Repeat::Once, Repeat::Forever] {
            for at in 1..=commits {
                let what = format!("commit {at} of {commits}, {fault:?}, {repeat:?}");
                let memory = MemoryEngine::new();
                let plan = FaultPlan::new().fail_commit(at, repeat, kind, fault);
                let (outcomes, _) = live(&memory, plan);
                check(&memory, &outcomes, &what);
                images += 1;
            }
        }
    }
    println!("{images} lives with a fault");
}

/// As [`live`], with two settings that are always set together.
fn live_settings(memory: &MemoryEngine, plan: FaultPlan) -> (Outcomes, u64) {
    let faulty = Arc::new(FaultyEngine::new(memory.reopen(), plan));
    let mut outcomes = Outcomes::new();
    let engine = Arc::clone(&faulty) as Arc<dyn forgeone_db::Engine>;
    if let Ok(store) = RedbManager::open(options(engine)) {
        for number in 1..=8 {
            let settings = [NewSetting::new("a", number), NewSetting::new("b", number)];
            let result = store.set_settings(&settings);
            outcomes.insert(number, result.err().map(|error| error.outcome()));
            if number == 4 {
                // A failure to seal is told, and loses nothing.
                drop(store.seal());
            }
        }
        drop(store.close());
    }
    (outcomes, faulty.counts().commits)
}

fn check_settings(memory: &MemoryEngine, outcomes: &Outcomes, what: &str) {
    let store = RedbManager::open(options(Arc::new(memory.reopen())))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let versions = |key: &str| -> Vec<(u64, u64)> {
        let history = store.setting_history(key).unwrap();
        let pair = |one: SettingVersion| (one.version, one.value.unwrap().as_u64().unwrap());
        history.map(|one| one.map(pair).unwrap()).collect()
    };
    let (found, other) = (versions("a"), versions("b"));
    assert_eq!(found, other, "{what}: half of a call is there");
    assert!(found.iter().map(|(version, _)| *version).eq((1..=found.len() as u64).rev()), "{what}");
    assert!(found.is_sorted_by(|one, next| one.1 > next.1), "{what}: {found:?}");
    for (number, outcome) in outcomes {
        let there = found.iter().any(|(_, value)| value == number);
        match outcome {
            None => assert!(there, "{what}: acknowledged setting {number} is gone"),
            Some(Outcome::Rejected) => assert!(!there, "{what}: refused setting {number} is there"),
            Some(Outcome::Unknown) => {}
        }
    }
    let present = store.get_setting("a").unwrap();
    let present = present.map(|one| (one.version, one.value.as_u64().unwrap()));
    assert_eq!(present.as_ref(), found.first(), "{what}");
    let watched = store.watch_settings("a", WatchFrom::After(0)).unwrap().take(found.len());
    let watched = watched.map(|update| update.unwrap().changes[0].version);
    assert!(watched.eq(1..=found.len() as u64), "{what}");
    let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
    assert!(report.is_sound(), "{what}: {:#?}", report.findings);
    store.close().unwrap();
}

#[test]
fn every_commit_of_settings_may_fail_in_every_way() {
    let (outcomes, commits) = live_settings(&MemoryEngine::new(), FaultPlan::new());
    assert!(outcomes.values().all(Option::is_none));
    assert!(commits > 10, "{commits}");
    let faults = [
        (CommitFault::Before, ErrorKind::Full),
        (CommitFault::UnknownNotApplied, ErrorKind::Unavailable),
        (CommitFault::UnknownApplied, ErrorKind::Full),
    ];
    for (fault, kind) in faults {
        for repeat in [Repeat::Once, Repeat::Forever] {
            for at in 1..=commits {
                let what = format!("commit {at} of {commits}, {fault:?}, {repeat:?}");
                let memory = MemoryEngine::new();
                let plan = FaultPlan::new().fail_commit(at, repeat, kind, fault);
                let (outcomes, _) = live_settings(&memory, plan);
                check_settings(&memory, &outcomes, &what);
            }
        }
    }
}
