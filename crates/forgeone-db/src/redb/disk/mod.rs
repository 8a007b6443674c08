//! The file system as the engine sees it: everything that is done to the files of a store goes
//! through [`Disk`], so that a simulation can stand in for it.
//!
//! Absent on purpose: what the files hold, and which of them are a store's.

mod backend;
mod system;

pub(super) use backend::{Backend, Failures, is_full};
pub use system::SystemDisk;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::Path;

/// What an open file is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskAccess {
    /// Reading alone.
    Read,
    /// Reading and writing.
    Write,
}

/// Who else may lock the same bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Whoever locks them shared.
    Shared,
    /// Nobody.
    Exclusive,
}

/// Bytes of a file, which may lie beyond its end. An unbounded end takes in all future growth.
pub type LockRange = (Bound<u64>, Bound<u64>);

/// Where the files of a store lie. [`SystemDisk`] is the operating system's file system; another one
/// is for tests that inject faults, and for embedders with files of their own.
///
/// Paths are a store's directory and files right inside it.
///
/// # Durability
/// Bytes are durable when [`DiskFile::sync_data`] has returned success after they were written, and
/// names when [`sync_directory`](Self::sync_directory) has after they were created, renamed or
/// removed. A disk that reports success earlier breaks every promise that the store makes.
///
/// # Errors
/// The kind of an error says what happened: `NotFound`, `AlreadyExists`, `PermissionDenied`,
/// `StorageFull` and so on, as the operating system's calls have it.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Whether a directory lies at `path`, where a symbolic link leads to what it names. `NotFound`
    /// if nothing does.
    fn is_directory(&self, path: &Path) -> io::Result<bool>;

    /// Creates the directory and what is missing above it, for this user alone, each durable in its
    /// parent on return. Nothing happens if it is there.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Makes every name that was created, renamed or removed in the directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// The names in the directory, in any order.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Bytes that the file at `path` takes up, following no symbolic link; `None` if no regular file
    /// lies there.
    fn allocated_bytes(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Bytes that can still be written to the directory.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Creates an empty file, for this user alone, open for writing. `AlreadyExists` if anything lies
    /// there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a regular file, following no symbolic link at the end of the path and never waiting for
    /// another process. `InvalidData` for anything that is no regular file.
    fn open(&self, path: &Path, access: DiskAccess) -> io::Result<Box<dyn DiskFile>>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in the same directory, in one step. What had that name is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Locks the file at `path`, which is made first if there is none, against everyone else in this
    /// process and in others; `None` if somebody has it. The lock ends when it is dropped and when
    /// the process dies.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;

    /// Has the file at `path`, which is made first if there is none, take up at least `bytes`, for
    /// nothing but to keep them from others. After a failure it may take up any part of them. Where the
    /// file system stores what is written in less space, it takes up less.
    fn set_aside(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Forgets what is held of the file in memory, as far as that is possible, so that the next read
    /// comes from the medium.
    fn drop_caches(&self, path: &Path) -> io::Result<()>;
}

/// A lock that is held until it is dropped.
pub trait DiskLock: fmt::Debug + Send + Sync {}

/// An open file. Calls may come from any thread.
///
/// Locks belong to the handle. They conflict with those of every other handle, in this process too,
/// may lie beyond the end of the file, and go when the handle is closed or dropped. `Unsupported` on a
/// disk that has none: then the store cannot be opened.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Bytes from the start to the end of the file.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `out` from `offset` on. `UnexpectedEof` if the file ends before that.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`. After a failure any part of it may be there.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts the file, or makes it longer with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes everything that was written to the file durable, its length too. After a failure nobody
    /// knows what is, and a second call must not be taken for an answer.
    fn sync_data(&self) -> io::Result<()>;

    /// Locks the bytes; false if somebody else's lock is in the way.
    fn try_lock(&self, range: LockRange, kind: LockKind) -> io::Result<bool>;

    /// Locks the bytes, waiting for whoever is in the way.
    fn lock(&self, range: LockRange, kind: LockKind) -> io::Result<()>;

    /// Ends the lock of exactly these bytes.
    fn unlock(&self, range: LockRange) -> io::Result<()>;

    /// Whether an exclusive lock of the bytes would meet one of somebody else's.
    fn is_locked(&self, range: LockRange) -> io::Result<bool>;

    /// Ends every lock of this handle, which is not used again.
    fn close(&self) -> io::Result<()>;
}
