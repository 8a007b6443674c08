//! A file of a disk, as redb takes it.

use super::{DiskFile, LockKind};
use redb::{BackendError, StorageBackend};
use std::cell::Cell;
use std::io;
use std::ops::Bound;

thread_local! {
    /// redb syncs on the thread that calls it, and its loops cannot be told to end in another way.
    static SYNCS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Does `work`, which may sync files so often on this thread; each further sync fails. Says as well
/// whether one did.
pub(in crate::redb) fn with_syncs_max<T>(syncs_max: u32, work: impl FnOnce() -> T) -> (T, bool) {
    SYNCS_LEFT.set(Some(syncs_max));
    let done = work();
    (done, SYNCS_LEFT.replace(None) == Some(0))
}

fn count_sync() -> io::Result<()> {
    match SYNCS_LEFT.get() {
        None => Ok(()),
        Some(0) => Err(io::Error::other("too many syncs for what was asked")),
        Some(left) => {
            SYNCS_LEFT.set(Some(left - 1));
            Ok(())
        }
    }
}

/// Hands every call of redb on to a file.
#[derive(Debug)]
pub(in crate::redb) struct Backend(pub(in crate::redb) Box<dyn DiskFile>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if forgeone_db_engine::mutant!("skip-the-sync-of-a-commit") {
            return Ok(());
        }
        count_sync()?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock((start, end), LockKind::Exclusive).map_err(from_lock)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.try_lock((start, end), LockKind::Shared).map_err(from_lock)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock((start, end), LockKind::Exclusive).map_err(from_lock)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock((start, end), LockKind::Shared).map_err(from_lock)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock((start, end)).map_err(from_lock)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.is_locked((start, end)).map_err(from_lock)
    }
}

/// redb asks for less where locks are not supported, and must be able to tell.
fn from_lock(error: io::Error) -> BackendError {
    match error.kind() {
        io::ErrorKind::Unsupported => BackendError::Unsupported,
        _ => BackendError::Io(error),
    }
}
