//! Kills at any moment: everything acknowledged is there, and whoever comes next recovers.

use super::child::Helper;
use super::*;
use forgeone_db_engine::{ErrorKind, Read};
use std::fs;
use std::time::Instant;

fn killed_writer(place: &Path) {
    let mut helper = Helper::start("writer", place);
    assert_eq!(helper.says(), "written");
    helper.kill();
}

fn assert_complete(engine: &RedbEngine) {
    for number in 0..50_u8 {
        let value = get(engine, "events_shard_0", &[number]).unwrap().unwrap();
        assert_eq!(value, vec![number; 1000]);
    }
    assert_eq!(get(engine, "system", b"k").unwrap().unwrap(), "v");
}

#[test]
fn a_writer_recovers_at_open_what_a_killed_writer_left() {
    let place = store();
    killed_writer(place.path());
    let engine = writer(place.path());
    let recovered: Vec<_> =
        engine.recoveries().into_iter().map(|recovery| recovery.database).collect();
    assert_eq!(recovered, [database("events_shard_0"), database("system")]);
    assert_complete(&engine);
}

#[test]
fn looking_at_what_a_killed_writer_left_names_it_and_changes_nothing() {
    let place = store();
    killed_writer(place.path());
    fs::write(place.path().join("keyring.0.new"), "half").unwrap();
    let contents = || {
        let entries = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.map(|path| (fs::read(&path).unwrap(), path)).collect();
        files.sort();
        files
    };
    let before = contents();
    let directory = StoreDirectory::open(place.path()).unwrap();
    let left = [database("events_shard_0"), database("system")];
    assert_eq!(directory.unrecovered().unwrap(), left);
    assert_eq!(directory.unrecovered().unwrap(), left);
    assert_eq!(directory.leftovers().unwrap(), ["keyring.0.new"]);
    assert_eq!(contents(), before);
    close(&writer(place.path()));
    assert_eq!(directory.unrecovered().unwrap(), []);
}

#[test]
fn a_reader_recovers_what_a_killed_writer_left() {
    let place = store();
    killed_writer(place.path());
    let engine = reader(place.path());
    assert_complete(&engine);
    assert_eq!(engine.recoveries().len(), 2);
    assert_complete(&reader(place.path()));
    writer(place.path());
}

#[test]
fn readers_that_meet_a_crash_together_recover_it_once_each_or_wait() {
    let place = store();
    killed_writer(place.path());
    let mut helpers: Vec<_> = (0..4).map(|_| Helper::start("recoverer", place.path())).collect();
    for helper in &mut helpers {
        assert_eq!(helper.says(), "Some(b\"v\")");
    }
    helpers.into_iter().for_each(Helper::release);
}

#[test]
fn a_reader_that_cannot_recover_because_the_lock_is_held_is_refused() {
    let place = store();
    killed_writer(place.path());
    let lock = StoreDirectory::open(place.path()).unwrap().try_lock().unwrap().unwrap();
    let engine = reader(place.path());
    assert_eq!(get(&engine, "system", b"k").unwrap_err().kind(), ErrorKind::InUse);
    drop(lock);
    assert_eq!(get(&engine, "system", b"k").unwrap().unwrap(), "v");
}

#[test]
fn a_reader_that_was_open_before_a_crash_goes_on_after_it() {
    let place = store();
    let mut helper = Helper::start("writer", place.path());
    assert_eq!(helper.says(), "written");
    let engine = reader(place.path());
    assert_complete(&engine);
    helper.kill();
    assert_complete(&engine);
    let next = writer(place.path());
    put(&next, "system", b"k", b"next").unwrap();
    assert_eq!(get(&engine, "system", b"k").unwrap().unwrap(), "next");
}

#[test]
fn a_writer_killed_mid_commit_loses_nothing_it_acknowledged() {
    let place = store();
    let mut acknowledged = 0;
    for round in 0..6_u32 {
        let mut helper = Helper::start("endless", place.path());
        for _ in 0..=(round * 7) {
            acknowledged = helper.says().parse::<u64>().unwrap();
        }
        helper.kill();
        let engine = if round % 2 == 0 { writer(place.path()) } else { reader(place.path()) };
        let last = get(&engine, "system", b"last").unwrap().unwrap();
        let last = u64::from_be_bytes(last[..].try_into().unwrap());
        assert!(last >= acknowledged, "{acknowledged} was acknowledged, {last} is there");
    }
}

#[test]
fn half_created_files_read_as_empty_and_are_replaced() {
    let place = store();
    fs::write(place.path().join("system.redb"), b"").unwrap();
    fs::write(place.path().join("logs_shard_0.redb.new"), vec![0; 5000]).unwrap();
    for engine in [reader(place.path()), writer(place.path())] {
        assert_eq!(get(&engine, "system", b"k").unwrap(), None);
        assert_eq!(get(&engine, "logs_shard_0", b"k").unwrap(), None);
    }
    let engine = writer(place.path());
    put(&engine, "system", b"k", b"v").unwrap();
    put(&engine, "logs_shard_0", b"k", b"v").unwrap();
    assert_eq!(get(&reader(place.path()), "logs_shard_0", b"k").unwrap().unwrap(), "v");
    assert_eq!(engine.directory().databases().unwrap().len(), 2);
    assert!(!place.path().join("logs_shard_0.redb.new").exists());
}

#[test]
#[ignore = "a measurement of about a minute: run it with --ignored --nocapture"]
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn how_long_commits_and_recovery_take() {
    let place = store();
    let mut helper = Helper::start("large", place.path());
    assert_eq!(helper.says(), "written");
    helper.kill();
    let bytes = fs::metadata(place.path().join("system.redb")).unwrap().len();
    let start = Instant::now();
    let engine = writer(place.path());
    println!("{bytes} bytes: opened after a kill in {:?}", start.elapsed());
    println!("{:?}", engine.recoveries());
    for value_bytes in [100_usize, 65_492, 1_000_000] {
        let start = Instant::now();
        for number in 0..200_u32 {
            put(&engine, "events_shard_0", &number.to_be_bytes(), &vec![1; value_bytes]).unwrap();
        }
        println!("{value_bytes} bytes a commit: {:?} each", start.elapsed() / 200);
    }
    close(&engine);
    let start = Instant::now();
    let engine = reader(place.path());
    now(engine.read(&database("system"), Read::get(&table("t"), "k"))).unwrap();
    println!("opened for reading after a clean close in {:?}", start.elapsed());
    let start = Instant::now();
    put(&writer(place.path()), "system", b"k", b"v").unwrap();
    println!("opened for writing after a clean close, one commit, closed: {:?}", start.elapsed());
}
