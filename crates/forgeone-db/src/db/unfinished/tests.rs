//! What stands under a salvage must be an engine and a disk like any other. A keyring that got its
//! name too early would make a store of half of one; a lock that cannot be had must not keep anybody
//! from saving what is left.

use super::engine::SalvageEngine;
use super::{check_apart, hold_source, is_of_a_store};
use crate::crypto::Key;
use crate::db::RedbManager;
use crate::options::{OpenMode, StoreOptions};
use crate::redb::{Disk, DiskAccess, DiskFile, DiskLock, SystemDisk};
use forgeone_db_engine::conformance::{self, Harness, Subject};
use forgeone_db_engine::{BoxFuture, DatabaseName, Engine, MemoryEngine, Outcome, Result};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;

fn salvaging(engine: MemoryEngine, from: &str) -> Result<Arc<dyn Engine>> {
    let (from, to) = (DatabaseName::new(from)?, DatabaseName::new("elsewhere")?);
    Ok(Arc::new(SalvageEngine::new(Arc::new(engine), from, to)))
}

/// The engine, moving one database.
struct Salvaging(&'static str);

impl Harness for Salvaging {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async {
            let engine = MemoryEngine::new();
            Ok(Subject::new(salvaging(engine.reopen(), self.0)?).with_place(engine))
        })
    }

    fn reopen(&self, closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async {
            let Some(engine) = closed.place::<MemoryEngine>().map(MemoryEngine::reopen) else {
                return Ok(None);
            };
            Ok(Some(Subject { engine: salvaging(engine, self.0)?, ..closed }))
        })
    }
}

#[test]
fn salvage_engine_meets_the_contract() {
    // The first is what most of the suite writes to: once moved, once not.
    for from in ["events_shard_0", "keyring"] {
        conformance::check(&Salvaging(from));
    }
}

/// What a disk refuses.
#[derive(Debug, PartialEq, Eq)]
enum Refuses {
    Locks,
    /// To sync a directory that has a store's lock.
    TheLastSync,
}

#[derive(Debug)]
struct Refusing(SystemDisk, Refuses);

impl Disk for Refusing {
    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        self.0.is_directory(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.0.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        if self.1 == Refuses::TheLastSync && path.join("lock").exists() {
            return Err(io::Error::other("the medium is gone"));
        }
        self.0.sync_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.0.list(path)
    }

    fn allocated_bytes(&self, path: &Path) -> io::Result<Option<u64>> {
        self.0.allocated_bytes(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.available_bytes(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.create(path)
    }

    fn open(&self, path: &Path, access: DiskAccess) -> io::Result<Box<dyn DiskFile>> {
        self.0.open(path, access)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        match self.1 {
            Refuses::Locks => Err(io::ErrorKind::PermissionDenied.into()),
            Refuses::TheLastSync => self.0.try_lock(path),
        }
    }

    fn set_aside(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.0.set_aside(path, bytes)
    }

    fn drop_caches(&self, path: &Path) -> io::Result<()> {
        self.0.drop_caches(path)
    }
}

#[test]
fn a_store_that_may_not_be_locked_is_salvaged_without_its_lock() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("store");
    let source = || StoreOptions::new(&path).key(Key::raw([7; 32]));
    let store = RedbManager::open(source().mode(OpenMode::Create)).expect("a store");
    store.close().expect("closed");
    let denied = source().disk(Arc::new(Refusing(SystemDisk, Refuses::Locks)));
    let out = StoreOptions::new(home.path().join("out")).key(Key::raw([7; 32]));
    // The source alone lies on that disk.
    let report = RedbManager::salvage(denied, out, |_| ()).expect("saved");
    assert!(report.is_complete(), "{report:#?}");
}

#[test]
fn a_store_whose_name_may_not_be_durable_is_not_called_unfinished() {
    let home = tempfile::tempdir().expect("a directory");
    let at = |name: &str| StoreOptions::new(home.path().join(name)).key(Key::raw([7; 32]));
    let store = RedbManager::open(at("store").mode(OpenMode::Create)).expect("a store");
    store.close().expect("closed");
    let out = at("out").disk(Arc::new(Refusing(SystemDisk, Refuses::TheLastSync)));
    let error = RedbManager::salvage(at("store"), out, |_| ()).expect_err("not synced");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(error.get("unfinished"), None, "{error}");
    let saved = RedbManager::open(at("out").mode(OpenMode::Open)).expect("it is a store");
    assert!(saved.metadata("salvage").expect("read").is_some());
}

#[test]
fn places_that_are_no_directories_are_always_apart() {
    let memory = || StoreOptions::with_engine(Arc::new(MemoryEngine::new()));
    assert!(check_apart(&memory(), &StoreOptions::new("store")).is_ok());
    assert!(check_apart(&StoreOptions::new("store"), &memory()).is_ok());
    assert!(check_apart(&StoreOptions::new("store"), &StoreOptions::new("store/.")).is_err());
    assert!(futures::executor::block_on(hold_source(memory())).is_ok());
}

#[test]
fn only_what_a_new_store_writes_is_ever_removed() {
    for own in ["system.redb", "events_shard_0.redb.new", "closed", "reserve", "keyring.0.new"] {
        assert!(is_of_a_store(own), "{own}");
    }
    for other in ["notes.txt", ".redb", "closed.txt", "keyring", "export", "x.new"] {
        assert!(!is_of_a_store(other), "{other}");
    }
}
