//! Following a store while it is written to, and going on later where one left off.
//!
//! Run with `cargo run --example follow`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use chrono::{DateTime, Utc};
use forgeone_db::{
    EventMessage, EventPriority, Key, OpenMode, RedbManager, StartFrom, StoreOptions, TopicPattern,
};
use std::collections::HashMap;
use uuid::Uuid;

fn event(number: u64) -> EventMessage {
    EventMessage {
        id: Uuid::new_v4(),
        topic: "jobs".to_owned(),
        timestamp: DateTime::<Utc>::UNIX_EPOCH,
        priority: EventPriority::Normal,
        payload: format!("job {number}"),
        metadata: HashMap::new(),
        checkpoint_marker: None,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let options = StoreOptions::new(directory.path().join("store"))
        .mode(OpenMode::Create)
        .key(Key::raw([7; 32]));
    let store = RedbManager::open(options)?;
    store.store_event(&event(1))?;

    // Handles are cheap to clone, and every clone is the same store.
    let reader = store.clone();
    let token = std::thread::scope(|scope| {
        let follower = scope.spawn(move || {
            let topics = TopicPattern::new("jobs")?;
            // What is there comes first, then what is stored meanwhile, without gap or repeat.
            let mut events = reader.subscribe(&topics, StartFrom::Oldest)?;
            for event in events.by_ref().take(3) {
                println!("followed {}", event?.event.payload);
            }
            events.token()
        });
        store.store_event(&event(2))?;
        store.store_event(&event(3))?;
        follower.join().expect("the follower does not panic")
    })?;

    // Kept beside what was done with the events, the token makes work restartable.
    store.store_event(&event(4))?;
    let start = StartFrom::Token(token.expect("the subscription has not ended"));
    let missed: Vec<_> =
        store.replay(&TopicPattern::new("jobs")?, start)?.collect::<Result<_, _>>()?;
    println!("missed {}", missed.len());
    assert!(missed.iter().map(|event| event.seq).eq([4]));
    Ok(())
}
