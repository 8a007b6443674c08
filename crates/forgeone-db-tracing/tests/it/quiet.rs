//! Going round in circles. Without this one event would be stored, the store would log that, and so
//! on for ever. Provoked by an engine that logs each commit into the same layer, and by a value that
//! logs while it is formatted; both must end, and be counted.

use crate::support::{GatedEngine, LONG, entries, layer, store, store_on};
use std::fmt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tracing::dispatcher::with_default;
use tracing::info;

#[test]
fn a_store_that_logs_its_commits_does_not_feed_itself() {
    let engine = Arc::new(GatedEngine::default());
    let store = store_on(Arc::<GatedEngine>::clone(&engine));
    let (dispatch, guard) = layer(&store);
    *engine.logs_to.lock().unwrap() = Some(dispatch.clone());
    with_default(&dispatch, || info!("from the program"));
    guard.flush(LONG).unwrap();
    let commits = engine.commits.load(Ordering::Relaxed);
    // Time for several rounds, if something had been put into the buffer.
    std::thread::park_timeout(Duration::from_millis(300));
    assert_eq!(engine.commits.load(Ordering::Relaxed), commits);
    let stats = guard.stats();
    assert_eq!((stats.received, stats.stored), (1, 1));
    assert!(stats.ignored > 0, "the engine did log: {stats:?}");
    *engine.logs_to.lock().unwrap() = None;
    drop(guard);
    assert_eq!(entries(&store).len(), 1);
}

/// Where the subscriber is the whole process's, nothing but the layer stands against it. So this
/// test runs itself in a process of its own.
#[test]
fn a_value_that_logs_while_it_is_shown_ends() {
    const ALONE: &str = "FORGEONE_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "quiet::a_value_that_logs_while_it_is_shown_ends";
        let this = std::env::current_exe().unwrap();
        let child = Command::new(this).args(["--exact", name]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let (_directory, store) = store();
    let (dispatch, guard) = layer(&store);
    tracing::dispatcher::set_global_default(dispatch).unwrap();
    info!(value = %Chatty, "outer");
    info!("later");
    let stats = guard.close(LONG);
    assert_eq!((stats.received, stats.stored, stats.dropped.nested), (3, 2, 1));
    let found = entries(&store);
    assert_eq!(found[0].entry.metadata["value"], "shown");
    let notice = &found.last().unwrap().entry.message;
    assert_eq!(notice, "1 log record was dropped: logged inside another");
}

/// Logs itself, which without an end would overflow the stack.
struct Chatty;

impl fmt::Display for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!(value = %Self, "inner");
        f.write_str("shown")
    }
}
