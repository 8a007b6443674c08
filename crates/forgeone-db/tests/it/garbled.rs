//! Bytes that are whole on the medium and garbled on their way from there, as by a bad cable or a bad page
//! of the system's cache: nothing of them may be given up for lost. Provoked with a disk that bends one
//! byte of a file until what is cached of it is dropped. Contract lines I3 and I4.

use crate::support::{event, options};
use forgeone_db::redb::{Disk, DiskAccess, DiskFile, DiskLock, LockKind, LockRange, SystemDisk};
use forgeone_db::{EventQuery, OpenMode, RedbManager, TopicPattern, VerifyDepth};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};
use tempfile::TempDir;

const EVENTS: usize = 60;
const FILE: &str = "events_shard_0.redb";

/// Bends the byte at `offset` of one file in everything that is read, as long as it is garbled.
#[derive(Debug)]
struct Garbling {
    offset: u64,
    is_garbled: Arc<AtomicBool>,
    heals: bool,
}

#[derive(Debug)]
struct GarbledFile {
    file: Box<dyn DiskFile>,
    offset: u64,
    is_garbled: Arc<AtomicBool>,
}

impl Disk for Garbling {
    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        SystemDisk.is_directory(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        SystemDisk.create_directory(path)
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

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        SystemDisk.create(path)
    }

    fn open(&self, path: &Path, access: DiskAccess) -> io::Result<Box<dyn DiskFile>> {
        let file = SystemDisk.open(path, access)?;
        if !path.ends_with(FILE) {
            return Ok(file);
        }
        let is_garbled = Arc::clone(&self.is_garbled);
        Ok(Box::new(GarbledFile { file, offset: self.offset, is_garbled }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        SystemDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        SystemDisk.rename(from, to)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        SystemDisk.try_lock(path)
    }

    fn set_aside(&self, path: &Path, bytes: u64) -> io::Result<()> {
        SystemDisk.set_aside(path, bytes)
    }

    fn drop_caches(&self, path: &Path) -> io::Result<()> {
        if path.ends_with(FILE) && self.heals {
            self.is_garbled.store(false, Ordering::Release);
        }
        SystemDisk.drop_caches(path)
    }
}

impl DiskFile for GarbledFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)?;
        let at = self.offset.checked_sub(offset).and_then(|at| usize::try_from(at).ok());
        if let Some(byte) = at.and_then(|at| out.get_mut(at))
            && self.is_garbled.load(Ordering::Acquire)
        {
            *byte ^= 4;
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn try_lock(&self, range: LockRange, kind: LockKind) -> io::Result<bool> {
        self.file.try_lock(range, kind)
    }

    fn lock(&self, range: LockRange, kind: LockKind) -> io::Result<()> {
        self.file.lock(range, kind)
    }

    fn unlock(&self, range: LockRange) -> io::Result<()> {
        self.file.unlock(range)
    }

    fn is_locked(&self, range: LockRange) -> io::Result<bool> {
        self.file.is_locked(range)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn open(
    place: &Path,
    offset: u64,
    heals: bool,
    mode: OpenMode,
) -> forgeone_db::Result<RedbManager> {
    let is_garbled = Arc::new(AtomicBool::new(true));
    let disk = Arc::new(Garbling { offset, is_garbled, heals });
    RedbManager::open(options(place).shard_count(1).mode(mode).disk(disk))
}

fn found(store: &RedbManager) -> usize {
    let all = EventQuery::new(TopicPattern::all());
    store.query_events(all).unwrap().flatten().count()
}

#[test]
fn what_is_garbled_on_its_way_is_not_given_up() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("store");
    let store = RedbManager::open(options(&path).shard_count(1)).unwrap();
    for number in 0..EVENTS {
        store.store_event(&event("a", number as u64)).unwrap();
    }
    store.close().unwrap();
    let bytes = fs::read(path.join(FILE)).unwrap();
    let mut holes = 0;
    for offset in (0..bytes.len()).step_by(131).filter(|at| bytes[*at] != 0) {
        let offset = offset as u64;
        let Ok(garbled) = open(&path, offset, false, OpenMode::Read) else { continue };
        let is_hole = (1..EVENTS).contains(&found(&garbled));
        drop(garbled);
        if !is_hole {
            continue;
        }
        holes += 1;
        let copy = place.path().join(format!("copy{offset}"));
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        let store = open(&copy, offset, true, OpenMode::Open).unwrap();
        assert_eq!(found(&store), EVENTS, "byte {offset}");
        store.store_event(&event("a", 1000)).unwrap();
        store.seal().unwrap();
        assert_eq!(found(&store), EVENTS + 1, "byte {offset}");
        assert!(store.verify(VerifyDepth::Deep, |_| ()).unwrap().is_sound());
        store.close().unwrap();
        if holes == 5 {
            return;
        }
    }
    assert!(holes > 0, "no byte that was tried is one of a record");
}
