//! Events of a type of one's own: stored as JSON under the type's name, read back typed.
//!
//! Run with `cargo run --example typed_events`.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use forgeone_db::{
    EventPriority, EventQuery, Key, OpenMode, RedbManager, StoreOptions, StreamableEvent,
    TopicPattern,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Shipped {
    order: u64,
    region: String,
    express: bool,
}

impl StreamableEvent for Shipped {
    // Stored with every event, so that it outlives renaming the Rust type.
    const TYPE_NAME: &'static str = "shop.shipped.v1";

    fn topic(&self) -> Cow<'_, str> {
        format!("orders.{}.shipped", self.region).into()
    }

    fn priority(&self) -> EventPriority {
        if self.express { EventPriority::High } else { EventPriority::Normal }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    // A raw key needs no stretching. Real ones come from `Key::generate`, kept in a key file.
    let options = StoreOptions::new(directory.path().join("store"))
        .mode(OpenMode::Create)
        .key(Key::raw([7; 32]));
    let store = RedbManager::open(options)?;

    for (order, region, express) in [(1, "eu", false), (2, "us", true), (3, "eu", true)] {
        let (message, position) =
            store.store_typed(&Shipped { order, region: region.to_owned(), express })?;
        println!("{} number {}", message.topic, position.seq);
    }

    // A star is one part of a topic's name; urgent ones only.
    let query =
        EventQuery::new(TopicPattern::new("orders.*.shipped")?).priority_min(EventPriority::High);
    let mut orders = Vec::new();
    for found in store.query_events(query)? {
        let shipped = Shipped::from_message(&found?.event)?;
        println!("{shipped:?}");
        orders.push(shipped.order);
    }
    assert_eq!(orders, [2, 3]);
    Ok(())
}
