//! No key seals two things under one nonce (T18). A piece's key follows from its domain's key and
//! from 32 random bytes that no other piece has; within a piece units are numbered (the unit tests
//! of `crypto` show that). So it is enough that no such bytes are drawn twice: in a long life, over
//! restarts, and in copies of a store that go on side by side.
//!
//! A generator that itself repeats, as after resuming one machine's snapshot twice, gives two pieces
//! one key and one nonce. Then no key stream may be used twice (contract K6, ADR 0025): provoked by
//! two copies of a store that go on with the same generator and almost the same content.

use crate::stock::{self, image};
use crate::support::{event, key};
use forgeone_db::environment::{Environment, SystemEnvironment, Task, Timestamp};
use forgeone_db::{
    Durability, KeyRotation, MemoryEngine, OpenMode, RedbManager, Result, StoreOptions,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// A generator that gives the same in every copy of the machine, and a clock that stands still.
#[derive(Debug)]
struct Cloned {
    system: SystemEnvironment,
    drawn: AtomicU64,
}

impl Environment for Cloned {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: 1_700_000_000, nanos: 0 }
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        let mut number = self.drawn.fetch_add(1, Ordering::Relaxed);
        for byte in bytes {
            number = number.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            *byte = number.to_be_bytes()[0];
        }
        Ok(())
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        self.system.spawn(name, task)
    }
}

/// What is left of a copy that stored `letter` again and again, as an image.
fn resumed(snapshot: &stock::Image, letter: char) -> stock::Image {
    let memory = stock::engine(snapshot);
    let cloned = Cloned { system: SystemEnvironment::new(), drawn: AtomicU64::new(1_000_000) };
    let options = StoreOptions::with_engine(Arc::new(memory.reopen()))
        .durability(Durability::None)
        .key(key())
        .seal_at(usize::MAX / 8, u64::MAX / 8)
        .environment(Arc::new(cloned));
    let store = RedbManager::open(options).unwrap();
    for number in 0..100 {
        let mut event = event("a", 1_000 + number);
        event.payload = letter.to_string().repeat(600);
        store.store_event(&event).unwrap();
        if number == 49 {
            store.seal().unwrap();
        }
    }
    store.close().unwrap();
    image(&memory, 1)
}

#[test]
fn machines_resumed_from_one_snapshot_use_no_key_stream_twice() {
    let memory = MemoryEngine::new();
    let store = RedbManager::open(options(&memory, &Recorder::new())).unwrap();
    store.store_event(&event("a", 1)).unwrap();
    store.close().unwrap();
    let snapshot = image(&memory, 1);
    let [one, other] = ['x', 'y'].map(|letter| resumed(&snapshot, letter));
    let (mut repeated, mut compared) = (0, 0);
    for (place, value) in &one {
        if ["head", "commits", "checkpoints"].iter().all(|table| place.1 != *table) {
            continue;
        }
        let Some(twin) = other.get(place).filter(|twin| *twin != value) else { continue };
        // A block has the length of its header before it.
        let at = if place.1 == "commits" { 4 } else { 0 };
        let end = match value.first_chunk() {
            Some(header) if at > 0 => at + u32::from_be_bytes(*header) as usize,
            _ => value.len(),
        };
        let prefix = |value: &[u8]| value.get(at..at + 80).map(<[u8]>::to_vec);
        if prefix(value).is_none() || prefix(value) != prefix(twin) {
            continue;
        }
        repeated += 1;
        // Behind the prefix: compression, length, tag. Texts that are almost the same would be so
        // under one key stream, too.
        let sealed = value[..end].iter().zip(twin).skip(at + 80 + 21);
        let (same, all) =
            sealed.fold((0, 0), |(same, all), (a, b)| (same + u32::from(a == b), all + 1));
        assert!(same * 8 < all + 64, "{place:?}: {same} of {all} bytes are the same");
        assert_ne!(value[at + 85..at + 101], twin[at + 85..at + 101], "{place:?}: one tag");
        compared += all;
    }
    assert!(repeated > 40, "the generator was to repeat, and did {repeated} times");
    println!("{repeated} keys used twice, {compared} bytes compared");
}
