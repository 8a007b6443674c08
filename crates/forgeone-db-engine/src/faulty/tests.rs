//! A fault that fires at the wrong call, or leaves something else than it says, makes every test
//! built on it prove the wrong thing.

use super::{CommitFault, FaultPlan, FaultyEngine, Repeat};
use crate::contract::{Batch, DatabaseName, Durability, Engine as _, Read, ReadResult, TableName};
use crate::error::{ErrorKind, Outcome, Result};
use crate::memory::MemoryEngine;
use crate::task::block_on;
use bytes::Bytes;

type Engine = FaultyEngine<MemoryEngine>;

fn database(name: &str) -> DatabaseName {
    DatabaseName::new(name).unwrap()
}

fn table() -> TableName {
    TableName::new("events").unwrap()
}

fn put(engine: &Engine, name: &str, key: &'static str) -> Result<()> {
    let mut batch = Batch::new(database(name));
    batch.put(&table(), key, "value");
    block_on(engine.commit(batch, Durability::None))
}

fn get(engine: &Engine, name: &str, key: &'static str) -> Result<Option<Bytes>> {
    let read = engine.read(&database(name), Read::get(&table(), key));
    Ok(block_on(read)?.into_values()?.remove(0))
}

#[test]
fn the_nth_call_fails_once_or_for_ever() {
    let plan = FaultPlan::new().fail_read(2, Repeat::Once, ErrorKind::Unavailable).fail_usage(
        2,
        Repeat::Forever,
        ErrorKind::Corrupt,
    );
    let engine = Engine::new(MemoryEngine::new(), plan);
    assert!(get(&engine, "a", "k").is_ok());
    assert_eq!(get(&engine, "a", "k").unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(get(&engine, "a", "k").is_ok());
    assert!(block_on(engine.usage(&database("a"))).is_ok());
    for _ in 0..3 {
        let error = block_on(engine.usage(&database("a"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    assert_eq!((engine.counts().reads, engine.counts().usages), (3, 4));
}

#[test]
fn a_failed_commit_leaves_what_the_plan_says() {
    for (fault, applied, outcome) in [
        (CommitFault::Before, false, Outcome::Rejected),
        (CommitFault::UnknownNotApplied, false, Outcome::Unknown),
        (CommitFault::UnknownApplied, true, Outcome::Unknown),
    ] {
        let plan = FaultPlan::new().fail_commit(1, Repeat::Once, ErrorKind::Full, fault);
        let engine = Engine::new(MemoryEngine::new(), plan);
        let error = put(&engine, "a", "k").unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, outcome));
        assert_eq!(get(&engine, "a", "k").unwrap().is_some(), applied, "{fault:?}");
        put(&engine, "a", "k").unwrap();
    }
}

#[test]
fn a_compaction_fails_as_the_plan_says() {
    let plan = FaultPlan::new()
        .fail_compact(2, Repeat::Forever, ErrorKind::Full, CommitFault::UnknownNotApplied)
        .in_database(&database("a"));
    let engine = Engine::new(MemoryEngine::new(), plan);
    block_on(engine.compact(&database("a"))).unwrap();
    for _ in 0..2 {
        let error = block_on(engine.compact(&database("a"))).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, Outcome::Unknown));
    }
    block_on(engine.compact(&database("b"))).unwrap();
    assert_eq!(engine.counts().compactions, 4);
}

#[test]
fn a_fault_of_one_database_spares_the_others() {
    let plan = FaultPlan::new()
        .fail_commit(1, Repeat::Forever, ErrorKind::Unavailable, CommitFault::Before)
        .in_database(&database("b"));
    let engine = Engine::new(MemoryEngine::new(), plan);
    put(&engine, "a", "k").unwrap();
    put(&engine, "b", "k").unwrap_err();
    put(&engine, "a", "k").unwrap();
    engine.set_plan(FaultPlan::new());
    put(&engine, "b", "k").unwrap();
    assert_eq!(engine.counts().commits, 4);
}

#[test]
fn requests_outside_the_capability_are_not_counted() {
    let plan = FaultPlan::new().fail_read(1, Repeat::Once, ErrorKind::Unavailable);
    let engine = Engine::new(MemoryEngine::new(), plan);
    assert_eq!(get(&engine, "a", "").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(engine.counts().reads, 0);
    assert_eq!(get(&engine, "a", "k").unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn answers_can_be_bent_dropped_and_replaced() {
    let engine = Engine::new(MemoryEngine::new(), FaultPlan::new());
    put(&engine, "a", "k").unwrap();
    let mut calls = 0;
    engine.tamper(move |_, _, result| {
        calls += 1;
        if let ReadResult::Values(values) = result {
            match calls {
                1 => values[0] = Some(Bytes::from_static(b"bent")),
                2 => values[0] = None,
                _ => *result = ReadResult::Page(crate::Page::default()),
            }
        }
    });
    assert_eq!(get(&engine, "a", "k").unwrap(), Some("bent".into()));
    assert_eq!(get(&engine, "a", "k").unwrap(), None);
    assert_eq!(get(&engine, "a", "k").unwrap_err().kind(), ErrorKind::Internal);
    engine.clear_tamper();
    assert_eq!(get(&engine, "a", "k").unwrap(), Some("value".into()));
    assert_eq!(engine.to_string(), "faulty(memory)");
}
