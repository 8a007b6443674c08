//! Storing, finding, replaying and following events, across reopening and sealing.

use crate::support::{event, open, options, time};
use forgeone_db::{EventQuery, QueryOrder, RedbManager, StartFrom, TopicKind, TopicPattern};

fn all(store: &RedbManager, query: EventQuery) -> Vec<(String, u64)> {
    store
        .query_events(query)
        .unwrap()
        .map(|found| found.map(|found| (found.event.topic, found.seq)).unwrap())
        .collect()
}

#[test]
fn events_survive_reopening_sealed_and_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    for number in 1..=100 {
        let position = store.store_event(&event("orders.eu", number)).unwrap();
        assert_eq!((position.seq, position.duplicate), (number, false));
    }
    store.seal().unwrap();
    let batch: Vec<_> = (101..=200).map(|number| event("orders.eu", number)).collect();
    store.store_events(&batch).unwrap();
    for round in 0..3 {
        for number in [1, 50, 100, 101, 200] {
            let found = store.get_event(event("", number).id).unwrap();
            assert_eq!(found.len(), 1, "event {number} in round {round}");
            assert_eq!(found[0].event, event("orders.eu", number));
            assert_eq!(found[0].seq, number);
        }
        let forward = all(&store, EventQuery::default());
        assert_eq!(forward.len(), 200);
        assert!(forward.iter().map(|(_, seq)| *seq).eq(1..=200));
        let reverse = all(&store, EventQuery::default().order(QueryOrder::NewestFirst));
        assert!(reverse.iter().map(|(_, seq)| *seq).eq((1..=200).rev()));
        let some = EventQuery::default().from(time(1_700_000_050)).to(time(1_700_000_060));
        assert!(all(&store, some.clone()).iter().map(|(_, seq)| *seq).eq(50..60));
        let back = all(&store, some.order(QueryOrder::NewestFirst));
        assert!(back.iter().map(|(_, seq)| *seq).eq((50..60).rev()));
        if round == 0 {
            store.seal().unwrap();
        }
    }
    store.close().unwrap();
    let store = open(&path);
    assert_eq!(all(&store, EventQuery::default()).len(), 200);
    let duplicate = store.store_event(&event("orders.eu", 77)).unwrap();
    assert_eq!((duplicate.seq, duplicate.duplicate), (77, true));
    let replayed = store.replay(&TopicPattern::all(), StartFrom::After(150)).unwrap();
    assert!(replayed.map(|found| found.unwrap().seq).eq(151..=200));
}

#[test]
fn a_reader_follows_a_writer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    store.store_event(&event("a", 1)).unwrap();
    let reader = RedbManager::open(options(&path).mode(forgeone_db::OpenMode::Read)).unwrap();
    assert_eq!(all(&reader, EventQuery::default()).len(), 1);
    let mut following = reader.subscribe(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    assert_eq!(following.next().unwrap().unwrap().seq, 1);
    store.store_event(&event("a", 2)).unwrap();
    store.seal().unwrap();
    store.store_event(&event("b", 3)).unwrap();
    assert_eq!(following.next().unwrap().unwrap().seq, 2);
    assert_eq!(following.next().unwrap().unwrap().event.topic, "b");
    assert_eq!(all(&reader, EventQuery::default()).len(), 3);
}

#[test]
fn a_closed_store_holds_nothing_superfluous() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    for round in 0..30 {
        let batch: Vec<_> = (0..20).map(|n| event("orders.eu", round * 20 + n)).collect();
        store.store_events(&batch).unwrap();
        store.seal().unwrap();
    }
    store.close().unwrap();
    let store = open(&path);
    let report = store.verify(forgeone_db::VerifyDepth::Deep, |_| {}).unwrap();
    assert!(report.is_sound());
    assert!(report.records >= 600);
    assert_eq!(report.orphan_pieces, 0);
}

#[test]
fn a_replay_from_a_time_starts_where_the_topic_reached_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"));
    let batch: Vec<_> = (1..=300).map(|number| event("a", number)).collect();
    store.store_events(&batch).unwrap();
    for _ in 0..2 {
        for number in [1, 2, 150, 299, 300] {
            let start = StartFrom::Time(event("a", number).timestamp);
            let mut replay = store.replay(&TopicPattern::all(), start).unwrap();
            assert_eq!(replay.next().unwrap().unwrap().seq, number);
        }
        let beyond = StartFrom::Time(event("a", 301).timestamp);
        assert!(store.replay(&TopicPattern::all(), beyond).unwrap().next().is_none());
        store.seal().unwrap();
    }
}

#[test]
fn a_search_ends_at_what_was_shredded_before_it_began_in_both_directions() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"));
    for number in 1..=6 {
        store.store_event(&event("a", number)).unwrap();
        if number == 3 {
            store.shred_topic(TopicKind::Events, "a").unwrap();
        }
    }
    for order in [QueryOrder::OldestFirst, QueryOrder::NewestFirst] {
        let found = store.query_events(EventQuery::default().order(order)).unwrap();
        let mut found: Vec<u64> = found.map(|found| found.unwrap().seq).collect();
        found.sort_unstable();
        assert_eq!(found, [4, 5, 6], "{order:?}");
    }
}
