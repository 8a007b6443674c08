//! A disk under a salvage: the new store's under names that make it no store yet, the damaged one's
//! under a lock that is held already.

use crate::redb::{Disk, DiskAccess, DiskFile, DiskLock, StoreLock};
use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HELD_LOCK: &str = "salvaging.lock"; // on-disk
const HELD_KEYRINGS: [&str; 2] = ["salvaging.keyring.0", "salvaging.keyring.1"]; // on-disk
/// What a directory must not have while it is no store, and what it has instead; the lock first.
pub(super) const HELD_NAMES: [(&str, &str); 3] =
    [("lock", HELD_LOCK), ("keyring.0", HELD_KEYRINGS[0]), ("keyring.1", HELD_KEYRINGS[1])];

/// A disk that treats some names of a store's directory in its own way.
#[derive(Debug)]
pub(super) struct SalvageDisk {
    pub(super) inner: Arc<dyn Disk>,
    pub(super) role: Role,
}

#[derive(Debug)]
pub(super) enum Role {
    /// Lock and keyring have other names.
    Target,
    /// The writer's lock is held for as long as the disk is in use. What is read may need recovery,
    /// which takes that lock: it takes turns instead.
    Source { _lock: StoreLock, turn: Arc<AtomicBool> },
}

/// The turn of one recovery.
#[derive(Debug)]
struct Turn(Arc<AtomicBool>);

impl DiskLock for Turn {}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl SalvageDisk {
    fn path<'a>(&self, path: &'a Path) -> Cow<'a, Path> {
        let held =
            HELD_NAMES.iter().find(|(name, _)| path.file_name().is_some_and(|is| is == *name));
        match (&self.role, held) {
            (Role::Target, Some((_, held))) => path.with_file_name(held).into(),
            _ => path.into(),
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Disk for SalvageDisk {
    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_directory(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list(path)
    }

    fn allocated_bytes(&self, path: &Path) -> io::Result<Option<u64>> {
        self.inner.allocated_bytes(&self.path(path))
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_bytes(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.inner.create(&self.path(path))
    }

    fn open(&self, path: &Path, access: DiskAccess) -> io::Result<Box<dyn DiskFile>> {
        self.inner.open(&self.path(path), access)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(&self.path(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(&self.path(from), &self.path(to))
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        match &self.role {
            Role::Target => self.inner.try_lock(&self.path(path)),
            Role::Source { turn, .. } => Ok((!turn.swap(true, Ordering::AcqRel))
                .then(|| Box::new(Turn(Arc::clone(turn))) as Box<dyn DiskLock>)),
        }
    }

    fn set_aside(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.inner.set_aside(path, bytes)
    }

    fn drop_caches(&self, path: &Path) -> io::Result<()> {
        self.inner.drop_caches(path)
    }
}
