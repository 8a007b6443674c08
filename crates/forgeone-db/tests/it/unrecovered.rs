//! Damage in a file that a crash has left. redb does not recover a file with a damaged page, and would
//! keep all of it from being read. Provoked by bending bytes in copies of a store that is open.

use crate::support::{event, options};
use forgeone_db::{
    ErrorKind, EventMessage, EventQuery, OpenMode, RedbManager, StoreOptions, TopicPattern,
    VerifyDepth,
};
use std::fs;
use std::path::Path;

const EVENTS: u64 = 600;

/// Events that do not compress: about 300 bytes each.
fn random_event(topic: &str, number: u64) -> EventMessage {
    let payload = (0..8).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    EventMessage { payload, ..event(topic, number) }
}

/// Two shards, both with sealed and unsealed records, as a kill leaves them.
fn image(directory: &Path) -> std::path::PathBuf {
    let (live, image) = (directory.join("live"), directory.join("image"));
    let store = RedbManager::open(options(&live).shard_count(2)).unwrap();
    for topic in ["a", "b", "c", "d"] {
        let events: Vec<_> = (1..=EVENTS / 4).map(|number| random_event(topic, number)).collect();
        store.store_events(&events).unwrap();
    }
    store.seal().unwrap();
    copy(&live, &image);
    store.close().unwrap();
    image
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn bend(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0xff;
    fs::write(path, bytes).unwrap();
}

fn readable(store: &RedbManager) -> u64 {
    let found = store.query_events(EventQuery::default()).unwrap();
    found.flatten().count() as u64
}

fn reading(path: &Path) -> StoreOptions {
    options(path).mode(OpenMode::Read)
}

/// contract I2, F3: a bent byte costs the same in a file that was not closed well.
#[test]
fn a_bent_byte_in_a_file_that_a_kill_left_costs_a_unit_and_not_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path());
    let file = "events_shard_0.redb";
    let len = fs::read(image.join(file)).unwrap().len();
    let (mut felt, mut dear) = (0, 0);
    for round in 0..24 {
        let copied = directory.path().join(format!("bent.{round}"));
        copy(&image, &copied);
        bend(&copied.join(file), 4096 + (len - 4096) / 24 * round + 1111);
        let store = RedbManager::open(reading(&copied)).unwrap();
        let lost = EVENTS - readable(&store);
        store.close().unwrap();
        felt += u32::from(lost > 0);
        dear += u32::from(lost > 120);
        fs::remove_dir_all(&copied).unwrap();
    }
    assert!(felt >= 2, "bytes that matter were bent: {felt}");
    assert!(dear * 4 <= felt, "{dear} of {felt} cost more than a unit or two");
}

/// The damaged shard is read and not written, and everything else is as ever; a salvage has the rest.
#[test]
fn what_redb_does_not_recover_is_read_and_saved_and_takes_no_writes() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path());
    let file = "events_shard_0.redb";
    let len = fs::read(image.join(file)).unwrap().len();
    // A byte that costs some records, found as a reader finds it.
    let offset = (4096..len)
        .step_by(5000)
        .find(|offset| {
            let copied = directory.path().join(format!("at.{offset}"));
            copy(&image, &copied);
            bend(&copied.join(file), *offset);
            let store = RedbManager::open(reading(&copied)).unwrap();
            let lost = EVENTS - readable(&store);
            store.close().unwrap();
            (1..120).contains(&lost)
        })
        .unwrap();
    bend(&image.join(file), offset);
    let store = RedbManager::open(options(&image)).unwrap();
    let kept = readable(&store);
    assert!((EVENTS - 120..EVENTS).contains(&kept), "{kept}");
    let mut refused = 0;
    for topic in store.topics(&TopicPattern::all()).unwrap() {
        match store.store_event(&random_event(&topic.topic, 10_000)) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
                assert!(error.to_string().contains("salvage"), "{error}");
                refused += 1;
            }
        }
    }
    assert!((1..4).contains(&refused), "one shard takes no writes, the other does: {refused}");
    assert!(readable(&store) > kept);
    let report = store.verify(VerifyDepth::Standard, |_| {}).unwrap();
    assert!(report.errors().all(|finding| finding.database.as_deref() == Some("events_shard_0")));
    assert!(!report.is_sound());
    store.close().unwrap();
    let saved = directory.path().join("saved");
    let report = futures::executor::block_on(forgeone_db::Database::salvage(
        options(&image),
        options(&saved),
        |_| {},
    ));
    report.unwrap();
    let store = RedbManager::open(reading(&saved)).unwrap();
    assert!(readable(&store) > kept, "all that can be read is saved");
    store.close().unwrap();
}

/// A format version that is bent in one file is damage of that file, and not a newer store.
#[test]
fn an_older_version_byte_in_one_file_is_damage_of_that_file() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path());
    for offset in [64, 192] {
        let copied = directory.path().join(format!("version.{offset}"));
        copy(&image, &copied);
        let path = copied.join("events_shard_0.redb");
        let mut bytes = fs::read(&path).unwrap();
        bytes[offset] = 2;
        fs::write(&path, bytes).unwrap();
        for mode in [OpenMode::Read, OpenMode::Open] {
            let store = RedbManager::open(options(&copied).mode(mode)).unwrap();
            let left = readable(&store);
            assert!((1..=EVENTS).contains(&left), "the other shard is as ever: {left}");
            store.close().unwrap();
        }
    }
}

/// One copy of the keyring is enough, whatever is in the place of the other.
#[test]
fn a_copy_of_the_keyring_that_cannot_be_read_keeps_no_store_shut() {
    for name in ["keyring.0", "keyring.1"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let store = RedbManager::open(options(&path)).unwrap();
        store.store_event(&random_event("a", 1)).unwrap();
        store.close().unwrap();
        fs::remove_file(path.join(name)).unwrap();
        fs::create_dir(path.join(name)).unwrap();
        let store = RedbManager::open(reading(&path)).unwrap();
        assert_eq!(readable(&store), 1);
        let report = store.verify(VerifyDepth::Quick, |_| {}).unwrap();
        assert!(report.is_sound() && !report.findings.is_empty(), "{report:?}");
        store.close().unwrap();
    }
}

/// What a clean close left is as good as none when it is damaged, whatever it then looks like.
#[test]
fn a_note_of_the_last_close_that_was_zeroed_keeps_no_store_shut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path)).unwrap();
    store.store_event(&random_event("a", 1)).unwrap();
    store.close().unwrap();
    let closed = path.join("closed");
    let bytes = vec![0; fs::read(&closed).unwrap().len()];
    for mode in [OpenMode::Read, OpenMode::Open] {
        fs::write(&closed, &bytes).unwrap();
        let store = RedbManager::open(options(&path).mode(mode)).unwrap();
        assert_eq!(readable(&store), 1);
        store.close().unwrap();
    }
}
