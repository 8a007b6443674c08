//! Finding events by time, number and marker, page by page.
//!
//! Run with `cargo run --example find`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use chrono::{DateTime, TimeDelta, Utc};
use forgeone_db::{
    EventMessage, EventPriority, EventQuery, Key, OpenMode, QueryOrder, RedbManager, StartFrom,
    StoreOptions, StoredEvent, TopicPattern,
};
use std::collections::HashMap;
use uuid::Uuid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let options = StoreOptions::new(directory.path().join("store"))
        .mode(OpenMode::Create)
        .key(Key::raw([7; 32]));
    let store = RedbManager::open(options)?;
    let start = "2026-03-01T00:00:00Z".parse::<DateTime<Utc>>()?;
    let reading = |minute: i32| EventMessage {
        id: Uuid::new_v4(),
        topic: "sensors.hall".to_owned(),
        timestamp: start + TimeDelta::minutes(minute.into()),
        priority: EventPriority::Low,
        payload: format!("{}", 20 + minute % 5),
        metadata: HashMap::new(),
        // A name for a place, from which a replay can start.
        checkpoint_marker: (minute == 500).then(|| "calibrated".to_owned()),
    };
    // One call, one sync, all or none: much faster than one by one.
    store.store_events(&(0..1_000).map(reading).collect::<Vec<_>>())?;

    // The first time counts, the second does not.
    let hall = || TopicPattern::new("sensors.hall");
    let hour = EventQuery::new(hall()?).from(start).to(start + TimeDelta::hours(1));
    assert_eq!(store.query_events(hour)?.count(), 60);

    // Newest first, in pages; the cursor can be handed to a client and comes back later.
    let page = || {
        EventQuery::new(hall().expect("a good pattern")).order(QueryOrder::NewestFirst).limit(10)
    };
    let mut first = store.query_events(page())?;
    let newest: Vec<_> = first.by_ref().collect::<Result<_, _>>()?;
    let first_of = |page: &[StoredEvent]| page.first().map(|event| event.seq);
    let cursor = first.cursor()?.expect("there were results");
    let older: Vec<_> = store.query_events(page().cursor(cursor))?.collect::<Result<_, _>>()?;
    println!("newest {:?}, then from {:?}", first_of(&newest), first_of(&older));
    assert_eq!((first_of(&newest), first_of(&older)), (Some(1_000), Some(990)));

    // By number, and from a marker on.
    println!("number 42: {}", store.get_event_at("sensors.hall", 42)?.event.timestamp);
    let replay = store.replay(&hall()?, StartFrom::Marker("calibrated".to_owned()))?;
    assert_eq!(replay.count(), 500);
    Ok(())
}
