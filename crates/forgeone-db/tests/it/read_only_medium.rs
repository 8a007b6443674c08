//! A store that a crash left, on a medium that nothing can be written to: a mount for reading, a
//! directory of somebody else, a snapshot. Recovering it writes, so without this it cannot be read at
//! all. Provoked with a disk that refuses every write, since modes stop no test that runs as root.

use crate::support::{event, options};
use forgeone_db::redb::{Disk, DiskAccess, DiskFile, DiskLock, SystemDisk};
use forgeone_db::{
    ErrorKind, EventQuery, OpenMode, RedbManager, Result, StoreOptions, VerifyDepth,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

const EVENTS: u64 = 200;

/// Refuses every write in one way.
#[derive(Debug)]
struct ReadOnlyDisk(io::ErrorKind);

impl ReadOnlyDisk {
    fn refuse<T>(&self) -> io::Result<T> {
        Err(self.0.into())
    }
}

impl Disk for ReadOnlyDisk {
    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        SystemDisk.is_directory(path)
    }

    fn create_directory(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        SystemDisk.sync_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        SystemDisk.list(path)
    }

    fn allocated_bytes(&self, path: &Path) -> io::Result<Option<u64>> {
        SystemDisk.allocated_bytes(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        SystemDisk.available_bytes(path)
    }

    fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.refuse()
    }

    fn open(&self, path: &Path, access: DiskAccess) -> io::Result<Box<dyn DiskFile>> {
        match access {
            DiskAccess::Read => SystemDisk.open(path, access),
            DiskAccess::Write => self.refuse(),
        }
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        self.refuse()
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        // A mount for reading has locks, and somebody else's directory none that may be taken.
        if self.0 == io::ErrorKind::PermissionDenied {
            return self.refuse();
        }
        SystemDisk.try_lock(path)
    }

    fn set_aside(&self, _: &Path, _: u64) -> io::Result<()> {
        self.refuse()
    }

    fn drop_caches(&self, path: &Path) -> io::Result<()> {
        SystemDisk.drop_caches(path)
    }
}

/// Records of two shards, sealed and not, as a kill leaves them.
fn image(directory: &Path) -> PathBuf {
    let (live, image) = (directory.join("live"), directory.join("image"));
    let store = RedbManager::open(options(&live).shard_count(2)).unwrap();
    for (number, topic) in (1..=EVENTS).zip(["a", "b", "c", "d"].iter().cycle()) {
        store.store_event(&event(topic, number)).unwrap();
        if number == EVENTS / 2 {
            store.seal().unwrap();
        }
    }
    fs::create_dir(&image).unwrap();
    for (name, bytes) in contents(&live) {
        fs::write(image.join(name), bytes).unwrap();
    }
    store.close().unwrap();
    image
}

fn contents(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
}

fn reading(path: &Path, how: io::ErrorKind) -> StoreOptions {
    options(path).mode(OpenMode::Read).disk(Arc::new(ReadOnlyDisk(how)))
}

fn count(store: &RedbManager) -> Result<u64> {
    let found = store.query_events(EventQuery::default())?;
    Ok(found.collect::<Result<Vec<_>>>()?.len() as u64)
}

/// contract C2, F3: all of it is read and verified, nothing is written, and it is said.
#[test]
fn what_a_crash_left_on_a_medium_that_refuses_writes_is_read_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path());
    let before = contents(&image);
    for how in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
        let store = RedbManager::open(reading(&image, how)).unwrap();
        assert_eq!(count(&store).unwrap(), EVENTS, "{how}");
        let recovered = store.database().recoveries();
        assert!(recovered.len() >= 2 && recovered.iter().all(|one| one.in_memory), "{recovered:?}");
        let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
        assert!(report.is_sound(), "{how}: {report:#?}");
        store.close().unwrap();
        let report =
            RedbManager::verify_store(reading(&image, how), VerifyDepth::Standard, |_| ()).unwrap();
        assert!(report.is_sound(), "{how}: {report:#?}");
        let error = RedbManager::open(reading(&image, how).mode(OpenMode::Open)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(contents(&image) == before, "{how}: something was written");
    }
    // And where it may be written to, it is recovered as ever.
    let store = RedbManager::open(options(&image)).unwrap();
    assert_eq!(count(&store).unwrap(), EVENTS);
    assert!(store.database().recoveries().iter().all(|one| !one.in_memory));
    store.close().unwrap();
}

/// A reader without the right to write is no reason to call damaged what a writer with it does.
#[test]
fn a_writer_that_comes_later_is_no_damage_to_whoever_reads_what_the_crash_left() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path());
    let reader = RedbManager::open(reading(&image, io::ErrorKind::PermissionDenied)).unwrap();
    let writer = RedbManager::open(options(&image)).unwrap();
    for number in EVENTS + 1..=2 * EVENTS {
        writer.store_event(&event("a", number)).unwrap();
        if number % 50 == 0 {
            writer.seal().unwrap();
            writer.settle().unwrap();
        }
        match count(&reader) {
            Ok(found) => assert!(found >= EVENTS, "{found}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
        }
    }
    // It finds the way to what there is now.
    assert!((0..10).any(|_| count(&reader).is_ok_and(|found| found == 2 * EVENTS)));
    reader.close().unwrap();
    writer.close().unwrap();
}
