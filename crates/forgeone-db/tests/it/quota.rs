//! A store whose recorded limit could not be changed would be lost room, or a dead end once full.
//! Provoked by filling a store up to its limit and changing that: what is recorded holds at once and
//! after reopening, a full store can be given room, and a limit below what is there loses nothing.

use crate::support::{event, options};
use forgeone_db::{ErrorKind, Outcome};
use forgeone_db::{EventMessage, EventQuery, OpenMode, RedbManager, TopicPattern};
use std::path::Path;
use tempfile::TempDir;

const SMALL: u64 = 4 << 20;

fn open(path: &Path, mode: OpenMode) -> RedbManager {
    RedbManager::open(options(path).mode(mode)).unwrap()
}

fn noise(number: u64) -> EventMessage {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let payload = (0..8_000).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap())
    });
    EventMessage { payload: payload.collect(), ..event("t", number) }
}

/// Stores events until the store is full; says how many there were.
fn fill(store: &RedbManager) -> u64 {
    for number in 1..10_000 {
        if let Err(error) = store.store_event(&noise(number)) {
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Full, Outcome::Rejected));
            return number - 1;
        }
    }
    unreachable!("the limit was never reached");
}

fn small(directory: &TempDir) -> (std::path::PathBuf, RedbManager) {
    let path = directory.path().join("store");
    let create = options(&path).mode(OpenMode::Create).shard_count(1).max_size_bytes(SMALL);
    let store = RedbManager::open(create).unwrap();
    (path, store)
}

#[test]
fn a_full_store_takes_more_as_soon_as_its_limit_is_raised_and_after_reopening() {
    let directory = TempDir::new().unwrap();
    let (path, store) = small(&directory);
    let stored = fill(&store);
    assert!(stored > 10);
    store.set_max_size_bytes(4 * SMALL).unwrap();
    assert_eq!(store.stats().unwrap().max_size_bytes, 4 * SMALL);
    store.store_event(&noise(stored + 1)).unwrap();
    store.close().unwrap();
    assert_eq!(open(&path, OpenMode::Read).stats().unwrap().max_size_bytes, 4 * SMALL);
    let store = open(&path, OpenMode::Open);
    assert_eq!(store.database().shard_count(), 1);
    store.set_max_size_bytes(0).unwrap();
    store.store_event(&noise(stored + 2)).unwrap();
    store.close().unwrap();
    assert_eq!(open(&path, OpenMode::Open).stats().unwrap().max_size_bytes, 0);
}

#[test]
fn a_limit_below_what_is_there_refuses_writes_and_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let (path, store) = small(&directory);
    store.store_event(&noise(1)).unwrap();
    store.set_max_size_bytes(1).unwrap();
    assert_eq!(store.store_event(&noise(2)).unwrap_err().kind(), ErrorKind::Full);
    // Lower still: the record of that would itself be one write too many.
    assert_eq!(store.set_max_size_bytes(1).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(store.stats().unwrap().max_size_bytes, 1);
    store.close().unwrap();
    let store = open(&path, OpenMode::Open);
    let all = store.query_events(EventQuery::new(TopicPattern::all())).unwrap();
    assert_eq!(all.map(Result::unwrap).count(), 1);
    store.set_max_size_bytes(SMALL).unwrap();
    store.store_event(&noise(2)).unwrap();
    store.close().unwrap();
}

#[test]
fn a_handle_that_only_reads_or_is_closed_cannot_change_the_limit() {
    let directory = TempDir::new().unwrap();
    let (path, store) = small(&directory);
    store.close().unwrap();
    assert!(matches!(store.set_max_size_bytes(0).unwrap_err().kind(), ErrorKind::Closed(_)));
    let reader = open(&path, OpenMode::Read);
    assert_eq!(reader.set_max_size_bytes(0).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(reader.stats().unwrap().max_size_bytes, SMALL);
}
