//! The async face of a store.

use super::check::seal_closed;
use super::key_work::{KeyProgress, KeyRotation, KeyWork, PendingKeyChange, Shredded};
use super::open::{Core, open};
use super::recovered::Recovered;
use super::sidecar::CLOSED_NAME;
use super::stats::{StoreStats, collect};
use super::unfinished::explained;
use crate::crypto::{KdfParams, Key};
use crate::events::EventManager;
use crate::logs::LogManager;
use crate::options::{OpenMode, StoreOptions};
use crate::pool::{off_thread, run_blocking};
use crate::stream::{TopicKind, Writer, seal, tidy_up};
use crate::system::SystemManager;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::future::Future;
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
    /// tampered key; `Invalid` for a key where none is needed, and for too little memory; `InUse`
    /// while another process writes; `Corrupt` when keyring or system database are damaged, missing
    /// or older than something else has seen them; `UpgradeRequired` for a newer format;
    /// `Unsupported` for more durability than the engine can give; `Full` where there is no room for
    /// what opening for writing writes. Of a store that is there every error's outcome is `Rejected`,
    /// and so is `Full` of one that is to be made: nothing of the caller's was written.
    pub async fn open(options: StoreOptions) -> Result<Self> {
        let mode = options.mode;
        let environment = Arc::clone(&options.environment);
        // Made where it is opened, so that a caller that went away leaves no store open.
        let work = async move {
            let asked = options.clone();
            let core = explained(Box::pin(open(options)).await, &asked)?;
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
        Uuid::from_bytes(self.inner.core.keys.keyring().lineage().store_id)
    }

    /// Whether the store is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.inner.core.keys.keyring().is_encrypted()
    }

    /// Shards of each kind.
    pub fn shard_count(&self) -> u32 {
        self.inner.core.settings.shard_count
    }

    /// Databases that a crash had left and that this handle has recovered, while opening and since, in
    /// order; also in [`StoreStats::recovered`]. Another process that opened the store before may have
    /// recovered what is not here.
    pub fn recoveries(&self) -> Vec<Recovered> {
        self.inner.core.recovered()
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

    /// Replaces keys, while appends and reads go on. What an earlier change left unfinished is
    /// finished first; one change runs at a time, others wait for it. `progress` is called after
    /// each step of what has to be rewritten.
    ///
    /// Dropping the returned future does not stop the change. One that was cut short by a crash, an
    /// error or by closing the store is taken up again by the next opening for writing, in the
    /// background; the store is whole in between, and opens with the same key.
    ///
    /// # Durability
    /// Durable on return: no live value and no keyring names a key that was replaced.
    ///
    /// # Errors
    /// `Invalid` in a store that is not encrypted; `Unsupported` on a handle that only reads;
    /// `Corrupt` when something that has to be rewritten is damaged; as a commit. Once the change is
    /// noted the outcome is `Unknown`, whatever went wrong: the next opening goes on with it.
    ///
    /// # Limits
    /// Rewrites up to 32 MiB of records at a time, and an index of a database as a whole. Needs room
    /// for that beside what is there.
    ///
    /// What it does not cover: copies of the store from before, together with a key that opened it
    /// then; and what was freed stays on the medium until it is overwritten, sealed under the old
    /// keys.
    pub async fn rotate_keys(
        &self,
        what: KeyRotation,
        mut progress: impl FnMut(&KeyProgress) + Send + 'static,
    ) -> Result<()> {
        self.key_work(|work| async move { work.rotate(what, &mut progress).await }).await
    }

    /// Destroys all records that a topic has now, by destroying their keys. The topic stays, and
    /// goes on with the next number. An append that runs beside it comes either before, and is gone
    /// too, or after.
    ///
    /// Covered are payloads and metadata, in this store and in every copy made of it from then on.
    /// Not covered are the topic's name, ids, times and counts where they are or were seen
    /// elsewhere, earlier copies and backups, what a medium keeps of overwritten keyring files (flash
    /// memory, file systems that copy on write), and texts of checkpoint markers in freed pages of
    /// older indexes.
    ///
    /// Reading such a record by number is `NotFound` from then on, and says that and when it was
    /// shredded; queries begin behind them; a subscription or replay that stood before them is told
    /// of the gap once, as an error with `from`, `to` and `reason`, and goes on.
    ///
    /// # Durability
    /// Durable on return. Once begun it is finished in any case: by this call, or by the next opening
    /// for writing.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic. `Unsupported` in a store that is not encrypted, where
    /// nothing could be destroyed: what is removed stays readable on the medium; and on a handle
    /// that only reads. As a commit; once it has begun the outcome is `Unknown`.
    pub async fn shred_topic(&self, kind: TopicKind, name: &str) -> Result<Shredded> {
        let name = name.to_owned();
        self.key_work(|work| async move { work.shred(kind, &name).await }).await
    }

    /// Replaces the key of a slot while the store is open, as
    /// [`StoreKeys::replace`](super::StoreKeys::replace) does.
    ///
    /// # Errors
    /// As there; `Unsupported` on a handle that only reads.
    pub async fn replace_key_slot(
        &self,
        slot: u8,
        key: Key,
        label: Option<&str>,
        kdf: KdfParams,
    ) -> Result<()> {
        let label = label.map(str::to_owned);
        self.key_work(
            |work| async move { work.replace_slot(slot, (&key, kdf), label.as_deref()).await },
        )
        .await
    }

    /// The change of keys that is under way, or was cut short and is not yet finished. A handle that
    /// only reads may not know yet of one that another process has begun or ended with the wrapping
    /// key.
    ///
    /// # Errors
    /// `Corrupt`; `Closed`.
    pub async fn pending_key_change(&self) -> Result<Option<PendingKeyChange>> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.core.pending_key_change().await };
        off_thread(&*self.inner.core.shared.environment, "keys", work).await?
    }

    /// The change of keys that this handle found unfinished when it was opened. If it was opened for
    /// writing, it finishes it in the background.
    pub fn found_key_change(&self) -> Option<&PendingKeyChange> {
        self.inner.core.found_key_change.as_ref()
    }

    /// Finishes what is pending, and waits for it.
    ///
    /// # Errors
    /// As [`rotate_keys`](Self::rotate_keys).
    pub async fn finish_key_changes(&self) -> Result<()> {
        self.key_work(|work| async move { work.finish(&mut |_| {}).await }).await
    }

    async fn key_work<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<KeyWork>) -> F,
    ) -> Result<T> {
        let core = &self.inner.core;
        core.shared.check_open()?;
        let keys = core.key_work.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "this handle only reads; open the store for writing to change keys",
            )
        })?;
        off_thread(&*core.shared.environment, "keys", work(Arc::clone(keys))).await?
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
    pub(super) async fn pending_key_change(&self) -> Result<Option<PendingKeyChange>> {
        self.shared.check_open()?;
        if self.writers.is_empty() {
            self.system.refresh().await?;
        }
        PendingKeyChange::find(&self.directory, &self.keys).await
    }

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
        if !core.writers.is_empty() {
            // A file that cannot be closed well for want of room would have to be recovered by readers.
            drop(core.shared.open_up_room().await);
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
        let sealed = seal_closed(core.shared.heads(), &core.keys, &*core.shared.environment)?;
        core.sidecar.replace(CLOSED_NAME, &sealed).await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to tell; an unclean close is recovered by the next opening.
        drop(run_blocking(self.close()));
    }
}
