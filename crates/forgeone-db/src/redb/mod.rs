//! The default engine: a directory with one redb file for each database.
//!
//! Absent on purpose: what the bytes mean, keys and routing to shards, which the layers above own,
//! and any transaction, thread or timer of its own.
//!
//! ```text
//! <directory>/            mode 0700
//!   lock                  empty; flock, exclusive for a writer's life and during recovery
//!   keyring.0 keyring.1   small files, replaced by rename
//!   closed                small file, there after a clean close
//!   reserve               room that is given back on a full disk; absent-tolerant, means nothing
//!   <database>.redb       one redb file; redb table name = table name, keys and values bytes
//!   *.new                 what an interrupted creation or replacement left; ignored
//! ```

mod compact;
mod condition;
mod directory;
mod disk;
mod engine;
mod failure;
mod files;
mod header;
mod overlay;
mod pages;
mod reserve;
mod timer;
mod transact;

pub use directory::{DirectoryState, SMALL_FILE_BYTES_MAX, StoreDirectory, StoreLock};
pub use disk::{Disk, DiskAccess, DiskFile, DiskLock, LockKind, LockRange, SystemDisk};
pub use engine::RedbEngine;
pub use timer::{SystemTimer, Timer};

use forgeone_db_engine::DatabaseName;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// How a [`RedbEngine`] uses memory and time.
#[derive(Debug, Clone)]
pub struct RedbOptions {
    /// Bytes of page cache for all files together; 64 MiB by default.
    ///
    /// redb takes a fixed size for a file when it opens it and cannot share one between files. So
    /// each file gets `cache_bytes / files_max`, and at most `files_max` files are open at once:
    /// the sum never exceeds the budget, whatever is opened in whatever order. Half of a file's
    /// share at most buffers what a commit writes; the rest, or all of it between commits, is
    /// read cache. Beside the budget lie the bytes of the requests themselves: one value being
    /// written or read is held whole even where it exceeds the share.
    pub cache_bytes: u64,
    /// Files open at once; 16 by default. Set it to the number of databases in use: opening one
    /// more first closes the file that was used longest ago, which writes and syncs it.
    pub files_max: NonZeroU32,
    /// How long to wait for the store's lock before `InUse`; 30 seconds by default. Applies to a
    /// writer that is opened while another process holds the store, and to a reader that meets a
    /// file in need of recovery. Zero means one try.
    pub lock_wait: Duration,
    /// The clock for that wait and for [`Recovery::duration`].
    pub timer: Arc<dyn Timer>,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            files_max: NonZeroU32::MIN.saturating_add(15),
            lock_wait: Duration::from_secs(30),
            timer: Arc::new(SystemTimer::new()),
        }
    }
}

/// A file that a crash had left and that was recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The database of the file.
    pub database: DatabaseName,
    /// How long it took.
    pub duration: Duration,
    /// Commits whose record was found in the file and does not count: 1 if the crash came while one was
    /// being finished, else 0. None of them was acknowledged. A commit that was cut off earlier leaves
    /// no record, and is not counted.
    pub unfinished_commits: u64,
    /// Whether it was not the file that was recovered: the medium refuses writes, so a reader sees the
    /// recovered file through memory, and the next reader has it to do again.
    pub in_memory: bool,
}

#[cfg(test)]
mod tests;
