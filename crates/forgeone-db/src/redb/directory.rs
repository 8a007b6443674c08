//! The directory of a store: its lock, its small files, and the names of its databases.

use super::disk::{Disk, DiskAccess, DiskFile, DiskLock, SystemDisk};
use super::failure::from_io;
use super::reserve::RESERVE_FILE;
use super::timer::Timer;
use bytes::Bytes;
use forgeone_db_engine::{DatabaseName, Error, ErrorKind, Outcome, Result, mutant};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the largest small file that [`StoreDirectory::read`] returns.
pub const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;

const LOCK_FILE: &str = "lock";
pub(super) const DATABASE_SUFFIX: &str = ".redb";
pub(super) const TEMPORARY_SUFFIX: &str = ".new";
const NAME_BYTES_MAX: usize = 64;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What lies at a path, for a caller that decides whether to create a store there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryState {
    /// Nothing.
    Absent,
    /// A directory without entries.
    Empty,
    /// A directory with a store's `lock` file or a copy of its keyring. Whether the store in it was ever completed is for
    /// the reader of its keyring to say.
    Store,
    /// A file, or a directory with other content.
    Foreign,
}

/// The directory of one store. Opening one reads nothing but names and changes nothing.
#[derive(Debug, Clone)]
pub struct StoreDirectory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

/// The store's one lock, held until dropped or until the process dies.
#[derive(Debug)]
pub struct StoreLock {
    _lock: Box<dyn DiskLock>,
}

impl StoreDirectory {
    /// Says what lies at `path`.
    ///
    /// # Errors
    /// `Denied` or `Unavailable` when it cannot be looked at.
    pub fn inspect(path: impl AsRef<Path>) -> Result<DirectoryState> {
        Self::inspect_on(&SystemDisk, path.as_ref())
    }

    /// As [`inspect`](Self::inspect), on any disk.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect).
    pub fn inspect_on(disk: &dyn Disk, path: &Path) -> Result<DirectoryState> {
        let failed = |error| {
            from_io(error, "the directory cannot be inspected").with("path", path.display())
        };
        match disk.is_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(DirectoryState::Absent);
            }
            Err(error) => return Err(failed(error)),
            Ok(false) => return Ok(DirectoryState::Foreign),
            Ok(true) => {}
        }
        let is_file =
            |name: &&str| disk.allocated_bytes(&path.join(name)).is_ok_and(|file| file.is_some());
        if [LOCK_FILE, "keyring.0", "keyring.1"].iter().any(is_file) {
            return Ok(DirectoryState::Store);
        }
        if disk.list(path).map_err(failed)?.is_empty() {
            Ok(DirectoryState::Empty)
        } else {
            Ok(DirectoryState::Foreign)
        }
    }

    /// Creates the directory (mode 0700, missing parents too) and its `lock` file (mode 0600).
    /// A directory that already is a store is opened and left as it is, so that an interrupted
    /// creation can be taken up again.
    ///
    /// # Durability
    /// Everything created is durable on return: each directory's parent has been synced.
    ///
    /// # Errors
    /// `AlreadyExists` for a file, or a directory with other content; `Denied`, `Full`,
    /// `Unavailable`. What was created before a failure stays.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Self::create_on(Arc::new(SystemDisk), path.as_ref())
    }

    /// As [`create`](Self::create), on any disk.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let failed = |error| {
            from_io(error, "the store's directory cannot be created").with("path", path.display())
        };
        if Self::inspect_on(&*disk, path)? == DirectoryState::Foreign {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "something else lies where the store is to be",
            )
            .with("path", path.display()));
        }
        disk.create_directory(path).map_err(failed)?;
        match disk.create(&path.join(LOCK_FILE)) {
            Ok(file) => file.sync_data().map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let directory = Self::open_on(disk, path)?;
        directory.sync()?;
        Ok(directory)
    }

    /// Opens the directory of an existing store, changing nothing.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Denied`, `Unavailable`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(Arc::new(SystemDisk), path.as_ref())
    }

    /// As [`open`](Self::open), on any disk.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        if Self::inspect_on(&*disk, path)? != DirectoryState::Store {
            return Err(Error::new(ErrorKind::NotFound, "there is no store here")
                .with("path", path.display()));
        }
        Ok(Self { path: path.to_owned(), disk })
    }

    /// The path that the directory was opened under.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the store's lock if it is free. Changes nothing on disk.
    ///
    /// # Errors
    /// `Denied`, `Unavailable`. A `lock` file that is gone is made anew: it has no content, and
    /// copies of directories sometimes lack empty files.
    pub fn try_lock(&self) -> Result<Option<StoreLock>> {
        let path = self.path.join(LOCK_FILE);
        let failed =
            |error| from_io(error, "the store cannot be locked").with("path", path.display());
        let lock = self.disk.try_lock(&path).map_err(failed)?;
        Ok(lock.map(|lock| StoreLock { _lock: lock }))
    }

    /// Takes the store's lock, waiting for it up to `wait`; zero means one try.
    ///
    /// # Errors
    /// `InUse` when another holder, in this process or another, keeps it; else as
    /// [`try_lock`](Self::try_lock).
    pub fn lock(&self, wait: Duration, timer: &dyn Timer) -> Result<StoreLock> {
        let mut patience = Patience::new(wait, timer);
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            if !patience.pause() {
                return Err(in_use(&self.path));
            }
        }
    }

    /// Reads a small file; `None` if there is none.
    ///
    /// # Errors
    /// `Corrupt` for one of more than [`SMALL_FILE_BYTES_MAX`] bytes, or that is no regular file;
    /// `Denied` for a symbolic link; `Invalid` for a name that no small file has; `Unavailable`.
    pub fn read(&self, name: &str) -> Result<Option<Bytes>> {
        let path = self.small_file(name)?;
        let failed =
            |error| from_io(error, "a file of the store cannot be read").with("file", name);
        let file = match self.disk.open(&path, DiskAccess::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let bytes = file.len().map_err(failed)?;
        if bytes > SMALL_FILE_BYTES_MAX {
            return Err(Error::new(ErrorKind::Corrupt, "a small file of the store is too large")
                .with("file", name)
                .with("file_bytes_max", SMALL_FILE_BYTES_MAX));
        }
        let mut content = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        file.read(0, &mut content).map_err(failed)?;
        Ok(Some(content.into()))
    }

    /// Replaces a small file, or creates it, with mode 0600; the reserve is given back if it must be. Whoever reads it, also after a
    /// crash, finds the old content whole or the new content whole. What an interrupted call left
    /// behind is ignored and replaced.
    ///
    /// # Durability
    /// The new content is durable on return.
    ///
    /// # Errors
    /// `Invalid` for a name that no small file has, or more than [`SMALL_FILE_BYTES_MAX`] bytes;
    /// `Full`, `Denied`, `Unavailable`. `Rejected` until the rename, `Unknown` from it on.
    pub fn replace(&self, name: &str, content: &[u8]) -> Result<()> {
        let path = self.small_file(name)?;
        if content.len() as u64 > SMALL_FILE_BYTES_MAX {
            return Err(Error::new(ErrorKind::Invalid, "a small file would be too large")
                .with("file", name)
                .with("file_bytes_max", SMALL_FILE_BYTES_MAX));
        }
        let temporary = temporary(&path);
        let failed =
            |error| from_io(error, "a file of the store cannot be written").with("file", name);
        self.with_reserve(|| self.write_fresh(&temporary, content).map_err(failed))?;
        self.disk
            .rename(&temporary, &path)
            .map_err(|error| failed(error).with_outcome(Outcome::Unknown))?;
        self.sync().map_err(|error| error.with("file", name).with_outcome(Outcome::Unknown))
    }

    /// Writes a file that nobody has looked at yet; of a failed one nothing is left.
    fn write_fresh(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let written = self.create_fresh(path).and_then(|file| {
            file.write(0, content)?;
            if mutant!("skip-the-sync-of-a-small-file") {
                return Ok(());
            }
            file.sync_data()
        });
        if written.is_err() {
            drop(self.disk.remove(path));
        }
        written
    }

    /// Removes a small file; nothing happens if there is none.
    ///
    /// # Durability
    /// The removal is durable on return.
    ///
    /// # Errors
    /// `Invalid` for a name that no small file has; `Denied`, `Unavailable` (`Unknown`).
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.small_file(name)?;
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(from_io(error, "a file of the store cannot be removed").with("file", name))
            }
            _ => self.sync().map_err(|error| error.with_outcome(Outcome::Unknown)),
        }
    }

    /// The databases that have a file here, in order of name.
    ///
    /// # Errors
    /// `NotFound` when the directory is gone; `Denied`, `Unavailable`.
    pub fn databases(&self) -> Result<Vec<DatabaseName>> {
        let database = |name: &String| DatabaseName::new(name.strip_suffix(DATABASE_SUFFIX)?).ok();
        let mut names: Vec<_> = self.names()?.iter().filter_map(database).collect();
        names.sort();
        Ok(names)
    }

    /// Every name in the directory that is text, in order.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        let names = self
            .disk
            .list(&self.path)
            .map_err(|error| from_io(error, "the store's directory cannot be listed"))?;
        let mut names: Vec<String> =
            names.into_iter().filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Creates a file that did not exist; what lies under the name is removed first.
    pub(super) fn create_fresh(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.disk.create(path),
        }
    }

    /// Makes every name created, renamed or removed in the directory durable.
    pub(super) fn sync(&self) -> Result<()> {
        if mutant!("skip-the-sync-of-the-directory") {
            return Ok(());
        }
        self.disk
            .sync_directory(&self.path)
            .map_err(|error| from_io(error, "the store's directory cannot be synced"))
    }

    pub(super) fn database_file(&self, database: &DatabaseName) -> PathBuf {
        self.path.join(format!("{database}{DATABASE_SUFFIX}"))
    }

    /// Bytes allocated to a database's file; 0 if there is none.
    pub(super) fn allocated_bytes(&self, database: &DatabaseName) -> Result<u64> {
        let bytes = self.disk.allocated_bytes(&self.database_file(database)).map_err(|error| {
            from_io(error, "the size of a database file cannot be read").with("database", database)
        })?;
        Ok(bytes.unwrap_or(0))
    }

    /// Bytes that an unprivileged process can still write here.
    pub(crate) fn available_bytes(&self) -> Result<u64> {
        self.disk
            .available_bytes(&self.path)
            .map_err(|error| from_io(error, "the free space cannot be read"))
    }

    fn small_file(&self, name: &str) -> Result<PathBuf> {
        let legal = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.')
        };
        let reserved = name == LOCK_FILE
            || name == RESERVE_FILE
            || name.starts_with('.')
            || [DATABASE_SUFFIX, TEMPORARY_SUFFIX].iter().any(|suffix| name.ends_with(suffix));
        let sized = (1..=NAME_BYTES_MAX).contains(&name.len());
        if !sized || reserved || !name.bytes().all(legal) {
            return Err(Error::new(ErrorKind::Invalid, "no small file of a store has this name")
                .with("file", name.escape_debug()));
        }
        Ok(self.path.join(name))
    }
}

/// The wait for a lock: how much of it is left.
pub(super) struct Patience<'a> {
    deadline: Duration,
    timer: &'a dyn Timer,
}

impl<'a> Patience<'a> {
    pub(super) fn new(wait: Duration, timer: &'a dyn Timer) -> Self {
        Self { deadline: timer.now().saturating_add(wait), timer }
    }

    /// Waits a little; `false`, at once, when the wait is over.
    pub(super) fn pause(&mut self) -> bool {
        let left = self.deadline.saturating_sub(self.timer.now());
        if left.is_zero() {
            return false;
        }
        self.timer.pause(left.min(POLL_INTERVAL));
        true
    }
}

pub(super) fn in_use(path: &Path) -> Error {
    Error::new(ErrorKind::InUse, "another process holds the store").with("path", path.display())
}

pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or(OsStr::new("")).to_owned();
    name.push(TEMPORARY_SUFFIX);
    path.with_file_name(name)
}
