//! The async face of a store.

use super::check::seal_closed;
use super::open::{Core, open};
use super::sidecar::CLOSED_NAME;
use super::stats::{StoreStats, collect};
use crate::events::EventManager;
use crate::logs::LogManager;
use crate::options::{OpenMode, StoreOptions};
use crate::pool::{off_thread, run_blocking};
use crate::redb::Recovery;
use crate::stream::{Writer, seal, tidy_up};
use crate::system::SystemManager;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use uuid::Uuid;

/// An open store. Cheap to clone; every clone is the same store, which closes when
/// [`close`](Self::close) is called or the last clone is dropped. Managers, and the results,
/// subscriptions and watches that they give, do not keep it open.
///
/// # Example
/// ```
/// use forgeone_db::{Database, Durability, MemoryEngine, OpenMode, StoreOptions, TopicPattern};
/// # use forgeone_db::{EventMessage, EventPriority, EventQuery};
/// # futures::executor::block_on(async {
/// let options = StoreOptions::with_engine(std::sync::Arc::new(MemoryEngine::new()))
///     .durability(Durability::None)
///     .mode(OpenMode::OpenOrCreate);
/// let database = Database::open(options).await?;
/// # let event: EventMessage = serde_json::from_str(
/// #     r#"{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","topic":"orders.eu",
/// #         "timestamp":"2026-03-01T12:00:00Z","payload":"{}"}"#).unwrap();
/// let position = database.events().publish(&event).await?;
/// assert_eq!(position.seq, 1);
/// let query = EventQuery::new(TopicPattern::new("orders.>")?);
/// assert_eq!(database.events().query(query).await?.all().await?[0].event, event);
/// database.close().await?;
/// # Ok::<(), forgeone_db::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    core: Core,
    mode: OpenMode,
    closed: AtomicBool,
}

impl Database {
    /// Opens or creates a store, as its options say.
    ///
    /// The key is tried before the lock is taken or any data file is opened: with a wrong key the
    /// directory stays byte for byte as it was. A store that a crash left is recovered first, see
    /// [`recoveries`](Self::recoveries). Opening reads keyring, heads, manifests and the newest
    /// records, never the whole store.
    ///
    /// # Errors
    /// `NotFound` where there is no store and none is to be created; `AlreadyExists` in mode
    /// `Create`, or for a directory with other content; `WrongKey` for a wrong, missing or
    /// tampered key; `Invalid` for a key where none is needed; `InUse` while another process
    /// writes; `Corrupt` when something is damaged, missing or older than something else has seen
    /// it; `UpgradeRequired` for a newer format; `Unsupported` for more durability than the engine
    /// can give.
    pub async fn open(options: StoreOptions) -> Result<Self> {
        let mode = options.mode;
        let environment = Arc::clone(&options.environment);
        // Made where it is opened, so that a caller that went away leaves no store open.
        let work = async move {
            let core = open(options).await?;
            Ok(Arc::new(Inner { core, mode, closed: AtomicBool::new(false) }))
        };
        let inner = off_thread(&*environment, "open", work).await??;
        Ok(Self { inner })
    }

    /// The events of the store.
    pub fn events(&self) -> &EventManager {
        &self.inner.core.events
    }

    /// The logs of the store.
    pub fn logs(&self) -> &LogManager {
        &self.inner.core.logs
    }

    /// The system's state: settings, feature flags, facts about the store.
    pub fn system(&self) -> &SystemManager {
        &self.inner.core.state
    }

    /// How the store was opened.
    pub fn mode(&self) -> OpenMode {
        self.inner.mode
    }

    /// The store's id, random and the same for ever: which store this is, wherever it lies.
    pub fn id(&self) -> Uuid {
        Uuid::from_bytes(self.inner.core.keyring.lineage().store_id)
    }

    /// Whether the store is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.inner.core.keyring.is_encrypted()
    }

    /// Shards of each kind.
    pub fn shard_count(&self) -> u32 {
        self.inner.core.settings.shard_count
    }

    /// Files that had been left by a crash and were recovered while opening.
    pub fn recoveries(&self) -> Vec<Recovery> {
        self.inner.core.redb.as_ref().map_or_else(Vec::new, |redb| redb.recoveries())
    }

    /// Seals all that is still in the tails into segments and indexes, whether or not it is due.
    /// Sealed records are stored denser; nothing depends on it otherwise.
    ///
    /// # Errors
    /// `Unsupported` on a handle that only reads; `Corrupt`, `Full`, `Closed` as a commit.
    pub async fn seal(&self) -> Result<()> {
        self.seal_where(|_| true).await
    }

    /// Waits until no sealing is due.
    ///
    /// # Errors
    /// As [`seal`](Self::seal).
    pub async fn settle(&self) -> Result<()> {
        self.seal_where(|writer| writer.limits().reached(writer.shard())).await
    }

    async fn seal_where(&self, due: fn(&Writer) -> bool) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.core.seal_where(due).await };
        off_thread(&*self.inner.core.shared.environment, "seal", work).await?
    }

    /// Sizes and counts of every database.
    ///
    /// # Errors
    /// `Corrupt`; as the engine's.
    pub async fn stats(&self) -> Result<StoreStats> {
        collect(&self.inner.core).await
    }

    /// Changes how many bytes the store may occupy on disk, 0 for no limit, in place of what was
    /// recorded before. Writes of this store heed it at once, and later openings that do not bring a
    /// limit of their own. A limit below what is occupied removes nothing: writes are `Full` until it
    /// is raised again, which works on a full store.
    ///
    /// # Durability
    /// Durable on return.
    ///
    /// # Errors
    /// `Unsupported` on a handle that only reads; `Full` when the disk is full, or the present limit
    /// is reached and the new one is lower; `Closed` as a commit. The old limit stays then, unless the
    /// outcome is `Unknown`.
    pub async fn set_max_size_bytes(&self, bytes: u64) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.core.set_max_size_bytes(bytes).await };
        off_thread(&*self.inner.core.shared.environment, "quota", work).await?
    }

    /// The committers, for tests that install what no sealer would.
    #[cfg(test)]
    pub(crate) fn writers(&self) -> &[Arc<Writer>] {
        &self.inner.core.writers
    }

    pub(super) fn core(&self) -> &Core {
        &self.inner.core
    }

    /// Commits what is queued, ends all background work, records every head for the next opening,
    /// and releases the files. Every later call on any clone is `Closed(Shutdown)`; a second
    /// `close` does nothing.
    ///
    /// # Errors
    /// What the last write of the close failed with; the store is closed all the same, and opens
    /// again as after a crash.
    pub async fn close(&self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.close().await };
        off_thread(&*self.inner.core.shared.environment, "close", work).await?
    }
}

impl Core {
    async fn seal_where(&self, due: fn(&Writer) -> bool) -> Result<()> {
        if self.writers.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this handle only reads; open the store for writing to seal",
            ));
        }
        self.shared.check_open()?;
        for writer in self.writers.iter().filter(|writer| due(writer)) {
            seal(writer, &self.shared).await?;
            self.shared.sealed.notify();
        }
        Ok(())
    }
}

impl Inner {
    async fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let core = &self.core;
        core.writers.iter().for_each(|writer| writer.stop());
        core.shared.stop();
        let tasks =
            std::mem::take(&mut *core.background.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.join();
        }
        for writer in core.writers.iter().filter(|writer| !writer.is_poisoned()) {
            // What stays is superfluous, not wrong: the next opening removes it.
            drop(tidy_up(writer).await);
        }
        let witnessed = self.witness_close().await;
        core.engine.close().await.and(witnessed)
    }

    /// Leaves the heads of all databases beside the keyring, so that the next opening notices if
    /// one of them has gone back.
    async fn witness_close(&self) -> Result<()> {
        let core = &self.core;
        if core.writers.is_empty() || core.writers.iter().any(|writer| writer.is_poisoned()) {
            return Ok(());
        }
        let keyring = &core.keyring;
        let sealed = seal_closed(
            core.shared.heads(),
            (keyring.system_key(), keyring.lineage()),
            &*core.shared.environment,
        )?;
        core.sidecar.replace(CLOSED_NAME, &sealed).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to tell; an unclean close is recovered by the next opening.
        drop(run_blocking(self.close()));
    }
}
