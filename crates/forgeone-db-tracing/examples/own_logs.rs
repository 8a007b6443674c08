//! A program that stores its own logs, and what logging costs it.
//!
//! Run it with `cargo run --release --package forgeone-db-tracing --example own_logs`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]
#![expect(clippy::disallowed_methods, reason = "what is measured is real time")]

use forgeone_db::{Key, LogQuery, OpenMode, QueryOrder, RedbManager, StoreOptions};
use forgeone_db_tracing::StoreLayer;
use std::time::{Duration, Instant};
use tracing::{info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

const EVENTS: u32 = 10_000;
const WAIT: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let options = StoreOptions::new(directory.path().join("store"))
        .key(Key::raw([7; 32]))
        .mode(OpenMode::OpenOrCreate);
    let store = RedbManager::open(options)?;
    let (layer, guard) = StoreLayer::builder(store.logs().clone()).topic("example.logs").build()?;
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    // Bursts that the buffer holds, so that nothing is dropped and what is timed is logging alone.
    let mut bursts = Vec::new();
    for burst in 0..10 {
        let _span = info_span!("burst", burst).entered();
        bursts.push(time_of_events());
        guard.flush(WAIT)?;
    }
    bursts.sort();
    let median = bursts.get(bursts.len() / 2).copied().unwrap_or_default();
    let fastest = bursts.first().copied().unwrap_or_default();
    println!("logging one event: {:?} (median of 10 bursts of {EVENTS})", median / EVENTS);
    println!("in the fastest burst: {:?}", fastest / EVENTS);

    // More than the buffer holds, without a pause.
    let spent: Duration = (0..30).map(|_| time_of_events()).sum();
    println!("without a pause: {:?}", spent / (30 * EVENTS));

    let stats = guard.close(WAIT);
    println!("{} of {} stored; {}", stats.stored, stats.received, stats.dropped);
    for entry in store.query_logs(LogQuery::default().order(QueryOrder::NewestFirst).limit(2))? {
        let entry = entry?.entry;
        println!("{} {}: {}", entry.timestamp, entry.severity, entry.message);
    }
    store.close()?;
    Ok(())
}

fn time_of_events() -> Duration {
    let started = Instant::now();
    for number in 0..EVENTS {
        info!(number, user = "ann", "an order was taken");
    }
    started.elapsed()
}
