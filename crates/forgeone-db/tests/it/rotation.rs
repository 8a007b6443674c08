//! Changes of keys, beside a life of appends and reads. Without these tests a store could lose
//! records with an old key, or keep readable what was shredded.

use crate::support::{event, key, options, time};
use crate::system::ANY;
use forgeone_db::{
    ErrorKind, EventPriority, EventQuery, Flag, FlagState, KdfParams, Key, KeyRotation, LineEnd,
    LogQuery, NewLogEntry, OpenMode, Outcome, QueryOrder, RedbManager, Severity, StartFrom,
    StoreKeys, StoreOptions, StoredLogEntry, TopicKind, TopicPattern, VerifyDepth, WatchFrom,
};
use futures::executor::block_on;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const TOPICS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn small(path: &Path) -> StoreOptions {
    options(path).shard_count(2).seal_at(16 << 10, 200)
}

fn fill(store: &RedbManager, numbers: std::ops::RangeInclusive<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    let topic = |number: u64| TOPICS[usize::try_from(number).unwrap() % TOPICS.len()];
    for some in numbers.chunks(100) {
        for topic_of in TOPICS {
            let here = some.iter().filter(|number| topic(**number) == topic_of);
            let events: Vec<_> = here.map(|number| event(topic_of, *number)).collect();
            store.store_events(&events).unwrap();
        }
    }
}

fn numbers(store: &RedbManager) -> Vec<u64> {
    let found = store.query_events(EventQuery::default()).unwrap();
    let mut numbers: Vec<u64> =
        found.map(|found| found.unwrap().event.metadata["number"].parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn assert_sound(store: &RedbManager) {
    let report = block_on(store.database().verify(VerifyDepth::Deep, |_| {})).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
}

fn rotate(store: &RedbManager, what: KeyRotation) {
    block_on(store.database().rotate_keys(what, |_| {})).unwrap();
    assert_eq!(block_on(store.database().pending_key_change()).unwrap(), None);
}

#[test]
fn everything_reads_back_after_each_kind_of_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    for (round, what) in (0..).zip([
        KeyRotation::Wrapping,
        KeyRotation::Data,
        KeyRotation::Data,
        KeyRotation::Wrapping,
    ]) {
        fill(&store, round * 700 + 1..=round * 700 + 700);
        rotate(&store, what);
        assert_sound(&store);
        assert!(numbers(&store).into_iter().eq(1..=round * 700 + 700));
        for number in [1, 350, 700] {
            assert_eq!(store.get_event(event("", number).id).unwrap().len(), 1);
        }
    }
    fill(&store, 2801..=2900);
    store.close().unwrap();
    let store = RedbManager::open(small(&path)).unwrap();
    assert_sound(&store);
    assert!(numbers(&store).into_iter().eq(1..=2900));
}

#[test]
fn a_shredded_topic_is_gone_and_goes_on_with_the_next_number() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=1000);
    let last =
        |store: &RedbManager| store.topics(&TopicPattern::new("b").unwrap()).unwrap()[0].last_seq;
    assert_eq!(last(&store), 200);
    let shredded = block_on(store.database().shred_topic(TopicKind::Events, "b")).unwrap();
    assert_eq!(shredded.last_seq, 200);
    let info = &store.topics(&TopicPattern::new("b").unwrap()).unwrap()[0];
    assert_eq!((info.first_seq, info.last_seq, info.count), (201, 200, 0));
    let gone = |number: &u64| number % 5 == 1;
    for again in [false, true] {
        assert_sound(&store);
        let wanted: Vec<u64> = (1..=1000).filter(|number| !gone(number)).collect();
        assert_eq!(numbers(&store), wanted);
        assert!(store.get_event(event("", 1).id).unwrap().is_empty());
        let error = store.get_event_at("b", 7).unwrap_err();
        assert_eq!((error.kind(), error.get("reason")), (ErrorKind::NotFound, Some("shredded")));
        let info = &store.topics(&TopicPattern::new("b").unwrap()).unwrap()[0];
        assert_eq!((info.first_seq, info.last_seq, info.count), (201, 200, 0));
        if !again {
            block_on(store.database().shred_topic(TopicKind::Events, "b")).unwrap();
        }
    }
    // The same ids may come again, and are new.
    let position = store.store_event(&event("b", 1)).unwrap();
    assert_eq!((position.seq, position.duplicate), (201, false));
    let all = TopicPattern::new("b").unwrap();
    let mut replay = store.replay(&all, StartFrom::After(10)).unwrap();
    let gap = replay.next().unwrap().unwrap_err();
    let gap = (gap.get("from"), gap.get("to"), gap.get("reason"), gap.get("topic"));
    assert_eq!(gap, (Some("11"), Some("200"), Some("shredded"), Some("b")));
    assert_eq!(replay.next().unwrap().unwrap().seq, 201);
    assert!(replay.next().is_none());
    let oldest: Vec<u64> =
        store.replay(&all, StartFrom::Oldest).unwrap().map(|found| found.unwrap().seq).collect();
    assert_eq!(oldest, [201]);
    let unknown = block_on(store.database().shred_topic(TopicKind::Events, "x")).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    store.close().unwrap();
    let store = RedbManager::open(small(&path)).unwrap();
    assert_sound(&store);
    assert_eq!(last(&store), 201);
}

/// The files of a store's directory whose name passes, with their content.
/// A search newest first met the number below the first one, and took it for a gap.
#[test]
fn a_query_in_either_order_ends_where_the_shredded_records_begin() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbManager::open(small(&directory.path().join("store"))).unwrap();
    fill(&store, 1..=20);
    store.shred_topic(TopicKind::Events, "b").unwrap();
    fill(&store, 21..=25);
    for query in [EventQuery::default(), EventQuery::default().priority_min(EventPriority::Normal)]
    {
        let oldest_first = store.query_events(query.clone()).unwrap();
        let newest_first = store.query_events(query.order(QueryOrder::NewestFirst)).unwrap();
        let places = |found: forgeone_db::StoredEvent| (found.event.topic, found.seq);
        let mut oldest_first: Vec<_> = oldest_first.map(|found| places(found.unwrap())).collect();
        let newest_first: Vec<_> = newest_first.map(|found| places(found.unwrap())).collect();
        assert!(oldest_first.iter().any(|(topic, seq)| topic == "b" && *seq == 5));
        oldest_first.reverse();
        assert_eq!(newest_first, oldest_first);
    }
}

/// Such a replay left out late records up to the end of the first unit, silently.
#[test]
fn a_replay_from_a_time_that_shredded_records_had_reached_begins_with_the_first_that_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let store = RedbManager::open(small(&directory.path().join("store"))).unwrap();
    let at = |number: u64, seconds: i64| {
        let mut event = event("b", number);
        event.timestamp = time(seconds);
        event
    };
    store.store_event(&at(1, 1_000)).unwrap();
    store.shred_topic(TopicKind::Events, "b").unwrap();
    store.store_events(&[at(2, 400), at(3, 600), at(4, 500), at(5, 1_100)]).unwrap();
    for _ in 0..2 {
        for (from, wanted) in [(300, 2..=5), (550, 2..=5), (1_000, 2..=5), (1_050, 5..=5)] {
            let start = StartFrom::Time(time(from));
            let found = store.replay(&TopicPattern::all(), start).unwrap();
            assert!(found.map(|found| found.unwrap().seq).eq(wanted), "from {from}");
        }
        store.seal().unwrap();
    }
}

/// A change that fails half-way was said to be rejected, and was finished by the next opening.
#[test]
fn a_change_of_keys_that_fails_once_it_has_begun_has_an_unknown_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=20);
    let in_the_way = ["keyring.0.new", "keyring.1.new"].map(|name| path.join(name));
    in_the_way.iter().for_each(|name| fs::create_dir(name).unwrap());
    let error = store.shred_topic(TopicKind::Events, "b").unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error:?}");
    drop(store.close());
    in_the_way.iter().for_each(|name| fs::remove_dir(name).unwrap());
    let store = RedbManager::open(small(&path)).unwrap();
    block_on(store.database().finish_key_changes()).unwrap();
    assert_eq!(store.topics(&TopicPattern::new("b").unwrap()).unwrap()[0].count, 0);
    assert_sound(&store);
}

fn files(path: &Path, wanted: fn(&str) -> bool) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let wanted = entries.filter(|entry| wanted(entry.file_name().to_str().unwrap()));
    wanted.map(|entry| (entry.path(), fs::read(entry.path()).unwrap())).collect()
}

fn put_back(files: &[(PathBuf, Vec<u8>)]) {
    files.iter().for_each(|(path, content)| fs::write(path, content).unwrap());
}

fn is_data(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "redb")
}

fn is_keyring(name: &str) -> bool {
    name.starts_with("keyring.")
}

#[test]
fn old_data_put_back_beside_the_present_keyring_do_not_bring_a_shredded_topic_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=500);
    store.seal().unwrap();
    store.close().unwrap();
    let before = files(&path, is_data);
    // What was put back reads as long as the keyring is the one of then.
    put_back(&before);
    let store = RedbManager::open(small(&path)).unwrap();
    assert_eq!(store.get_event_at("b", 1).unwrap().event.payload, "payload of event 1");
    block_on(store.database().shred_topic(TopicKind::Events, "b")).unwrap();
    store.close().unwrap();
    put_back(&before);
    // The witness of the last close would tell; a thief removes it.
    fs::remove_file(path.join("closed")).unwrap();
    for mode in [OpenMode::Read, OpenMode::Open] {
        let Ok(store) = RedbManager::open(small(&path).mode(mode)) else { continue };
        let error = store.get_event_at("b", 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        match store.query_events(EventQuery::new(TopicPattern::new("b").unwrap())) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt),
            Ok(found) => {
                for found in found.take(3) {
                    assert_eq!(found.unwrap_err().kind(), ErrorKind::Corrupt);
                }
            }
        }
    }
}

#[test]
fn old_keyrings_do_not_open_what_a_rotation_of_data_keys_has_sealed() {
    for what in [KeyRotation::Wrapping, KeyRotation::Data] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = RedbManager::open(small(&path)).unwrap();
        fill(&store, 1..=300);
        let old = files(&path, is_keyring);
        rotate(&store, what);
        store.close().unwrap();
        let new = files(&path, is_keyring);
        put_back(&old);
        fs::remove_file(path.join("closed")).unwrap();
        for mode in [OpenMode::Read, OpenMode::Open] {
            let error = RedbManager::open(small(&path).mode(mode)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        put_back(&new);
        let store = RedbManager::open(small(&path)).unwrap();
        assert!(numbers(&store).into_iter().eq(1..=300));
        assert_sound(&store);
    }
}

#[test]
fn a_replaced_slot_opens_with_the_new_key_alone_whatever_a_crash_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=10);
    store.close().unwrap();
    let new = || Key::raw([9; 32]);
    let old = files(&path, is_keyring);
    let mut keys = StoreKeys::edit(&path, Some(&key()), Duration::ZERO).unwrap();
    let kind = keys.replace(1, &new(), None, KdfParams::DEFAULT).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::NotFound);
    keys.replace(0, &new(), None, KdfParams::DEFAULT).unwrap();
    assert_eq!((keys.list().len(), keys.list()[0].label.as_str()), (1, "first"));
    drop(keys);
    let open = |key: Key, mode| RedbManager::open(small(&path).key(key).mode(mode));
    let present = files(&path, is_keyring);
    assert_eq!(present[0].1, present[1].1);
    for left in &old {
        // As a crash between the two writes would leave it, and as loss of either copy would.
        put_back(&present);
        put_back(std::slice::from_ref(left));
        for mode in [OpenMode::Read, OpenMode::Open] {
            assert_eq!(open(key(), mode).unwrap_err().kind(), ErrorKind::WrongKey);
            open(new(), mode).unwrap().close().unwrap();
        }
        let healed = files(&path, is_keyring);
        assert_eq!((&healed[0].1, &healed[1].1), (&present[0].1, &present[1].1));
    }
    let store = open(new(), OpenMode::Open).unwrap();
    let replaced = store.database().replace_key_slot(0, key(), Some("again"), KdfParams::DEFAULT);
    block_on(replaced).unwrap();
    store.close().unwrap();
    assert_eq!(open(new(), OpenMode::Open).unwrap_err().kind(), ErrorKind::WrongKey);
    assert!(numbers(&open(key(), OpenMode::Open).unwrap()).into_iter().eq(1..=10));
    let keys = StoreKeys::read(&path, Some(&key())).unwrap();
    assert_eq!((keys.list()[0].label.as_str(), keys.rotation_under_way()), ("again", false));
}

#[test]
fn a_reader_beside_the_writer_goes_on_through_every_change_of_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=400);
    let open = || RedbManager::open(small(&path).mode(OpenMode::Read)).unwrap();
    let (reader, idle) = (open(), open());
    let mut following = reader.subscribe(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    for _ in 0..400 {
        following.next().unwrap().unwrap();
    }
    for (round, what) in (1..).zip([KeyRotation::Wrapping, KeyRotation::Data, KeyRotation::Data]) {
        rotate(&store, what);
        fill(&store, round * 400 + 1..=round * 400 + 400);
        for _ in 0..400 {
            following.next().unwrap().unwrap();
        }
        assert!(numbers(&reader).into_iter().eq(1..=round * 400 + 400));
        assert_sound(&reader);
    }
    // This one has slept through all of it.
    assert!(numbers(&idle).into_iter().eq(1..=1600));
    block_on(store.database().shred_topic(TopicKind::Events, "c")).unwrap();
    for reader in [&reader, &idle] {
        let left: Vec<u64> = (1..=1600).filter(|number| number % 5 != 2).collect();
        assert_eq!(numbers(reader), left);
        let error = reader.get_event_at("c", 1).unwrap_err();
        assert_eq!(error.get("reason"), Some("shredded"), "{error}");
        assert_sound(reader);
    }
    // With its slot's key replaced, a reader has no key any more.
    let replaced =
        store.database().replace_key_slot(0, Key::raw([9; 32]), None, KdfParams::DEFAULT);
    block_on(replaced).unwrap();
    fill(&store, 1601..=1605);
    let mut found = reader.query_events(EventQuery::default());
    let error = match &mut found {
        Ok(found) => found.find_map(Result::err).unwrap(),
        Err(error) => error.duplicate(),
    };
    assert_eq!(error.kind(), ErrorKind::WrongKey, "{error}");
}

#[test]
fn appends_queries_and_subscriptions_go_on_while_keys_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=1000);
    let (acked, done) = (AtomicU64::new(1000), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = 1001;
            while !done.load(Ordering::Acquire) {
                fill(&store, next..=next + 24);
                acked.store(next + 24, Ordering::Release);
                next += 25;
            }
        });
        let reader = RedbManager::open(small(&path).mode(OpenMode::Read)).unwrap();
        for handle in [store.clone(), reader] {
            let (acked, done) = (&acked, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let before = acked.load(Ordering::Acquire);
                    let found = numbers(&handle);
                    assert!(found.len() as u64 >= before, "{} of {before}", found.len());
                    let number = 1 + before / 2;
                    assert_eq!(handle.get_event(event("", number).id).unwrap().len(), 1);
                }
            });
        }
        scope.spawn(|| {
            let topic = TopicPattern::new("a").unwrap();
            let mut following = store.subscribe(&topic, StartFrom::Oldest).unwrap();
            let mut next = 1;
            while !done.load(Ordering::Acquire) {
                assert_eq!(following.next().unwrap().unwrap().seq, next);
                next += 1;
            }
        });
        for what in [KeyRotation::Data, KeyRotation::Wrapping, KeyRotation::Data] {
            rotate(&store, what);
            assert_sound(&store);
        }
        let shredded = store.shred_topic(TopicKind::Events, "never").unwrap_err();
        assert_eq!(shredded.kind(), ErrorKind::NotFound);
        done.store(true, Ordering::Release);
        // The subscription may be waiting for one more.
        store.store_event(&event("a", 5_000_000)).unwrap();
    });
}

#[test]
fn an_append_beside_a_shredding_comes_before_it_and_is_gone_or_after_it_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    store.store_event(&event("b", 1)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let appended = scope.spawn(|| {
            let mut acked = vec![(1, 1)];
            while !done.load(Ordering::Acquire) {
                let number = acked.len() as u64 + 1;
                acked.push((store.store_event(&event("b", number)).unwrap().seq, number));
            }
            acked
        });
        let mut floor = 0;
        for _ in 0..4 {
            let shredded = block_on(store.database().shred_topic(TopicKind::Events, "b")).unwrap();
            assert!(shredded.last_seq > floor);
            floor = shredded.last_seq;
        }
        done.store(true, Ordering::Release);
        let acked = appended.join().unwrap();
        assert!(acked.iter().map(|(seq, _)| *seq).eq(1..=acked.len() as u64));
        for (seq, number) in acked {
            let found = store.get_event_at("b", seq);
            assert_eq!(found.is_ok(), seq > floor, "{seq}, shredded up to {floor}");
            assert_eq!(store.get_event(event("", number).id).unwrap().len(), found.iter().len());
        }
    });
    assert_sound(&store);
}

#[test]
fn tokens_outlive_a_rotation_of_all_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=10);
    let all = TopicPattern::all();
    let mut replay = store.replay(&all, StartFrom::Oldest).unwrap();
    replay.next().unwrap().unwrap();
    let token = replay.token().unwrap().unwrap();
    for _ in 0..2 {
        rotate(&store, KeyRotation::Data);
    }
    store.close().unwrap();
    let store = RedbManager::open(small(&path)).unwrap();
    assert_eq!(store.replay(&all, StartFrom::Token(token)).unwrap().count(), 9);
}

#[test]
fn a_store_without_encryption_has_no_keys_to_change() {
    let directory = tempfile::tempdir().unwrap();
    let options = || StoreOptions::new(directory.path().join("store")).mode(OpenMode::OpenOrCreate);
    let store = RedbManager::open(options()).unwrap();
    store.store_event(&event("b", 1)).unwrap();
    let database = store.database();
    let rotated = block_on(database.rotate_keys(KeyRotation::Data, |_| {})).unwrap_err();
    assert_eq!(rotated.kind(), ErrorKind::Invalid);
    let shredded = block_on(database.shred_topic(TopicKind::Events, "b")).unwrap_err();
    assert_eq!(shredded.kind(), ErrorKind::Unsupported);
    store.close().unwrap();
    let reader = RedbManager::open(options().mode(OpenMode::Read)).unwrap();
    let refused = block_on(reader.database().rotate_keys(KeyRotation::Wrapping, |_| {}));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(numbers(&reader), [1]);
}

#[test]
fn a_topic_without_records_changes_its_keys_like_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    for name in TOPICS {
        block_on(store.events().create_topic(name)).unwrap();
    }
    for what in [KeyRotation::Data, KeyRotation::Wrapping] {
        rotate(&store, what);
        assert_sound(&store);
    }
    assert_eq!(store.shred_topic(TopicKind::Events, "d").unwrap().last_seq, 0);
    assert_sound(&store);
    store.close().unwrap();
    let store = RedbManager::open(small(&path)).unwrap();
    assert_sound(&store);
    fill(&store, 1..=50);
    rotate(&store, KeyRotation::Data);
    assert_sound(&store);
    assert!(numbers(&store).into_iter().eq(1..=50));
    let info = &store.topics(&TopicPattern::new("d").unwrap()).unwrap()[0];
    assert_eq!((info.first_seq, info.last_seq), (1, 10));
}

#[test]
fn verification_beside_a_change_of_keys_finds_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=2000);
    store.seal().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = RedbManager::open(small(&path).mode(OpenMode::Read)).unwrap();
        for handle in [store.clone(), reader] {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    assert_sound(&handle);
                }
            });
        }
        for round in 0..3 {
            rotate(&store, KeyRotation::Data);
            rotate(&store, KeyRotation::Wrapping);
            fill(&store, 2001 + round * 50..=2050 + round * 50);
            store.shred_topic(TopicKind::Events, "e").unwrap();
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_running_subscription_is_told_of_the_gap_once_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(small(&path)).unwrap();
    fill(&store, 1..=50);
    let reader = RedbManager::open(small(&path).mode(OpenMode::Read)).unwrap();
    for handle in [&store, &reader] {
        let before = store.topics(&TopicPattern::new("b").unwrap()).unwrap()[0].clone();
        let topics = TopicPattern::all();
        let mut following = handle.subscribe(&topics, StartFrom::Oldest).unwrap();
        let first = following.next().unwrap().unwrap();
        // What it holds in its page it still gives.
        let mut seen = u64::from(first.event.topic == "b");
        store.store_event(&event("b", 1_000 + before.last_seq)).unwrap();
        let shredded = store.shred_topic(TopicKind::Events, "b").unwrap().last_seq;
        store.store_event(&event("b", 2_000 + before.last_seq)).unwrap();
        let last = loop {
            match following.next().unwrap() {
                Ok(found) if found.event.topic == "b" && found.seq > shredded => break found.seq,
                Ok(found) => seen += u64::from(found.event.topic == "b"),
                Err(gap) => {
                    let first = (before.first_seq + seen).to_string();
                    assert_eq!(gap.get("from"), Some(first.as_str()), "{gap}");
                    assert_eq!(gap.get("to"), Some(shredded.to_string().as_str()), "{gap}");
                    assert_eq!(gap.get("topic"), Some("b"));
                    seen += 1_000;
                }
            }
        };
        assert_eq!(last, shredded + 1);
        assert!((1_000..2_000).contains(&seen), "told {} times", seen / 1_000);
    }
}

/// Lines with derived and given ids, every kind of end, metadata and markers.
fn log_lines(topic: &str, numbers: std::ops::Range<u32>) -> Vec<NewLogEntry> {
    let ends = [LineEnd::Lf, LineEnd::CrLf, LineEnd::None];
    let letter = u128::from(topic.as_bytes()[0]);
    let entry = |number: u32| {
        let text = format!("line {number} of {topic} \u{e9}");
        let at = time(1_700_000_000 + i64::from(number));
        let mut entry = NewLogEntry::new(topic, at, Severity::Warn, text);
        entry.line_end = ends[number as usize % 3];
        entry.id =
            (number % 4 == 1).then(|| uuid::Uuid::from_u128(u128::from(number) << 64 | letter));
        entry.checkpoint_marker = (number % 50 == 7).then(|| format!("mark {number}"));
        if number.is_multiple_of(2) {
            entry.metadata.insert("number".to_owned(), number.to_string());
        }
        entry
    };
    numbers.map(entry).collect()
}

fn logs(store: &RedbManager, query: LogQuery) -> Vec<StoredLogEntry> {
    store.query_logs(query).unwrap().map(Result::unwrap).collect()
}

/// Every way to a log entry leads to what it was.
fn assert_logs(store: &RedbManager, wanted: &[StoredLogEntry]) {
    let topic = || TopicPattern::new("kept").unwrap();
    assert_eq!(logs(store, LogQuery::new(topic())), wanted);
    for found in wanted.iter().step_by(7) {
        assert_eq!(store.get_log(found.entry.id).unwrap(), std::slice::from_ref(found));
        assert_eq!(&store.get_log_at("kept", found.seq).unwrap(), found);
    }
    let text = logs(store, LogQuery::new(topic()).contains("line 123 of"));
    assert_eq!(text.iter().map(|found| found.seq).collect::<Vec<_>>(), [124]);
    let metadata = logs(store, LogQuery::new(topic()).metadata("number", "124"));
    assert_eq!(metadata.iter().map(|found| found.seq).collect::<Vec<_>>(), [125]);
    let start = StartFrom::Marker("mark 107".to_owned());
    assert_eq!(store.replay_logs(&topic(), start).unwrap().next().unwrap().unwrap().seq, 108);
}

#[test]
fn logs_and_the_systems_state_stay_what_they_are_through_every_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut store = RedbManager::open(small(&path)).unwrap();
    store.store_logs(log_lines("kept", 0..200)).unwrap();
    store.store_logs(log_lines("gone", 0..200)).unwrap();
    store.seal().unwrap();
    store.store_logs(log_lines("kept", 200..250)).unwrap();
    let kept = logs(&store, LogQuery::new(TopicPattern::new("kept").unwrap()));
    let gone = logs(&store, LogQuery::new(TopicPattern::new("gone").unwrap()));
    assert_eq!((kept.len(), gone.len()), (250, 200));

    let flag = Flag::new(FlagState::Percentage { percent: 40.0 });
    store.set_flag("new", &flag).unwrap();
    store.set_metadata("owner", "somebody").unwrap();
    for number in 1..=5 {
        store.set_setting("limit", &json!(number), ANY).unwrap();
    }
    let start = store.revision().unwrap();
    let mut watch = store.watch_settings("limit", WatchFrom::Now).unwrap();
    let setting = |store: &RedbManager, value: u64| {
        let found = store.get_setting("limit").unwrap().unwrap();
        assert_eq!((found.value, found.version), (json!(value), value));
        let history = store.setting_history("limit").unwrap();
        assert!(history.map(|one| one.unwrap().version).eq((1..=value).rev()));
    };

    let mut value = 5;
    for change in [Some(KeyRotation::Wrapping), Some(KeyRotation::Data), None] {
        match change {
            Some(what) => rotate(&store, what),
            None => {
                assert_eq!(store.shred_topic(TopicKind::Logs, "gone").unwrap().last_seq, 200);
            }
        }
        assert_logs(&store, &kept);
        setting(&store, value);
        value += 1;
        store.set_setting("limit", &json!(value), ANY).unwrap();
        let update = watch.next().unwrap().unwrap();
        assert_eq!(update.changes[0].value, Some(json!(value)));
        let again = store.watch_settings("limit", WatchFrom::After(start)).unwrap();
        let versions = again.take(usize::try_from(value).unwrap() - 5);
        assert!(versions.map(|update| update.unwrap().changes[0].version).eq(6..=value));
        assert_eq!(store.get_flag("new").unwrap().unwrap(), flag);
        assert_eq!(store.metadata("owner").unwrap().unwrap().text, "somebody");
        assert_sound(&store);
    }
    drop(watch);
    for _ in 0..2 {
        for found in gone.iter().step_by(9) {
            assert!(store.get_log(found.entry.id).unwrap().is_empty(), "{}", found.seq);
            let error = store.get_log_at("gone", found.seq).unwrap_err();
            assert_eq!(error.get("reason"), Some("shredded"));
        }
        store.close().unwrap();
        store = RedbManager::open(small(&path)).unwrap();
        assert_logs(&store, &kept);
        setting(&store, value);
    }
    // A derived id stands for a place, and no place is given twice.
    let again = store.store_logs(log_lines("gone", 0..200)).unwrap();
    assert!(again.iter().map(|position| position.seq).eq(201..=400));
    for (old, new) in gone.iter().zip(&again) {
        let given = old.seq % 4 == 2;
        assert_eq!((old.entry.id == new.id, new.duplicate), (given, false), "{}", old.seq);
    }
    assert_sound(&store);
}
