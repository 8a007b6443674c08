//! A recovery that nobody is told of hides what a crash has cost. Provoked by real kills of a process
//! that stores events, and by the image of a crash between a commit's record and the flag that makes it
//! count: the report has to name the database, say how far it came, and count what was rolled back.
//! Contract C2.

use crate::support::{event, open, options};
use forgeone_db::{EventQuery, OpenMode, Recovered, RedbManager};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const PLACE: &str = "FORGEONE_DB_TEST_RECOVERED";

/// Not a test of its own: the writer that is killed.
#[test]
fn child() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let store = RedbManager::open(options(Path::new(&place)).mode(OpenMode::Open)).unwrap();
    for number in 2.. {
        let position = store.store_event(&event("t", number)).unwrap();
        println!("\nACK {}", position.seq);
    }
}

/// Kills a writer after some acknowledgements; says what the last one was that anybody saw.
fn kill_a_writer(place: &Path, after: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["recovered::child", "--exact", "--nocapture"])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let acknowledged = |line: String| line.strip_prefix("ACK ")?.parse::<u64>().ok();
    let mut last = lines.by_ref().filter_map(acknowledged).nth(after).unwrap();
    child.kill().unwrap();
    // What it said before it was dead counts, too.
    last = lines.filter_map(acknowledged).last().unwrap_or(last);
    child.wait().unwrap();
    last
}

fn of<'a>(recovered: &'a [Recovered], database: &str) -> &'a Recovered {
    recovered.iter().find(|one| one.database == database).unwrap()
}

#[test]
fn a_recovery_after_a_kill_says_how_far_each_database_came() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).shard_count(1)).unwrap();
    store.store_event(&event("t", 1)).unwrap();
    let closed = store.stats().unwrap().databases[1].commits;
    store.close().unwrap();
    let acknowledged = kill_a_writer(&path, 20);
    let store = open(&path);
    let found = store.query_events(EventQuery::default()).unwrap().count() as u64;
    assert!(found >= acknowledged);
    let recovered = store.database().recoveries();
    assert_eq!(recovered, store.stats().unwrap().recovered, "the same for machines");
    let shard = of(&recovered, "events_shard_0");
    assert_eq!(shard.closed_commit, Some(closed));
    // The writer's term began with a commit of its own, and each event was one.
    assert_eq!(shard.last_commit, Some(closed + 1 + found - 1), "{shard:?}");
    assert!(shard.rolled_back_txns <= 1, "{shard:?}");
    assert_eq!(of(&recovered, "system").database, "system");
    store.close().unwrap();
    assert!(open(&path).database().recoveries().is_empty(), "a clean close leaves nothing to do");
}

/// The byte of a redb file whose lowest bit says which of the two commit records counts.
const FLAGS: usize = 9;

#[test]
fn a_commit_that_was_cut_off_at_its_end_is_counted_as_rolled_back() {
    let directory = tempfile::tempdir().unwrap();
    let (live, image) = (directory.path().join("live"), directory.path().join("image"));
    let store = RedbManager::open(options(&live).shard_count(1)).unwrap();
    for number in 1..=3 {
        store.store_event(&event("t", number)).unwrap();
    }
    let commits = store.stats().unwrap().databases[1].commits;
    fs::create_dir(&image).unwrap();
    for entry in fs::read_dir(&live).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), image.join(entry.file_name())).unwrap();
    }
    drop(store);
    // As if the third commit had written its record, and not yet that it counts.
    let file = image.join("events_shard_0.redb");
    let mut bytes = fs::read(&file).unwrap();
    bytes[FLAGS] ^= 1;
    fs::write(&file, bytes).unwrap();
    let store = RedbManager::open(options(&image).mode(OpenMode::Read)).unwrap();
    assert_eq!(store.query_events(EventQuery::default()).unwrap().count(), 2);
    let recovered = store.database().recoveries();
    let shard = of(&recovered, "events_shard_0");
    assert_eq!((shard.rolled_back_txns, shard.last_commit), (1, Some(commits - 1)), "{shard:?}");
    assert_eq!(of(&recovered, "system").rolled_back_txns, 0);
}
