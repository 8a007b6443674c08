//! What runs over this engine counts as relying on the contract alone; that holds only if the
//! engine really does everything that the contract lets it do.

use super::{Call, MINIMUM_LIMITS, StrictEngine};
use crate::contract::{
    Batch, DatabaseName, Direction, Durability, Engine, KeyRange, Page, Projection, Read, TableName,
};
use crate::error::{ClosedReason, ErrorKind};
use crate::memory::MemoryEngine;
use crate::task::block_on;
use futures::FutureExt as _;
use std::task::{Context, Poll, Waker};

const SHUTDOWN: ErrorKind = ErrorKind::Closed(ClosedReason::Shutdown);

fn database() -> DatabaseName {
    DatabaseName::new("system").unwrap()
}

fn table() -> TableName {
    TableName::new("commits").unwrap()
}

fn filled(seed: u64) -> StrictEngine<MemoryEngine> {
    let engine = StrictEngine::over_memory(seed);
    let mut batch = Batch::new(database());
    for key in 0..64_u8 {
        batch.put(&table(), vec![key], "value");
    }
    block_on(engine.commit(batch, Durability::None)).unwrap();
    engine
}

fn page(engine: &impl Engine, start: u8) -> Page {
    let scan = Read::Scan {
        table: table(),
        range: KeyRange::from(vec![start]),
        direction: Direction::Forward,
        projection: Projection::Entries,
        entries_max: 64,
        bytes_max: u64::MAX,
    };
    block_on(engine.read(&database(), scan)).unwrap().into_page().unwrap()
}

#[test]
fn pages_are_short_always_say_more_and_repeat_with_the_seed() {
    let sizes = |seed| {
        let engine = filled(seed);
        (0..20).map(|_| page(&engine, 0).entries.len()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(7), sizes(7));
    assert_ne!(sizes(7), sizes(8));
    assert!(sizes(7).iter().any(|size| *size < 64));
    let engine = filled(1);
    assert!(page(&engine, 63).more, "the last entry's page must say more as well");
    assert_eq!(page(&engine, 64), Page::default());
}

#[test]
fn every_call_suspends_and_a_dropped_commit_did_all_or_nothing() {
    let mut context = Context::from_waker(Waker::noop());
    for (polls, applied) in [(1, false), (2, true)] {
        let engine = StrictEngine::over_memory(1);
        let mut batch = Batch::new(database());
        batch.put(&table(), "k", "v");
        let mut commit = engine.commit(batch, Durability::None);
        for _ in 0..polls {
            assert!(commit.as_mut().poll(&mut context).is_pending());
        }
        drop(commit);
        let usage = block_on(engine.usage(&database())).unwrap();
        assert_eq!(usage.allocated_bytes > 0, applied);
    }
    let engine = filled(1);
    assert!(engine.read(&database(), Read::get(&table(), "k")).now_or_never().is_none());
    assert!(engine.usage(&database()).now_or_never().is_none());
    assert!(engine.close().now_or_never().is_none());
}

#[test]
fn close_waits_for_calls_in_progress_and_lets_no_new_one_in() {
    let engine = filled(1);
    let mut context = Context::from_waker(Waker::noop());
    let mut read = engine.read(&database(), Read::get(&table(), vec![1]));
    assert!(read.as_mut().poll(&mut context).is_pending());
    let late = engine.usage(&database());
    let mut close = engine.close();
    for _ in 0..3 {
        assert!(close.as_mut().poll(&mut context).is_pending());
    }
    assert_eq!(block_on(late).unwrap_err().kind(), SHUTDOWN);
    assert!(block_on(read).unwrap().into_values().unwrap()[0].is_some());
    block_on(close).unwrap();
    let error = block_on(engine.read(&database(), Read::get(&table(), ""))).unwrap_err();
    assert_eq!(error.kind(), SHUTDOWN);
    let mut again = engine.close();
    assert_eq!(again.as_mut().poll(&mut context).map(|_| ()), Poll::Pending);
    block_on(again).unwrap();
}

#[test]
fn a_dropped_call_does_not_hold_up_close() {
    let engine = filled(1);
    let mut context = Context::from_waker(Waker::noop());
    let mut read = engine.read(&database(), Read::get(&table(), vec![1]));
    assert!(read.as_mut().poll(&mut context).is_pending());
    drop(read);
    block_on(engine.close()).unwrap();
}

#[test]
fn values_are_fresh_allocations() {
    let engine = filled(1);
    let read = || {
        let read = engine.read(&database(), Read::get(&table(), vec![1]));
        block_on(read).unwrap().into_values().unwrap().remove(0).unwrap()
    };
    let (one, other) = (read(), read());
    assert_ne!(one.as_ptr(), other.as_ptr());
    assert!(one.is_unique());
}

#[test]
fn limits_are_the_lesser_of_both() {
    let engine = StrictEngine::with_limits(MemoryEngine::new(), MINIMUM_LIMITS, 1);
    let capability = engine.capability();
    assert_eq!(capability.durability_max, Durability::None);
    assert_eq!(capability.value_bytes_max, 64 << 10);
    assert_eq!(capability.range_delete_entries_max, 4096, "only the inner engine can count these");
    let mut batch = Batch::new(database());
    batch.put(&table(), vec![0; 33], "");
    let error = block_on(engine.commit(batch, Durability::None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_hook_changes_the_data_between_calls() {
    let engine = filled(1);
    let mut calls = 0;
    engine.interfere(move |call| {
        calls += 1;
        let mut batch = Batch::new(database());
        match call {
            Call::Read(..) if calls == 1 => batch.put(&table(), vec![1], "replaced"),
            Call::Read(..) => batch.delete(&table(), vec![1]),
            Call::Commit(..) => batch.require_absent(&table(), vec![2]),
            Call::Usage(_) | Call::Compact(_) => batch.put(&table(), "", ""),
        };
        vec![batch]
    });
    let get = || {
        let read = engine.read(&database(), Read::get(&table(), vec![1]));
        block_on(read).unwrap().into_values().unwrap().remove(0)
    };
    assert_eq!(get(), Some("replaced".into()));
    assert_eq!(get(), None);
    block_on(engine.commit(Batch::new(database()), Durability::None)).unwrap();
    assert_eq!(block_on(engine.usage(&database())).unwrap_err().kind(), ErrorKind::Internal);
    engine.clear_interference();
    block_on(engine.usage(&database())).unwrap();
    assert_eq!(engine.to_string(), "strict(memory)");
}
