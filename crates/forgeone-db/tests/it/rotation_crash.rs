//! A change of keys stopped at each of its writes, and killed at any moment. Without these tests a
//! store could be left that neither the old nor the new key opens, or that has lost records with a
//! key that was given up too early.
//!
//! In process every commit of each change is once the last one, applied or not, and finishing is cut
//! short once more. From outside a child process that changes keys and appends all the time is
//! killed; `FORGEONE_DB_KILLS` sets how often for each kind of change: 6 without it. Of 100 kills each,
//! spread over 0.6 s, 75 cut a change of the wrapping key short, 96 one of data keys, 96 a shredding.

use crate::support::{event, options, time};
use crate::system::ANY;
use forgeone_db::{
    Database, Durability, Engine, ErrorKind, EventQuery, KdfParams, Key, KeyRotation, LogQuery,
    MemoryEngine, NewLogEntry, OpenMode, RedbManager, Result, Severity, StoreKeys, StoreOptions,
    TopicKind, TopicPattern, VerifyDepth,
};
use forgeone_db_engine::FaultyEngine;
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use futures::executor::block_on;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const TOPICS: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The topic that is shredded.
const SHREDDED: &str = "b";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Slot,
    Wrapping,
    Data,
    Shred,
}

impl Change {
    const ALL: [Self; 4] = [Self::Slot, Self::Wrapping, Self::Data, Self::Shred];

    /// `key` is what the slot gets, if it is the slot that changes.
    fn make(self, store: &RedbManager, key: Key) -> Result<()> {
        let database = store.database();
        match self {
            Self::Slot => block_on(database.replace_key_slot(0, key, None, KdfParams::DEFAULT)),
            Self::Wrapping => block_on(database.rotate_keys(KeyRotation::Wrapping, |_| {})),
            Self::Data => block_on(database.rotate_keys(KeyRotation::Data, |_| {})),
            Self::Shred => block_on(database.shred_topic(TopicKind::Events, SHREDDED)).map(|_| ()),
        }
    }
}

fn old_key() -> Key {
    Key::raw([7; 32])
}

fn new_key() -> Key {
    Key::raw([8; 32])
}

fn in_memory(engine: Arc<dyn Engine>, key: Key) -> StoreOptions {
    StoreOptions::with_engine(engine)
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(key)
        .shard_count(2)
        // Nothing is sealed but by hand, so that the count of commits is the same in every run.
        .seal_at(usize::MAX / 8, u64::MAX / 8)
}

fn topic(number: u64) -> &'static str {
    TOPICS[usize::try_from(number).unwrap() % TOPICS.len()]
}

fn append(store: &RedbManager, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        store.store_event(&event(topic(number), number)).unwrap();
    }
}

/// Lines, and versions of a setting, in a store that is crashed.
const OTHERS: u64 = 12;

fn append_others(store: &RedbManager, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let at = time(1_700_000_000 + i64::try_from(number).unwrap());
        let line = format!("line {number}");
        store.store_log(NewLogEntry::new("l", at, Severity::Info, line)).unwrap();
        store.set_setting("s", &number.into(), ANY).unwrap();
    }
}

fn check_others(store: &RedbManager, what: &str) {
    let lines = store.query_logs(LogQuery::default()).unwrap();
    let lines: Vec<String> = lines.map(|found| found.unwrap().entry.message).collect();
    assert!(lines.into_iter().eq((1..=OTHERS).map(|number| format!("line {number}"))), "{what}");
    let setting = store.get_setting("s").unwrap().unwrap();
    assert_eq!((setting.value, setting.version), (OTHERS.into(), OTHERS), "{what}");
    assert_eq!(store.setting_history("s").unwrap().count() as u64, OTHERS, "{what}");
}

/// A store with segments of two ages, an unsealed tail and a clean close behind it.
fn build() -> MemoryEngine {
    let memory = MemoryEngine::new();
    let store = RedbManager::open(in_memory(Arc::new(memory.reopen()), old_key())).unwrap();
    append(&store, 1..=30);
    append_others(&store, 1..=10);
    store.seal().unwrap();
    append(&store, 31..=35);
    append_others(&store, 11..=OTHERS);
    store.close().unwrap();
    let store = RedbManager::open(in_memory(Arc::new(memory.reopen()), old_key())).unwrap();
    append(&store, 36..=45);
    drop(store);
    memory
}

/// The numbers of the events that are there, by topic.
fn found(store: &RedbManager) -> BTreeMap<String, Vec<u64>> {
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in store.query_events(EventQuery::default()).unwrap() {
        let event = event.unwrap().event;
        found.entry(event.topic).or_default().push(event.metadata["number"].parse().unwrap());
    }
    found
}

/// Everything up to `last` is there; of the shredded topic all or nothing.
fn check(store: &RedbManager, last: u64, change: Change, what: &str) {
    let found = found(store);
    for name in TOPICS {
        let wanted: Vec<u64> = (1..=last).filter(|number| topic(*number) == name).collect();
        let here = found.get(name).cloned().unwrap_or_default();
        let gone = change == Change::Shred && name == SHREDDED && here.is_empty();
        assert!(gone || here == wanted, "{what}: {name} has {here:?}");
    }
}

/// Opens with exactly one of the old and the new key.
fn open(engine: &dyn Fn() -> Arc<dyn Engine>, what: &str) -> (RedbManager, Key) {
    let opened = [old_key(), new_key()].map(|key| RedbManager::open(in_memory(engine(), key)));
    match opened {
        [Ok(store), Err(error)] => {
            assert_eq!(error.kind(), ErrorKind::WrongKey, "{what}");
            (store, old_key())
        }
        [Err(error), Ok(store)] => {
            assert_eq!(error.kind(), ErrorKind::WrongKey, "{what}");
            (store, new_key())
        }
        [Ok(_), Ok(_)] => panic!("{what}: both keys open the store"),
        [Err(old), Err(new)] => panic!("{what}: no key opens the store: {old}; {new}"),
    }
}

fn stop_after(commit: u64, applied: bool) -> FaultPlan {
    let fault = if applied { CommitFault::UnknownApplied } else { CommitFault::UnknownNotApplied };
    FaultPlan::new().fail_commit(commit, Repeat::Once, ErrorKind::Unavailable, fault).fail_commit(
        commit + 1,
        Repeat::Forever,
        ErrorKind::Unavailable,
        CommitFault::UnknownNotApplied,
    )
}

/// The commits of opening, and of opening and the change.
fn measure(change: Change) -> (u64, u64) {
    let faulty = Arc::new(FaultyEngine::new(build(), FaultPlan::new()));
    let store = RedbManager::open(in_memory(Arc::<FaultyEngine<_>>::clone(&faulty), old_key()));
    let store = store.unwrap();
    let opened = faulty.counts().commits;
    change.make(&store, new_key()).unwrap();
    (opened, faulty.counts().commits)
}

fn crash(change: Change, commit: u64, applied: bool) {
    let what = format!("{change:?}, commit {commit}, applied: {applied}");
    let memory = build();
    let faulty = FaultyEngine::new(memory.reopen(), stop_after(commit, applied));
    let store = RedbManager::open(in_memory(Arc::new(faulty), old_key())).unwrap();
    change.make(&store, new_key()).expect_err(&what);
    drop(store);

    // What is left is unfinished, and not damaged.
    let verify = |key| {
        let options = in_memory(Arc::new(memory.reopen()), key);
        block_on(Database::verify_store(options, VerifyDepth::Standard, |_| {}))
    };
    let report = verify(old_key()).or_else(|_| verify(new_key())).unwrap();
    assert!(report.is_sound(), "{what}: {:#?}", report.findings);

    // Finishing is cut short, too.
    let plan = || stop_after(1 + commit % 13, applied);
    let faulty = |key| {
        let engine = FaultyEngine::new(memory.reopen(), plan());
        RedbManager::open(in_memory(Arc::new(engine), key))
    };
    for key in [old_key(), new_key()] {
        if let Ok(store) = faulty(key) {
            drop(block_on(store.database().finish_key_changes()));
            drop(store);
        }
    }

    let (store, key) = open(&|| Arc::new(memory.reopen()), &what);
    check(&store, 45, change, &what);
    check_others(&store, &what);
    append(&store, 46..=50);
    block_on(store.database().finish_key_changes()).unwrap();
    assert_eq!(block_on(store.database().pending_key_change()).unwrap(), None, "{what}");
    store.close().unwrap();
    let store = RedbManager::open(in_memory(Arc::new(memory.reopen()), key)).unwrap();
    let report = block_on(store.database().verify(VerifyDepth::Deep, |_| {})).unwrap();
    assert!(report.is_sound(), "{what}: {:#?}", report.findings);
    check_others(&store, &what);
    let found = found(&store);
    for number in 46..=50 {
        let here = found.get(topic(number)).is_some_and(|numbers| numbers.contains(&number));
        assert!(here, "{what}: {number} is gone, found {found:?}");
    }
    // Once more, from what was left.
    change.make(&store, new_key()).unwrap();
    let report = block_on(store.database().verify(VerifyDepth::Deep, |_| {})).unwrap();
    assert!(report.is_sound(), "{what}: {:#?}", report.findings);
}

#[test]
fn every_write_of_every_change_may_be_the_last() {
    let mut crashes = 0;
    for change in Change::ALL {
        let (opened, done) = measure(change);
        assert!(done > opened);
        for commit in opened + 1..=done {
            for applied in [false, true] {
                crash(change, commit, applied);
                crashes += 1;
            }
        }
        println!("{change:?}: {} commits", done - opened);
    }
    println!("{crashes} crashes");
}

const ROLE: &str = "FORGEONE_DB_ROTATION_ROLE";
const PLACE: &str = "FORGEONE_DB_ROTATION_PLACE";
const FIRST: &str = "FORGEONE_DB_ROTATION_FIRST";

#[expect(clippy::disallowed_methods, reason = "a test's own settings")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn kills() -> u64 {
    setting("FORGEONE_DB_KILLS").and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// The one of the two keys that opens the store.
fn opener(path: &Path) -> Key {
    let opened = [old_key(), new_key()].map(|key| StoreKeys::read(path, Some(&key)).map(|_| key));
    let [old, new] = opened.map(|opened| opened.map_err(|error| error.kind()));
    match (old, new) {
        (Ok(key), Err(ErrorKind::WrongKey)) | (Err(ErrorKind::WrongKey), Ok(key)) => key,
        (Ok(_), Ok(_)) => panic!("both keys open the store"),
        (old, new) => panic!("neither key opens the store: {old:?}, {new:?}"),
    }
}

/// How long a child may live; a change of data keys takes some hundred milliseconds.
const LONGEST: Duration = Duration::from_millis(600);

fn on_disk(path: &Path) -> StoreOptions {
    options(path).shard_count(2).seal_at(8 << 10, 64).mode(OpenMode::Open)
}

/// Does nothing in an ordinary run; in a child it appends, and changes keys over and over.
#[test]
fn child_process() {
    let (Some(role), Some(place)) = (setting(ROLE), setting(PLACE)) else { return };
    let path = Path::new(&place);
    let change = Change::ALL.into_iter().find(|change| format!("{change:?}") == role).unwrap();
    let store = RedbManager::open(on_disk(path).key(opener(path))).unwrap();
    let first: u64 = setting(FIRST).unwrap().parse().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in first.. {
                store.store_event(&event(topic(number), number)).unwrap();
                println!("\nACK {number}");
            }
        });
        println!("\nBEGIN");
        loop {
            let is_old = StoreKeys::read(path, Some(&old_key())).is_ok();
            change.make(&store, if is_old { new_key() } else { old_key() }).unwrap();
            println!("\nCHANGED");
        }
    });
}

#[test]
fn a_change_of_keys_killed_at_any_moment_loses_nothing() {
    Change::ALL.into_iter().for_each(kill_often);
}

#[expect(clippy::disallowed_methods, reason = "a kill at any moment has no condition to wait for")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

fn kill_often(change: Change) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(on_disk(&path).mode(OpenMode::Create)).unwrap();
    append(&store, 1..=100);
    store.close().unwrap();
    let mut acknowledged: Vec<u64> = (1..=100).collect();
    let (mut changed, mut pending) = (0, 0);
    for round in 0..kills() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["rotation_crash::child_process", "--exact", "--nocapture"])
            .env(ROLE, format!("{change:?}"))
            .env(PLACE, &path)
            .env(FIRST, (1_000_000 * (round + 1)).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "BEGIN"));
        wait(LONGEST * u32::try_from(round).unwrap() / u32::try_from(kills()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        // What is left in the pipe was said before the kill; its last line may be cut short.
        let said: Vec<String> = lines.map_while(std::result::Result::ok).collect();
        changed += said.iter().filter(|line| *line == "CHANGED").count();
        let whole = said.iter().take(said.len().saturating_sub(1));
        acknowledged
            .extend(whole.filter_map(|line| line.strip_prefix("ACK ")?.parse::<u64>().ok()));
        let what = format!("{change:?}, kill {round}");
        pending += u64::from(reopen(&path, change, &acknowledged, &what));
    }
    let acks = acknowledged.len();
    println!("{change:?}: {changed} changes and {acks} appends, {pending} changes were cut short");
}

/// Checks what a kill has left; says whether a change was cut short.
fn reopen(path: &Path, change: Change, acknowledged: &[u64], what: &str) -> bool {
    let options = || on_disk(path).key(opener(path));
    let store = RedbManager::open(options().mode(OpenMode::Read)).unwrap();
    has_all(&found(&store), change, acknowledged, what);
    drop(store);
    let store = RedbManager::open(options()).unwrap();
    let pending = block_on(store.database().pending_key_change()).unwrap();
    block_on(store.database().finish_key_changes()).unwrap();
    has_all(&found(&store), change, acknowledged, what);
    // Numbers are given once, whatever became of their records.
    let topics = store.topics(&TopicPattern::all()).unwrap();
    for info in topics {
        let given = acknowledged.iter().filter(|number| topic(**number) == info.topic).count();
        assert!(info.last_seq >= given as u64, "{what}: {info:?}, {given} were given");
    }
    let report = block_on(store.database().verify(VerifyDepth::Standard, |_| {})).unwrap();
    assert!(report.is_sound(), "{what}: {:#?}", report.findings);
    store.close().unwrap();
    pending.is_some()
}

fn has_all(found: &BTreeMap<String, Vec<u64>>, change: Change, acknowledged: &[u64], what: &str) {
    for number in acknowledged {
        let name = topic(*number);
        if change != Change::Shred || name != SHREDDED {
            let there = found.get(name).is_some_and(|here| here.binary_search(number).is_ok());
            assert!(there, "{what}: {number} is gone");
        }
    }
}
