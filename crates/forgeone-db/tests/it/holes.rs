//! Damage in a commit that is not sealed yet costs the records that it hit: they are told, others are
//! read and written, and what lies in their place is kept. Without these tests one bent byte among
//! the newest records would cost all topics of their shard, or be left out in silence once sealed.
//! Contract lines F3, I2, I4 and W3.
//!
//! One section of one commit block of a store is bent, before and beside sealing, changes of keys,
//! shredding, repair and salvage; every record must then be read as it was or told.

use crate::stock::{engine as engine_of, image};
use crate::support::{event, time, unsealed_options as options};
use forgeone_db::{
    Durability, Engine, Error, ErrorKind, EventMessage, EventQuery, KeyRotation, LogQuery,
    MemoryEngine, NewLogEntry, OpenMode, Outcome, QueryOrder, RedbManager, Severity, StartFrom,
    StoreOptions, TopicInfo, TopicKind, TopicPattern, VerifyDepth,
};
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use forgeone_db_engine::{Batch, DatabaseName, FaultyEngine, Read, TableName};
use futures::executor::block_on;
use std::collections::BTreeSet;
use std::sync::Arc;

const EVENTS: &str = "events_shard_0";
/// Records that one commit has of topic a, and of topic b.
const EACH: u64 = 3;
/// Commits with records in a store.
const COMMITS: u64 = 5;

fn open(memory: &MemoryEngine) -> RedbManager {
    RedbManager::open(options(Arc::new(memory.reopen()))).unwrap()
}

/// The events of one commit: numbers from 1 on in topic a, from 1001 on in topic b.
fn commit(number: u64) -> Vec<EventMessage> {
    let of = |topic: &'static str, start: u64| {
        (1..=EACH).map(move |n| event(topic, start + (number - 1) * EACH + n))
    };
    of("a", 0).chain(of("b", 1000)).collect()
}

/// A closed store with some commits that have records of both topics each: the blocks of its shard.
fn unsealed() -> MemoryEngine {
    let memory = MemoryEngine::new();
    let store = open(&memory);
    for number in 1..=COMMITS {
        store.store_events(&commit(number)).unwrap();
    }
    store.close().unwrap();
    memory
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Header,
    /// The first section is of the topic that was made first.
    First,
    Last,
}

fn value(memory: &MemoryEngine, database: &str, table: &str, key: u64) -> Vec<u8> {
    let read = Read::get(&TableName::new(table).unwrap(), key.to_be_bytes().to_vec());
    let read = memory.read(&DatabaseName::new(database).unwrap(), read);
    block_on(read).unwrap().into_values().unwrap().remove(0).unwrap().to_vec()
}

/// Flips a bit in a part of a block, or flips it back.
fn bend_in(memory: &MemoryEngine, database: &str, block: u64, part: Part) {
    let mut value = value(memory, database, "commits", block);
    let header = 4 + u32::from_be_bytes(value[..4].try_into().unwrap()) as usize;
    let at = match part {
        Part::Header => header / 2,
        Part::First => header + 99,
        Part::Last => value.len() - 1,
    };
    value[at] ^= 1;
    let mut batch = Batch::new(DatabaseName::new(database).unwrap());
    batch.put(&TableName::new("commits").unwrap(), block.to_be_bytes().to_vec(), value);
    block_on(memory.commit(batch, Durability::None)).unwrap();
}

fn bend(memory: &MemoryEngine, block: u64, part: Part) {
    bend_in(memory, EVENTS, block, part);
}

/// The numbers of a topic in a commit.
fn range(commit: u64) -> (u64, u64) {
    ((commit - 1) * EACH + 1, commit * EACH)
}

fn numbers(commits: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    commits.into_iter().flat_map(|commit| range(commit).0..=range(commit).1).collect()
}

#[track_caller]
fn told_range(error: &Error, topic: &str) -> (u64, u64) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.get("database"), Some(EVENTS), "{error}");
    assert_eq!(error.get("topic"), Some(topic), "{error}");
    let bound = |name| error.get(name).unwrap().parse().unwrap();
    (bound("from"), bound("to"))
}

/// What results have of a topic, and what they tell as damaged, each once.
#[track_caller]
fn gather<T>(
    results: impl Iterator<Item = forgeone_db::Result<T>>,
    topic: &str,
    number: impl Fn(&T) -> Option<u64>,
) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut found, mut told) = (BTreeSet::new(), BTreeSet::new());
    for result in results.take(1000) {
        match result {
            Ok(one) => {
                let Some(number) = number(&one) else { continue };
                assert!(found.insert(number), "{number} came twice");
            }
            Err(error) => {
                let (from, to) = told_range(&error, topic);
                assert!((from..=to).all(|number| told.insert(number)), "told twice: {error}");
            }
        }
    }
    (found, told)
}

#[track_caller]
fn read_as(store: &RedbManager, query: EventQuery) -> (BTreeSet<u64>, BTreeSet<u64>) {
    gather(store.query_events(query).unwrap(), "a", |one| {
        (one.event.topic == "a").then_some(one.seq)
    })
}

/// Everything that reads tells the records of topic a in the lost commits, and gives those of the
/// others; topic b is whole.
#[track_caller]
fn check_reads(store: &RedbManager, lost: &[u64], last: u64) {
    let kept = numbers((1..=last).filter(|commit| !lost.contains(commit)));
    let lost = numbers(lost.iter().copied());
    let expected = (kept.clone(), lost.clone());
    let of_a = || EventQuery::new(TopicPattern::exact("a").unwrap());
    for order in [QueryOrder::OldestFirst, QueryOrder::NewestFirst] {
        assert_eq!(read_as(store, of_a().order(order)), expected);
        assert_eq!(read_as(store, EventQuery::default().order(order)), expected);
        // Nobody knows the times of what is lost: a search by time tells it, whatever the time.
        let newest = i64::try_from(last * EACH).unwrap();
        for (from, to) in [(1, newest + 1), (newest, newest + 1), (1, 2), (5000, 6000)] {
            let times = || time(1_700_000_000 + from)..time(1_700_000_000 + to);
            let query = of_a().from(times().start).to(times().end).order(order);
            let (found, told) = read_as(store, query);
            let wanted = |seq: &&u64| (from..to).contains(&i64::try_from(**seq).unwrap());
            assert_eq!(found, kept.iter().filter(wanted).copied().collect());
            assert_eq!(told, lost, "{from} {to}");
        }
    }
    let all = TopicPattern::all();
    let replayed = |start| {
        gather(store.replay(&all, start).unwrap(), "a", |one| {
            (one.event.topic == "a").then_some(one.seq)
        })
    };
    assert_eq!(replayed(StartFrom::Oldest), expected);
    let late = time(1_700_000_000 + i64::try_from(last * EACH).unwrap());
    assert_eq!(replayed(StartFrom::Time(late)).1, lost);
    for seq in kept {
        let event = store.get_event_at("a", seq).unwrap().event;
        assert_eq!(event, commit(seq.div_ceil(EACH))[((seq - 1) % EACH) as usize]);
        assert_eq!(store.get_event(event.id).unwrap().len(), 1);
    }
    for seq in lost {
        let error = store.get_event_at("a", seq).unwrap_err();
        assert!((told_range(&error, "a").0..=told_range(&error, "a").1).contains(&seq));
        // Whoever looks for it by its id is not told that there is none.
        told_range(&store.get_event(event("a", seq).id).unwrap_err(), "a");
    }
    let of_b = EventQuery::new(TopicPattern::exact("b").unwrap());
    let of_b = store.query_events(of_b).unwrap().map(Result::unwrap);
    assert_eq!(of_b.map(|one| one.seq).collect::<BTreeSet<_>>(), numbers(1..=last));
    for topic in store.topics(&all).unwrap() {
        assert_eq!((topic.count, topic.last_seq), (last * EACH, last * EACH));
    }
    assert_eq!(store.stats().unwrap().quarantined_databases, 0);
}

/// Every depth names the lost ranges and nothing else.
#[track_caller]
fn check_verified(store: &RedbManager, lost: &[u64]) {
    for depth in [VerifyDepth::Quick, VerifyDepth::Standard, VerifyDepth::Deep] {
        let report = store.verify(depth, |_| ()).unwrap();
        let named: Vec<_> = report
            .errors()
            .map(|one| (one.topic.as_deref(), one.from_seq.unwrap(), one.to_seq.unwrap()))
            .collect();
        let lost: Vec<_> =
            lost.iter().map(|one| (Some("a"), range(*one).0, range(*one).1)).collect();
        assert_eq!(named, lost, "{depth:?}: {:#?}", report.findings);
    }
    let quarantined = store.stats().unwrap().databases;
    let quarantined: u64 = quarantined.iter().map(|database| database.quarantined).sum();
    assert_eq!(quarantined, lost.len() as u64);
}

#[test]
fn a_damaged_commit_that_is_not_sealed_costs_its_range_alone_also_once_it_is() {
    for lost in [&[1_u64][..], &[3], &[5], &[2, 3], &[1, 2, 3, 4, 5], &[1, 4]] {
        let memory = unsealed();
        lost.iter().for_each(|commit| bend(&memory, *commit, Part::First));
        let reader = options(Arc::new(memory.reopen())).mode(OpenMode::Read);
        let reader = RedbManager::open(reader).unwrap();
        check_reads(&reader, lost, COMMITS);
        check_verified(&reader, lost);
        drop(reader);
        let store = open(&memory);
        check_reads(&store, lost, COMMITS);
        // Writing goes on, numbers too, and sealing.
        let mut last = COMMITS;
        for round in 0..6 {
            last += 1;
            let stored = store.store_events(&commit(last)).unwrap();
            assert_eq!(stored.first().unwrap().seq, range(last).0);
            check_verified(&store, lost);
            if round % 2 == 1 {
                store.seal().unwrap();
                check_verified(&store, lost);
            }
            check_reads(&store, lost, last);
        }
        store.close().unwrap();
        let store = open(&memory);
        check_reads(&store, lost, last);
        check_verified(&store, lost);
    }
}

#[test]
fn a_subscription_tells_a_damaged_commit_once_and_goes_on() {
    let memory = unsealed();
    bend(&memory, 2, Part::First);
    let store = open(&memory);
    let a = TopicPattern::exact("a").unwrap();
    let mut running = store.subscribe(&a, StartFrom::Oldest).unwrap();
    let (mut found, mut told) = (BTreeSet::new(), 0);
    while (found.len() as u64) < (COMMITS - 1) * EACH {
        match running.next().unwrap() {
            Ok(one) => assert!(found.insert(one.seq)),
            Err(error) => {
                assert_eq!(told_range(&error, "a"), range(2));
                told += 1;
            }
        }
    }
    assert_eq!(told, 1);
    store.store_events(&commit(COMMITS + 1)).unwrap();
    store.seal().unwrap();
    for seq in range(COMMITS + 1).0..=range(COMMITS + 1).1 {
        assert_eq!(running.next().unwrap().unwrap().seq, seq);
    }
    // A marker that is nowhere else may be there.
    let marked = store.subscribe(&a, StartFrom::Marker("m".to_owned())).unwrap_err();
    assert_eq!(told_range(&marked, "a"), range(2));
}

/// What nobody can say of: which records there were, or the state that everything follows from.
#[test]
fn a_damaged_header_costs_the_shard_and_damaged_state_the_store() {
    let memory = unsealed();
    bend(&memory, 2, Part::Header);
    let store = open(&memory);
    assert_eq!(store.stats().unwrap().quarantined_databases, 1);
    let refused = store.store_event(&event("b", 5000)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
    drop(store);
    bend(&memory, 2, Part::Header);
    check_reads(&open(&memory), &[], COMMITS);
    bend_in(&memory, "system", 1, Part::Last);
    for mode in [OpenMode::Read, OpenMode::Open] {
        let refused = RedbManager::open(options(Arc::new(memory.reopen())).mode(mode));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Corrupt, "{mode:?}");
    }
}

/// A block that was cut, or all of whose sections are bent, is no worse.
#[test]
fn a_block_that_lacks_its_end_costs_the_sections_that_lay_there() {
    let memory = unsealed();
    let stored = value(&memory, EVENTS, "commits", 2);
    let header = 4 + u32::from_be_bytes(stored[..4].try_into().unwrap()) as usize;
    for end in [header, header + 40, stored.len() - 1] {
        let memory = unsealed();
        let stored = value(&memory, EVENTS, "commits", 2);
        let mut batch = Batch::new(DatabaseName::new(EVENTS).unwrap());
        let table = TableName::new("commits").unwrap();
        batch.put(&table, 2_u64.to_be_bytes().to_vec(), stored[..end].to_vec());
        block_on(memory.commit(batch, Durability::None)).unwrap();
        let store = open(&memory);
        for _ in 0..2 {
            let all = store.query_events(EventQuery::default()).unwrap();
            let (found, told): (Vec<_>, Vec<_>) = all.partition(Result::is_ok);
            let lost_topics = if end == stored.len() - 1 { 1 } else { 2 };
            assert_eq!(told.len() as u64, lost_topics, "{end}");
            let kept = (COMMITS * 2 - lost_topics) * EACH;
            assert_eq!(found.len() as u64, kept, "{end}");
            store.seal().unwrap();
        }
    }
}

#[test]
fn bytes_that_come_right_before_they_are_sealed_are_read_and_later_they_are_kept() {
    let memory = unsealed();
    bend(&memory, 3, Part::First);
    let store = open(&memory);
    check_reads(&store, &[3], COMMITS);
    store.close().unwrap();
    bend(&memory, 3, Part::First);
    let store = open(&memory);
    check_reads(&store, &[], COMMITS);
    check_verified(&store, &[]);
    store.close().unwrap();

    // Without a key what is set aside lies there as it was found.
    let memory = MemoryEngine::new();
    let plain = || {
        RedbManager::open(
            StoreOptions::with_engine(Arc::new(memory.reopen()))
                .durability(Durability::None)
                .mode(OpenMode::OpenOrCreate)
                .shard_count(1),
        )
        .unwrap()
    };
    let store = plain();
    let large = "a long record ".repeat(20);
    store.store_event(&EventMessage { payload: large, ..event("a", 1) }).unwrap();
    store.close().unwrap();
    bend(&memory, 1, Part::Last);
    let block = value(&memory, EVENTS, "commits", 1);
    let header = 4 + u32::from_be_bytes(block[..4].try_into().unwrap()) as usize;
    let store = plain();
    store.store_event(&event("b", 2)).unwrap();
    store.seal().unwrap();
    store.close().unwrap();
    let kept = image(&memory, 1);
    assert!(!kept.keys().any(|place| place.0 == EVENTS && place.1 == "commits"));
    let section = &block[header..];
    let has = |value: &Vec<u8>| value.windows(section.len()).any(|window| window == section);
    assert!(kept.iter().any(|(place, value)| place.1 == "events" && has(value)));
}

#[test]
fn changes_of_keys_keep_what_is_lost_and_a_shredding_takes_it() {
    let memory = unsealed();
    bend(&memory, 2, Part::First);
    let store = open(&memory);
    for _ in 0..3 {
        store.rotate_keys(KeyRotation::Data, |_| ()).unwrap();
        store.rotate_keys(KeyRotation::Wrapping, |_| ()).unwrap();
        check_reads(&store, &[2], COMMITS);
        check_verified(&store, &[2]);
    }
    store.close().unwrap();
    let store = open(&memory);
    check_reads(&store, &[2], COMMITS);
    let pieces = || image(&memory, 1).keys().filter(|place| place.1 == "events").count();
    let before = pieces();
    store.shred_topic(TopicKind::Events, "a").unwrap();
    store.settle().unwrap();
    assert!(pieces() < before);
    let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
    assert!(report.is_sound(), "{report:#?}");
    assert!(store.get_event(event("a", 4).id).unwrap().is_empty());

    // The same before anything of it was sealed.
    let memory = unsealed();
    bend(&memory, 2, Part::First);
    let store = open(&memory);
    store.shred_topic(TopicKind::Events, "a").unwrap();
    let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
    assert!(report.is_sound(), "{report:#?}");
    assert!(store.get_event(event("a", 4).id).unwrap().is_empty());
}

/// The lost record had a time far ahead: what came behind it is late for a time that nobody knows.
#[test]
fn records_that_are_late_for_a_lost_one_are_no_damage() {
    let memory = MemoryEngine::new();
    let store = open(&memory);
    store.store_event(&event("a", 1)).unwrap();
    store.store_event(&event("a", 100)).unwrap();
    for number in [50, 40, 60] {
        store.store_event(&event("a", number)).unwrap();
    }
    store.store_event(&event("a", 110)).unwrap();
    store.close().unwrap();
    bend(&memory, 2, Part::Last);
    let store = open(&memory);
    for number in [70, 120, 90, 130] {
        for _ in 0..2 {
            let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
            assert_eq!(report.errors().count(), 1, "{number}: {:#?}", report.findings);
            store.seal().unwrap();
        }
        store.store_event(&event("a", number)).unwrap();
    }
    let query = EventQuery::new(TopicPattern::exact("a").unwrap());
    let (found, told) = read_as(&store, query);
    assert_eq!((found.len(), told), (9, BTreeSet::from([2])));
    let times: Vec<_> = store.query_events(EventQuery::default()).unwrap().flatten().collect();
    assert!(times.is_sorted_by_key(|one| one.event.timestamp));
}

#[test]
fn a_repair_mends_indexes_beside_what_is_lost() {
    let memory = unsealed();
    bend(&memory, 2, Part::First);
    let store = open(&memory);
    store.seal().unwrap();
    store.close().unwrap();
    let mut bent = image(&memory, 1);
    let (_, run) = bent.iter_mut().find(|(place, _)| place.1 == "event_index").unwrap();
    run[40] ^= 1;
    let memory = engine_of(&bent);
    let store = open(&memory);
    let plan = store.plan_repair(|_| ()).unwrap();
    assert!(!plan.steps.is_empty() && plan.remaining.len() == 1, "{plan:#?}");
    assert!(plan.remaining[0].remedy.contains("salvage"), "{plan:#?}");
    store.execute_repair(&plan, |_| ()).unwrap();
    check_verified(&store, &[2]);
    check_reads(&store, &[2], COMMITS);
}

#[test]
fn a_salvage_names_what_is_lost_and_saves_the_rest() {
    for sealed in [false, true] {
        let memory = unsealed();
        bend(&memory, 2, Part::First);
        if sealed {
            let store = open(&memory);
            store.seal().unwrap();
            store.close().unwrap();
        }
        let target = MemoryEngine::new();
        let (old, new) = (Arc::new(memory.reopen()), Arc::new(target.reopen()));
        let report = RedbManager::salvage(options(old), options(new), |_| ()).unwrap();
        assert_eq!((report.records, report.records_lost), ((2 * COMMITS - 1) * EACH, EACH));
        let of_a = report.topics.iter().find(|topic| topic.topic == "a").unwrap();
        let lost: Vec<_> = of_a.lost.iter().map(|lost| (lost.from_seq, lost.to_seq)).collect();
        assert_eq!(lost, [(range(2).0, Some(range(2).1))], "{sealed}");
        let store = open(&target);
        let all: Vec<_> = store.query_events(EventQuery::default()).unwrap().collect();
        assert_eq!(all.iter().flatten().count() as u64, report.records);
        let verified = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
        assert!(verified.is_sound(), "{verified:#?}");
    }
}

#[test]
fn a_reader_beside_a_writer_takes_a_damaged_new_commit_for_what_it_is() {
    let memory = unsealed();
    let store = open(&memory);
    let reader =
        RedbManager::open(options(Arc::new(memory.reopen())).mode(OpenMode::Read)).unwrap();
    check_reads(&reader, &[], COMMITS);
    store.store_events(&commit(COMMITS + 1)).unwrap();
    // A new term has a block of its own.
    bend(&memory, COMMITS + 2, Part::First);
    check_reads(&reader, &[COMMITS + 1], COMMITS + 1);
    // What the writer has in memory is what was acknowledged.
    check_reads(&store, &[], COMMITS + 1);
}

#[test]
fn a_search_of_logs_tells_a_damaged_commit() {
    let memory = MemoryEngine::new();
    let store = open(&memory);
    for number in 1..=4 {
        store
            .store_log(NewLogEntry::new(
                "web",
                time(number),
                Severity::Info,
                format!("GET /{number}"),
            ))
            .unwrap();
    }
    let id = store.get_log_at("web", 2).unwrap().entry.id;
    store.close().unwrap();
    bend_in(&memory, "logs_shard_0", 2, Part::Last);
    let store = open(&memory);
    for _ in 0..2 {
        // This id follows from the place of the lost entry, so it is known to be that one's.
        let again = NewLogEntry::new("web", time(2), Severity::Info, "GET /2".to_owned());
        let refused = store.store_log(NewLogEntry { id: Some(id), ..again }).unwrap_err();
        assert_eq!((refused.kind(), refused.outcome()), (ErrorKind::Corrupt, Outcome::Rejected));
        assert_eq!(store.get_log(id).unwrap_err().kind(), ErrorKind::Corrupt);
        for query in [LogQuery::default(), LogQuery::default().contains("GET /3")] {
            let (found, told): (Vec<_>, Vec<_>) =
                store.query_logs(query).unwrap().partition(Result::is_ok);
            assert!(!found.is_empty());
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].as_ref().unwrap_err().get("from"), Some("2"));
        }
        store.seal().unwrap();
    }
}

/// contract C1: sealing beside what is lost may be cut off at every write.
#[test]
fn a_sealing_beside_what_is_lost_may_be_cut_off_at_every_write() {
    let damaged = || {
        let memory = unsealed();
        bend(&memory, 2, Part::First);
        bend(&memory, 4, Part::First);
        memory
    };
    let counted = Arc::new(FaultyEngine::new(damaged(), FaultPlan::new()));
    let engine: Arc<dyn Engine> = Arc::<FaultyEngine<_>>::clone(&counted);
    let store = RedbManager::open(options(engine)).unwrap();
    let opened = counted.counts().commits;
    store.seal().unwrap();
    let done = counted.counts().commits;
    assert!(done >= opened + 3, "{opened} {done}");
    for commit in opened + 1..=done {
        for fault in [CommitFault::UnknownApplied, CommitFault::UnknownNotApplied] {
            let (kind, after) = (ErrorKind::Unavailable, CommitFault::UnknownNotApplied);
            let plan = FaultPlan::new().fail_commit(commit, Repeat::Once, kind, fault).fail_commit(
                commit + 1,
                Repeat::Forever,
                kind,
                after,
            );
            let memory = damaged();
            let faulty = FaultyEngine::new(memory.reopen(), plan);
            let store = RedbManager::open(options(Arc::new(faulty))).unwrap();
            drop(store.seal());
            check_reads(&store, &[2, 4], COMMITS);
            drop(store);
            let store = open(&memory);
            for _ in 0..2 {
                check_reads(&store, &[2, 4], COMMITS);
                check_verified(&store, &[2, 4]);
                store.seal().unwrap();
            }
        }
    }
}

#[test]
fn once_anything_stands_behind_what_is_lost_it_stays_lost() {
    let memory = unsealed();
    bend(&memory, 3, Part::First);
    let store = open(&memory);
    let newest = |topic: &TopicInfo| (topic.topic.clone(), topic.last_timestamp.is_some());
    let known: Vec<_> = store.topics(&TopicPattern::all()).unwrap().iter().map(newest).collect();
    assert_eq!(known, [("a".to_owned(), false), ("b".to_owned(), true)]);
    // The id of a lost record, and a time between those of lost ones.
    let lost = commit(3).remove(0);
    let again = EventMessage { payload: "another".into(), ..lost.clone() };
    store.store_event(&again).unwrap();
    store.store_event(&EventMessage { timestamp: lost.timestamp, ..event("a", 900) }).unwrap();
    // The block is gone, so that nothing that comes right in it can contradict what followed.
    let kept = image(&memory, 1);
    let block = |place: &(String, String, Vec<u8>)| place.0 == EVENTS && place.1 == "commits";
    assert!(
        kept.keys().filter(|place| block(place)).all(|place| place.2[..] > 3_u64.to_be_bytes()[..])
    );
    store.close().unwrap();
    let store = open(&memory);
    check_verified(&store, &[3]);
    let found = store.get_event(lost.id);
    assert_eq!(found.unwrap()[0].event.payload, "another");
}

#[test]
fn a_query_that_goes_on_from_a_cursor_tells_what_was_lost_meanwhile() {
    let memory = unsealed();
    let store = open(&memory);
    let pattern = || TopicPattern::new("a").unwrap();
    let mut first = store.query_events(EventQuery::new(pattern()).limit(5)).unwrap();
    assert_eq!(first.by_ref().map(Result::unwrap).count(), 5);
    let cursor = first.cursor().unwrap().unwrap();
    drop(first);
    store.close().unwrap();
    bend(&memory, 2, Part::First);
    let store = open(&memory);
    let rest = EventQuery::new(pattern()).cursor(cursor);
    let (found, told) = read_as(&store, rest);
    let wanted = numbers(1..=COMMITS);
    let missing: BTreeSet<u64> = wanted.iter().filter(|seq| **seq > 5).copied().collect();
    assert!(
        missing.iter().all(|seq| found.contains(seq) || told.contains(seq)),
        "{found:?} {told:?}"
    );
}

#[test]
fn an_id_that_one_topic_has_may_be_lost_in_another() {
    let memory = MemoryEngine::new();
    let store = open(&memory);
    let (one, other) = (event("a", 1), EventMessage { topic: "b".into(), ..event("a", 1) });
    store.store_events(&[one.clone(), other]).unwrap();
    store.close().unwrap();
    bend(&memory, 1, Part::Last);
    let store = open(&memory);
    let error = store.get_event(one.id).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}
