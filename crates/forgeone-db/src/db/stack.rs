//! The stack of engines of a store, built in one place.

use super::memory::MemorySplit;
use super::open::SHARD_COUNT_DEFAULT;
use crate::integrity::CheckPages;
use crate::options::{StoreOptions, StorePlace};
use crate::pool::PooledEngine;
use crate::redb::{RedbEngine, RedbOptions, StoreDirectory, StoreLock};
use crate::stream::{Medium, TopicKind};
use forgeone_db_engine::{DatabaseName, Engine, Error, ErrorKind, PoisonedEngine, Result};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the largest value that the log writes: one request with what sealing adds.
const VALUE_BYTES_NEEDED: u64 = 48 << 20;
/// Free space with which a store is opened for writing without a thought of the reserve.
const OPEN_ROOM_BYTES: u64 = 1 << 20;
/// Free space that opening for writing may take up for each database: a commit that copies on write,
/// and what a recovery writes.
const OPEN_DATABASE_BYTES: u64 = 8 << 10;
/// How long a reader waits for a recovery by another process.
const RECOVERY_WAIT: Duration = Duration::from_secs(30);

/// The stack of engines, and redb where it is at the bottom.
pub(super) struct Stack {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) redb: Option<Arc<RedbEngine>>,
    pub(super) medium: Option<Arc<dyn Medium>>,
}

/// The files of redb. Where one is opened anew, the engine above trusts that.
#[derive(Debug)]
struct RedbMedium {
    poisoned: Arc<PoisonedEngine<Arc<dyn Engine>>>,
    redb: Arc<RedbEngine>,
}

impl Medium for RedbMedium {
    fn reopen(&self, database: &DatabaseName) -> Result<()> {
        self.redb.reopen(database)?;
        self.poisoned.heal(database);
        Ok(())
    }

    fn has_met_the_end(&self, database: &DatabaseName) -> bool {
        self.redb.has_met_the_end_of_the_disk(database)
    }

    fn reserve_bytes(&self) -> u64 {
        self.redb.reserve_bytes()
    }

    fn keep_reserve(&self, bytes: u64) {
        // Without it there is as little as there would be without a reserve.
        drop(self.redb.keep_reserve(bytes));
    }

    fn free_reserve(&self) -> u64 {
        self.redb.free_reserve()
    }
}

impl CheckPages for RedbEngine {
    fn check_pages(&self, database: &DatabaseName) -> Result<Option<()>> {
        Self::check_pages(self, database)
    }
}

/// The one place where the stack of engines is built.
pub(super) fn build_engine(
    options: &StoreOptions,
    memory: &MemorySplit,
    lock: Option<StoreLock>,
    directory: Option<StoreDirectory>,
) -> Result<Stack> {
    let environment = Arc::clone(&options.environment);
    let (engine, redb): (Arc<dyn Engine>, Option<Arc<RedbEngine>>) =
        match (&options.place, directory) {
            (StorePlace::Engine(engine), _) => (Arc::clone(engine), None),
            (StorePlace::Directory(_), None) => {
                return Err(Error::new(ErrorKind::Internal, "a store in a directory has none"));
            }
            (StorePlace::Directory(_), Some(directory)) => {
                let files = directory.databases()?.len();
                let files = u32::try_from(files).unwrap_or(u32::MAX);
                let kinds = TopicKind::ALL.len().try_into().unwrap_or(u32::MAX);
                let wanted = options.shard_count.unwrap_or(SHARD_COUNT_DEFAULT) * kinds + 1;
                let redb_options = RedbOptions {
                    cache_bytes: memory.engine_pages,
                    files_max: NonZeroU32::MIN.saturating_add(files.max(wanted) - 1),
                    lock_wait: RECOVERY_WAIT,
                    ..RedbOptions::default()
                };
                if lock.is_some() {
                    check_room_to_open(&directory)?;
                }
                let redb = Arc::new(match lock {
                    Some(lock) => RedbEngine::open_writer_locked(directory, lock, redb_options)?,
                    None => RedbEngine::open_reader(directory, redb_options)?,
                });
                (Arc::clone(&redb) as Arc<dyn Engine>, Some(redb))
            }
        };
    let poisoned = Arc::new(PoisonedEngine::new(engine));
    let capability = poisoned.capability();
    if options.durability > capability.durability_max {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "this engine cannot make writes that durable; ask for less, or take another engine",
        )
        .with("asked", format_args!("{:?}", options.durability))
        .with("durability_max", format_args!("{:?}", capability.durability_max)));
    }
    if capability.value_bytes_max < VALUE_BYTES_NEEDED {
        return Err(Error::new(ErrorKind::Unsupported, "this engine's values are too small")
            .with("value_bytes_max", capability.value_bytes_max)
            .with("needed", VALUE_BYTES_NEEDED));
    }
    let medium = redb.as_ref().map(|redb| {
        let medium = RedbMedium { poisoned: Arc::clone(&poisoned), redb: Arc::clone(redb) };
        Arc::new(medium) as Arc<dyn Medium>
    });
    let engine = Arc::new(PooledEngine::new(poisoned, environment, options.read_threads));
    Ok(Stack { engine, redb, medium })
}

/// Opening for writing writes, and a file left half written needs room to be read again. So on a full
/// disk the reserve is given back first, and where that is not enough, opening is not even begun.
fn check_room_to_open(directory: &StoreDirectory) -> Result<()> {
    if directory.available_bytes()? >= OPEN_ROOM_BYTES {
        return Ok(());
    }
    directory.free_reserve();
    let databases = directory.databases()?.len() as u64;
    let needed = OPEN_ROOM_BYTES.min(OPEN_DATABASE_BYTES.saturating_mul(databases.max(1)));
    let available = directory.available_bytes()?;
    if available >= needed {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Full,
        "the disk is full; free space, then open the store for writing",
    )
    .with("available_bytes", available)
    .with("needed", needed))
}
