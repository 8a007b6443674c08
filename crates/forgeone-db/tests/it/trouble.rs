//! Bad input and trouble: each ends in a clear error, and nothing half done is left.

use crate::support::{event, key, open, options, time};
use chrono::{DateTime, Utc};
use forgeone_db::environment::{Environment, SystemEnvironment, Task, Timestamp};
use forgeone_db::model::{CHECKPOINT_MARKER_BYTES_MAX, PAYLOAD_BYTES_MAX};
use forgeone_db::redb::StoreDirectory;
use forgeone_db::{
    Database, Durability, ErrorKind, EventMessage, EventQuery, KdfParams, Key, MemoryEngine,
    OpenMode, Outcome, RedbManager, Result, StartFrom, StoreKeys, StoreOptions, TopicPattern,
    VerifyDepth,
};
use futures::FutureExt as _;
use futures::executor::block_on;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Every file of a directory with its bytes.
fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn memory(engine: &MemoryEngine) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(engine.reopen()))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
}

#[test]
fn a_wrong_or_missing_key_is_found_before_anything_is_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    store.store_event(&event("a", 1)).unwrap();
    store.close().unwrap();
    let before = contents(&path);
    let other = || options(&path).key(Key::raw([8; 32]));
    for mode in [OpenMode::Open, OpenMode::OpenOrCreate, OpenMode::Read] {
        assert_eq!(kind(RedbManager::open(other().mode(mode))), ErrorKind::WrongKey);
        let none = options(&path).key(None).mode(mode);
        assert_eq!(kind(RedbManager::open(none)), ErrorKind::WrongKey);
        let passphrase = options(&path).key(Key::passphrase("wrong")).mode(mode);
        assert_eq!(kind(RedbManager::open(passphrase)), ErrorKind::WrongKey);
    }
    assert_eq!(contents(&path), before);
}

#[test]
fn a_key_for_a_store_that_has_none_is_invalid() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    RedbManager::open(options(&path).key(None)).unwrap().close().unwrap();
    let before = contents(&path);
    assert_eq!(kind(RedbManager::open(options(&path))), ErrorKind::Invalid);
    assert_eq!(contents(&path), before);
}

#[test]
fn what_is_no_store_is_not_opened_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    assert_eq!(
        kind(RedbManager::open(options(&missing).mode(OpenMode::Open))),
        ErrorKind::NotFound
    );
    assert!(!missing.exists());

    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter.txt"), "dear reader").unwrap();
    for (mode, expected) in [
        (OpenMode::Open, ErrorKind::NotFound),
        (OpenMode::Read, ErrorKind::NotFound),
        (OpenMode::Create, ErrorKind::AlreadyExists),
        (OpenMode::OpenOrCreate, ErrorKind::AlreadyExists),
    ] {
        assert_eq!(kind(RedbManager::open(options(&foreign).mode(mode))), expected);
    }
    assert_eq!(contents(&foreign).len(), 1);

    let store = directory.path().join("store");
    open(&store).close().unwrap();
    assert_eq!(
        kind(RedbManager::open(options(&store).mode(OpenMode::Create))),
        ErrorKind::AlreadyExists
    );
}

#[test]
fn a_lost_keyring_is_corrupt_and_never_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    open(&path).close().unwrap();
    let copies = ["keyring.0", "keyring.1"].map(|name| path.join(name));
    let saved = copies.each_ref().map(|copy| fs::read(copy).unwrap());
    assert_eq!(saved[0], saved[1], "either copy opens the store");
    fs::remove_file(&copies[0]).unwrap();
    open(&path).close().unwrap();
    assert_eq!(fs::read(&copies[0]).unwrap(), saved[0], "a writer makes the lost copy anew");
    copies.iter().for_each(|copy| fs::remove_file(copy).unwrap());
    for mode in [OpenMode::OpenOrCreate, OpenMode::Open, OpenMode::Read] {
        let error = RedbManager::open(options(&path).mode(mode)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{mode:?}: {error}");
        assert!(error.get("lost").is_some(), "{error}");
    }
    let verified = RedbManager::verify_store(options(&path), VerifyDepth::Quick, |_| ());
    assert_eq!(kind(verified), ErrorKind::Corrupt);
    assert_eq!(kind(StoreKeys::read(&path, Some(&key()))), ErrorKind::Corrupt);
    fs::write(&copies[0], &saved[0]).unwrap();
    open(&path).close().unwrap();
}

#[test]
fn an_interrupted_creation_is_taken_up_again() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    open(&whole).close().unwrap();
    // A directory as it is after the lock file and nothing else.
    let path = directory.path().join("store");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("lock"), "").unwrap();
    assert_eq!(kind(RedbManager::open(options(&path).mode(OpenMode::Open))), ErrorKind::NotFound);
    let store = open(&path);
    assert_eq!(store.store_event(&event("a", 1)).unwrap().seq, 1);
}

#[test]
fn topics_beyond_their_limits_are_invalid() {
    let store = RedbManager::open(memory(&MemoryEngine::new())).unwrap();
    let long = "x".repeat(256);
    for topic in ["", "a\nb", "a\u{0}b", "\u{7f}", &long] {
        let error = store.store_event(&event(topic, 1)).unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Invalid, Outcome::Rejected));
    }
    let longest = "x".repeat(255);
    assert_eq!(store.store_event(&event(&longest, 1)).unwrap().seq, 1);
    assert_eq!(store.topics(&TopicPattern::all()).unwrap().len(), 1);
}

#[test]
fn payloads_of_nothing_and_of_sixteen_mib_are_stored_and_more_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let empty = EventMessage { payload: String::new(), ..event("a", 1) };
    let large = EventMessage { payload: "y".repeat(PAYLOAD_BYTES_MAX), ..event("a", 2) };
    let larger = EventMessage { payload: "y".repeat(PAYLOAD_BYTES_MAX + 1), ..event("a", 3) };
    store.store_event(&empty).unwrap();
    store.store_event(&large).unwrap();
    let error = store.store_event(&larger).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Invalid, Outcome::Rejected));
    let three = [&large, &large, &large]
        .map(|event| EventMessage { id: uuid::Uuid::new_v4(), ..event.clone() });
    assert_eq!(kind(store.store_events(&three)), ErrorKind::Invalid);
    store.seal().unwrap();
    store.close().unwrap();
    let store = open(&path);
    let found: Vec<EventMessage> = store
        .query_events(EventQuery::default())
        .unwrap()
        .map(|found| found.unwrap().event)
        .collect();
    assert!(found == [empty, large]);
}

#[test]
fn markers_and_metadata_beyond_their_limits_are_invalid() {
    let store = RedbManager::open(memory(&MemoryEngine::new())).unwrap();
    let marker = "m".repeat(CHECKPOINT_MARKER_BYTES_MAX + 1);
    let marked = EventMessage { checkpoint_marker: Some(marker), ..event("a", 1) };
    assert_eq!(kind(store.store_event(&marked)), ErrorKind::Invalid);
    let mut heavy = event("a", 1);
    heavy.metadata.insert("k".to_owned(), "v".repeat(64 << 10));
    assert_eq!(kind(store.store_event(&heavy)), ErrorKind::Invalid);
}

#[test]
fn both_ends_of_time_are_found_again() {
    let store = RedbManager::open(memory(&MemoryEngine::new())).unwrap();
    let ends = [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC, time(0)];
    for (number, timestamp) in (1..).zip(ends) {
        store.store_event(&EventMessage { timestamp, ..event("a", number) }).unwrap();
    }
    for _ in 0..2 {
        let order: Vec<u64> = store
            .query_events(EventQuery::default())
            .unwrap()
            .map(|found| found.unwrap().seq)
            .collect();
        assert_eq!(order, [2, 3, 1]);
        let from = EventQuery::default().from(DateTime::<Utc>::MAX_UTC);
        assert_eq!(store.query_events(from).unwrap().count(), 1);
        let to = EventQuery::default().to(DateTime::<Utc>::MIN_UTC);
        assert_eq!(store.query_events(to).unwrap().count(), 0);
        store.seal().unwrap();
    }
}

/// A clock that a test turns.
#[derive(Debug)]
struct Clock(SystemEnvironment, AtomicI64);

impl Environment for Clock {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: self.1.load(Ordering::Relaxed), nanos: 0 }
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        self.0.fill_random(bytes)
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        self.0.spawn(name, task)
    }
}

#[test]
fn a_clock_that_goes_back_changes_no_order() {
    let clock = Arc::new(Clock(SystemEnvironment::new(), AtomicI64::new(2_000_000_000)));
    let engine = MemoryEngine::new();
    let store =
        RedbManager::open(memory(&engine).environment(Arc::<Clock>::clone(&clock))).unwrap();
    for number in 1..=10 {
        store.store_event(&event("a", number)).unwrap();
        clock.1.fetch_sub(400_000_000, Ordering::Relaxed);
        if number == 5 {
            store.seal().unwrap();
        }
    }
    let replay = store.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    assert!(replay.map(|found| found.unwrap().seq).eq(1..=10));
    store.close().unwrap();
    let store = RedbManager::open(memory(&engine).environment(clock)).unwrap();
    assert_eq!(store.store_event(&event("a", 11)).unwrap().seq, 11);
}

#[test]
fn a_store_at_its_quota_refuses_and_goes_on_reading() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut stored = 0;
    let mut fill = |store: &RedbManager| loop {
        let mut event = event("a", stored + 1);
        event.payload = uuid::Uuid::new_v4().to_string().repeat(1000);
        match store.store_event(&event) {
            Ok(_) => stored += 1,
            Err(error) => return (error, stored),
        }
        assert!(stored < 10_000, "the quota was never reached");
    };
    // The quota is recorded, so the second handle has it too.
    for options in [options(&path).max_size_bytes(2 << 20), options(&path)] {
        let store = RedbManager::open(options).unwrap();
        let (error, stored) = fill(&store);
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, Outcome::Rejected));
        assert_eq!(store.query_events(EventQuery::default()).unwrap().count() as u64, stored);
        assert!(store.stats().unwrap().allocated_bytes <= 2 << 20);
        store.close().unwrap();
    }
    let store = RedbManager::open(options(&path).max_size_bytes(0)).unwrap();
    assert_eq!(store.store_event(&event("b", 1)).unwrap().seq, 1);
}

#[test]
fn a_second_writer_is_refused_and_readers_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    store.store_event(&event("a", 1)).unwrap();
    let at_once = options(&path).lock_wait(Duration::ZERO);
    assert_eq!(kind(RedbManager::open(at_once)), ErrorKind::InUse);
    let readers = [0, 1].map(|_| RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap());
    for reader in &readers {
        assert_eq!(reader.get_event(event("a", 1).id).unwrap().len(), 1);
        let refused = reader.store_event(&event("a", 2)).unwrap_err();
        assert_eq!(
            (refused.kind(), refused.outcome()),
            (ErrorKind::Unsupported, Outcome::Rejected)
        );
    }
    store.store_event(&event("a", 2)).unwrap();
    for reader in &readers {
        assert_eq!(reader.get_event(event("a", 2).id).unwrap().len(), 1);
    }
    store.close().unwrap();
    for reader in &readers {
        assert_eq!(reader.get_event(event("a", 2).id).unwrap().len(), 1);
    }
    open(&path).close().unwrap();
}

#[test]
fn reopening_with_more_shards_grows_the_store_and_with_fewer_does_not_shrink_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).shard_count(2)).unwrap();
    for number in 1..=20 {
        store.store_event(&event(&format!("t{number}"), number)).unwrap();
    }
    store.close().unwrap();
    for (asked, there) in [(1, 2), (5, 5), (3, 5)] {
        let store = RedbManager::open(options(&path).shard_count(asked)).unwrap();
        assert_eq!(store.database().shard_count(), there);
        for number in 1..=20 {
            let again = store.store_event(&event(&format!("t{number}"), number)).unwrap();
            assert_eq!((again.seq, again.duplicate), (1, true));
        }
        store.store_event(&event(&format!("new{asked}"), 1)).unwrap();
        store.close().unwrap();
    }
    assert_eq!(kind(RedbManager::open(options(&path).shard_count(0))), ErrorKind::Invalid);
    assert_eq!(kind(RedbManager::open(options(&path).shard_count(1025))), ErrorKind::Invalid);
}

#[test]
fn a_dropped_future_cancels_nothing_once_it_was_queued() {
    let engine = MemoryEngine::new();
    let database = block_on(Database::open(memory(&engine))).unwrap();
    block_on(database.events().create_topic("a")).unwrap();
    for number in 1..=50 {
        let message = event("a", number);
        let mut publish = Box::pin(database.events().publish(&message));
        // One poll queues the request: the topic is known, so nothing comes before that.
        drop(publish.as_mut().now_or_never());
        drop(publish);
    }
    block_on(database.close()).unwrap();
    let store = RedbManager::open(memory(&engine)).unwrap();
    assert_eq!(store.query_events(EventQuery::default()).unwrap().count(), 50);
}

#[test]
fn a_batch_over_two_shards_is_refused_whole() {
    let store = RedbManager::open(memory(&MemoryEngine::new()).shard_count(8)).unwrap();
    let batch: Vec<_> = (1..=40).map(|number| event(&format!("t{number}"), number)).collect();
    let error = store.store_events(&batch).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Invalid, Outcome::Rejected));
    assert_eq!(store.query_events(EventQuery::default()).unwrap().count(), 0);
}

#[test]
fn one_callers_conflict_fails_nobody_else() {
    let store = RedbManager::open(memory(&MemoryEngine::new())).unwrap();
    store.store_event(&event("a", 1)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..50 {
                    let number = 100 + thread * 50 + number;
                    store.store_event(&event("a", number)).unwrap();
                    let other = EventMessage { payload: "other".to_owned(), ..event("a", 1) };
                    let error = store.store_event(&other).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Conflict);
                    assert_eq!(error.get("sequence"), Some("1"));
                }
            });
        }
    });
    assert_eq!(store.query_events(EventQuery::default()).unwrap().count(), 401);
}

#[test]
fn tokens_of_another_store_are_invalid() {
    let stores = [0, 1].map(|_| RedbManager::open(memory(&MemoryEngine::new())).unwrap());
    for store in &stores {
        store.store_event(&event("a", 1)).unwrap();
        store.store_event(&event("a", 2)).unwrap();
    }
    let mut replay = stores[0].replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    replay.next().unwrap().unwrap();
    let token = replay.token().unwrap().unwrap();
    let mut again =
        stores[0].replay(&TopicPattern::all(), StartFrom::Token(token.clone())).unwrap();
    assert_eq!(again.next().unwrap().unwrap().seq, 2);
    for bad in [token.clone(), String::new(), "x".repeat(100)] {
        let store = if bad == token { &stores[1] } else { &stores[0] };
        let result = store.replay(&TopicPattern::all(), StartFrom::Token(bad));
        assert_eq!(kind(result), ErrorKind::Invalid);
    }
    let mut results = stores[0].query_events(EventQuery::default()).unwrap();
    results.next().unwrap().unwrap();
    let cursor = results.cursor().unwrap().unwrap();
    let foreign = stores[1].query_events(EventQuery::default().cursor(cursor.clone()));
    assert_eq!(kind(foreign), ErrorKind::Invalid);
    assert_eq!(
        kind(stores[0].replay(&TopicPattern::all(), StartFrom::Token(cursor))),
        ErrorKind::Invalid
    );
}

#[test]
fn less_durability_than_asked_for_is_refused_at_open() {
    let engine = MemoryEngine::new();
    let options = memory(&engine).durability(Durability::Sync);
    assert_eq!(kind(RedbManager::open(options)), ErrorKind::Unsupported);
}

#[test]
fn a_closed_store_says_so_and_wakes_its_subscribers() {
    let database = block_on(Database::open(memory(&MemoryEngine::new()))).unwrap();
    block_on(database.events().publish(&event("a", 1))).unwrap();
    let all = TopicPattern::all();
    let mut waiting = block_on(database.events().subscribe(&all, StartFrom::Now)).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| block_on(waiting.next()));
        block_on(database.close()).unwrap();
        let error = thread.join().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closed(_)), "{error}");
    });
    let closed = block_on(database.events().publish(&event("a", 2))).unwrap_err();
    assert!(matches!(closed.kind(), ErrorKind::Closed(_)), "{closed}");
    assert_eq!(closed.outcome(), Outcome::Rejected);
    block_on(database.close()).unwrap();
}

#[test]
fn markers_are_found_whole_whatever_bytes_they_have() {
    let store = RedbManager::open(memory(&MemoryEngine::new())).unwrap();
    let markers = ["a", "", "a\u{0}b", "a\u{0}", "ab"];
    for (number, marker) in (1..).zip(markers) {
        let marked =
            EventMessage { checkpoint_marker: Some(marker.to_owned()), ..event("t", number) };
        store.store_event(&marked).unwrap();
    }
    for _ in 0..2 {
        for (number, marker) in (1..).zip(markers) {
            let start = StartFrom::Marker(marker.to_owned());
            let first = store.replay(&TopicPattern::all(), start).unwrap().next().unwrap();
            assert_eq!(first.unwrap().seq, number, "{marker:?}");
        }
        store.seal().unwrap();
    }
}

#[test]
fn a_subscription_to_very_many_topics_gives_every_one_its_turn_and_a_token() {
    let store = RedbManager::open(memory(&MemoryEngine::new())).unwrap();
    for round in 0..2 {
        for topic in 0..700 {
            store.store_event(&event(&format!("t.{topic}"), round)).unwrap();
        }
    }
    let mut first = store.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    let mut seen: Vec<_> = first.by_ref().take(900).map(Result::unwrap).collect();
    let token = first.token().unwrap().unwrap();
    let rest = store.replay(&TopicPattern::all(), StartFrom::Token(token)).unwrap();
    seen.extend(rest.map(Result::unwrap));
    let mut places: Vec<_> = seen.iter().map(|found| (&found.event.topic, found.seq)).collect();
    assert_eq!(places.len(), 1400);
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 1400);
}

#[test]
fn a_refused_batch_leaves_no_topic_behind() {
    let store = RedbManager::open(memory(&MemoryEngine::new()).shard_count(8)).unwrap();
    let batch: Vec<_> = (1..=40).map(|number| event(&format!("t{number}"), number)).collect();
    assert_eq!(kind(store.store_events(&batch)), ErrorKind::Invalid);
    let large = EventMessage { payload: "y".repeat(PAYLOAD_BYTES_MAX), ..event("large", 1) };
    let three = [1, 2, 3].map(|_| EventMessage { id: uuid::Uuid::new_v4(), ..large.clone() });
    assert_eq!(kind(store.store_events(&three)), ErrorKind::Invalid);
    assert!(store.topics(&TopicPattern::all()).unwrap().is_empty());
}

#[test]
fn a_reader_goes_on_when_a_key_is_added_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    store.store_event(&event("a", 1)).unwrap();
    store.close().unwrap();
    let reader = RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
    for round in 0..3 {
        let mut keys = StoreKeys::edit(&path, Some(&key()), Duration::ZERO).unwrap();
        keys.add(&Key::raw([round; 32]), "another", KdfParams::FLOOR).unwrap();
        drop(keys);
        let store = open(&path);
        store.store_event(&event("a", u64::from(round) + 2)).unwrap();
        store.close().unwrap();
        let count = reader.query_events(EventQuery::default()).unwrap().count();
        assert_eq!(count, usize::from(round) + 2);
        assert!(reader.verify(VerifyDepth::Deep, |_| {}).unwrap().is_sound());
        let other = options(&path).key(Key::raw([round; 32])).mode(OpenMode::Read);
        RedbManager::open(other).unwrap();
    }
}

#[test]
fn an_older_keyring_beside_newer_data_is_corrupt() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    open(&path).close().unwrap();
    let copies = ["keyring.0", "keyring.1"].map(|name| path.join(name));
    let before = fs::read(&copies[0]).unwrap();
    let mut keys = StoreKeys::edit(&path, Some(&key()), Duration::ZERO).unwrap();
    keys.add(&Key::raw([1; 32]), "another", KdfParams::FLOOR).unwrap();
    drop(keys);
    let store = open(&path);
    store.store_event(&event("a", 1)).unwrap();
    store.close().unwrap();
    copies.iter().for_each(|copy| fs::write(copy, &before).unwrap());
    for mode in [OpenMode::Open, OpenMode::Read] {
        assert_eq!(kind(RedbManager::open(options(&path).mode(mode))), ErrorKind::Corrupt);
    }
}

/// Who restarts a service while somebody reads must not be told that the store is in use.
#[test]
#[expect(clippy::disallowed_methods, reason = "nobody sees from outside that an opening waits")]
fn a_writer_waits_for_a_reader_that_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    open(&path).close().unwrap();
    let place = StoreDirectory::open(&path).unwrap();
    let lock = place.try_lock().unwrap().unwrap();
    let recovering = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(lock);
    });
    open(&path).close().unwrap();
    recovering.join().unwrap();
}

#[test]
fn a_store_without_its_empty_lock_file_opens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    open(&path).close().unwrap();
    fs::remove_file(path.join("lock")).unwrap();
    RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
    let store = RedbManager::open(options(&path).mode(OpenMode::Open)).unwrap();
    let at_once = options(&path).lock_wait(Duration::ZERO);
    assert_eq!(kind(RedbManager::open(at_once)), ErrorKind::InUse);
    store.close().unwrap();
}

#[test]
fn a_store_without_any_database_is_not_sound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    store.store_event(&event("a", 1)).unwrap();
    store.close().unwrap();
    for (file, _) in contents(&path) {
        let of_redb = file.extension().is_some_and(|extension| extension == "redb");
        if of_redb || file.ends_with("closed") {
            fs::remove_file(&file).unwrap();
        }
    }
    let depth = VerifyDepth::Standard;
    let report = RedbManager::verify_store(options(&path), depth, |_| {}).unwrap();
    assert!(!report.is_sound());
    assert_eq!(kind(RedbManager::open(options(&path))), ErrorKind::Corrupt);
}

#[test]
fn too_little_memory_is_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let little = options(&path).memory_max((48 << 20) - 1);
    assert_eq!(kind(RedbManager::open(little)), ErrorKind::Invalid);
    assert!(!path.exists());
    RedbManager::open(options(&path).memory_max(48 << 20)).unwrap().close().unwrap();
}
