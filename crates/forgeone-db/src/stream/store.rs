//! What the databases of one open store share: stamps, known heads, the quota, the sealer's bell.

use super::memory::{Memory, MemoryLimits};
use super::notify::Notify;
use super::place_id::PlaceIds;
use crate::environment::Environment;
use crate::log::{Head, Witness};
use forgeone_db_engine::{ClosedReason, DatabaseName, Engine, Error, ErrorKind, Result};
use futures::lock::Mutex as AsyncMutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// What lies under the engine of a store in a directory.
pub(crate) trait Medium: std::fmt::Debug + Send + Sync {
    /// Opens a database anew, past everything that is held in memory. Commits to it are made again from
    /// then on.
    ///
    /// # Errors
    /// As the engine's; no commits are made then, as before.
    fn reopen(&self, database: &DatabaseName) -> Result<()>;

    /// Whether a database has met the end of the disk since it was opened, and nothing else was wrong.
    fn has_met_the_end(&self, database: &DatabaseName) -> bool;

    /// Bytes that are set aside for a full disk.
    fn reserve_bytes(&self) -> u64;

    /// Sets aside so many bytes, if it can; what was before counts.
    fn keep_reserve(&self, bytes: u64);

    /// Gives back what was set aside; says how many bytes that were.
    fn free_reserve(&self) -> u64;
}

/// Shared by all databases of an open store.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    /// Where the engine has one that is known here.
    pub(crate) medium: Option<Arc<dyn Medium>>,
    /// Bytes to set aside for a full disk, at most.
    pub(super) reserve_max: u64,
    pub(crate) environment: Arc<dyn Environment>,
    /// Gives ids to records that have none of their own.
    pub(crate) ids: PlaceIds,
    pub(crate) memory: Memory,
    stamp: AtomicU64,
    heads: Mutex<BTreeMap<String, Witness>>,
    pub(super) databases: Mutex<Vec<DatabaseName>>,
    /// Bytes the store may occupy; 0 for no limit.
    quota_bytes: AtomicU64,
    /// Pieces that interrupted sealings had left, and that were removed.
    orphans_removed: AtomicU64,
    /// Held while the quota changes, so that two changes do not mix.
    pub(crate) quota_change: AsyncMutex<()>,
    /// Rung when a database may have enough in its tail to be sealed.
    pub(crate) seal: Notify,
    /// Notified whenever a database was sealed, or could not be.
    pub(crate) sealed: Notify,
    /// Set once, when the store closes.
    pub(crate) stopping: AtomicBool,
    /// Signalled when the store closes, for who sleeps.
    stopped: (Mutex<()>, Condvar),
    /// Notified whenever the topic directory changed.
    pub(crate) topics: Notify,
    /// Notified after every commit of any database that became visible.
    pub(crate) commits: Notify,
    /// Whether another process may write.
    follower: bool,
    /// How many wait for a commit.
    waiting: AtomicUsize,
}

impl Shared {
    pub(crate) fn new(
        (engine, medium): (Arc<dyn Engine>, Option<Arc<dyn Medium>>),
        (environment, ids): (Arc<dyn Environment>, PlaceIds),
        (quota_bytes, reserve_max): (u64, u64),
        memory: MemoryLimits,
        follower: bool,
    ) -> Self {
        Self {
            engine,
            medium,
            reserve_max,
            environment,
            ids,
            memory: Memory::new(memory),
            stamp: AtomicU64::new(0),
            heads: Mutex::default(),
            databases: Mutex::default(),
            quota_bytes: AtomicU64::new(quota_bytes),
            orphans_removed: AtomicU64::new(0),
            quota_change: AsyncMutex::default(),
            seal: Notify::default(),
            sealed: Notify::default(),
            stopping: AtomicBool::new(false),
            stopped: (Mutex::new(()), Condvar::new()),
            topics: Notify::default(),
            commits: Notify::default(),
            follower,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Whether another process may write while this handle reads.
    pub(crate) const fn is_follower(&self) -> bool {
        self.follower
    }

    /// Whether anyone waits for a commit.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Waits for a commit after version `seen` of [`commits`](Self::commits).
    pub(crate) async fn wait_for_commit(&self, seen: u64) {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        self.commits.changed(seen).await;
    }

    /// # Errors
    /// `Closed(Shutdown)` once the store is closing.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(Error::new(
                ErrorKind::Closed(ClosedReason::Shutdown),
                "the store is closed; open it again",
            ));
        }
        Ok(())
    }

    /// Ends waiting and background work.
    pub(crate) fn stop(&self) {
        {
            let _guard = self.stopped.0.lock().unwrap_or_else(PoisonError::into_inner);
            self.stopping.store(true, Ordering::Release);
        }
        self.stopped.1.notify_all();
        self.seal.notify();
        self.sealed.notify();
        self.commits.notify();
    }

    /// Sleeps for `interval`, or until the store closes.
    pub(crate) fn sleep(&self, interval: Duration) {
        let guard = self.stopped.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.stopping.load(Ordering::Acquire) {
            drop(self.stopped.1.wait_timeout(guard, interval));
        }
    }

    /// Sleeps for `interval`, or until the store closes or `stop` is set by
    /// [`end_sleep`](Self::end_sleep).
    pub(crate) fn sleep_unless(&self, interval: Duration, stop: &AtomicBool) {
        let guard = self.stopped.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.stopping.load(Ordering::Acquire) && !stop.load(Ordering::Acquire) {
            drop(self.stopped.1.wait_timeout(guard, interval));
        }
    }

    /// Sets `stop`, and wakes who sleeps unless it is set.
    pub(crate) fn end_sleep(&self, stop: &AtomicBool) {
        {
            let _guard = self.stopped.0.lock().unwrap_or_else(PoisonError::into_inner);
            stop.store(true, Ordering::Release);
        }
        self.stopped.1.notify_all();
    }

    /// Bytes the store may occupy; 0 for no limit.
    pub(crate) fn quota_bytes(&self) -> u64 {
        self.quota_bytes.load(Ordering::Acquire)
    }

    /// Makes writes from now on heed another quota; 0 for no limit.
    pub(crate) fn set_quota_bytes(&self, bytes: u64) {
        self.quota_bytes.store(bytes, Ordering::Release);
    }

    /// Pieces that interrupted sealings had left, and that were removed since the store was opened.
    pub(crate) fn orphans_removed(&self) -> u64 {
        self.orphans_removed.load(Ordering::Relaxed)
    }

    /// Counts such pieces.
    pub(crate) fn add_orphans_removed(&self, count: u64) {
        self.orphans_removed.fetch_add(count, Ordering::Relaxed);
    }

    /// The next stamp: greater than every one before it and on disk.
    pub(crate) fn next_stamp(&self) -> u64 {
        self.stamp.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Makes later stamps greater than `stamp`.
    pub(crate) fn raise_stamp(&self, stamp: u64) {
        self.stamp.fetch_max(stamp, Ordering::AcqRel);
    }

    /// Counts `database` into the quota.
    pub(crate) fn add_database(&self, database: DatabaseName) {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).push(database);
    }

    /// Records a head that is durable.
    pub(crate) fn record_head(&self, head: &Head) {
        let witness =
            Witness { database: head.database.clone(), number: head.number, hash: head.hash };
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.insert(head.database.clone(), witness);
    }

    /// Keeps what was witnessed of a database that cannot speak for itself.
    pub(crate) fn keep_witness(&self, witness: &Witness) {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let known = heads.entry(witness.database.clone()).or_insert_with(|| witness.clone());
        if known.number < witness.number {
            *known = witness.clone();
        }
    }

    /// The durable heads of all databases but `database`.
    pub(crate) fn other_heads(&self, database: &str) -> Vec<Witness> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.values().filter(|head| head.database != database).cloned().collect()
    }

    /// The durable heads of all databases.
    pub(crate) fn heads(&self) -> Vec<Witness> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
