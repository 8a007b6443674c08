//! The directory of a store: its lock, its small files, and the names of its databases.

use super::failure::from_io;
use super::timer::Timer;
use bytes::Bytes;
use forgeone_db_engine::{DatabaseName, Error, ErrorKind, Outcome, Result};
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the largest small file that [`StoreDirectory::read`] returns.
pub const SMALL_FILE_BYTES_MAX: u64 = 1024 * 1024;

const LOCK_FILE: &str = "lock";
const DATABASE_SUFFIX: &str = ".redb";
pub(super) const TEMPORARY_SUFFIX: &str = ".new";
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
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
    handle: Arc<File>,
}

/// The store's one lock, held until dropped or until the process dies.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl StoreDirectory {
    /// Says what lies at `path`.
    ///
    /// # Errors
    /// `Denied` or `Unavailable` when it cannot be looked at.
    pub fn inspect(path: impl AsRef<Path>) -> Result<DirectoryState> {
        let path = path.as_ref();
        let failed = |error| {
            from_io(error, "the directory cannot be inspected").with("path", path.display())
        };
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(DirectoryState::Absent);
            }
            Err(error) => return Err(failed(error)),
            Ok(metadata) if !metadata.is_dir() => return Ok(DirectoryState::Foreign),
            Ok(_) => {}
        }
        let is_file = |name: &&str| {
            fs::symlink_metadata(path.join(name)).is_ok_and(|metadata| metadata.is_file())
        };
        if [LOCK_FILE, "keyring.0", "keyring.1"].iter().any(is_file) {
            return Ok(DirectoryState::Store);
        }
        match fs::read_dir(path).map_err(failed)?.next() {
            None => Ok(DirectoryState::Empty),
            Some(_) => Ok(DirectoryState::Foreign),
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
        let path = path.as_ref();
        let failed = |error| {
            from_io(error, "the store's directory cannot be created").with("path", path.display())
        };
        if Self::inspect(path)? == DirectoryState::Foreign {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "something else lies where the store is to be",
            )
            .with("path", path.display()));
        }
        create_directories(path).map_err(failed)?;
        match open_with(&path.join(LOCK_FILE), OpenOptions::new().write(true).create_new(true)) {
            Ok(file) => file.sync_all().map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let directory = Self::open(path)?;
        directory.sync()?;
        Ok(directory)
    }

    /// Opens the directory of an existing store, changing nothing.
    ///
    /// # Errors
    /// `NotFound` where there is no store; `Denied`, `Unavailable`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if Self::inspect(path)? != DirectoryState::Store {
            return Err(Error::new(ErrorKind::NotFound, "there is no store here")
                .with("path", path.display()));
        }
        let handle = File::open(path).map_err(|error| {
            from_io(error, "the store's directory cannot be opened").with("path", path.display())
        })?;
        Ok(Self { path: path.to_owned(), handle: Arc::new(handle) })
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
        let file = match open_with(&path, OpenOptions::new().read(true).write(true).create(true)) {
            Err(error) if is_denied(&error) => open_with(&path, OpenOptions::new().read(true)),
            opened => opened,
        };
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(StoreLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
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
        let file = match open_regular(&path, OpenOptions::new().read(true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let mut content = Vec::new();
        file.take(SMALL_FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > SMALL_FILE_BYTES_MAX {
            return Err(Error::new(ErrorKind::Corrupt, "a small file of the store is too large")
                .with("file", name)
                .with("file_bytes_max", SMALL_FILE_BYTES_MAX));
        }
        Ok(Some(content.into()))
    }

    /// Replaces a small file, or creates it, with mode 0600. Whoever reads it, also after a
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
        let written = create_fresh(&temporary).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_data()
        });
        if let Err(error) = written {
            drop(fs::remove_file(&temporary));
            return Err(failed(error));
        }
        fs::rename(&temporary, &path)
            .map_err(|error| failed(error).with_outcome(Outcome::Unknown))?;
        self.sync().map_err(|error| error.with("file", name).with_outcome(Outcome::Unknown))
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
        match fs::remove_file(&path) {
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
        let failed = |error| from_io(error, "the store's directory cannot be listed");
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(DATABASE_SUFFIX));
            names.extend(stem.and_then(|stem| DatabaseName::new(stem).ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Makes every name created, renamed or removed in the directory durable.
    pub(super) fn sync(&self) -> Result<()> {
        self.handle
            .sync_all()
            .map_err(|error| from_io(error, "the store's directory cannot be synced"))
    }

    pub(super) fn database_file(&self, database: &DatabaseName) -> PathBuf {
        self.path.join(format!("{database}{DATABASE_SUFFIX}"))
    }

    /// Bytes allocated to a database's file; 0 if there is none.
    pub(super) fn allocated_bytes(&self, database: &DatabaseName) -> Result<u64> {
        match fs::symlink_metadata(self.database_file(database)) {
            Ok(metadata) => Ok(metadata.blocks().saturating_mul(512)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(from_io(error, "the size of a database file cannot be read")
                .with("database", database)),
        }
    }

    /// Bytes that an unprivileged process can still write here.
    pub(crate) fn available_bytes(&self) -> Result<u64> {
        let space = rustix::fs::fstatvfs(&*self.handle)
            .map_err(|error| from_io(error.into(), "the free space cannot be read"))?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn small_file(&self, name: &str) -> Result<PathBuf> {
        let legal = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.')
        };
        let reserved = name == LOCK_FILE
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

/// Creates a file of mode 0600 that did not exist; what lies under the name is removed first.
pub(super) fn create_fresh(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    open_with(path, OpenOptions::new().read(true).write(true).create_new(true))
}

/// Opens an existing regular file, following no symbolic link at its end and never blocking.
pub(super) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = open_with(path, options)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
    }
    Ok(file)
}

fn open_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(FILE_MODE).custom_flags(flags.bits().cast_signed()).open(path)
}

fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Creates `path` and what is missing above it, each made durable in its parent.
fn create_directories(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
        .collect();
    for directory in missing.into_iter().rev() {
        match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
