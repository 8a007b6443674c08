//! Operations on a store over an engine that fails, beside a model that knows what may be there.
//!
//! What was acknowledged is there after every reopening, in order and once (C1, S1); what was
//! refused is not (O1); what is unknown may be.

use crate::stores::event;
use forgeone_db::{
    Durability, EventQuery, Key, MemoryEngine, OpenMode, Outcome, RedbManager, StoreOptions,
};
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use forgeone_db_engine::{ErrorKind, FaultyEngine};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether an event is certainly there (`true`) or perhaps (`false`).
type Model = BTreeMap<u8, bool>;

fn open(memory: &MemoryEngine, plan: FaultPlan) -> Option<RedbManager> {
    let engine = FaultyEngine::new(memory.reopen(), plan);
    let options = StoreOptions::with_engine(Arc::new(engine))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .shard_count(1)
        .seal_at(usize::MAX / 8, u64::MAX / 8)
        .key(Key::raw([7; 32]));
    RedbManager::open(options).ok()
}

fn plan(at: u8, how: u8) -> FaultPlan {
    let fault = [CommitFault::Before, CommitFault::UnknownNotApplied, CommitFault::UnknownApplied];
    let fault = fault[usize::from(how % 3)];
    let repeat = if how & 4 == 0 { Repeat::Once } else { Repeat::Forever };
    let kind = if how & 8 == 0 { ErrorKind::Unavailable } else { ErrorKind::Full };
    FaultPlan::new().fail_commit(u64::from(at % 24) + 1, repeat, kind, fault)
}

/// Pairs of bytes, each an operation.
pub(crate) fn db_ops(data: &[u8]) -> bool {
    let memory = MemoryEngine::new();
    let mut model = Model::new();
    let mut store = open(&memory, FaultPlan::new());
    for pair in data.chunks_exact(2).take(64) {
        let [what, number] = *pair else { break };
        match (what % 8, &store) {
            (0..=2, Some(store)) => append(store, number, 1, &mut model),
            (3, Some(store)) => append(store, number, what / 8 % 8 + 1, &mut model),
            (4, Some(store)) => drop(store.seal()),
            (5, Some(store)) => check(store, &model),
            (6, _) => {
                drop(store.take().map(|store| store.close()));
                store = open(&memory, plan(number, what / 8));
            }
            // Without a close, as after a kill.
            (7, _) => {
                drop(store.take());
                store = open(&memory, FaultPlan::new());
            }
            _ => {}
        }
    }
    drop(store);
    let store = open(&memory, FaultPlan::new()).expect("without a fault the store opens");
    check(&store, &model);
    store.close().expect("without a fault the store closes");
    true
}

/// Appends `count` events from `first` on as one batch.
fn append(store: &RedbManager, first: u8, count: u8, model: &mut Model) {
    let numbers: Vec<u8> = (0..count).map(|offset| first.saturating_add(offset)).collect();
    let events: Vec<_> = numbers.iter().map(|number| event(*number)).collect();
    match store.store_events(&events) {
        Ok(positions) => {
            for (number, position) in numbers.iter().zip(positions) {
                let before = model.insert(*number, true);
                assert!(before != Some(true) || position.duplicate, "{number} was there");
                assert!(before.is_some() || !position.duplicate || count > 1, "{number} was not");
            }
        }
        Err(error) if error.outcome() == Outcome::Unknown => {
            for number in numbers {
                model.entry(number).or_insert(false);
            }
        }
        Err(_) => {}
    }
}

fn check(store: &RedbManager, model: &Model) {
    // A fault may hit the reading of what a failed commit left.
    let Ok(results) = store.query_events(EventQuery::default()) else { return };
    let mut seen = Model::new();
    for found in results {
        let Ok(found) = found else { return };
        let number = u8::try_from(found.event.id.as_u128() - 1).expect("one of ours");
        assert_eq!(found.event, event(number));
        assert_eq!(seen.insert(number, true), None, "{number} is there twice");
        assert!(model.contains_key(&number), "{number} was refused and is there");
    }
    for (number, certain) in model {
        assert!(!certain || seen.contains_key(number), "{number} was acknowledged and is gone");
    }
}

pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("db_ops", vec![0, 1, 0, 2, 4, 0, 0, 3, 6, 9, 0, 4, 5, 0, 7, 0, 5, 0]),
        ("db_ops", vec![3, 1, 6, 3, 27, 5, 0, 1, 4, 0, 6, 0, 5, 0]),
        ("db_ops", vec![0, 1, 4, 0, 14, 8, 0, 2, 4, 0, 0, 3, 5, 0]),
    ]
}
