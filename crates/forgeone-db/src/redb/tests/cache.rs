//! After a failed write or sync the system's cache shows what never reached the medium. Provoked by a
//! process that is killed, and by a file opened anew: on a disk that writes down what is done to it, the
//! cache of a file that was not closed must be dropped before it is read for good, and before anything
//! is written to it or acknowledged. Contract F1.

use super::child::Helper;
use super::*;
use crate::redb::{Disk, DiskAccess, DiskFile, DiskLock, LockKind, LockRange, SystemDisk};
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Dropped,
    Read,
    Written,
    Synced,
}

type Log = Arc<Mutex<Vec<(String, Done)>>>;

/// The system's disk, with a log.
#[derive(Debug, Clone, Default)]
struct Watched(Log);

#[derive(Debug)]
struct WatchedFile {
    file: Box<dyn DiskFile>,
    name: String,
    log: Log,
}

fn note(log: &Log, name: &str, done: Done) {
    log.lock().unwrap().push((name.to_owned(), done));
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

impl Watched {
    fn log(&self) -> MutexGuard<'_, Vec<(String, Done)>> {
        self.0.lock().unwrap()
    }

    fn wrap(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(WatchedFile { file, name: name_of(path), log: Arc::clone(&self.0) })
    }

    /// What was done to one database, in order.
    fn of(&self, name: &str) -> Vec<Done> {
        let file = format!("{name}.redb");
        self.log().iter().filter(|(name, _)| *name == file).map(|(_, done)| *done).collect()
    }

    fn writer(&self, path: &Path) -> RedbEngine {
        let directory = StoreDirectory::open_on(Arc::new(self.clone()), path).unwrap();
        let options = RedbOptions { lock_wait: Duration::from_secs(5), ..RedbOptions::default() };
        RedbEngine::open_writer(directory, options).unwrap()
    }
}

impl Disk for Watched {
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
        SystemDisk.create(path).map(|file| self.wrap(path, file))
    }

    fn open(&self, path: &Path, access: DiskAccess) -> io::Result<Box<dyn DiskFile>> {
        SystemDisk.open(path, access).map(|file| self.wrap(path, file))
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
        note(&self.0, &name_of(path), Done::Dropped);
        SystemDisk.drop_caches(path)
    }
}

impl DiskFile for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        note(&self.log, &self.name, Done::Read);
        self.file.read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        note(&self.log, &self.name, Done::Written);
        self.file.write(offset, data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        note(&self.log, &self.name, Done::Synced);
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

fn position(done: &[Done], what: Done) -> Option<usize> {
    done.iter().position(|one| *one == what)
}

/// Dropped once, then read, then written and synced.
fn assert_read_from_the_medium(done: &[Done]) {
    let dropped = position(done, Done::Dropped).expect("the cache is dropped");
    let written = position(done, Done::Written).expect("a recovery writes");
    assert!(dropped < written, "{done:?}");
    assert!(done[dropped..written].contains(&Done::Read), "{done:?}");
    assert!(done[written..].contains(&Done::Synced), "{done:?}");
}

#[test]
fn what_a_killed_writer_left_is_read_from_the_medium_before_anything_is_acknowledged() {
    let place = store();
    let mut helper = Helper::start("writer", place.path());
    assert_eq!(helper.says(), "written");
    helper.kill();
    let disk = Watched::default();
    let engine = disk.writer(place.path());
    for name in ["system", "events_shard_0"] {
        assert_read_from_the_medium(&disk.of(name));
    }
    put(&engine, "system", b"k", b"acknowledged").unwrap();
    close(&engine);
    disk.log().clear();
    close(&disk.writer(place.path()));
    assert_eq!(position(&disk.of("system"), Done::Dropped), None, "closed well, it costs nothing");
}

#[test]
fn a_file_that_is_opened_anew_is_read_from_the_medium_before_anything_is_acknowledged() {
    let place = store();
    let disk = Watched::default();
    let engine = disk.writer(place.path());
    put(&engine, "system", b"k", b"v").unwrap();
    disk.log().clear();
    engine.reopen(&database("system")).unwrap();
    put(&engine, "system", b"k", b"acknowledged").unwrap();
    let done = disk.of("system");
    // Closing it comes first.
    let dropped = position(&done, Done::Dropped).expect("the cache is dropped");
    assert_read_from_the_medium(&done[dropped..]);
    close(&engine);
}
