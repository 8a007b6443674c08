//! The store over an engine that is as awkward as the contract lets it be, and a reader whose data
//! a writer changes, seals and merges between any two of its calls. Answers must stay right.

use crate::stock::{SHARDS, Stock, ask, options, stock_event};
use crate::support::{event, key};
use forgeone_db::environment::{Environment as _, SystemEnvironment};
use forgeone_db::{
    Durability, EventQuery, FindingSeverity, MemoryEngine, OpenMode, RedbManager, StartFrom,
    StoreOptions, TopicPattern, VerifyDepth,
};
use forgeone_db_engine::StrictEngine;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

fn over(engine: StrictEngine<MemoryEngine>, mode: OpenMode) -> (StoreOptions, Arc<Strict>) {
    let engine = Arc::new(engine);
    let options = StoreOptions::with_engine(Arc::<Strict>::clone(&engine))
        .durability(Durability::None)
        .mode(mode)
        .shard_count(SHARDS)
        .key(key());
    (options, engine)
}

type Strict = StrictEngine<MemoryEngine>;

#[test]
fn a_store_over_the_strict_engine_answers_like_any_other() {
    let stock = Stock::new(true);
    for (seed, image) in [&stock.older, &stock.killed, &stock.closed].into_iter().enumerate() {
        let engine = crate::stock::engine(image);
        for mode in [OpenMode::Open, OpenMode::Read] {
            let strict = StrictEngine::new(engine.reopen(), seed as u64);
            let (options, _) = over(strict, mode);
            let store = RedbManager::open(options).unwrap();
            let answers = ask(&store, &stock.ids);
            if image == &stock.older {
                assert!(answers.unwrap().forward.len() < stock.ids.len());
            } else {
                assert!(answers.unwrap() == stock.answers);
            }
            let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
            assert!(report.is_sound(), "{:#?}", report.findings);
            store.close().unwrap();
        }
    }
    let (options, _) = over(StrictEngine::new(MemoryEngine::new(), 9), OpenMode::Create);
    let store = RedbManager::open(options).unwrap();
    for round in 0..30 {
        let batch: Vec<_> = (1..=20).map(|n| stock_event("alpha", round * 20 + n)).collect();
        store.store_events(&batch).unwrap();
        store.seal().unwrap();
    }
    let found = store.query_events(EventQuery::default()).unwrap();
    assert_eq!(found.collect::<Result<Vec<_>, _>>().unwrap().len(), 600);
    store.close().unwrap();
}

/// What the writer does each time that it is let in.
fn disturb(store: &RedbManager, turn: u64) {
    let topic = format!("t{}", turn % 3);
    let first = turn * 10 + 1;
    let batch: Vec<_> = (first..first + 10)
        .map(|number| {
            let mut event = event(&topic, number);
            if number.is_multiple_of(4) {
                event.timestamp -= chrono::TimeDelta::hours(1);
            }
            event
        })
        .collect();
    store.store_events(&batch).unwrap();
    if turn.is_multiple_of(2) {
        store.seal().unwrap();
    }
}

/// Every topic's events must be dense from 1 and at least as many as were there before.
fn check(found: &[(String, u64)], at_least: u64) {
    let mut topics: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (topic, seq) in found {
        topics.entry(topic).or_default().push(*seq);
    }
    for (topic, mut seqs) in topics {
        seqs.sort_unstable();
        assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{topic}: {seqs:?}");
    }
    assert!(found.len() as u64 >= at_least, "{} of {at_least}", found.len());
}

#[test]
fn a_reader_stays_right_while_a_writer_seals_and_merges_between_its_calls() {
    let memory = MemoryEngine::new();
    let create = options(memory.clone(), true).mode(OpenMode::Create).shard_count(SHARDS);
    let writer = RedbManager::open(create).unwrap();
    disturb(&writer, 0);
    let (strict_options, strict) = over(StrictEngine::new(memory.reopen(), 3), OpenMode::Read);
    let stored = Arc::new(AtomicU64::new(10));
    let (ask_for, asked) = channel::<()>();
    let (tell, told) = channel::<()>();
    let turns = {
        let (writer, stored) = (writer.clone(), Arc::clone(&stored));
        let work = move || {
            let mut turn = 0;
            while asked.recv().is_ok() {
                turn += 1;
                disturb(&writer, turn);
                stored.store((turn + 1) * 10, Ordering::SeqCst);
                if tell.send(()).is_err() {
                    break;
                }
            }
        };
        SystemEnvironment::new().spawn("writer", Box::new(work)).unwrap()
    };
    let mut calls = 0u64;
    strict.interfere(move |_| {
        calls += 1;
        if calls.is_multiple_of(11) && calls < 4_000 {
            ask_for.send(()).unwrap();
            told.recv().unwrap();
        }
        Vec::new()
    });
    let reader = RedbManager::open(strict_options).unwrap();
    let pair = |one: forgeone_db::StoredEvent| (one.event.topic, one.seq);
    for round in 0..6 {
        let before = stored.load(Ordering::SeqCst);
        let found = reader.query_events(EventQuery::default()).unwrap();
        check(&found.map(|one| one.map(pair).unwrap()).collect::<Vec<_>>(), before);
        let before = stored.load(Ordering::SeqCst);
        let found = reader.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
        check(&found.map(|one| one.map(pair).unwrap()).collect::<Vec<_>>(), before);
        for number in (1..before).step_by(37) {
            let found = reader.get_event(event("", number).id).unwrap();
            assert_eq!(found.len(), 1, "event {number} in round {round}");
        }
        let report = reader.verify(VerifyDepth::Deep, |_| ()).unwrap();
        let worse: Vec<_> =
            report.findings.iter().filter(|one| one.severity > FindingSeverity::Info).collect();
        assert!(worse.is_empty(), "{worse:#?}");
    }
    strict.clear_interference();
    reader.close().unwrap();
    assert!(turns.join());
    let turns = stored.load(Ordering::SeqCst) / 10;
    println!("the writer was let in {turns} times");
    assert!(turns > 100);
}
