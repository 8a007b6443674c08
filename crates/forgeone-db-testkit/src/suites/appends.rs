//! Several threads append to one store in memory; whatever the interleaving, each topic is one
//! dense sequence, each thread's own events are in its order, and what was acknowledged is there.

use crate::campaign::{Counts, Suite};
use crate::random::Random;
use chrono::{TimeZone as _, Utc};
use forgeone_db::{
    Durability, EventMessage, EventPriority, EventQuery, Key, MemoryEngine, OpenMode, RedbManager,
    StoreOptions, TopicPattern,
};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// See the module.
#[derive(Debug)]
pub(crate) struct Appends;

impl Suite for Appends {
    fn name(&self) -> &'static str {
        "appends"
    }

    fn measure(&self) -> &'static str {
        "events"
    }

    fn case(&self, _: u64, mut random: Random) -> Result<Counts, String> {
        let store = open().map_err(|error| error.to_string())?;
        let threads = 2 + random.below(6);
        let each = 1 + random.below(40);
        std::thread::scope(|scope| {
            let store = &store;
            let workers: Vec<_> = (0..threads)
                .map(|thread| scope.spawn(move || append(store, thread, each)))
                .collect();
            for worker in workers {
                worker.join().map_err(|_| "an appending thread panicked".to_owned())??;
            }
            Ok::<(), String>(())
        })?;
        check(&store, threads, each)?;
        store.close().map_err(|error| error.to_string())?;
        Ok(Counts::from([("events", threads * each)]))
    }
}

fn open() -> Result<RedbManager, forgeone_db::Error> {
    let options = StoreOptions::with_engine(Arc::new(MemoryEngine::new()))
        .durability(Durability::None)
        .mode(OpenMode::Create)
        .key(Key::raw([7; 32]));
    RedbManager::open(options)
}

fn append(store: &RedbManager, thread: u64, each: u64) -> Result<(), String> {
    for number in 0..each {
        let message = EventMessage {
            id: Uuid::from_u64_pair(thread, number),
            topic: format!("topic-{}", number % 3),
            timestamp: Utc.timestamp_nanos(0),
            priority: EventPriority::Normal,
            payload: format!("{thread} {number}"),
            metadata: HashMap::new(),
            checkpoint_marker: None,
        };
        store.store_event(&message).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn check(store: &RedbManager, threads: u64, each: u64) -> Result<(), String> {
    let failed = |error: forgeone_db::Error| error.to_string();
    let mut found = 0;
    for topic in 0..3 {
        let pattern = TopicPattern::new(format!("topic-{topic}")).map_err(failed)?;
        let mut newest: HashMap<u64, u64> = HashMap::new();
        for (expected, event) in
            (1..).zip(store.query_events(EventQuery::new(pattern)).map_err(failed)?)
        {
            let event = event.map_err(failed)?;
            if event.seq != expected {
                return Err(format!("topic {topic} has {} where {expected} belongs", event.seq));
            }
            let (thread, number) = event.event.id.as_u64_pair();
            if newest.insert(thread, number).is_some_and(|before| before >= number) {
                return Err(format!("topic {topic}: thread {thread}'s events are out of order"));
            }
            found += 1;
        }
    }
    if found == threads * each {
        Ok(())
    } else {
        Err(format!("{found} of {} events", threads * each))
    }
}
