//! Free pages: sealing frees most of a file, and without compaction the disk never sees them again.
//! A kill during a compaction must lose nothing.

use super::child::{Helper, say};
use super::*;
use crate::redb::{SystemTimer, Timer as _};
use forgeone_db_engine::{ClosedReason, ErrorKind, Outcome};
use std::fs;

const VALUES: u32 = 400;
const VALUE_BYTES: usize = 60_000;
const KEPT_ONE_IN: u32 = 10;

fn compact(engine: &RedbEngine, name: &str) -> Result<()> {
    now(engine.compact(&database(name)))
}

fn value(number: u32) -> Vec<u8> {
    number.to_be_bytes().repeat(VALUE_BYTES / 4)
}

/// Fills a file and empties nine tenths of it.
fn hollow(engine: &RedbEngine) {
    for numbers in (0..VALUES).collect::<Vec<_>>().chunks(50) {
        let mut batch = Batch::new(database("system"));
        for number in numbers {
            batch.put(&table("t"), number.to_be_bytes().to_vec(), value(*number));
        }
        now(engine.commit(batch, Durability::Sync)).unwrap();
    }
    let mut batch = Batch::new(database("system"));
    for number in (0..VALUES).filter(|number| number % KEPT_ONE_IN != 0) {
        batch.delete(&table("t"), number.to_be_bytes().to_vec());
    }
    now(engine.commit(batch, Durability::Sync)).unwrap();
}

fn assert_hollow(engine: &RedbEngine) {
    for number in 0..VALUES {
        let found = get(engine, "system", &number.to_be_bytes()).unwrap();
        let kept = number % KEPT_ONE_IN == 0;
        assert_eq!(found.is_some(), kept, "value {number}");
        assert!(found.is_none_or(|found| found == value(number)), "value {number}");
    }
}

/// In the child: hollows the file out and compacts it, for ever.
pub(super) fn compact_endlessly(place: &Path) {
    let engine = writer(place);
    loop {
        hollow(&engine);
        say("hollow");
        compact(&engine, "system").unwrap();
        say("compacted");
    }
}

#[test]
fn compaction_gives_back_what_was_deleted() {
    let place = store();
    let engine = writer(place.path());
    hollow(&engine);
    let before = usage(&engine, "system").allocated_bytes;
    compact(&engine, "system").unwrap();
    let after = usage(&engine, "system").allocated_bytes;
    let kept = u64::from(VALUES / KEPT_ONE_IN) * 65_536;
    assert!(after < kept + (1 << 20), "{before} bytes became {after}, of which {kept} are needed");
    assert_hollow(&engine);
    put(&engine, "system", b"k", b"v").unwrap();
    close(&engine);
    let length = fs::metadata(place.path().join("system.redb")).unwrap().len();
    assert!(length < kept + (1 << 20), "{length} bytes after closing");
    assert_hollow(&writer(place.path()));
}

#[test]
fn a_kill_during_compaction_loses_nothing() {
    for round in 0..20_u64 {
        let place = store();
        let mut helper = Helper::start("compact", place.path());
        assert_eq!(helper.says(), "hollow");
        // From the first moments of a compaction to behind its end.
        SystemTimer::new().pause(Duration::from_millis(round * 4));
        helper.kill();
        let engine = if round % 2 == 0 { writer(place.path()) } else { reader(place.path()) };
        for number in (0..VALUES).step_by(KEPT_ONE_IN as usize) {
            let found = get(&engine, "system", &number.to_be_bytes()).unwrap();
            assert_eq!(found.unwrap(), value(number), "value {number} after a kill");
        }
    }
}

#[test]
fn compaction_works_beside_a_reader_in_another_process() {
    let place = store();
    let engine = writer(place.path());
    put(&engine, "system", b"k", b"v").unwrap();
    let mut helper = Helper::start("restless", place.path());
    assert_eq!(helper.says(), "reading");
    for _ in 0..3 {
        hollow(&engine);
        if let Err(error) = compact(&engine, "system") {
            let found = (error.kind(), error.outcome());
            assert_eq!(found, (ErrorKind::Unavailable, Outcome::Rejected), "{error:?}");
        }
        assert_hollow(&engine);
    }
    helper.release();
    compact(&engine, "system").unwrap();
    assert_hollow(&engine);
}

/// In the child: reads until it is released, and fails if a read does.
pub(super) fn read_restlessly(place: &Path) {
    let engine = reader(place);
    say("reading");
    std::thread::scope(|scope| {
        let released = scope.spawn(child::wait_for_release);
        while !released.is_finished() {
            assert_eq!(get(&engine, "system", b"k").unwrap().unwrap(), "v");
        }
    });
}

#[test]
fn a_reader_compacts_nothing_and_a_poisoned_database_is_left_alone() {
    let place = store();
    let engine = writer(place.path());
    put(&engine, "system", b"k", b"v").unwrap();
    let error = compact(&reader(place.path()), "system").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsupported, Outcome::Rejected));
    engine.files.slot(&database("system")).poison();
    let error = compact(&engine, "system").unwrap_err();
    let poisoned = ErrorKind::Closed(ClosedReason::Poisoned);
    assert_eq!((error.kind(), error.outcome()), (poisoned, Outcome::Rejected));
    engine.reopen(&database("system")).unwrap();
    compact(&engine, "system").unwrap();
}

#[test]
fn a_file_that_was_closed_for_room_is_compacted_all_the_same() {
    let place = store();
    let options = RedbOptions { files_max: std::num::NonZeroU32::MIN, ..impatient() };
    let directory = StoreDirectory::open(place.path()).unwrap();
    let engine = RedbEngine::open_writer(directory, options).unwrap();
    hollow(&engine);
    put(&engine, "logs_shard_0", b"k", b"v").unwrap();
    let before = usage(&engine, "system").allocated_bytes;
    compact(&engine, "system").unwrap();
    assert!(usage(&engine, "system").allocated_bytes < before / 2);
    assert_eq!(engine.open_files(), 1);
}
