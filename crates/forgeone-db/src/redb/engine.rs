//! The engine itself: the contract's calls on the files of one directory.

use super::compact;
use super::directory::{StoreDirectory, StoreLock};
use super::failure::{self, guard};
use super::files::{Access, Files, Handle, Slot};
use super::pages;
use super::transact::{self, CommitFailure};
use super::{Recovery, RedbOptions};
use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Error, ErrorKind, Operation,
    Outcome, Read, ReadResult, Result, Usage,
};
use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// A leaf page of redb spends 12 bytes on its one entry, so a value fits into 64 KiB with a key
/// of `65,524 - value` bytes: 65,512 with a 12-byte key. A byte more takes 128 KiB of file. This
/// leaves room for keys of 32 bytes.
const VALUE_BYTES_PREFERRED: u32 = 65_492;

const CAPABILITY: Capability = Capability {
    durability_max: Durability::Sync,
    key_bytes_max: 1024,
    value_bytes_max: 128 << 20,
    value_bytes_preferred: VALUE_BYTES_PREFERRED,
    batch_operations_max: 100_000,
    batch_bytes_max: 256 << 20,
    range_delete_entries_max: 4096,
    get_keys_max: 4096,
    page_entries_max: 4096,
};

/// The engine over a directory of redb files, as its one writer or as one of any number of
/// readers. Readers follow a live writer's commits, in this process and in others.
///
/// Different databases commit in parallel; commits to one database queue. Every future does its
/// work at the first poll and never suspends: call it where blocking is allowed.
///
/// # Durability
/// Every commit is synced before it returns, also one that asks for [`Durability::None`]: redb
/// cannot make a commit that readers in other processes share and that is not durable. Each is
/// two-phase: data, sync, commit record, sync.
///
/// # Failures
/// A commit that fails, other than by the contract's own conditions, poisons its database: every
/// later commit there is `Closed(Poisoned)` until [`reopen`](Self::reopen) or a new engine. Other
/// databases go on. Reads of a poisoned database go to the file afresh, past everything held in
/// memory, and see what any other process would see; they are `Unavailable` if the file needs
/// recovery and has been closed to make room for others.
///
/// # Compaction
/// redb never makes a file smaller by itself. A compaction moves pages to the front and cuts the
/// file, with a sync at every step. Meanwhile reads and commits of this database wait, in this
/// process and in others; other databases go on. A reader of another process that is in the middle
/// of a read holds it up; after two seconds of trying it is `Unavailable`.
///
/// # Limits
/// Keys of 1,024 bytes, values of 128 MiB, batches of 100,000 operations and 256 MiB; 4,096
/// entries in a page, a get and a range delete.
///
/// This does not protect what is stored: redb checks no page on ordinary reads, so altered bytes
/// may come back as data, and the layers above authenticate every value.
#[derive(Debug)]
pub struct RedbEngine {
    pub(super) files: Files,
    life: RwLock<Life>,
}

/// Whether the engine is open. Calls hold it shared; `close` takes it for itself.
#[derive(Debug)]
enum Life {
    Open(#[expect(dead_code, reason = "held for its drop")] Option<StoreLock>),
    Closed,
}

impl RedbEngine {
    /// Opens a store as its one writer, and recovers every file that a crash left (see
    /// [`recoveries`](Self::recoveries)). Other files are opened when they are first used.
    ///
    /// # Errors
    /// `InUse` when the store's lock is held for longer than `lock_wait`; `NotFound`, `Denied`,
    /// `Unavailable`. A damaged file does not fail the opening, but the calls that need it.
    pub fn open_writer(directory: StoreDirectory, options: RedbOptions) -> Result<Self> {
        let lock = directory.lock(options.lock_wait, &*options.timer)?;
        Self::open_writer_locked(directory, lock, options)
    }

    /// As [`open_writer`](Self::open_writer), with the store's lock already taken, by a caller
    /// that had something to read or write under it first.
    ///
    /// # Errors
    /// As [`open_writer`](Self::open_writer), except `InUse`.
    pub fn open_writer_locked(
        directory: StoreDirectory,
        lock: StoreLock,
        options: RedbOptions,
    ) -> Result<Self> {
        // A crash may have come between a file's creation and the sync of its name.
        directory.sync()?;
        let files = Files::new(directory, Access::Write, options);
        files.recover_all()?;
        Ok(Self { files, life: RwLock::new(Life::Open(Some(lock))) })
    }

    /// Opens a store for reading, beside a live writer or without one. Nothing is written, unless
    /// a crash left a file: the first read of it takes the store's lock and recovers it.
    ///
    /// A database without a file reads as empty until a writer creates it. A read of a file in
    /// need of recovery is `InUse` if the lock is held, and the file not recovered, for longer
    /// than `lock_wait`, and `Denied` where this process may not write the file.
    ///
    /// # Errors
    /// None today; the files are opened when they are first read.
    pub fn open_reader(directory: StoreDirectory, options: RedbOptions) -> Result<Self> {
        let files = Files::new(directory, Access::Read, options);
        Ok(Self { files, life: RwLock::new(Life::Open(None)) })
    }

    /// The directory of the store.
    pub fn directory(&self) -> &StoreDirectory {
        self.files.directory()
    }

    /// The files that this handle has recovered since it was opened, in order.
    pub fn recoveries(&self) -> Vec<Recovery> {
        self.files.recoveries()
    }

    /// How many files are open now; never more than `files_max`.
    pub fn open_files(&self) -> u32 {
        self.files.open_count()
    }

    /// Closes the file of a database and opens it again from disk, as after a crash; a poisoned
    /// database then takes commits again. What the system's cache holds of the file is dropped
    /// first where the system allows it. Waits for calls in progress.
    ///
    /// The caller finds out for itself which unknown commits are present.
    ///
    /// # Errors
    /// `Full`, `Corrupt`, `Unavailable`: the database stays poisoned. `Unsupported` on a reader;
    /// `Closed`.
    pub fn reopen(&self, database: &DatabaseName) -> Result<()> {
        let life = self.enter()?;
        self.check_writer()?;
        let reopened = self.files.reopen(&self.files.slot(database));
        drop(life);
        reopened.map_err(|error| named(error, "reopen", database))
    }

    /// Whether writing the file of a database has met the end of the disk, and nothing else was wrong,
    /// since it was opened: redb then refuses everything, and has not always said so.
    pub(crate) fn has_met_the_end_of_the_disk(&self, database: &DatabaseName) -> bool {
        self.files.slot(database).failures.is_full()
    }

    /// Checks the engine's own pages of a database, which it does not do when it reads: a damaged one
    /// makes no answer of the layers above wrong, but may make a write harmful. Reads the whole file,
    /// past everything that is open, and writes nothing. `None` where there is no file, or it was
    /// written to again and again meanwhile, by this handle or another: then nothing is known.
    ///
    /// # Errors
    /// `Corrupt` when a page is damaged; `Denied`, `Unavailable`, `Closed`.
    ///
    /// # Limits
    /// A few MiB of pages, and at most 16 MiB for what redb would write.
    pub fn check_pages(&self, database: &DatabaseName) -> Result<Option<()>> {
        let life = self.enter()?;
        let checked = pages::check(&self.files, database);
        drop(life);
        checked.map_err(|error| named(error, "check", database))
    }

    /// Bytes that are set aside for a full disk.
    pub fn reserve_bytes(&self) -> u64 {
        self.files.directory().reserve_bytes()
    }

    /// Sets aside so many bytes in the store's directory; what was before counts. They are given back
    /// by [`free_reserve`](Self::free_reserve), and when a file cannot be opened without.
    ///
    /// # Errors
    /// `Full`, `Denied`, `Unavailable`: any part of it may have been set aside. `Unsupported` on a
    /// reader; `Closed`.
    pub fn keep_reserve(&self, bytes: u64) -> Result<()> {
        let life = self.enter()?;
        self.check_writer()?;
        let kept = self.files.directory().keep_reserve(bytes);
        drop(life);
        kept
    }

    /// Gives back what was set aside; says how many bytes that were. Nothing happens on a reader.
    pub fn free_reserve(&self) -> u64 {
        if self.is_writer() { self.files.directory().free_reserve() } else { 0 }
    }

    fn enter(&self) -> Result<RwLockReadGuard<'_, Life>> {
        let life = self.life.read().unwrap_or_else(PoisonError::into_inner);
        match *life {
            Life::Open(_) => Ok(life),
            Life::Closed => Err(failure::shutdown()),
        }
    }

    fn check_writer(&self) -> Result<()> {
        match self.files.access() {
            Access::Write => Ok(()),
            Access::Read => {
                Err(Error::new(ErrorKind::Unsupported, "the store is open for reading only"))
            }
        }
    }

    fn read_now(&self, database: &DatabaseName, request: &Read) -> Result<ReadResult> {
        let life = self.enter()?;
        request.check(&CAPABILITY)?;
        let slot = self.files.slot(database);
        let result = if slot.is_poisoned() {
            self.read_beside(&slot, request)
        } else {
            self.read_slot(&slot, request)
        };
        drop(life);
        result
    }

    fn read_slot(&self, slot: &Slot, request: &Read) -> Result<ReadResult> {
        let Some(handle) = self.files.handle(slot)? else {
            return Ok(transact::absent(request));
        };
        let answer = guard(|| match &*handle {
            Handle::Writer(database) => transact::read(database, request),
            Handle::Reader(database) => transact::read(database, request),
            Handle::Closed => Ok(transact::absent(request)),
        });
        drop(handle);
        match answer {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) if failure::is_latched(&error) && self.is_writer() => {
                self.read_beside(slot, request)
            }
            Ok(Err(error)) => {
                self.files.drop_reader(slot);
                Err(failure::from_redb_read(error))
            }
            Err(panicked) => {
                if self.is_writer() {
                    slot.poison();
                }
                self.files.drop_reader(slot);
                Err(panicked.into_error(ErrorKind::Corrupt))
            }
        }
    }

    fn is_writer(&self) -> bool {
        self.files.access() == Access::Write
    }

    /// Reads through a handle of its own, beside the writer's, which redb has latched.
    fn read_beside(&self, slot: &Slot, request: &Read) -> Result<ReadResult> {
        let Some(database) = self.files.open_beside(&slot.name)? else {
            return Ok(transact::absent(request));
        };
        match guard(move || transact::read(&database, request)) {
            Ok(result) => result.map_err(failure::from_redb_read),
            Err(panicked) => Err(panicked.into_error(ErrorKind::Corrupt)),
        }
    }

    fn commit_now(&self, batch: &Batch, durability: Durability) -> Result<()> {
        let life = self.enter()?;
        batch.check(durability, &CAPABILITY)?;
        self.check_writer()?;
        let slot = self.files.slot(batch.database());
        let turn = slot.lock_commits();
        if slot.is_poisoned() {
            return Err(failure::poisoned());
        }
        let result = self.commit_slot(&slot, batch);
        drop(turn);
        drop(life);
        result
    }

    fn commit_slot(&self, slot: &Slot, batch: &Batch) -> Result<()> {
        loop {
            if let Some(handle) = self.files.handle(slot)? {
                return commit_to(&handle, slot, batch);
            }
            for condition in batch.preconditions() {
                condition.compare(None)?;
            }
            let puts = |operation: &Operation| matches!(operation, Operation::Put { .. });
            if !batch.operations().iter().any(puts) {
                return Ok(());
            }
            self.files.create(slot)?;
        }
    }

    fn usage_now(&self, database: &DatabaseName) -> Result<Usage> {
        let life = self.enter()?;
        let directory = self.files.directory();
        let usage = Usage {
            allocated_bytes: directory.allocated_bytes(database)?,
            available_bytes: Some(directory.available_bytes()?),
        };
        drop(life);
        Ok(usage)
    }

    fn compact_now(&self, database: &DatabaseName) -> Result<()> {
        let life = self.enter()?;
        self.check_writer()?;
        let slot = self.files.slot(database);
        let turn = slot.lock_commits();
        if slot.is_poisoned() {
            return Err(failure::poisoned());
        }
        let compacted = compact::compact(&self.files, &slot);
        drop(turn);
        drop(life);
        compacted
    }

    fn close_now(&self) -> Result<()> {
        let mut life = self.life.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*life, Life::Closed) {
            return Ok(());
        }
        let closed = self.files.close_all();
        // Only now is the store's lock given up.
        *life = Life::Closed;
        closed
    }
}

/// Applies the batch, and poisons the database where the contract demands it.
///
/// `Rejected` means that redb rolled the transaction back and can go on. A failure that latches
/// the file is `Unknown`, also one before the commit record was touched, as the contract has it
/// for every failure after the first byte.
fn commit_to(handle: &Handle, slot: &Slot, batch: &Batch) -> Result<()> {
    let Handle::Writer(database) = handle else {
        return Err(failure::not_recovered());
    };
    let limit = CAPABILITY.range_delete_entries_max;
    let failed = match guard(|| transact::commit(database, batch, limit)) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(CommitFailure::RolledBack(error))) => return Err(error),
        Ok(Err(CommitFailure::NotBegun(error))) if slot.failures.is_full() => {
            failure::met_the_end_of_the_disk().with_source(failure::from_redb(error))
        }
        Ok(Err(CommitFailure::NotBegun(error))) => {
            failure::poisoned().with_source(failure::from_redb(error))
        }
        Ok(Err(CommitFailure::Unknown(error))) => {
            failure::from_redb(error).with_outcome(Outcome::Unknown)
        }
        Err(panicked) => panicked.into_error(ErrorKind::Corrupt).with_outcome(Outcome::Unknown),
    };
    slot.poison();
    Err(failed)
}

fn named(error: Error, op: &'static str, database: &DatabaseName) -> Error {
    error.with_op(op).with("database", database)
}

#[deny(clippy::missing_trait_methods)]
impl Engine for RedbEngine {
    fn capability(&self) -> Capability {
        CAPABILITY
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let database = database.clone();
        Box::pin(async move {
            self.read_now(&database, &request).map_err(|error| named(error, "read", &database))
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.commit_now(&batch, durability)
                .map_err(|error| named(error, "commit", batch.database()))
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        let database = database.clone();
        Box::pin(async move {
            self.usage_now(&database).map_err(|error| named(error, "usage", &database))
        })
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let database = database.clone();
        Box::pin(async move {
            self.compact_now(&database).map_err(|error| named(error, "compact", &database))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.close_now().map_err(|error| error.with_op("close")) })
    }
}

impl Drop for RedbEngine {
    fn drop(&mut self) {
        drop(self.close_now());
    }
}

impl fmt::Display for RedbEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("redb")
    }
}
