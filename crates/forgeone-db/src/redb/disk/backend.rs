//! A file of a disk, as redb takes it.

use super::{DiskFile, LockKind};
use redb::{BackendError, StorageBackend};
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Hands every call of redb on to a file.
#[derive(Debug)]
pub(in crate::redb) struct Backend {
    pub(in crate::redb) file: Box<dyn DiskFile>,
    pub(in crate::redb) failures: Arc<Failures>,
}

/// How writing a file has failed since it was opened. redb does not say so to whoever comes after the
/// call that failed, and sometimes not to that one.
#[derive(Debug, Default)]
pub(in crate::redb) struct Failures {
    full: AtomicBool,
    other: AtomicBool,
    /// One more than the syncs that are still allowed; 0 where nothing limits them.
    syncs_left: AtomicU32,
}

impl Failures {
    /// The file was opened anew.
    pub(in crate::redb) fn forget(&self) {
        self.full.store(false, Ordering::Release);
        self.other.store(false, Ordering::Release);
    }

    /// Whether there was no room, and nothing else was wrong.
    pub(in crate::redb) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire) && !self.other.load(Ordering::Acquire)
    }

    /// Does `work`, in which the file may be synced so often, and fails each further sync. Says as well
    /// whether it came to that. redb has loops that cannot be told in another way to end.
    pub(in crate::redb) fn with_syncs_max<T>(
        &self,
        syncs_max: u32,
        work: impl FnOnce() -> T,
    ) -> (T, bool) {
        self.syncs_left.store(syncs_max.saturating_add(1), Ordering::Release);
        let done = work();
        (done, self.syncs_left.swap(0, Ordering::AcqRel) == 1)
    }

    fn count_sync(&self) -> io::Result<()> {
        match self.syncs_left.load(Ordering::Acquire) {
            0 => Ok(()),
            1 => Err(io::Error::other("more syncs than what was asked for can need")),
            left => {
                self.syncs_left.store(left - 1, Ordering::Release);
                Ok(())
            }
        }
    }

    fn note<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done {
            let cause = if is_full(error) { &self.full } else { &self.other };
            cause.store(true, Ordering::Release);
        }
        done
    }
}

/// Whether an operating system error says that there is no room.
pub(in crate::redb) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.failures.note(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        if forgeone_db_engine::mutant!("skip-the-sync-of-a-commit") {
            return Ok(());
        }
        self.failures.count_sync()?;
        self.failures.note(self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.failures.note(self.file.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock((start, end), LockKind::Exclusive).map_err(from_lock)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock((start, end), LockKind::Shared).map_err(from_lock)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock((start, end), LockKind::Exclusive).map_err(from_lock)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock((start, end), LockKind::Shared).map_err(from_lock)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock((start, end)).map_err(from_lock)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.is_locked((start, end)).map_err(from_lock)
    }
}

/// redb asks for less where locks are not supported, and must be able to tell.
fn from_lock(error: io::Error) -> BackendError {
    match error.kind() {
        io::ErrorKind::Unsupported => BackendError::Unsupported,
        _ => BackendError::Io(error),
    }
}
