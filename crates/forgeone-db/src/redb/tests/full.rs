//! A medium without room: `Full`, with an honest outcome, and service again once there is room.

use super::child::{Helper, say};
use super::*;
use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Outcome};
use std::fs;

/// In the child: commits until there is no room, then says what became of the store.
pub(super) fn fill(place: &Path) {
    StoreDirectory::create(place).unwrap();
    let ballast = place.join("ballast");
    fs::write(&ballast, vec![1; 500_000]).unwrap();
    let engine = writer(place);
    put(&engine, "logs_shard_0", b"k", b"v").unwrap();
    let mut number = 0_u32;
    let error = loop {
        match put(&engine, "system", &number.to_be_bytes(), &vec![3; 50_000]) {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert!(number > 0, "{error:?}");
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, Outcome::Unknown), "{error:?}");
    let poisoned = ErrorKind::Closed(ClosedReason::Poisoned);
    let again = put(&engine, "system", b"k", b"v").unwrap_err();
    assert_eq!((again.kind(), again.outcome()), (poisoned, Outcome::Rejected));
    for present in 0..number {
        get(&engine, "system", &present.to_be_bytes()).unwrap().expect("reads go on");
    }
    get(&engine, "logs_shard_0", b"k").unwrap().expect("other databases go on");
    fs::remove_file(ballast).unwrap();
    let resumed =
        engine.reopen(&database("system")).and_then(|()| put(&engine, "system", b"k", b"v"));
    close(&engine);
    let engine = writer(place);
    for present in 0..number {
        get(&engine, "system", &present.to_be_bytes())
            .unwrap()
            .expect("nothing acknowledged is lost");
    }
    say(&format!("{:?}", resumed.as_ref().map_err(Error::kind)));
}

#[test]
fn a_full_medium_poisons_one_database_until_there_is_room_and_it_is_reopened() {
    let place = TempDir::new().unwrap();
    let script = "mount -t tmpfs -o size=6m none \"$FORGEONE_DB_TEST_PLACE\"";
    if let Some(mut helper) = Helper::start_after(script, "full", place.path()) {
        assert_eq!(helper.says(), "Ok(())");
        helper.release();
    }
}

#[test]
fn a_file_at_its_size_limit_is_full() {
    let place = TempDir::new().unwrap();
    let script = "trap '' 25 && ulimit -f 8192";
    if let Some(mut helper) = Helper::start_after(script, "full", place.path()) {
        helper.says();
        helper.release();
    }
}
