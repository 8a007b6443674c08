//! Changes of keys, beside a life of appends and reads. Without these tests a store could lose
//! records with an old key, or keep readable what was shredded.

use crate::support::{event, options};
use forgeone_db::{
    ErrorKind, EventQuery, KeyRotation, RedbManager, StartFrom, StoreOptions, TopicKind,
    TopicPattern, VerifyDepth,
};
use futures::executor::block_on;
use std::path::Path;

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
    let gone = |number: &u64| number % 5 == 1;
    for again in [false, true] {
        assert_sound(&store);
        let wanted: Vec<u64> = (1..=1000).filter(|number| !gone(number)).collect();
        assert_eq!(numbers(&store), wanted);
        assert!(store.get_event(event("", 1).id).unwrap().is_empty());
        let error = store.get_event_at("b", 7).unwrap_err();
        assert_eq!((error.kind(), error.get("reason")), (ErrorKind::NotFound, Some("shredded")));
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
