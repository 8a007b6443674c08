//! An engine or wrapper that breaks the contract breaks everything above it, in ways that look like
//! bugs elsewhere. Every one of them runs every case; the number of cases may only grow.

use crate::volatile::VolatileEngine;
use forgeone_db_engine::conformance::{self, CASES, Harness, Subject};
use forgeone_db_engine::faulty::FaultPlan;
use forgeone_db_engine::strict::MINIMUM_LIMITS;
use forgeone_db_engine::{
    Batch, BoxFuture, DatabaseName, Engine, FaultyEngine, MemoryEngine, MeteredEngine,
    PoisonedEngine, ReadOnlyEngine, Result, StrictEngine, TableName,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An engine whose data are gone with its handle.
struct Fleeting<F>(F);

impl<F: Fn() -> Subject + Send + Sync> Harness for Fleeting<F> {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async { Ok((self.0)()) })
    }

    fn reopen(&self, _closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async { Ok(None) })
    }
}

fn check<E: Engine>(make: impl Fn(MemoryEngine) -> E + Send + Sync) {
    conformance::check(&Fleeting(|| Subject::new(Arc::new(make(MemoryEngine::new())))));
}

#[test]
fn the_cases_are_as_many_as_expected_and_differ_in_name() {
    assert!(CASES.len() >= 60, "{} cases", CASES.len());
    let names: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), CASES.len(), "two cases bear one name");
}

#[test]
fn memory_engine_meets_the_contract() {
    let make: fn(MemoryEngine) -> MemoryEngine = |memory| memory;
    check(make);
    conformance::check(&Fleeting(|| {
        Subject::new(Arc::new(MemoryEngine::with_limits(MINIMUM_LIMITS)))
    }));
}

#[test]
fn metered_engine_meets_the_contract() {
    check(|memory| MeteredEngine::with_read_log(memory, 100));
}

#[test]
fn poisoned_engine_meets_the_contract() {
    check(PoisonedEngine::new);
}

#[test]
fn faulty_engine_without_faults_meets_the_contract() {
    check(|memory| FaultyEngine::new(memory, FaultPlan::new()));
}

#[test]
fn strict_engine_meets_the_contract() {
    for seed in 0..4 {
        conformance::check(&Fleeting(|| Subject::new(Arc::new(StrictEngine::over_memory(seed)))));
    }
    check(|memory| StrictEngine::with_limits(memory, MINIMUM_LIMITS, 4));
}

/// Another writer in another database changes no answer.
#[test]
fn strict_engine_meets_the_contract_beside_a_busy_database() {
    check(|memory| {
        let strict = StrictEngine::new(memory, 5);
        let (database, table) = (DatabaseName::new("busy").unwrap(), TableName::new("t").unwrap());
        let mut turn: u32 = 0;
        strict.interfere(move |_| {
            turn += 1;
            let mut batch = Batch::new(database.clone());
            batch.put(&table, (turn % 8).to_be_bytes().to_vec(), turn.to_be_bytes().to_vec());
            batch.delete(&table, (turn % 5).to_be_bytes().to_vec());
            vec![batch]
        });
        strict
    });
}

/// Every commit is refused by `ReadOnlyEngine`, made through a second handle on the same data, and
/// seen through the first: see [`Subject::writer`].
#[test]
fn read_only_engine_meets_the_contract_but_for_writing() {
    conformance::check(&Fleeting(|| {
        let memory = MemoryEngine::new();
        let writer = Arc::new(memory.reopen());
        Subject::read_only(Arc::new(ReadOnlyEngine::new(memory)), writer)
    }));
}

#[test]
fn arc_t_and_box_t_meet_the_contract() {
    check(|memory| Arc::new(memory) as Arc<dyn Engine>);
    check(|memory| Box::new(memory) as Box<dyn Engine>);
}

#[test]
fn a_stack_of_every_wrapper_meets_the_contract() {
    let make = |memory: MemoryEngine| {
        let shared: Arc<dyn Engine> = Arc::new(StrictEngine::new(memory, 9));
        let faulty = FaultyEngine::new(shared, FaultPlan::new());
        MeteredEngine::new(PoisonedEngine::new(faulty))
    };
    check(make);
    let stack = make(MemoryEngine::new());
    assert_eq!(stack.to_string(), "metered(poisoned(faulty(strict(memory))))");
}

/// An engine that persists, and loses at reopening what was not synced.
struct Persistent;

impl Harness for Persistent {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async { Ok(VolatileEngine::new().subject()) })
    }

    fn reopen(&self, closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async { VolatileEngine::new().reopen(closed).await.map(Some) })
    }
}

#[test]
fn volatile_engine_meets_the_contract() {
    conformance::check(&Persistent);
}
