//! A simulated disk that keeps more than a real one would, or loses less, proves nothing.

use super::{Class, Failure, Fault, Medium, Part, Repeat, STORE, Selection, SimDisk, selections};
use crate::random::Random;
use forgeone_db::redb::{Disk as _, DiskAccess, LockKind};
use forgeone_db::{Key, OpenMode, RedbManager};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(STORE).join(name)
}

fn disk() -> SimDisk {
    let disk = SimDisk::new().logging();
    disk.create_directory(Path::new(STORE)).unwrap();
    disk
}

#[test]
fn bytes_are_what_was_written_across_pages_and_cuts() {
    let disk = disk();
    let file = disk.create(&path("a")).unwrap();
    file.write(4090, b"0123456789").unwrap();
    file.set_len(4095).unwrap();
    file.set_len(8200).unwrap();
    let mut found = [1; 12];
    file.read(4090, &mut found).unwrap();
    assert_eq!(&found, b"01234\0\0\0\0\0\0\0");
    let beyond = file.read(8199, &mut found).unwrap_err();
    assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
}

/// contract, "Power loss": bytes and names are on their way until their sync.
#[test]
fn only_what_was_synced_is_durable() {
    let disk = disk();
    let file = disk.create(&path("a.new")).unwrap();
    file.write(0, b"one").unwrap();
    assert_eq!(disk.durable().read(&path("a.new")), None);
    file.sync_data().unwrap();
    assert_eq!(disk.durable().read(&path("a.new")), None, "the name is not synced");
    disk.rename(&path("a.new"), &path("a")).unwrap();
    disk.sync_directory(Path::new(STORE)).unwrap();
    assert_eq!(disk.durable().read(&path("a")).unwrap(), b"one");
    assert_eq!(disk.durable().read(&path("a.new")), None);
    file.write(0, b"two").unwrap();
    assert_eq!(disk.durable().read(&path("a")).unwrap(), b"one");
    assert_eq!(disk.image().read(&path("a")).unwrap(), b"two");
}

#[test]
fn a_moment_is_explored_with_every_drop_and_every_tear() {
    let disk = disk();
    let file = disk.create(&path("a")).unwrap();
    disk.sync_directory(Path::new(STORE)).unwrap();
    file.set_len(2048).unwrap();
    file.sync_data().unwrap();
    file.write(0, &[1; 512]).unwrap();
    file.write(512, &[2; 1536]).unwrap();
    let mut medium = Medium::default();
    for (number, operation) in disk.take_log().iter().enumerate() {
        medium.apply(number, operation).unwrap();
    }
    assert_eq!(medium.pending().len(), 2);
    let content = |selection: &Selection| {
        let bytes = medium.image(selection).unwrap().read(&path("a")).unwrap();
        [bytes[0], bytes[512], bytes[1024], bytes[1536]]
    };
    let found = selections(medium.pending(), &mut Random::of_case(1, 1));
    let images: Vec<_> = found.iter().map(content).collect();
    for expected in
        [[0; 4], [1, 2, 2, 2], [0, 2, 2, 2], [1, 0, 0, 0], [1, 2, 0, 0], [1, 0, 2, 2], [0, 2, 0, 2]]
    {
        assert!(images.contains(&expected), "{expected:?}");
    }
    assert_eq!(content(&Selection::all(2, Part::Whole)), [1, 2, 2, 2]);
}

/// contract F1: what a failed sync lost comes to light when the cache is dropped, not before.
#[test]
fn a_failed_sync_loses_what_readers_still_see() {
    let disk = disk();
    let file = disk.create(&path("a")).unwrap();
    disk.sync_directory(Path::new(STORE)).unwrap();
    file.write(0, b"old").unwrap();
    file.sync_data().unwrap();
    file.write(0, b"new").unwrap();
    disk.plan(Fault { class: Class::Sync, at: 2, repeat: Repeat::Once, failure: Failure::Lose });
    file.sync_data().unwrap_err();
    file.sync_data().expect("the pages are clean");
    assert_eq!(disk.image().read(&path("a")).unwrap(), b"new");
    assert_eq!(disk.durable().read(&path("a")).unwrap(), b"old");
    disk.drop_caches(&path("a")).unwrap();
    assert_eq!(disk.image().read(&path("a")).unwrap(), b"old");
    assert_eq!(disk.hits(), 1);
}

#[test]
fn a_short_write_leaves_its_first_half() {
    let disk = disk();
    let file = disk.create(&path("a")).unwrap();
    let failure = Failure::Short(Failure::ENOSPC);
    disk.plan(Fault { class: Class::Change, at: 3, repeat: Repeat::Forever, failure });
    let error = file.write(0, b"0123").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.image().read(&path("a")).unwrap(), b"01");
    file.sync_data().unwrap_err();
    disk.repair();
    file.sync_data().unwrap();
    assert_eq!(disk.tried(Class::Change), 5);
}

#[test]
fn locks_conflict_between_handles_and_end_with_them() {
    let disk = disk();
    let all = (Bound::Unbounded, Bound::Unbounded);
    let one = (Bound::Included(7), Bound::Excluded(8));
    let first = disk.create(&path("a")).unwrap();
    let second = disk.open(&path("a"), DiskAccess::Read).unwrap();
    assert!(first.try_lock(one, LockKind::Shared).unwrap());
    assert!(second.try_lock(one, LockKind::Shared).unwrap());
    assert!(!second.try_lock(all, LockKind::Exclusive).unwrap());
    drop(first);
    assert!(second.try_lock(all, LockKind::Exclusive).unwrap());
    let held = disk.try_lock(&path("lock")).unwrap().unwrap();
    assert!(disk.try_lock(&path("lock")).unwrap().is_none());
    drop(held);
    assert!(disk.try_lock(&path("lock")).unwrap().is_some());
}

#[test]
fn a_store_lives_on_a_simulated_disk_and_in_copies_of_it() {
    let disk = SimDisk::new();
    let open = |disk: &SimDisk, mode| {
        RedbManager::open(disk.options().mode(mode).key(Key::raw([7; 32])).shard_count(1))
    };
    let store = open(&disk, OpenMode::Create).unwrap();
    let setting = store.set_setting("a", &1.into(), forgeone_db::SetOptions::default()).unwrap();
    assert_eq!(setting.version, 1);
    let copy = SimDisk::holding(disk.durable());
    assert!(open(&disk, OpenMode::Open).is_err(), "two writers on one disk");
    let other = open(&copy, OpenMode::Open).unwrap();
    assert_eq!(other.get_setting("a").unwrap().unwrap().version, 1);
    other.close().unwrap();
    store.close().unwrap();
    assert!(disk.operations() > 10);
}

/// contract F1: what a failed sync has lost still looks sound in the system's cache. A store that is
/// opened after it must not go by that, or what it acknowledges would hang in the air.
#[test]
fn a_store_opened_after_a_failed_sync_has_what_the_medium_has() {
    let mut lost = 0;
    for at in 1..=4 {
        let disk = SimDisk::new();
        let open = |disk: &SimDisk, mode| {
            let options = disk.options().mode(mode).key(Key::raw([7; 32])).shard_count(1);
            RedbManager::open(options).unwrap()
        };
        let set = |store: &RedbManager, value: u64| {
            store.set_setting("a", &value.into(), forgeone_db::SetOptions::default())
        };
        let store = open(&disk, OpenMode::Create);
        set(&store, 1).unwrap();
        let at = disk.tried(Class::Sync) + at;
        disk.plan(Fault { class: Class::Sync, at, repeat: Repeat::Once, failure: Failure::Lose });
        let failed = (2..6).any(|value| set(&store, value).is_err());
        assert!(failed, "a failed sync is told");
        drop(store);
        disk.repair();
        // The cache still has all of it.
        let store = open(&disk, OpenMode::Open);
        let shown = store.get_setting("a").unwrap().unwrap();
        set(&store, 10).unwrap();
        let medium = SimDisk::holding(disk.durable());
        let kept = open(&medium, OpenMode::Open).get_setting("a").unwrap().unwrap();
        assert_eq!(kept.version, shown.version + 1, "what was shown and acknowledged is durable");
        lost += u64::from(shown.version < 6);
    }
    assert!(lost > 0, "a failed sync lost something");
}
