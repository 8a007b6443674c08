//! One writer, many readers, in one process and in several.

use super::child::Helper;
use super::*;
use forgeone_db_engine::{ClosedReason, ErrorKind, KeyRange, Outcome};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_second_writer_in_this_process_is_refused_until_the_first_closes() {
    let place = store();
    let first = writer(place.path());
    let directory = StoreDirectory::open(place.path()).unwrap();
    let refused = RedbEngine::open_writer(directory, impatient()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InUse);
    close(&first);
    writer(place.path());
}

#[test]
fn a_second_writer_in_another_process_is_refused() {
    let place = store();
    let engine = writer(place.path());
    let mut helper = Helper::start("second", place.path());
    assert_eq!(helper.says(), "InUse");
    helper.release();
    drop(engine);
    let mut helper = Helper::start("second", place.path());
    assert_eq!(helper.says(), "opened");
    helper.release();
}

#[test]
fn a_reader_follows_a_live_writer_in_this_process() {
    let place = store();
    let engine = writer(place.path());
    let follower = reader(place.path());
    assert_eq!(get(&follower, "system", b"k").unwrap(), None);
    assert_eq!(follower.open_files(), 0, "there is no file yet");
    for number in 0..20_u8 {
        put(&engine, "system", b"k", &[number]).unwrap();
        assert_eq!(get(&follower, "system", b"k").unwrap().unwrap(), [number].as_slice());
    }
    close(&engine);
    assert_eq!(get(&follower, "system", b"k").unwrap().unwrap(), [19].as_slice());
    let engine = writer(place.path());
    put(&engine, "system", b"k", b"again").unwrap();
    assert_eq!(get(&follower, "system", b"k").unwrap().unwrap(), "again");
}

#[test]
fn a_reader_in_another_process_sees_a_live_writers_commits() {
    let place = store();
    let engine = writer(place.path());
    put(&engine, "system", b"k", b"v").unwrap();
    let mut helper = Helper::start("reader", place.path());
    assert_eq!(helper.says(), "Some(b\"v\")");
    put(&engine, "system", b"k", b"w").unwrap();
    helper.release();
}

#[test]
fn a_commit_on_a_reader_is_unsupported_and_creates_nothing() {
    let place = store();
    let engine = reader(place.path());
    let error = put(&engine, "system", b"k", b"v").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsupported, Outcome::Rejected));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "only the lock file");
}

#[test]
fn reading_and_refused_commits_create_no_file() {
    let place = store();
    let engine = writer(place.path());
    assert_eq!(get(&engine, "system", b"k").unwrap(), None);
    let mut batch = Batch::new(database("system"));
    batch.require_equals(&table("t"), "k", "v").put(&table("t"), "k", "w");
    let error = now(engine.commit(batch, Durability::Sync)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let mut batch = Batch::new(database("system"));
    batch.delete(&table("t"), "k").delete_range(&table("t"), KeyRange::all());
    now(engine.commit(batch, Durability::Sync)).unwrap();
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "only the lock file");
    assert_eq!(usage(&engine, "system").allocated_bytes, 0);
    assert!(usage(&engine, "system").available_bytes.unwrap() > 0);
}

#[test]
fn files_are_private_to_their_owner() {
    let place = store();
    let engine = writer(place.path());
    put(&engine, "system", b"k", b"v").unwrap();
    engine.directory().replace("keyring.0", b"x").unwrap();
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    assert!(usage(&engine, "system").allocated_bytes > 0);
}

#[test]
fn the_cache_budget_holds_by_closing_files_that_rest() {
    let place = store();
    let options = RedbOptions { files_max: NonZeroU32::new(2).unwrap(), ..impatient() };
    let directory = StoreDirectory::open(place.path()).unwrap();
    let engine = RedbEngine::open_writer(directory, options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..5_u8 {
                    let name = format!("events_shard_{}", (thread + round) % 6);
                    put(engine, &name, &[thread, round], &[round]).unwrap();
                    assert_eq!(
                        get(engine, &name, &[thread, round]).unwrap().unwrap(),
                        [round].as_slice()
                    );
                    assert!(engine.open_files() <= 2);
                }
            });
        }
    });
    assert!(engine.recoveries().is_empty(), "a file that is closed for room is closed well");
}

#[test]
fn shards_commit_in_parallel_and_close_waits_for_them() {
    let place = store();
    let engine = writer(place.path());
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let engine = &engine;
            scope.spawn(move || {
                for number in 0..200_u8 {
                    let done = put(engine, &format!("logs_shard_{thread}"), &[number], b"v");
                    if let Err(error) = done {
                        assert_eq!(error.kind(), ErrorKind::Closed(ClosedReason::Shutdown));
                        return;
                    }
                }
            });
        }
        while get(&engine, "logs_shard_3", &[10]).unwrap().is_none() {}
        close(&engine);
    });
    let error = get(&engine, "logs_shard_0", b"k").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed(ClosedReason::Shutdown));
    close(&engine);
    let again = writer(place.path());
    assert!(get(&again, "logs_shard_3", &[10]).unwrap().is_some());
    assert!(again.recoveries().is_empty());
}
