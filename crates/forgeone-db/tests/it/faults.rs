//! Every commit of a small life of a store fails once, in each way a commit can fail.
//!
//! A write that was refused must not be there afterwards, one that was acknowledged must, and one
//! whose outcome is unknown may. A database whose commit failed with unknown outcome takes no more
//! writes until it is reopened, while the other one goes on.

use crate::support::{event, key};
use forgeone_db::{
    Durability, ErrorKind, EventQuery, MemoryEngine, OpenMode, Outcome, RedbManager, StoreOptions,
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
