//! Giving free space back to the disk.

use super::database::Database;
use super::open::Core;
use crate::pool::off_thread;
use crate::stream::{Writer, seal, tidy_up};
use forgeone_db_engine::{Error, ErrorKind, Outcome, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a compaction has made of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactReport {
    /// Bytes allocated to all databases before.
    pub before_bytes: u64,
    /// Bytes allocated to all databases after.
    pub after_bytes: u64,
    /// Each database, the system's first.
    pub databases: Vec<CompactedDatabase>,
}

/// What a compaction has made of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactedDatabase {
    /// Its name.
    pub database: String,
    /// Bytes allocated to it before; 0 if it was never written to.
    pub before_bytes: u64,
    /// Bytes allocated to it after. More than before only if others wrote to it meanwhile, or if it
    /// was so small that sealing what was in it took more than there was to give back.
    pub after_bytes: u64,
}

/// How far a compaction has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactProgress {
    /// The database that comes next, or none at the end.
    pub database: Option<String>,
    /// Databases done.
    pub databases_done: usize,
    /// All databases.
    pub databases: usize,
    /// Bytes that were allocated to the databases done.
    pub bytes_done: u64,
    /// Bytes that were allocated to all databases.
    pub bytes: u64,
}

impl Database {
    /// Gives the store's free space back to the disk: seals what is in the tails, removes what
    /// nothing needs any more, and lets the engine make its files smaller, one database after
    /// another. No record changes. `progress` is called before each database and at the end.
    ///
    /// Works while others read and write. With redb, reads and writes of the database at hand wait
    /// until it is done, which takes about as long as reading and writing what is left of it; those
    /// of other databases go on. A query or subscription in progress keeps what it reads, which is
    /// then given back by a later compaction.
    ///
    /// # Errors
    /// `Unsupported` on a handle that only reads; `Unavailable` where a reader in another process
    /// never paused: try again; as [`seal`](Self::seal). A failure in one database does not spare the
    /// others the attempt; the first one is returned. A crash at any moment loses nothing.
    ///
    /// Dropping the future ends the compaction behind the database at hand.
    pub async fn compact(
        &self,
        mut progress: impl FnMut(&CompactProgress) + Send,
    ) -> Result<CompactReport> {
        let core = self.core();
        core.check_writable("compact")?;
        let mut databases = Vec::with_capacity(core.writers.len());
        for writer in &core.writers {
            let usage = core.engine.usage(&writer.shard().context().database).await?;
            databases.push(CompactedDatabase {
                database: writer.shard().context().database.to_string(),
                before_bytes: usage.allocated_bytes,
                after_bytes: usage.allocated_bytes,
            });
        }
        let bytes = databases.iter().map(|database| database.before_bytes).sum();
        let (mut bytes_done, mut failed) = (0, None);
        for (index, writer) in core.writers.iter().enumerate() {
            let Some(database) = databases.get_mut(index) else { break };
            progress(&CompactProgress {
                database: Some(database.database.clone()),
                databases_done: index,
                databases: core.writers.len(),
                bytes_done,
                bytes,
            });
            match self.compact_one(writer).await {
                Ok(after_bytes) => database.after_bytes = after_bytes,
                Err(error) => failed = failed.or(Some(error)),
            }
            bytes_done += database.before_bytes;
        }
        let done = core.writers.len();
        progress(&CompactProgress {
            database: None,
            databases_done: done,
            databases: done,
            bytes_done,
            bytes,
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let after_bytes = databases.iter().map(|database| database.after_bytes).sum();
        Ok(CompactReport { before_bytes: bytes, after_bytes, databases })
    }

    /// Compacts one database, and says how much is allocated to it then.
    async fn compact_one(&self, writer: &Arc<Writer>) -> Result<u64> {
        let (core, writer) = (self.core(), Arc::clone(writer));
        let (shared, engine) = (Arc::clone(&core.shared), Arc::clone(&core.engine));
        let work = async move {
            shared.check_open()?;
            writer.shard().check()?;
            shared.open_up_room().await?;
            writer.heal().await?;
            match seal(&writer, &shared).await {
                // Without room for that, what is free in the file is given back all the same.
                Err(error) if error.kind() == ErrorKind::Full => writer.heal().await?,
                sealed => drop(sealed?),
            }
            shared.sealed.notify();
            tidy_up(&writer).await?;
            let database = &writer.shard().context().database;
            let compacted = engine.compact(database).await;
            if let Err(error) = &compacted
                && error.outcome() == Outcome::Unknown
            {
                // The engine no longer knows what it has written.
                writer.poison(error);
            }
            compacted?;
            Ok(engine.usage(database).await?.allocated_bytes)
        };
        off_thread(&*core.shared.environment, "compact", work).await?
    }
}

impl Core {
    /// # Errors
    /// `Unsupported` on a handle that only reads; `Closed`.
    pub(super) fn check_writable(&self, what: &'static str) -> Result<()> {
        if self.writers.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this handle only reads; open the store for writing",
            )
            .with_op(what));
        }
        self.shared.check_open()
    }
}
