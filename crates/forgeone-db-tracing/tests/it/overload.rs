//! A store that is slower than the program, full, hung, failing or closed. Without this a program
//! would stop with its store, or logs would vanish in silence. Provoked by an engine whose commits
//! wait at a gate or fail; logging must go on, every event must be accounted for, and what was
//! dropped must be said in the log.

use crate::support::{GatedEngine, LONG, dispatch, entries, layer, store, store_on};
use forgeone_db::{MemoryEngine, RedbManager, Severity};
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use forgeone_db_engine::{ErrorKind, FaultyEngine};
use forgeone_db_tracing::{LayerStats, StoreLayer, StoreLayerGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::dispatcher::with_default;
use tracing::{Dispatch, info};

fn small_layer(store: &RedbManager, records: usize) -> (Dispatch, StoreLayerGuard) {
    let builder = StoreLayer::builder(store.logs().clone()).buffer(records, 0);
    let (layer, guard) = builder.build().unwrap();
    (dispatch(layer), guard)
}

fn assert_accounted(stats: &LayerStats) {
    let sum = stats.stored + stats.waiting + stats.dropped.total();
    assert_eq!(stats.received, sum, "{stats:?}");
}

/// Logs from 8 threads, 10,000 events each; gives the longest time one event took.
#[expect(clippy::disallowed_methods, reason = "how long logging takes is what is measured")]
fn log_much(dispatch: &Dispatch) -> Duration {
    let one_thread = || {
        with_default(dispatch, || {
            let timed = (0..10_000).map(|number| {
                let started = Instant::now();
                info!(number, "one of many");
                started.elapsed()
            });
            timed.max().unwrap()
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one_thread)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    })
}

#[test]
fn a_hung_store_stops_nobody_and_what_is_dropped_is_said() {
    let engine = Arc::new(GatedEngine::default());
    let store = store_on(Arc::<GatedEngine>::clone(&engine));
    let (dispatch, guard) = small_layer(&store, 100);
    with_default(&dispatch, || info!("the first"));
    guard.flush(LONG).unwrap();

    engine.gate.set_shut(true);
    let slowest = log_much(&dispatch);
    // It returned while no commit did. What is left is the machine's scheduling.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let hung = guard.stats();
    assert_accounted(&hung);
    assert_eq!((hung.received, hung.stored), (80_001, 1));
    assert!((100..=1_100).contains(&hung.waiting), "{hung:?}");
    assert_eq!(hung.dropped.buffer_full, 80_000 - hung.waiting);
    assert_eq!(guard.flush(Duration::from_millis(20)).unwrap_err().kind(), ErrorKind::Unavailable);

    engine.gate.set_shut(false);
    guard.flush(LONG).unwrap();
    let stats = guard.close(LONG);
    assert_accounted(&stats);
    assert_eq!(stats.stored, 1 + hung.waiting);
    let found = entries(&store);
    let notices: Vec<_> = found
        .iter()
        .map(|found| &found.entry)
        .filter(|entry| entry.metadata.contains_key("dropped.buffer_full"))
        .collect();
    assert!(notices.iter().all(|notice| notice.severity == Severity::Warn));
    assert!(notices[0].message.ends_with(" log records were dropped: buffer full"));
    let said = notices.iter().map(|notice| notice.metadata["dropped"].parse::<u64>().unwrap());
    assert_eq!(said.sum::<u64>(), stats.dropped.total());
    assert_eq!(found.len() as u64, stats.stored + notices.len() as u64);
}

#[test]
fn a_tiny_buffer_before_a_real_store_accounts_for_every_event() {
    let (_directory, store) = store();
    let (dispatch, guard) = small_layer(&store, 8);
    log_much(&dispatch);
    let stats = guard.close(LONG);
    assert_accounted(&stats);
    assert_eq!((stats.received, stats.waiting), (80_000, 0));
    assert!(stats.stored > 0 && stats.dropped.buffer_full > 0, "{stats:?}");
    assert_eq!(stats.stored, stats.accepted);
}

#[test]
fn the_bytes_of_the_buffer_bound_it_too() {
    let engine = Arc::new(GatedEngine::default());
    let store = store_on(Arc::<GatedEngine>::clone(&engine));
    engine.gate.set_shut(true);
    let (dispatch, guard) = small_layer(&store, 1_000_000);
    let long = "x".repeat(100_000);
    with_default(&dispatch, || (0..100).for_each(|_| info!("{long}")));
    let stats = guard.stats();
    // 1 MiB in the buffer, 1 MiB in work.
    assert!((10..=20).contains(&stats.waiting), "{stats:?}");
    engine.gate.set_shut(false);
    assert_eq!(guard.close(LONG).stored, stats.waiting);
}

#[test]
fn closing_before_a_hung_store_returns_in_time_and_counts() {
    let engine = Arc::new(GatedEngine::default());
    let store = store_on(Arc::<GatedEngine>::clone(&engine));
    engine.gate.set_shut(true);
    let (dispatch, guard) = small_layer(&store, 2_000);
    with_default(&dispatch, || (0..2_500).for_each(|_| info!("never stored")));
    let stats = guard.close(Duration::from_millis(100));
    assert_accounted(&stats);
    assert_eq!((stats.received, stats.stored), (2_500, 0));
    assert!(stats.waiting <= 1_000 && stats.dropped.deadline >= 1_000, "{stats:?}");
    with_default(&dispatch, || info!("nobody is there any more"));
    engine.gate.set_shut(false);
}

#[test]
fn closing_stores_what_is_buffered() {
    let (_directory, store) = store();
    let (dispatch, guard) = layer(&store);
    with_default(&dispatch, || (0..5_000).for_each(|number| info!(number, "buffered")));
    drop(guard);
    assert_eq!(entries(&store).len(), 5_000);
}

#[test]
fn a_closed_store_costs_events_that_are_counted() {
    let (_directory, store) = store();
    let (dispatch, guard) = layer(&store);
    with_default(&dispatch, || info!("stored"));
    guard.flush(LONG).unwrap();
    store.close().unwrap();
    with_default(&dispatch, || (0..10).for_each(|_| info!("too late")));
    guard.flush(LONG).unwrap();
    assert!(guard.last_error().unwrap().contains("closed"), "{:?}", guard.last_error());
    let stats = guard.close(LONG);
    assert_accounted(&stats);
    assert_eq!((stats.stored, stats.dropped.store_closed), (1, 10));
}

#[test]
fn a_full_store_is_waited_for() {
    let (_directory, store) = store();
    let (dispatch, guard) = layer(&store);
    store.set_max_size_bytes(1).unwrap();
    with_default(&dispatch, || (0..10).for_each(|_| info!("patient")));
    assert!(guard.flush(Duration::from_millis(300)).is_err());
    assert_eq!((guard.stats().waiting, guard.stats().dropped.total()), (10, 0));
    assert!(guard.last_error().is_some());
    store.set_max_size_bytes(0).unwrap();
    guard.flush(LONG).unwrap();
    assert_eq!(guard.close(LONG).stored, 10);
}

#[test]
fn a_write_of_unknown_outcome_is_counted_as_such_and_not_stored_twice() {
    let engine = Arc::new(FaultyEngine::new(MemoryEngine::new(), FaultPlan::default()));
    let store = store_on(Arc::<FaultyEngine<MemoryEngine>>::clone(&engine));
    let (dispatch, guard) = layer(&store);
    with_default(&dispatch, || info!("stored"));
    guard.flush(LONG).unwrap();
    engine.set_plan(FaultPlan::new().fail_commit(
        1,
        Repeat::Once,
        ErrorKind::Unavailable,
        CommitFault::UnknownApplied,
    ));
    with_default(&dispatch, || info!("perhaps"));
    guard.flush(LONG).unwrap();
    let stats = guard.close(LONG);
    assert_accounted(&stats);
    assert_eq!((stats.stored, stats.dropped.unknown), (1, 1));
}

#[test]
fn a_write_that_was_rejected_for_now_is_tried_again() {
    let engine = Arc::new(FaultyEngine::new(MemoryEngine::new(), FaultPlan::default()));
    let store = store_on(Arc::<FaultyEngine<MemoryEngine>>::clone(&engine));
    let (dispatch, guard) = layer(&store);
    let (kind, fault) = (ErrorKind::Unavailable, CommitFault::Before);
    engine.set_plan(FaultPlan::new().fail_commit(1, Repeat::Once, kind, fault));
    with_default(&dispatch, || info!("in the end"));
    guard.flush(LONG).unwrap();
    assert!(guard.last_error().is_some(), "the first attempt did fail");
    assert_eq!(guard.close(LONG).stored, 1);
    assert_eq!(entries(&store).len(), 1);
}
