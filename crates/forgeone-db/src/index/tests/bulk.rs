//! Many random ids, as event ids are: speed, the rate of filters that let an absent key pass, and
//! memory that does not grow with what is merged.

use super::super::page::gauge::take_most;
use super::super::run_cursor::PAGES_AHEAD_MAX;
use super::{
    Arc, Bytes, Direction, FilterKey, Fixture, Index, KeyRange, Memtable, Numbers, Run, Tombstones,
    UnitCache, collect,
};
use crate::environment::Environment;
use crate::index::{CachePolicy, RunWriter};
use futures::executor::block_on;
use std::time::Duration;

struct Stopwatch<'a>(&'a dyn Environment, Duration);

impl<'a> Stopwatch<'a> {
    fn start(environment: &'a dyn Environment) -> Self {
        Self(environment, environment.monotonic())
    }

    /// Prints what was done and how long each took.
    fn print(self, what: &str, count: usize) {
        let took = self.0.monotonic().saturating_sub(self.1);
        let each = took.as_nanos() / count.max(1) as u128;
        println!("{what}: {count} in {} ms, {each} ns each", took.as_millis());
    }
}

fn memtable(keys: &[Bytes]) -> Memtable {
    let mut memtable = Memtable::new();
    for (number, key) in (0u64..).zip(keys) {
        memtable.put(key.clone(), number.to_be_bytes().to_vec());
    }
    memtable
}

#[test]
fn two_hundred_thousand_random_keys_are_found_and_others_are_not() {
    const COUNT: usize = 200_000;
    let mut fixture = Fixture::sealed(FilterKey::Whole);
    let environment = Arc::clone(&fixture.context.environment);
    let mut numbers = Numbers(42);
    let keys: Vec<Bytes> = (0..COUNT).map(|_| numbers.key()).collect();
    let absent: Vec<Bytes> = (0..COUNT).map(|_| numbers.key()).collect();
    let memtable = memtable(&keys);
    block_on(async {
        let time = Stopwatch::start(&*environment);
        let run = fixture.flush(&memtable).await;
        time.print("build", COUNT);
        let bytes = run.named().piece.bytes();
        println!("stored: {bytes} bytes, {} an entry of 28", bytes / COUNT as u64);

        let time = Stopwatch::start(&*environment);
        for (number, key) in (0u64..).zip(&keys) {
            let value = run.get(key).await.unwrap().unwrap().into_value().unwrap();
            assert_eq!(*value, number.to_be_bytes());
        }
        time.print("get present", COUNT);

        let time = Stopwatch::start(&*environment);
        let mut passed = 0;
        for key in &absent {
            passed += usize::from(run.filter_let_pass(key).await.unwrap());
        }
        time.print("filter absent", COUNT);
        println!("false positives: {passed} of {COUNT}");
        assert!(passed * 1_000 < COUNT);
        let time = Stopwatch::start(&*environment);
        for key in &absent {
            assert_eq!(run.get(key).await.unwrap(), None);
        }
        time.print("get absent", COUNT);

        let index = Index::new(Vec::new(), vec![run]);
        for direction in [Direction::Forward, Direction::Reverse] {
            let time = Stopwatch::start(&*environment);
            let found = collect(&index, &KeyRange::all(), direction).await.unwrap();
            assert_eq!(found.len(), COUNT);
            time.print(&format!("scan {direction:?}"), COUNT);
        }
    });
}

#[test]
fn a_thousand_random_ids_against_a_dozen_runs_meet_filters_only() {
    const RUN_ENTRIES: usize = 65_536;
    let mut fixture = Fixture::sealed(FilterKey::Prefix(16));
    fixture.context.units = Arc::new(UnitCache::new(64 << 20));
    let environment = Arc::clone(&fixture.context.environment);
    let mut numbers = Numbers(7);
    let runs: Vec<Arc<Run>> = (0..12)
        .map(|_| {
            let keys: Vec<Bytes> = (0..RUN_ENTRIES).map(|_| numbers.key()).collect();
            block_on(fixture.flush(&memtable(&keys)))
        })
        .collect();
    let ids: Vec<Bytes> = (0..1_000).map(|_| numbers.key()).collect();
    let index = Index::new(Vec::new(), runs.clone());
    block_on(async {
        for round in ["cold", "warm"] {
            let time = Stopwatch::start(&*environment);
            let found = index.get_many(&ids).await.unwrap();
            assert!(found.iter().all(Option::is_none));
            time.print(&format!("batch get, absent, {round}, (key, run)"), 12 * ids.len());
        }
    });
}

#[test]
fn a_merge_holds_a_few_pages_of_each_run() {
    const RUNS: usize = 8;
    const ENTRIES: usize = 30_000;
    let mut fixture = Fixture::sealed(FilterKey::Whole);
    let environment = Arc::clone(&fixture.context.environment);
    let mut numbers = Numbers(11);
    let runs: Vec<Arc<Run>> = (0..RUNS)
        .map(|_| {
            let keys: Vec<Bytes> = (0..ENTRIES).map(|_| numbers.key()).collect();
            block_on(fixture.flush(&memtable(&keys)))
        })
        .collect();
    fixture.cold();
    let _ = take_most();
    let time = Stopwatch::start(&*environment);
    let merged = block_on(fixture.merge(&runs, Tombstones::Drop)).unwrap();
    time.print("merge", RUNS * ENTRIES);
    let most = take_most();
    println!("pages alive at most: {most}");
    assert!(most <= RUNS * (PAGES_AHEAD_MAX + 1));
    assert!(fixture.context.units.bytes() == 0, "a merge leaves the cache alone");
    assert_eq!(merged.named().entries, (RUNS * ENTRIES) as u64);

    let time = Stopwatch::start(&*environment);
    let mut cursor = merged.scan(KeyRange::all(), Direction::Forward, CachePolicy::Bypass);
    let mut entries = 0;
    while block_on(cursor.next()).unwrap() {
        entries += 1;
    }
    time.print("cursor", entries);
    assert!(take_most() <= PAGES_AHEAD_MAX + 1);
}

#[test]
fn prefixes_in_many_filters_are_found() {
    // More than one filter of 65,536 prefixes, three keys for each.
    let mut fixture = Fixture::sealed(FilterKey::Prefix(4));
    block_on(async {
        let number = fixture.piece();
        let mut piece = fixture.context.piece_writer(&fixture.family.table, number);
        let mut writer = RunWriter::begin(&fixture.context, &fixture.family, &mut piece).unwrap();
        for prefix in (0..140_000u32).step_by(2) {
            for last in 0..3 {
                let key = [&prefix.to_be_bytes()[..], &[last]].concat();
                writer.push(&key, Some(&[])).await.unwrap();
            }
        }
        let named = writer.finish().await.unwrap();
        piece.finish().await.unwrap();
        let run = fixture.open(&named).await.unwrap();
        let mut passed = 0;
        for prefix in 0..140_000u32 {
            let may = run.may_contain(&prefix.to_be_bytes()).await.unwrap();
            assert!(may || prefix % 2 == 1);
            passed += usize::from(may && prefix % 2 == 1);
        }
        println!("false positives of prefixes: {passed} of 70000");
        assert!(passed < 70);
        assert!(run.get(&[0, 0, 0, 2, 1]).await.unwrap().is_some());
        assert!(run.get(&[0, 0, 0, 2, 9]).await.unwrap().is_none());
    });
}
