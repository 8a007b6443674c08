//! What an event becomes. Without this a log could come back without its fields or spans, in the
//! wrong order, or not at all because one value was too long or panicked. Provoked by logging each
//! kind of thing into a real store; every entry must come back with what was logged.

use crate::support::{LONG, dispatch, entries, layer, open, store};
use forgeone_db::model::METADATA_BYTES_MAX;
use forgeone_db::{Severity, StartFrom, TopicPattern};
use forgeone_db_tracing::StoreLayer;
use std::fmt;
use std::io::{Error, ErrorKind};
use tracing::dispatcher::with_default;
use tracing::{Dispatch, debug, error, info, info_span, trace, warn};

#[test]
fn levels_messages_and_fields_come_back() {
    let (directory, store) = store();
    let (dispatch, guard) = layer(&store);
    with_default(&dispatch, || {
        trace!("finest");
        debug!(target: "shop::orders", "fine");
        info!(answer = 42_u64, ratio = 0.5, ok = true, who = "ann", shape = ?Some(1), "plain {}", 7);
        warn!(target = "taken", file = "too", "own names");
        let cause = Error::new(ErrorKind::NotFound, "no such row");
        error!(error = &cause as &dyn std::error::Error, "failed");
    });
    let stats = guard.close(LONG);
    assert_eq!((stats.received, stats.accepted, stats.stored, stats.waiting), (5, 5, 5, 0));
    assert_eq!((stats.dropped.total(), stats.ignored), (0, 0));
    store.close().unwrap();

    let store = open(&directory.path().join("store"));
    let found = entries(&store);
    let severities: Vec<Severity> = found.iter().map(|found| found.entry.severity).collect();
    let levels = [Severity::Trace, Severity::Debug, Severity::Info, Severity::Warn];
    assert_eq!(severities, [levels.as_slice(), &[Severity::Error]].concat());
    let messages: Vec<&str> = found.iter().map(|found| found.entry.message.as_str()).collect();
    assert_eq!(messages, ["finest", "fine", "plain 7", "own names", "failed"]);
    assert!(found.iter().all(|found| found.entry.topic == "app.logs"));

    let facts = |index: usize, name: &str| found[index].entry.metadata[name].as_str();
    assert_eq!(facts(1, "target"), "shop::orders");
    assert_eq!(facts(0, "target"), module_path!());
    assert!(facts(0, "file").contains("entries.rs:"), "{}", facts(0, "file"));
    assert_eq!(Some(facts(0, "thread")), std::thread::current().name());
    let pairs = [("answer", "42"), ("ratio", "0.5"), ("ok", "true"), ("who", "ann")];
    for (name, value) in pairs.into_iter().chain([("shape", "Some(1)")]) {
        assert_eq!(facts(2, name), value);
    }
    assert_eq!((facts(3, "field.target"), facts(3, "field.file")), ("taken", "too"));
    assert_eq!(facts(4, "error"), "no such row");
    assert!(found.iter().all(|found| !found.entry.metadata.contains_key("truncated")));
}

#[test]
fn spans_give_their_path_and_fields() {
    let (_directory, store) = store();
    let (dispatch, guard) = layer(&store);
    with_default(&dispatch, || {
        let outer = info_span!("request", id = 7, user = tracing::field::Empty).entered();
        info!("before");
        outer.record("user", "ann");
        outer.record("id", 8);
        let inner = info_span!("query", table = "orders").entered();
        info!(rows = 3, "inside");
        drop(inner);
        info!(parent: None, "outside");
    });
    drop(guard);
    let found = entries(&store);
    let facts =
        |index: usize, name: &str| found[index].entry.metadata.get(name).map(String::as_str);
    assert_eq!((facts(0, "span"), facts(0, "request.id")), (Some("request"), Some("7")));
    assert_eq!(facts(0, "request.user"), None);
    assert_eq!((facts(1, "span"), facts(1, "rows")), (Some("request:query"), Some("3")));
    assert_eq!((facts(1, "request.id"), facts(1, "request.user")), (Some("8"), Some("ann")));
    assert_eq!(facts(1, "query.table"), Some("orders"));
    assert_eq!((facts(2, "span"), facts(2, "request.id")), (None, None));
}

#[test]
fn what_is_too_long_is_cut_and_said() {
    let (_directory, store) = store();
    let (dispatch, guard) = layer(&store);
    let long = "\u{e9}".repeat(200_000);
    with_default(&dispatch, || {
        info!(long, after = "no room", "{long}");
        let _span = info_span!("wide", long).entered();
        info!(kept = "yes", "in a wide span");
        info!(endless = ?Endless, "stops");
    });
    assert_eq!(guard.close(LONG).stored, 3);
    let found: Vec<_> = entries(&store).into_iter().map(|found| found.entry).collect();
    assert_eq!(found[0].message.len(), 256 << 10);
    assert_eq!(found[0].metadata["truncated"], "fields,message");
    assert_eq!(found[1].metadata["truncated"], "spans");
    assert_eq!(found[1].metadata["kept"], "yes");
    assert_eq!(found[2].metadata["truncated"], "fields,spans");
    for entry in &found {
        let bytes: usize =
            entry.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes > METADATA_BYTES_MAX / 2 && bytes <= METADATA_BYTES_MAX, "{bytes}");
    }
}

/// Writes for as long as it is let.
struct Endless;

impl fmt::Debug for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        loop {
            f.write_str("more and more ")?;
        }
    }
}

#[test]
fn a_value_that_panics_costs_only_itself() {
    let (_directory, store) = store();
    let (dispatch, guard) = layer(&store);
    with_default(&dispatch, || {
        let _span = info_span!("around", bad = ?Panics).entered();
        info!(bad = %Panics, good = 1, "survives");
        info!("and {}", Panics);
    });
    info!("nobody listens");
    with_default(&dispatch, || info!("goes on"));
    assert_eq!(guard.close(LONG).stored, 3);
    let found: Vec<_> = entries(&store).into_iter().map(|found| found.entry).collect();
    assert_eq!(found[0].metadata["bad"], "half(panicked)");
    assert_eq!(found[0].metadata["around.bad"], "half(panicked)");
    assert_eq!((found[0].metadata["good"].as_str(), found[0].message.as_str()), ("1", "survives"));
    assert_eq!((found[0].metadata["panicked"].as_str()), "true");
    assert_eq!(found[1].message, "and half(panicked)");
    assert!(!found[2].metadata.contains_key("panicked"));
}

struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        panic!("a value that cannot be shown")
    }
}

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[test]
fn targets_can_have_topics_of_their_own() {
    let (_directory, store) = store();
    let builder = StoreLayer::builder(store.logs().clone()).topic("app").topic_by_target(true);
    let (layer, guard) = builder.build().unwrap();
    with_default(&dispatch(layer), || {
        for number in 0..10 {
            info!(target: "shop::orders", number, "order");
            info!(target: "shop::mail", number, "mail");
            info!(target: "odd\u{7}", number, "odd");
        }
    });
    assert_eq!(guard.close(LONG).stored, 30);
    let topics = store.log_topics(&TopicPattern::new("app.>").unwrap()).unwrap();
    let names: Vec<&str> = topics.iter().map(|topic| topic.topic.as_str()).collect();
    assert_eq!(names, ["app.odd_", "app.shop.mail", "app.shop.orders"]);
}

#[test]
fn a_name_that_is_no_topic_is_refused() {
    let (_directory, store) = store();
    let error = StoreLayer::builder(store.logs().clone()).topic("a\nb").build().unwrap_err();
    assert_eq!(error.kind(), forgeone_db::ErrorKind::Invalid);
}

#[test]
fn the_order_of_each_thread_is_kept() {
    const THREADS: usize = 4;
    const EVENTS: u64 = 2_500;
    let (_directory, store) = store();
    let (dispatch, guard) = layer(&store);
    let log = |dispatch: Dispatch, thread: usize| {
        with_default(&dispatch, || {
            (0..EVENTS).for_each(|number| info!(thread_no = thread, number));
        });
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let dispatch = dispatch.clone();
            scope.spawn(move || log(dispatch, thread));
        }
    });
    guard.flush(LONG).unwrap();
    assert_eq!(guard.stats().stored, EVENTS * THREADS as u64);
    let mut next = [0; THREADS];
    for found in store.replay_logs(&TopicPattern::all(), StartFrom::Oldest).unwrap() {
        let entry = found.unwrap().entry;
        let thread: usize = entry.metadata["thread_no"].parse().unwrap();
        let number: u64 = entry.metadata["number"].parse().unwrap();
        assert_eq!(number, next[thread]);
        next[thread] += 1;
    }
    assert_eq!(next, [EVENTS; THREADS]);
}
