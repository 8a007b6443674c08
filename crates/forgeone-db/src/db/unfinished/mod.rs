//! The new store of a salvage before it is one, and the damaged one while it is read.
//!
//! Absent on purpose: what is saved (`recovery`).
//!
//! A store is what has a keyring. So the new one's keyring is written under names that nobody looks
//! for, and gets its own when all the rest is there: whoever opens an unfinished store finds none. In
//! a directory the lock is treated alike, so that nothing creates a store between the parts of this
//! one.

mod disk;
mod engine;
#[cfg(test)]
mod tests;

use super::create::{is_absent, open_keyring};
use super::sidecar::{KEYRING_NAMES, SIDECAR_DATABASE, SIDECAR_TABLE, Sidecar};
use crate::options::{OpenMode, StoreOptions, StorePlace};
use crate::redb::{DirectoryState, Disk, StoreDirectory, SystemTimer};
use disk::{HELD_NAMES, Role, SalvageDisk};
use engine::SalvageEngine;
use forgeone_db_engine::{
    Batch, DatabaseName, Durability, Engine, Error, ErrorKind, Outcome, Read, Result, TableName,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Where the keyring of an unfinished store lies on an engine.
const HELD_DATABASE: &str = "salvaging_keyring"; // on-disk

/// A new store that nobody can open yet.
pub(super) enum Unfinished {
    Directory { disk: Arc<dyn Disk>, path: PathBuf },
    Engine { engine: Arc<dyn Engine>, durability: Durability },
}

impl Unfinished {
    /// Takes the place that the options name, and gives those that open the store there. What an
    /// interrupted salvage left in a directory is removed.
    ///
    /// # Errors
    /// As [`check_target`]; `InUse` while another salvage writes there.
    pub(super) async fn take(mut options: StoreOptions) -> Result<(Self, StoreOptions)> {
        check_target(&options).await?;
        options = options.mode(OpenMode::Create);
        let taken = match &mut options.place {
            StorePlace::Directory(path) => {
                let inner = Arc::clone(&options.disk);
                let path = path.clone();
                options.disk =
                    Arc::new(SalvageDisk { inner: Arc::clone(&inner), role: Role::Target });
                clear(&inner, &options.disk, &path)?;
                Self::Directory { disk: inner, path }
            }
            StorePlace::Engine(engine) => {
                let inner = Arc::clone(engine);
                let (from, to) = (DatabaseName::new(SIDECAR_DATABASE)?, held_database()?);
                *engine = Arc::new(SalvageEngine::new(Arc::clone(&inner), from, to));
                Self::Engine { engine: inner, durability: options.durability }
            }
        };
        Ok((taken, options))
    }

    /// Makes it a store, while the handle that wrote it is still open and so holds its lock.
    ///
    /// # Durability
    /// Durable on return. A crash in between leaves it unfinished or finished.
    pub(super) async fn finish(&self) -> Result<()> {
        match self {
            Self::Directory { disk, path } => {
                // The lock first: from the keyring on somebody may want to write.
                for (name, held) in HELD_NAMES {
                    let renamed = disk.rename(&path.join(held), &path.join(name));
                    renamed
                        .map_err(|error| failed(error, "the new store cannot be named", path))?;
                }
                let synced = disk.sync_directory(path);
                synced.map_err(|error| {
                    let error = failed(error, "the name of the new store cannot be synced", path);
                    error.with_outcome(Outcome::Unknown)
                })
            }
            Self::Engine { engine, durability } => {
                let table = TableName::new(SIDECAR_TABLE)?;
                let mut put = Batch::new(DatabaseName::new(SIDECAR_DATABASE)?);
                let mut delete = Batch::new(held_database()?);
                for (name, copy) in KEYRING_NAMES.iter().zip(held_copies(&**engine).await?) {
                    if let Some(copy) = copy {
                        put.put(&table, name.as_bytes().to_vec(), copy);
                    }
                    delete.delete(&table, name.as_bytes().to_vec());
                }
                engine.commit(put, *durability).await?;
                // It is a store now; copies that nobody looks for do no harm.
                drop(engine.commit(delete, *durability).await);
                Ok(())
            }
        }
    }

    /// What went wrong. Nothing counts of a store that is still unfinished; one that has its keyring
    /// is whole, whatever went wrong then.
    pub(super) fn explain(&self, error: Error) -> Error {
        match self {
            Self::Directory { disk, path } if is_unfinished_at(&**disk, path) => {
                error.with_outcome(Outcome::Rejected).with("unfinished", path.display())
            }
            _ => error,
        }
    }
}

/// Looks whether a salvage may write to the place that the options name; changes nothing.
///
/// # Errors
/// `AlreadyExists` where there is a store, or anything else but what an interrupted salvage left.
pub(super) async fn check_target(options: &StoreOptions) -> Result<()> {
    match &options.place {
        StorePlace::Directory(path) => {
            let state = StoreDirectory::inspect_on(&*options.disk, path)?;
            let what = match state {
                DirectoryState::Absent | DirectoryState::Empty => return Ok(()),
                _ if is_unfinished_at(&*options.disk, path) => return Ok(()),
                DirectoryState::Store => "there is a store already",
                DirectoryState::Foreign => "something else lies where the new store is to be",
            };
            Err(Error::new(ErrorKind::AlreadyExists, what).with("path", path.display()))
        }
        StorePlace::Engine(engine) => {
            let sidecar = Sidecar::Engine(Arc::clone(engine), options.durability);
            if !is_absent(&sidecar.keyrings().await?) {
                return Err(Error::new(ErrorKind::AlreadyExists, "there is a store already"));
            }
            if is_absent(&held_copies(&**engine).await?) {
                return Ok(());
            }
            let what = "an interrupted salvage left this engine half written; give an empty one";
            Err(Error::new(ErrorKind::AlreadyExists, what))
        }
    }
}

/// Refuses a new store in the directory of the damaged one, which would change that.
///
/// # Errors
/// `Invalid`.
pub(super) fn check_apart(source: &StoreOptions, target: &StoreOptions) -> Result<()> {
    let (StorePlace::Directory(old), StorePlace::Directory(new)) = (&source.place, &target.place)
    else {
        return Ok(());
    };
    if resolve(new).starts_with(resolve(old)) {
        return Err(Error::new(
            ErrorKind::Invalid,
            "the new store would lie in the directory of the damaged one; name a directory elsewhere",
        )
        .with("path", new.display()));
    }
    Ok(())
}

/// The path as far as it is there without links and dots, and what is not there yet.
fn resolve(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there = whole.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    match there {
        Some((part, real)) => real.join(whole.strip_prefix(part).unwrap_or(Path::new(""))),
        None => whole,
    }
}

/// The options of a damaged store with its writer's lock taken, for as long as what is opened with
/// them is open: beside a writer a salvage would take for lost what moves meanwhile.
///
/// # Errors
/// `InUse` when somebody keeps the lock for longer than the options wait; what concerns directory,
/// keyring and key. A lock that this process may not take is none: then it cannot write either, and
/// reads without.
pub(super) async fn hold_source(mut options: StoreOptions) -> Result<StoreOptions> {
    let StorePlace::Directory(path) = &options.place else { return Ok(options) };
    let directory = explained(StoreDirectory::open_on(Arc::clone(&options.disk), path), &options)?;
    // The key is tried before anything is touched, as by every opening.
    let copies = Sidecar::Directory(directory.clone()).keyrings().await?;
    if is_absent(&copies) {
        // Whoever opens it has the words for that.
        return Ok(options);
    }
    open_keyring(&copies, options.key.as_deref())?;
    let lock = match directory.lock(options.lock_wait, &SystemTimer::new()) {
        Err(error) if error.kind() == ErrorKind::Denied => return Ok(options),
        lock => lock?,
    };
    let role = Role::Source { _lock: lock, turn: Arc::new(AtomicBool::new(false)) };
    options.disk = Arc::new(SalvageDisk { inner: Arc::clone(&options.disk), role });
    Ok(options)
}

/// Says of an opening that found no store where a salvage was interrupted that this is why.
pub(super) fn explained<T>(opened: Result<T>, options: &StoreOptions) -> Result<T> {
    opened.map_err(|error| match &options.place {
        StorePlace::Directory(path)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
                && is_unfinished_at(&*options.disk, path) =>
        {
            let what = "there is no store here yet: a salvage into this directory is under way or \
                        was interrupted; start it again, or remove the directory";
            let error = Error::new(error.kind(), what).with("path", path.display());
            error.with("unfinished", path.display())
        }
        _ => error,
    })
}

/// Whether a directory has what an interrupted salvage left, and no store.
pub(super) fn is_unfinished_at(disk: &dyn Disk, path: &Path) -> bool {
    let is_file = |name: &str| disk.allocated_bytes(&path.join(name)).is_ok_and(|it| it.is_some());
    HELD_NAMES.iter().any(|(_, held)| is_file(held))
        && !KEYRING_NAMES.iter().any(|name| is_file(name))
}

/// Removes what an interrupted salvage left, but for its lock.
fn clear(disk: &Arc<dyn Disk>, held: &Arc<dyn Disk>, path: &Path) -> Result<()> {
    if !is_unfinished_at(&**disk, path) {
        return Ok(());
    }
    let cannot = "what an interrupted salvage left cannot be removed";
    let lock = StoreDirectory::open_on(Arc::clone(held), path).and_then(|left| left.try_lock())?;
    let Some(_lock) = lock else {
        return Err(Error::new(ErrorKind::InUse, "another salvage writes to this directory")
            .with("path", path.display()));
    };
    if !is_unfinished_at(&**disk, path) {
        // It has just been finished.
        return Err(Error::new(ErrorKind::AlreadyExists, "there is a store already")
            .with("path", path.display()));
    }
    let names = disk.list(path).map_err(|error| failed(error, cannot, path))?;
    if let Some(other) = names.iter().find(|name| !name.to_str().is_some_and(is_of_a_store)) {
        let what = "what an interrupted salvage left has something else in it; remove it by hand";
        return Err(
            Error::new(ErrorKind::AlreadyExists, what).with("path", path.join(other).display())
        );
    }
    let [(_, held_lock), ..] = HELD_NAMES;
    for name in names.iter().filter(|name| *name != held_lock) {
        disk.remove(&path.join(name)).map_err(|error| failed(error, cannot, path))?;
    }
    disk.sync_directory(path).map_err(|error| failed(error, cannot, path))
}

/// Whether a file of this name is what a new store may have.
fn is_of_a_store(name: &str) -> bool {
    let name = name.strip_suffix(".new").unwrap_or(name);
    let database = name.strip_suffix(".redb").is_some_and(|name| DatabaseName::new(name).is_ok());
    database
        || ["closed", "reserve"].contains(&name)
        || HELD_NAMES.iter().any(|(own, held)| [*own, *held].contains(&name))
}

fn held_database() -> Result<DatabaseName> {
    DatabaseName::new(HELD_DATABASE)
}

/// Both copies of the keyring of an unfinished store.
async fn held_copies(engine: &dyn Engine) -> Result<[Option<bytes::Bytes>; 2]> {
    let table = TableName::new(SIDECAR_TABLE)?;
    let keys = KEYRING_NAMES.map(|name| (table.clone(), name.as_bytes().to_vec().into()));
    let request = Read::Get(keys.into());
    let mut values = engine.read(&held_database()?, request).await?.into_values()?.into_iter();
    Ok([values.next().flatten(), values.next().flatten()])
}

fn failed(error: io::Error, message: &'static str, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, message).with_source(error).with("path", path.display())
}
