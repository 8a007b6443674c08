//! Without these, a store could be written by two processes, lose what it acknowledged to a kill,
//! or take its process down over a damaged file. Each case builds a store in a temporary
//! directory, and the crash cases kill a child process of this very test binary; after each,
//! every call must be right or fail with a typed error.

mod cache;
mod child;
mod compact;
mod conformance;
mod crash;
mod damage;
mod directory;
mod full;
mod limits;
mod sharing;

use super::{RedbEngine, RedbOptions, StoreDirectory};
use bytes::Bytes;
use forgeone_db_engine::{
    Batch, DatabaseName, Durability, Engine as _, Read, ReadResult, Result, TableName, Usage,
};
use futures::FutureExt as _;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// The embedded engines' futures complete at the first poll, and the tests hold them to it.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a future of this engine never suspends")
}

fn database(name: &str) -> DatabaseName {
    DatabaseName::new(name).unwrap()
}

fn table(name: &str) -> TableName {
    TableName::new(name).unwrap()
}

fn impatient() -> RedbOptions {
    RedbOptions { lock_wait: Duration::ZERO, ..RedbOptions::default() }
}

fn store() -> TempDir {
    let place = TempDir::new().unwrap();
    StoreDirectory::create(place.path()).unwrap();
    place
}

/// Waits a little for the lock: another test that starts a process holds every open file of this
/// one for a moment, between fork and exec.
fn writer(path: &Path) -> RedbEngine {
    let options = RedbOptions { lock_wait: Duration::from_secs(5), ..RedbOptions::default() };
    RedbEngine::open_writer(StoreDirectory::open(path).unwrap(), options).unwrap()
}

fn reader(path: &Path) -> RedbEngine {
    RedbEngine::open_reader(StoreDirectory::open(path).unwrap(), impatient()).unwrap()
}

fn put(engine: &RedbEngine, name: &str, key: &[u8], value: &[u8]) -> Result<()> {
    let mut batch = Batch::new(database(name));
    batch.put(&table("t"), key.to_vec(), value.to_vec());
    now(engine.commit(batch, Durability::Sync))
}

fn get(engine: &RedbEngine, name: &str, key: &[u8]) -> Result<Option<Bytes>> {
    let read = Read::get(&table("t"), key.to_vec());
    let mut values = now(engine.read(&database(name), read)).and_then(ReadResult::into_values)?;
    Ok(values.pop().flatten())
}

fn usage(engine: &RedbEngine, name: &str) -> Usage {
    now(engine.usage(&database(name))).unwrap()
}

fn close(engine: &RedbEngine) {
    now(engine.close()).unwrap();
}
