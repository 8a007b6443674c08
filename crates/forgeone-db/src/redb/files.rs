//! The open files of an engine: opening, recovering and closing them under one memory budget.

use super::directory::{Patience, StoreDirectory, in_use, temporary};
use super::disk::{Backend, DiskAccess, DiskFile, Failures};
use super::failure::{self, from_io, guard};
use super::header::{call_closed, check_version, unfinished_commits};
use super::overlay::Overlay;
use super::timer::Timer;
use super::{Recovery, RedbOptions};
use forgeone_db_engine::{DatabaseName, Error, ErrorKind, Outcome, Result, mutant};
use redb::{Builder, ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::time::Duration;

/// How long an opener waits before it looks again for a file that it may close.
const EVICTION_INTERVAL: Duration = Duration::from_millis(1);

/// Whether the engine may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Write,
    Read,
}

/// What is open of one database.
pub(super) enum Handle {
    Closed,
    Writer(Database),
    /// In an engine that writes: of a file that redb did not recover, and that can only be read.
    Reader(ReadOnlyDatabase),
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "Closed",
            Self::Writer(_) => "Writer",
            Self::Reader(_) => "Reader",
        })
    }
}

/// One database of the engine. Locks are taken in the order `commit`, `handle`.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) name: DatabaseName,
    /// Held by each call that uses the file; exclusively to open and close it.
    handle: RwLock<Handle>,
    /// Held through a commit, so that the next one sees whether this one poisoned the database.
    commit: Mutex<()>,
    poisoned: AtomicBool,
    /// Of the file as it is open for writing.
    pub(super) failures: Arc<Failures>,
    used: AtomicU64,
}

impl Slot {
    fn new(name: DatabaseName) -> Self {
        Self {
            name,
            handle: RwLock::new(Handle::Closed),
            commit: Mutex::new(()),
            poisoned: AtomicBool::new(false),
            failures: Arc::default(),
            used: AtomicU64::new(0),
        }
    }

    pub(super) fn lock_commits(&self) -> MutexGuard<'_, ()> {
        lock(&self.commit)
    }

    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire) && !mutant!("forget-poison")
    }

    fn lock_handle(&self) -> RwLockWriteGuard<'_, Handle> {
        self.handle.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The databases of a directory, and which of their files are open.
#[derive(Debug)]
pub(super) struct Files {
    directory: StoreDirectory,
    access: Access,
    options: RedbOptions,
    slots: Mutex<BTreeMap<DatabaseName, Arc<Slot>>>,
    open_count: Mutex<u32>,
    clock: AtomicU64,
    recoveries: Mutex<Vec<Recovery>>,
}

impl Files {
    pub(super) fn new(directory: StoreDirectory, access: Access, options: RedbOptions) -> Self {
        Self {
            directory,
            access,
            options,
            slots: Mutex::default(),
            open_count: Mutex::new(0),
            clock: AtomicU64::new(0),
            recoveries: Mutex::default(),
        }
    }

    pub(super) fn directory(&self) -> &StoreDirectory {
        &self.directory
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    pub(super) fn recoveries(&self) -> Vec<Recovery> {
        lock(&self.recoveries).clone()
    }

    pub(super) fn open_count(&self) -> u32 {
        *lock(&self.open_count)
    }

    pub(super) fn slot(&self, name: &DatabaseName) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let slot = slots.entry(name.clone()).or_insert_with(|| Arc::new(Slot::new(name.clone())));
        Arc::clone(slot)
    }

    /// Recovers, and leaves open, every file that a crash left. A file that cannot be opened is
    /// left to the first call that wants it, so that one damaged file never hides the others.
    pub(super) fn recover_all(&self) -> Result<()> {
        for name in self.directory.databases()? {
            let beside = self.open_beside(&name);
            if beside.is_err_and(|error| is_unrecovered(&error)) {
                self.forget_cached(&name);
                drop(self.handle(&self.slot(&name)));
            }
        }
        Ok(())
    }

    /// The open file of a database, opened first if need be; `None` if there is no file.
    pub(super) fn handle<'s>(&self, slot: &'s Slot) -> Result<Option<RwLockReadGuard<'s, Handle>>> {
        slot.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let handle = slot.handle.read().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*handle, Handle::Closed) {
            return Ok(Some(handle));
        }
        drop(handle);
        let mut handle = slot.lock_handle();
        if matches!(*handle, Handle::Closed) {
            match self.open(slot)? {
                Some(open) => *handle = open,
                None => return Ok(None),
            }
        }
        Ok(Some(RwLockWriteGuard::downgrade(handle)))
    }

    /// The open file of a database, for this call alone; `None` if there is no file.
    pub(super) fn handle_exclusive<'s>(
        &self,
        slot: &'s Slot,
    ) -> Result<Option<RwLockWriteGuard<'s, Handle>>> {
        loop {
            if self.handle(slot)?.is_none() {
                return Ok(None);
            }
            let handle = slot.lock_handle();
            // In between it may have been closed to make room for others.
            if !matches!(*handle, Handle::Closed) {
                return Ok(Some(handle));
            }
        }
    }

    pub(super) fn timer(&self) -> &dyn Timer {
        &*self.options.timer
    }

    /// Creates a database's file, empty, durable and open.
    ///
    /// redb cannot take up a file that a crash left half initialised, so the file gets its name
    /// when it is complete.
    pub(super) fn create(&self, slot: &Slot) -> Result<()> {
        let mut handle = slot.lock_handle();
        self.take_permit();
        let path = self.directory.database_file(&slot.name);
        let temporary = temporary(&path);
        let created = self.initialise(&temporary, &path, &slot.failures);
        match created {
            Ok(database) => *handle = Handle::Writer(database),
            Err(error) => {
                self.return_permit();
                drop(self.directory.disk().remove(&temporary));
                return Err(error);
            }
        }
        // An unsynced name could vanish with everything that is committed under it later.
        self.directory.sync().inspect_err(|_| slot.poison())
    }

    fn initialise(
        &self,
        temporary: &Path,
        path: &Path,
        failures: &Arc<Failures>,
    ) -> Result<Database> {
        let failed = |error| from_io(error, "a database file cannot be created");
        let file = self.directory.create_fresh(temporary).map_err(failed)?;
        let database = self.open_database(file, &Arc::default(), failures)?;
        self.directory.disk().rename(temporary, path).map_err(failed)?;
        Ok(database)
    }

    /// Forgets a reader's file after a failure, so that the next call opens it afresh.
    pub(super) fn drop_reader(&self, slot: &Slot) {
        let mut handle = slot.lock_handle();
        if matches!(*handle, Handle::Reader(_)) {
            drop(self.close(&mut handle));
        }
    }

    /// Closes the file without looking at what it holds in memory, opens it from disk, which
    /// recovers it, and lifts the poison.
    pub(super) fn reopen(&self, slot: &Slot) -> Result<()> {
        let commits_done = slot.lock_commits();
        let mut handle = slot.lock_handle();
        // A poisoned file cannot be closed well: that is why it is reopened.
        drop(self.close(&mut handle));
        self.forget_cached(&slot.name);
        self.directory.sync()?;
        match self.open(slot)? {
            Some(open) => *handle = open,
            // There was no room to make it.
            None => slot.failures.forget(),
        }
        slot.poisoned.store(false, Ordering::Release);
        drop(commits_done);
        Ok(())
    }

    /// Has a file read from the medium. After a failed sync the system's cache may hold, and show as
    /// sound, what never reached it. A writer that met a failure cannot close its file well, so whoever
    /// opens one that was not closed comes here first. What is still on its way stays in the cache, and
    /// is synced by the recovery, which fails if that does.
    fn forget_cached(&self, name: &DatabaseName) {
        if mutant!("trust-the-cache-after-a-failure") {
            return;
        }
        // As far as the system can: where it cannot, there is nothing else to do.
        drop(self.directory.disk().drop_caches(&self.directory.database_file(name)));
    }

    /// Closes every file; the first failure is returned when all are closed. A poisoned database
    /// cannot be closed well, so its failure is not one.
    pub(super) fn close_all(&self) -> Result<()> {
        let slots: Vec<_> = lock(&self.slots).values().map(Arc::clone).collect();
        let mut result = Ok(());
        for slot in slots {
            let closed = self.close(&mut slot.lock_handle());
            if !slot.is_poisoned() {
                result = result.and(closed.map_err(|error| error.with("database", &slot.name)));
            }
        }
        result
    }

    fn close(&self, handle: &mut Handle) -> Result<()> {
        let closed = match std::mem::replace(handle, Handle::Closed) {
            Handle::Closed => return Ok(()),
            Handle::Writer(database) => guard(|| database.close()),
            Handle::Reader(database) => guard(|| database.close()),
        };
        self.return_permit();
        match closed {
            Ok(closed) => closed.map_err(|error| failure::from_redb(error.into())),
            Err(panicked) => Err(panicked.into_error(ErrorKind::Internal)),
        }
    }

    fn open(&self, slot: &Slot) -> Result<Option<Handle>> {
        self.take_permit();
        let opened = match self.access {
            Access::Write => self
                .directory
                .with_reserve(|| self.open_writer(slot))
                .map(|open| open.map(Handle::Writer)),
            Access::Read => self.open_reader(&slot.name).map(|open| open.map(Handle::Reader)),
        };
        let opened = match opened {
            Err(error) if error.kind() == ErrorKind::Corrupt => self
                .open_unrecovered(&slot.name)
                .map(|open| open.map(Handle::Reader))
                .or(Err(error)),
            opened => opened,
        };
        if !matches!(opened, Ok(Some(_))) {
            self.return_permit();
        }
        opened
    }

    /// The file of a database; `None` if there is none, or one without a byte, which holds no
    /// commit either.
    fn open_file(&self, name: &DatabaseName) -> Result<Option<Box<dyn DiskFile>>> {
        let failed = |error| failure::cannot_open(error, name);
        let access = match self.access {
            Access::Write => DiskAccess::Write,
            Access::Read => DiskAccess::Read,
        };
        match self.directory.disk().open(&self.directory.database_file(name), access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(file) if file.is_empty().map_err(failed)? => Ok(None),
            Ok(file) => check_version(&*file).map(|()| Some(file)),
        }
    }

    /// The file of a database, to be read past everything that is open.
    pub(super) fn open_to_check(&self, name: &DatabaseName) -> Result<Option<Box<dyn DiskFile>>> {
        let path = self.directory.database_file(name);
        let failed = |error| failure::cannot_open(error, name);
        match self.directory.disk().open(&path, DiskAccess::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(file) => Ok((!file.is_empty().map_err(failed)?).then_some(file)),
        }
    }

    fn open_writer(&self, slot: &Slot) -> Result<Option<Database>> {
        let name = &slot.name;
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let repaired = Arc::new(AtomicBool::new(false));
        let (start, unfinished) = (self.options.timer.now(), unfinished_commits(&*file));
        slot.failures.forget();
        let opened = self.open_database(file, &repaired, &slot.failures);
        let database = opened.map_err(|error| self.tell_writing_from_reading(name, error))?;
        if repaired.load(Ordering::Relaxed) {
            self.note_recovery(name, start, unfinished);
        }
        Ok(Some(database))
    }

    /// Opening for writing writes, too: a medium that refused that, and can be read, has damaged
    /// nothing.
    fn tell_writing_from_reading(&self, name: &DatabaseName, error: Error) -> Error {
        let is_damaged = |beside: Error| beside.kind() == ErrorKind::Corrupt;
        if error.message() != failure::UNREADABLE || self.open_beside(name).is_err_and(is_damaged) {
            return error;
        }
        Error::new(ErrorKind::Unavailable, "the medium cannot write the database file")
            .with_source(error)
    }

    fn note_recovery(&self, name: &DatabaseName, start: Duration, unfinished_commits: u64) {
        let recovery = self.recovery(name, start, unfinished_commits);
        lock(&self.recoveries).push(recovery);
    }

    fn recovery(&self, name: &DatabaseName, start: Duration, unfinished_commits: u64) -> Recovery {
        let duration = self.options.timer.now().saturating_sub(start);
        Recovery { database: name.clone(), duration, unfinished_commits, in_memory: false }
    }

    fn open_database(
        &self,
        file: Box<dyn DiskFile>,
        repaired: &Arc<AtomicBool>,
        failures: &Arc<Failures>,
    ) -> Result<Database> {
        let flag = Arc::clone(repaired);
        let backend = Backend { file, failures: Arc::clone(failures) };
        let opened = guard(|| {
            self.builder()
                .set_repair_callback(move |_| flag.store(true, Ordering::Relaxed))
                .create_with_backend(backend)
        });
        settle(opened)
    }

    fn builder(&self) -> Builder {
        let share = self.options.cache_bytes / u64::from(self.options.files_max.get());
        let mut builder = Builder::new();
        builder
            .set_concurrency_mode(ConcurrencyMode::SingleWriter)
            .set_cache_size(usize::try_from(share).unwrap_or(usize::MAX));
        builder
    }

    fn open_reader(&self, name: &DatabaseName) -> Result<Option<ReadOnlyDatabase>> {
        match self.open_read_only(name, &self.builder()) {
            Err(error) if is_unrecovered(&error) => match self.recover_and_open(name) {
                Err(error) if error.kind() == ErrorKind::Denied => self.read_as_left(name, error),
                opened => opened,
            },
            opened => opened,
        }
    }

    /// A reader's way to a file that a crash left on a medium that refuses writes, with `denied`: what
    /// the recovery would make of it is what its header says, and it is read from there.
    fn read_as_left(&self, name: &DatabaseName, denied: Error) -> Result<Option<ReadOnlyDatabase>> {
        self.forget_cached(name);
        let start = self.options.timer.now();
        let unfinished_commits =
            self.open_to_check(name)?.map_or(0, |file| unfinished_commits(&*file));
        let opened = match self.open_unrecovered(name) {
            // What the medium refused is not what is wrong with it then.
            Err(error) if error.kind() == ErrorKind::Corrupt => return Err(error),
            Err(_) => return Err(denied),
            Ok(opened) => opened,
        };
        let recovery = self.recovery(name, start, unfinished_commits);
        let recovery = Recovery { in_memory: true, ..recovery };
        let mut recoveries = lock(&self.recoveries);
        // It is opened again whenever it was closed to make room.
        if !recoveries.iter().any(|one| one.in_memory && one.database == *name) {
            recoveries.push(recovery);
        }
        Ok(opened)
    }

    /// Opens for reading, beside whatever else has the file open, with no cache.
    pub(super) fn open_beside(&self, name: &DatabaseName) -> Result<Option<ReadOnlyDatabase>> {
        self.open_read_only(name, self.builder().set_cache_size(0))
    }

    fn open_read_only(
        &self,
        name: &DatabaseName,
        builder: &Builder,
    ) -> Result<Option<ReadOnlyDatabase>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let backend = Backend { file, failures: Arc::default() };
        settle(guard(|| builder.open_read_only_with_backend(backend))).map(Some)
    }

    /// Opens for reading alone a file that redb does not recover, since a page of it is damaged. It is
    /// read as beside a living writer: from the commit that its header names, which was made in two
    /// phases. What the damaged page has held is missed by the layers above; the rest is there.
    fn open_unrecovered(&self, name: &DatabaseName) -> Result<Option<ReadOnlyDatabase>> {
        let Some(file) = self.open_to_check(name)? else { return Ok(None) };
        check_version(&*file)?;
        let overlay = Overlay::watching(file)
            .and_then(|overlay| call_closed(&overlay).map(|()| overlay))
            .map_err(|error| from_io(error, "a database file cannot be read"))?;
        let mut builder = self.builder();
        // The one mode in which redb reads without its list of free pages, which is not there.
        builder.set_concurrency_mode(ConcurrencyMode::MultiWriter);
        settle(guard(|| builder.open_read_only_with_backend(overlay))).map(Some)
    }

    /// A reader's way past a file that a crash left: whoever gets the store's lock recovers it,
    /// everyone else waits until it is done.
    fn recover_and_open(&self, name: &DatabaseName) -> Result<Option<ReadOnlyDatabase>> {
        let mut patience = Patience::new(self.options.lock_wait, &*self.options.timer);
        loop {
            if let Some(lock) = self.directory.try_lock()? {
                let recovered = self.directory.with_reserve(|| self.recover(name));
                drop(lock);
                recovered?;
            }
            match self.open_read_only(name, &self.builder()) {
                Err(error) if is_unrecovered(&error) => {
                    if !patience.pause() {
                        return Err(in_use(self.directory.path()).with_source(error));
                    }
                }
                opened => return opened,
            }
        }
    }

    /// Opens and closes a file for writing, which repairs it. The caller holds the store's lock.
    fn recover(&self, name: &DatabaseName) -> Result<()> {
        if !self.open_beside(name).is_err_and(|error| is_unrecovered(&error)) {
            return Ok(());
        }
        self.forget_cached(name);
        let path = self.directory.database_file(name);
        let file = self
            .directory
            .disk()
            .open(&path, DiskAccess::Write)
            .map_err(|error| from_io(error, "a database file cannot be opened for recovery"))?;
        let (start, unfinished) = (self.options.timer.now(), unfinished_commits(&*file));
        let database = self.open_database(file, &Arc::default(), &Arc::default())?;
        let closed = guard(|| database.close()).map(|closed| closed.map(drop));
        settle(closed)?;
        self.note_recovery(name, start, unfinished);
        Ok(())
    }

    /// Waits until one more file may be open, closing the one that was used longest ago.
    fn take_permit(&self) {
        loop {
            {
                let mut count = lock(&self.open_count);
                if *count < self.options.files_max.get() {
                    *count += 1;
                    return;
                }
            }
            if !self.evict() {
                self.options.timer.pause(EVICTION_INTERVAL);
            }
        }
    }

    fn return_permit(&self) {
        let mut count = lock(&self.open_count);
        *count = count.saturating_sub(1);
    }

    /// Closes one file that no call is using. It never waits for a file: an opener holds its own.
    fn evict(&self) -> bool {
        let mut slots: Vec<_> = lock(&self.slots).values().map(Arc::clone).collect();
        slots.sort_by_key(|slot| slot.used.load(Ordering::Relaxed));
        slots.into_iter().any(|slot| {
            let mut handle = match slot.handle.try_write() {
                Ok(handle) => handle,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return false,
            };
            let open = !matches!(*handle, Handle::Closed);
            // Everything committed is durable: a failure here costs a recovery, nothing else.
            drop(self.close(&mut handle));
            open
        })
    }
}

pub(super) fn is_unrecovered(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.message() == failure::UNRECOVERED
}

fn settle<T>(opened: Result<Result<T, DatabaseError>, failure::Panicked>) -> Result<T> {
    match opened {
        Ok(opened) => opened.map_err(|error| failure::from_redb_read(error.into())),
        Err(panicked) => {
            Err(panicked.into_error(ErrorKind::Corrupt).with_outcome(Outcome::Rejected))
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
