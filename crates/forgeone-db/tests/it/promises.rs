//! Promises that would break without anybody noticing in a store that works: that every acknowledged
//! write was asked for at the store's level (D1, D2), that a second writer fences the first (C3),
//! that a subscription neither drops nor repeats where it turns live or is resumed (W1, W6), that a
//! reader keeps what it stands on (S4), and that what is authentic in one history is damage in
//! another (I3, R1). Provoked by an engine over a medium that keeps only what was synced, by two
//! writers over one engine, by writers beside readers, and by mixing copies of one store that went
//! different ways. Most are here because a deliberate mistake got past everything else.

use crate::stock::{self, Image, SHARDS, image};
use crate::support::{event, key};
use forgeone_db::{
    ClosedReason, Durability, Engine, ErrorKind, EventQuery, MemoryEngine, OpenMode, RedbManager,
    Result, StartFrom, StoreOptions, TopicPattern, VerifyDepth,
};
use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, KeyRange, Read, ReadResult, TableName, Usage,
};
use futures::FutureExt as _;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Commits by database, and how many of each are synced.
type Journal = BTreeMap<DatabaseName, (Vec<Batch>, usize)>;

/// An engine over a medium from which a power cut takes what was not synced.
#[derive(Debug, Default)]
struct Medium {
    memory: MemoryEngine,
    journal: Mutex<Journal>,
}

impl Medium {
    /// What is left after a power cut.
    fn cut(&self) -> MemoryEngine {
        let left = MemoryEngine::new();
        for (batches, synced) in self.journal.lock().unwrap().values() {
            for batch in &batches[..*synced] {
                left.commit(batch.clone(), Durability::None).now_or_never().unwrap().unwrap();
            }
        }
        left
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("medium")
    }
}

impl Engine for Medium {
    fn capability(&self) -> Capability {
        Capability { durability_max: Durability::Sync, ..self.memory.capability() }
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        self.memory.read(database, request)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut journal = self.journal.lock().unwrap();
            self.memory.commit(batch.clone(), Durability::None).now_or_never().unwrap()?;
            let (batches, synced) = journal.entry(batch.database().clone()).or_default();
            batches.push(batch);
            if durability == Durability::Sync {
                *synced = batches.len();
            }
            Ok(())
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.memory.usage(database)
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        self.memory.compact(database)
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.memory.close()
    }
}

fn options(engine: Arc<dyn Engine>, durability: Durability) -> StoreOptions {
    StoreOptions::with_engine(engine)
        .durability(durability)
        .mode(OpenMode::OpenOrCreate)
        .key(key())
        .shard_count(SHARDS)
}

fn count(store: &RedbManager) -> Result<usize> {
    Ok(store.query_events(EventQuery::default())?.collect::<Result<Vec<_>>>()?.len())
}

/// D1: after every acknowledged write the power goes off; the write is there, and so is what was
/// sealed, which goes to the medium at a lower level first.
#[test]
fn what_was_acknowledged_survives_a_medium_that_keeps_only_what_was_synced() {
    let medium = Arc::new(Medium::default());
    let engine = Arc::clone(&medium) as Arc<dyn Engine>;
    let store = RedbManager::open(options(engine, Durability::Sync)).unwrap();
    for number in 1..=40 {
        store
            .store_event(&event(["a", "b"][usize::try_from(number % 2).unwrap()], number))
            .unwrap();
        if number % 15 == 0 {
            store.seal().unwrap();
        }
        let left = Arc::new(medium.cut());
        let after = RedbManager::open(options(left, Durability::None)).unwrap();
        assert_eq!(count(&after).unwrap() as u64, number);
        after.close().unwrap();
    }
    store.close().unwrap();
}

/// C3: where no lock keeps two writers apart, the second one's opening fences the first, whose next
/// write is refused and not stored.
#[test]
fn a_second_writer_over_the_same_engine_fences_the_first() {
    let memory = MemoryEngine::new();
    let open = || RedbManager::open(options(Arc::new(memory.reopen()), Durability::None)).unwrap();
    let first = open();
    first.store_event(&event("a", 1)).unwrap();
    let second = open();
    let refused = first.store_event(&event("a", 2)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed(ClosedReason::Fenced), "{refused}");
    second.store_event(&event("a", 3)).unwrap();
    assert_eq!(count(&second).unwrap(), 2);
}

/// Makes `engine` hold `older` where it holds `newer`, under whoever has it open.
fn put_back(engine: &MemoryEngine, newer: &Image, older: &Image, database: &str) {
    let mut batch = Batch::new(DatabaseName::new(database).unwrap());
    let table = |name: &str| TableName::new(name).unwrap();
    for (place, _) in newer.iter().filter(|(place, _)| place.0 == database) {
        let end = [&place.2[..], &[0]].concat();
        batch.delete_range(&table(&place.1), KeyRange::new(place.2.clone(), end));
    }
    for (place, value) in older.iter().filter(|(place, _)| place.0 == database) {
        batch.put(&table(&place.1), place.2.clone(), value.clone());
    }
    engine.commit(batch, Durability::None).now_or_never().unwrap().unwrap();
}

/// I3: an open reader has seen the newer state; the older one under it is no answer.
#[test]
fn a_log_that_goes_back_under_an_open_reader_is_damage() {
    let memory = MemoryEngine::new();
    let create = stock::options(memory.clone(), true).mode(OpenMode::Create).shard_count(1);
    let writer = RedbManager::open(create).unwrap();
    writer.store_event(&event("a", 1)).unwrap();
    let older = image(&memory, 1);
    writer.store_event(&event("a", 2)).unwrap();
    let newer = image(&memory, 1);
    let read = stock::options(memory.clone(), true).mode(OpenMode::Read);
    let reader = RedbManager::open(read).unwrap();
    assert_eq!(count(&reader).unwrap(), 2);
    put_back(&memory, &newer, &older, "events_shard_0");
    let error = count(&reader).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.get("database"), Some("events_shard_0"));
}

fn in_memory() -> (MemoryEngine, RedbManager) {
    let memory = MemoryEngine::new();
    let create = stock::options(memory.clone(), true).mode(OpenMode::Create).shard_count(1);
    let store = RedbManager::open(create).unwrap();
    (memory, store)
}

/// W6: a subscription that has read everything and waits gets each record that comes, once.
#[test]
fn a_subscription_that_waits_gets_every_record_that_comes() {
    let (_, store) = in_memory();
    store.store_event(&event("a", 1)).unwrap();
    let mut subscription = store.subscribe(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // More than are wanted: one that was skipped shows as the next one, and not as a wait.
            for number in 2..=400 {
                store.store_event(&event("a", number)).unwrap();
                // So that the subscription catches up and waits, most of the time.
                std::thread::yield_now();
            }
        });
        for number in 1..=200 {
            assert_eq!(subscription.next().unwrap().unwrap().seq, number);
        }
        writer.join().unwrap();
    });
}

/// W1: wherever a subscription is left, its token goes on with the next record.
#[test]
fn a_token_goes_on_behind_what_was_delivered_also_when_more_was_read_ahead() {
    let (_, store) = in_memory();
    for number in 1..=20 {
        store
            .store_event(&event(["a", "b"][usize::try_from(number % 2).unwrap()], number))
            .unwrap();
    }
    let numbers = |start| -> Vec<String> {
        let replay = store.replay(&TopicPattern::all(), start).unwrap();
        replay.map(|one| one.unwrap().event.payload).collect()
    };
    let all = numbers(StartFrom::Oldest);
    assert_eq!(all.len(), 20);
    let mut replay = store.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    for taken in 1..=20 {
        replay.next().unwrap().unwrap();
        let token = replay.token().unwrap().unwrap();
        let mut rest = numbers(StartFrom::Token(token));
        rest.sort();
        let mut wanted = all[taken..].to_vec();
        wanted.sort();
        assert_eq!(rest, wanted, "after {taken}");
    }
}

/// S4: a query that has begun goes on to its end, whatever is sealed and merged beside it.
#[test]
fn a_query_keeps_what_it_reads_while_everything_is_rewritten() {
    let (_, store) = in_memory();
    let append = |numbers: std::ops::RangeInclusive<u64>| {
        let events: Vec<_> = numbers.map(|number| event("a", number)).collect();
        store.store_events(&events).unwrap();
        store.seal().unwrap();
    };
    append(1..=2_000);
    let mut query = store.query_events(EventQuery::default()).unwrap();
    assert_eq!(query.next().unwrap().unwrap().seq, 1);
    for round in 1..=4 {
        append(round * 2_000 + 1..=round * 2_000 + 2_000);
    }
    let rest: Result<Vec<_>> = query.collect();
    assert_eq!(rest.unwrap().last().unwrap().seq, 2_000);
}

/// Both may be opened: a store that went one way, and the same store that went another.
fn two_histories(sealed: bool) -> [Image; 2] {
    let (memory, store) = in_memory();
    store.store_event(&event("a", 1)).unwrap();
    store.close().unwrap();
    let common = image(&memory, 1);
    [10, 20].map(|first| {
        let engine = stock::engine(&common);
        let store = RedbManager::open(stock::options(engine.clone(), true)).unwrap();
        for number in first..first + 4 {
            store.store_event(&event("a", number)).unwrap();
        }
        if sealed {
            store.seal().unwrap();
        }
        image(&engine, 1)
    })
}

/// `own` block's header with the sections of `other`.
fn with_sections_of(own: &[u8], other: &[u8]) -> Vec<u8> {
    let body = |block: &[u8]| {
        4 + usize::try_from(u32::from_be_bytes(block[..4].try_into().unwrap())).unwrap()
    };
    [&own[..body(own)], &other[body(other)..]].concat()
}

/// R1: every value of another history of the same store, authentic in its place, is refused.
#[test]
fn what_is_authentic_in_another_history_of_the_store_is_damage_in_this_one() {
    let mut refused = 0;
    for sealed in [false, true] {
        let [ours, theirs] = two_histories(sealed);
        let different = ours.iter().filter_map(|(place, own)| {
            let other = theirs.get(place).filter(|other| *other != own)?;
            let is_head = place.1 == "head" || place.0 != "events_shard_0";
            (!is_head).then_some((place, own, other))
        });
        for (place, own, other) in different {
            let mut mixed = vec![other.clone()];
            if place.1 == "commits" {
                mixed.push(with_sections_of(own, other));
            }
            // A block without sections is its header.
            mixed.retain(|value| value != own);
            for value in mixed {
                let mut image = ours.clone();
                image.insert(place.clone(), value);
                let options = || stock::options(stock::engine(&image), true);
                // A query need not read every segment and run; verification does.
                let report = RedbManager::verify_store(options(), VerifyDepth::Standard, |_| ());
                assert!(report.unwrap().errors().count() > 0, "{place:?}");
                if ["commits", "checkpoints"].contains(&place.1.as_str()) {
                    let opened = RedbManager::open(options());
                    let error = opened.and_then(|store| count(&store)).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{place:?}: {error}");
                }
                refused += 1;
            }
        }
    }
    assert!(refused >= 10, "{refused}");
}

/// I3: a database that nobody has witnessed does not become a new one by losing its head.
#[test]
fn a_database_without_its_head_is_damaged_and_not_new() {
    let (memory, store) = in_memory();
    store.store_event(&event("a", 1)).unwrap();
    let mut image = image(&memory, 1);
    image.retain(|place, _| place.0 != "events_shard_0" || place.1 != "head");
    let opened = RedbManager::open(stock::options(stock::engine(&image), true));
    let error = opened.and_then(|store| count(&store)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}
