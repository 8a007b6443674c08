//! A first store: created, written to, read, closed and opened again.
//!
//! Run with `cargo run --example first_store`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use chrono::{DateTime, Utc};
use forgeone_db::{DbOptions, EventMessage, EventPriority, init_redb};
use std::collections::HashMap;
use uuid::Uuid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    let options = || DbOptions {
        path: path.display().to_string(),
        // A passphrase is stretched, which takes a moment on purpose. Losing it loses the data.
        encryption_key: Some("correct horse battery staple".to_owned()),
        max_size_gb: 1,
        shard_count: 2,
    };

    let store = init_redb(options())?;
    let event = EventMessage {
        id: Uuid::new_v4(),
        topic: "orders.eu".to_owned(),
        timestamp: "2026-03-01T12:00:00Z".parse::<DateTime<Utc>>()?,
        priority: EventPriority::High,
        payload: r#"{"order": 7}"#.to_owned(),
        metadata: HashMap::new(),
        checkpoint_marker: None,
    };
    // Durable on return: from here on it survives a kill and a power cut.
    let position = store.store_event(&event)?;
    println!("stored as number {}", position.seq);

    // After a timeout nobody knows whether a write arrived. Storing it again is harmless.
    let again = store.store_event(&event)?;
    assert!(again.duplicate && again.seq == position.seq);
    store.close()?;

    let store = init_redb(options())?;
    for found in store.get_event(event.id)? {
        println!("found {} in {}: {}", found.seq, found.event.topic, found.event.payload);
        assert_eq!(found.event, event);
    }
    Ok(())
}
