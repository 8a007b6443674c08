//! After a failed sync the kernel may have dropped what it could not write: whoever goes on
//! acknowledging writes then loses data silently. Faults and panics are injected below.

use super::PoisonedEngine;
use crate::contract::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Read, ReadResult, TableName,
    Usage,
};
use crate::error::{ClosedReason, Error, ErrorKind, Outcome, Result};
use crate::faulty::{CommitFault, FaultPlan, FaultyEngine, Repeat};
use crate::memory::MemoryEngine;
use crate::task::{block_on, join_all, yield_once};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

const POISONED: ErrorKind = ErrorKind::Closed(ClosedReason::Poisoned);

fn database(name: &str) -> DatabaseName {
    DatabaseName::new(name).unwrap()
}

fn batch(name: &str) -> Batch {
    let mut batch = Batch::new(database(name));
    batch.put(&TableName::new("head").unwrap(), "k", "v");
    batch
}

fn put(engine: &impl Engine, name: &str) -> Result<()> {
    block_on(engine.commit(batch(name), Durability::None))
}

fn get(engine: &impl Engine, name: &str) -> Result<ReadResult> {
    let table = TableName::new("head").unwrap();
    block_on(engine.read(&database(name), Read::get(&table, "k")))
}

fn failing(fault: CommitFault) -> PoisonedEngine<FaultyEngine<MemoryEngine>> {
    let plan = FaultPlan::new()
        .fail_commit(1, Repeat::Once, ErrorKind::Unavailable, fault)
        .in_database(&database("a"));
    PoisonedEngine::new(FaultyEngine::new(MemoryEngine::new(), plan))
}

#[test]
fn an_unknown_outcome_poisons_its_database_alone() {
    for fault in [CommitFault::UnknownApplied, CommitFault::UnknownNotApplied] {
        let engine = failing(fault);
        let error = put(&engine, "a").unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
        for _ in 0..2 {
            let error = put(&engine, "a").unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (POISONED, Outcome::Rejected));
            assert_eq!(error.get("database"), Some("a"));
        }
        assert_eq!(engine.inner().counts().commits, 1, "a refused commit went through");
        put(&engine, "b").unwrap();
        get(&engine, "a").unwrap();
        block_on(engine.usage(&database("a"))).unwrap();
        assert_eq!(engine.poisoned(), [database("a")]);
        block_on(engine.close()).unwrap();
        let closed = ErrorKind::Closed(ClosedReason::Shutdown);
        assert_eq!(put(&engine, "a").unwrap_err().kind(), closed);
    }
}

fn compact(engine: &impl Engine, name: &str) -> Result<()> {
    block_on(engine.compact(&database(name)))
}

#[test]
fn a_compaction_of_unknown_outcome_poisons_and_a_poisoned_database_is_not_compacted() {
    let plan = FaultPlan::new()
        .fail_compact(1, Repeat::Once, ErrorKind::Unavailable, CommitFault::Before)
        .fail_compact(2, Repeat::Once, ErrorKind::Full, CommitFault::UnknownApplied);
    let engine = PoisonedEngine::new(FaultyEngine::new(MemoryEngine::new(), plan));
    put(&engine, "a").unwrap();
    let error = compact(&engine, "a").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Rejected));
    assert!(!engine.is_poisoned(&database("a")));
    let error = compact(&engine, "a").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, Outcome::Unknown));
    for error in [put(&engine, "a").unwrap_err(), compact(&engine, "a").unwrap_err()] {
        assert_eq!((error.kind(), error.outcome()), (POISONED, Outcome::Rejected));
    }
    assert_eq!(engine.inner().counts().compactions, 2, "a refused compaction went through");
    get(&engine, "a").unwrap();
    compact(&engine, "b").unwrap();
}

#[test]
fn a_rejected_commit_poisons_nothing() {
    let engine = failing(CommitFault::Before);
    assert_eq!(put(&engine, "a").unwrap_err().outcome(), Outcome::Rejected);
    put(&engine, "a").unwrap();
    let mut conflict = batch("a");
    conflict.require_absent(&TableName::new("head").unwrap(), "k");
    let error = block_on(engine.commit(conflict, Durability::None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    put(&engine, "a").unwrap();
}

#[test]
fn an_invalid_batch_stays_invalid_on_a_poisoned_database() {
    let engine = failing(CommitFault::UnknownApplied);
    engine.poison(&database("a"));
    let mut bad = batch("a");
    bad.delete(&TableName::new("head").unwrap(), "");
    let error = block_on(engine.commit(bad, Durability::None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

/// Panics in every call about database `a`; its second commit to `b` fails as unknown while the
/// first is still in flight.
#[derive(Debug, Default)]
struct Panicking(AtomicU32);

impl fmt::Display for Panicking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panicking")
    }
}

impl Engine for Panicking {
    fn capability(&self) -> Capability {
        MemoryEngine::new().capability()
    }

    fn read(&self, database: &DatabaseName, _request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        assert_ne!(database.as_str(), "a", "a page is torn");
        Box::pin(async { Ok(ReadResult::Values(vec![None])) })
    }

    fn commit(&self, batch: Batch, _durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let turn = self.0.fetch_add(1, Ordering::Relaxed);
            yield_once().await;
            assert_ne!(batch.database().as_str(), "a", "a page is torn");
            if turn > 0 {
                let error = Error::new(ErrorKind::Unavailable, "the disk is gone");
                return Err(error.with_outcome(Outcome::Unknown));
            }
            yield_once().await;
            Ok(())
        })
    }

    fn usage(&self, _database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        panic!("a page is torn")
    }

    fn compact(&self, _database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        panic!("a page is torn")
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        panic!("a page is torn")
    }
}

#[test]
fn a_panic_in_any_call_becomes_an_error_and_poisons() {
    let engine = PoisonedEngine::new(Panicking::default());
    let error = put(&engine, "a").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Internal, Outcome::Unknown));
    assert!(error.to_string().contains("a page is torn"), "{error}");
    assert_eq!(put(&engine, "a").unwrap_err().kind(), POISONED);

    let engine = PoisonedEngine::new(Panicking::default());
    assert_eq!(get(&engine, "a").unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(put(&engine, "a").unwrap_err().kind(), POISONED);
    assert!(get(&engine, "b").is_ok());
    let error = block_on(engine.usage(&database("c"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(put(&engine, "c").unwrap_err().kind(), POISONED);
    let error = compact(&engine, "d").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Internal, Outcome::Unknown));
    assert_eq!(put(&engine, "d").unwrap_err().kind(), POISONED);
    assert_eq!(block_on(engine.close()).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn a_commit_in_flight_when_its_database_is_poisoned_is_not_acknowledged() {
    let engine = PoisonedEngine::new(Panicking::default());
    let commits = [batch("b"), batch("b")].map(|batch| engine.commit(batch, Durability::None));
    let results = block_on(join_all(commits.into()));
    let errors: Vec<_> = results.into_iter().map(Result::unwrap_err).collect();
    assert_eq!((errors[0].kind(), errors[0].outcome()), (POISONED, Outcome::Unknown));
    assert_eq!(errors[1].kind(), ErrorKind::Unavailable);
    assert_eq!(engine.to_string(), "poisoned(panicking)");
}
