//! No key seals two things under one nonce (T18). A piece's key follows from its domain's key and
//! from 32 random bytes that no other piece has; within a piece units are numbered (the unit tests
//! of `crypto` show that). So it is enough that no such bytes are drawn twice: in a long life, over
//! restarts, and in copies of a store that go on side by side.
//!
//! Not shown, because it does not hold: that a generator which itself repeats, as after resuming
//! one machine's snapshot twice, does no harm.

use crate::stock::{self, image};
use crate::support::{event, key};
use forgeone_db::environment::{Environment, SystemEnvironment, Task, Timestamp};
use forgeone_db::{
    Durability, KeyRotation, MemoryEngine, OpenMode, RedbManager, Result, StoreOptions,
};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The system's generator, with everything it gave that may become a salt or a key.
#[derive(Debug)]
struct Recorder {
    system: SystemEnvironment,
    drawn: Mutex<HashSet<[u8; 32]>>,
}

impl Recorder {
    fn new() -> Arc<Self> {
        Arc::new(Self { system: SystemEnvironment::new(), drawn: Mutex::default() })
    }

    fn count(&self) -> usize {
        self.drawn.lock().unwrap().len()
    }
}

impl Environment for Recorder {
    fn now(&self) -> Timestamp {
        self.system.now()
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        self.system.fill_random(bytes)?;
        if let Ok(salt) = <[u8; 32]>::try_from(&*bytes) {
            assert!(self.drawn.lock().unwrap().insert(salt), "32 random bytes came twice");
        }
        Ok(())
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        self.system.spawn(name, task)
    }
}

fn options(memory: &MemoryEngine, recorder: &Arc<Recorder>) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(memory.reopen()))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .shard_count(1)
        .key(key())
        .environment(Arc::clone(recorder) as Arc<dyn Environment>)
}

/// The prefixes of all stored pieces that stand at the start of a value: type, key and salt.
fn stored_salts(memory: &MemoryEngine) -> Vec<Vec<u8>> {
    let image = image(memory, 1);
    let whole = ["head", "commits", "checkpoints"];
    let values = image.iter().filter(|(place, _)| whole.contains(&place.1.as_str()));
    values
        .filter_map(|((_, table, _), value)| {
            // A block has the length of its header before it.
            let at = if table == "commits" { 4 } else { 0 };
            let prefix = value.get(at..at + 48)?;
            (prefix[..2] == [1, 1]).then(|| prefix[16..].to_vec())
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "the size of the run is a test's own setting")]
fn seals_wanted() -> usize {
    std::env::var("FORGEONE_DB_SEALS").map_or(20_000, |seals| seals.parse().unwrap())
}

#[test]
fn no_salt_is_drawn_twice_in_a_long_life_with_restarts_rotations_and_copies() {
    let recorder = Recorder::new();
    let mut stores = vec![MemoryEngine::new()];
    let (mut number, mut round) = (0, 0);
    while recorder.count() < seals_wanted() {
        round += 1;
        for memory in &stores {
            let store = RedbManager::open(options(memory, &recorder)).unwrap();
            for _ in 0..300 {
                number += 1;
                store
                    .store_event(&event(["a", "b"][usize::from(number % 2 == 0)], number))
                    .unwrap();
            }
            store.seal().unwrap();
            if round % 4 == 0 {
                store.rotate_keys(KeyRotation::Data, |_| ()).unwrap();
            }
            store.close().unwrap();
        }
        if round == 2 {
            // A copy of the directory that goes on beside the original, with the same keys.
            let copy = stock::engine(&image(&stores[0], 1));
            stores.push(copy);
        }
    }
    assert!(stores.len() > 1, "no copy went on beside the original");
    for memory in &stores {
        // Blocks that are not sealed yet, for what follows.
        let store = RedbManager::open(options(memory, &recorder)).unwrap();
        for number in 1..=100 {
            store.store_event(&event("c", 1_000_000_000 + number)).unwrap();
        }
        store.close().unwrap();
    }
    // What is stored was sealed with what was drawn, and with nothing else.
    let drawn = recorder.drawn.lock().unwrap();
    let mut checked = 0;
    for memory in &stores {
        for salt in stored_salts(memory) {
            assert!(drawn.contains(&salt[..]), "a stored salt was never drawn");
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
    println!("{} salts and keys drawn, {checked} found in what is stored", drawn.len());
}
