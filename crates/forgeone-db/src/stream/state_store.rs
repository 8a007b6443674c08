//! State as domain stores see it: values by family and key, changed by transactions, and the
//! record of every change.

use super::change::{Change, decode_changes};
use super::committer::Writer;
use super::families::SUBJECT_STATE;
use super::shard::{FamilyView, Shard};
use super::store::Shared;
use super::transaction::{Told, Transaction};
use crate::index::Scan;
use bytes::Bytes;
use forgeone_db_engine::{Direction, Entry, Error, ErrorKind, KeyRange, Result};
use std::future::Future;
use std::sync::Arc;

/// How often a read beside a writer in another process starts again before it gives up.
const READ_TRIES: u32 = 8;
/// Records and bytes of changes that are read together.
const PAGE_RECORDS_MAX: usize = 1024;
const PAGE_BYTES_MAX: usize = 1 << 20;

/// The changes of consecutive records of the state topic, each with its number.
pub(crate) type ChangesPage = Vec<(u64, Vec<Change>)>;

/// The state of one database.
#[derive(Debug)]
pub(crate) struct StateStore {
    shard: Arc<Shard>,
    /// None on a handle that only reads.
    writer: Option<Arc<Writer>>,
    shared: Arc<Shared>,
}

impl StateStore {
    pub(crate) const fn new(
        shard: Arc<Shard>,
        writer: Option<Arc<Writer>>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { shard, writer, shared }
    }

    /// As [`Writer::transact`].
    ///
    /// # Errors
    /// `Unsupported` on a handle that only reads; as [`Writer::transact`].
    pub(crate) async fn transact<T: Transaction>(&self, transaction: T) -> Told<T::Answer> {
        let writer = self.writer.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                "this handle only reads; open the store for writing to change its state",
            )
        })?;
        writer.transact(transaction).await
    }

    /// Catches up with a writer in another process; does nothing on the writer itself.
    async fn refresh(&self) -> Result<()> {
        self.shared.check_open()?;
        if self.shared.is_follower() {
            self.shard.refresh().await?;
        }
        Ok(())
    }

    /// Whether a read that found damage may have met a writer in another process instead, which
    /// dropped what was being read. Missing under an unchanged state is damage.
    async fn was_overtaken(&self, error: &Error, seen: u64) -> Result<bool> {
        if error.kind() != ErrorKind::Corrupt || !self.shared.is_follower() {
            return Ok(false);
        }
        self.refresh().await?;
        Ok(self.shard.changed.version() != seen)
    }

    async fn reading<T, F: Future<Output = Result<T>>>(&self, read: impl Fn() -> F) -> Result<T> {
        self.refresh().await?;
        let mut tries = READ_TRIES;
        loop {
            let seen = self.shard.changed.version();
            match read().await {
                Err(error) if tries > 0 && self.was_overtaken(&error, seen).await? => tries -= 1,
                result => return result,
            }
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `Corrupt`; as the engine's.
    pub(crate) async fn get(&self, family: u64, key: &[u8]) -> Result<Option<Bytes>> {
        let family = self.shard.layout().by_id(family)?;
        self.reading(|| async { self.shard.family(family).await?.index.get(key).await }).await
    }

    /// Walks the keys of a range that have a value. Nothing is read before the first
    /// [`next`](StateScan::next).
    pub(crate) fn scan(
        self: &Arc<Self>,
        family: u64,
        range: KeyRange,
        direction: Direction,
    ) -> StateScan {
        StateScan { store: Arc::clone(self), family, range, direction, open: None, ended: false }
    }

    /// The number of the newest change; 0 before the first.
    ///
    /// # Errors
    /// `Corrupt` when the log went back or is damaged.
    pub(crate) async fn revision(&self) -> Result<u64> {
        self.refresh().await?;
        Ok(self.shard.last(SUBJECT_STATE))
    }

    /// The number of the oldest change that is kept.
    pub(crate) fn oldest_revision(&self) -> u64 {
        self.shard.first(SUBJECT_STATE)
    }

    /// A page of changes behind `after`, in order; empty when there is nothing.
    ///
    /// # Errors
    /// `Corrupt`, naming the range.
    ///
    /// # Limits
    /// 1,024 records or 1 MiB, but at least one record.
    pub(crate) async fn changes_after(&self, after: u64) -> Result<ChangesPage> {
        let last = self.revision().await?;
        let mut next = after.saturating_add(1);
        let (mut page, mut bytes) = (Vec::new(), 0);
        while next <= last && page.len() < PAGE_RECORDS_MAX && bytes < PAGE_BYTES_MAX {
            let chunk = self.reading(|| self.shard.chunk(SUBJECT_STATE, next, true)).await?;
            for (sequence, record) in (chunk.first..).zip(&chunk.records) {
                if sequence < next || page.len() >= PAGE_RECORDS_MAX || bytes >= PAGE_BYTES_MAX {
                    continue;
                }
                bytes += record.bytes();
                page.push((sequence, decode_changes(&record.payload)?));
                next = sequence + 1;
            }
        }
        Ok(page)
    }

    /// The version that [`wait`](Self::wait) compares with: take it before looking for changes.
    pub(crate) fn version(&self) -> u64 {
        self.shared.commits.version()
    }

    /// Waits for a commit after version `seen`.
    ///
    /// # Errors
    /// `Closed(Shutdown)` once the store is closing.
    pub(crate) async fn wait(&self, seen: u64) -> Result<()> {
        self.shared.check_open()?;
        self.shared.wait_for_commit(seen).await;
        Ok(())
    }
}

/// A walk through a range of keys. Each entry is as it was when the walk came to it.
#[derive(Debug)]
pub(crate) struct StateScan {
    store: Arc<StateStore>,
    family: u64,
    /// What was not yet delivered.
    range: KeyRange,
    direction: Direction,
    /// The view keeps the runs in place. None before the start, after an error, and while a call
    /// to [`next`](Self::next) runs, so that one that is given up leaves nothing half moved.
    open: Option<(Scan, FamilyView)>,
    ended: bool,
}

impl StateScan {
    /// The next entry; `None` at the end.
    ///
    /// Cancellation: dropping the returned future loses no entry.
    ///
    /// # Errors
    /// `Corrupt`; as the engine's. Asked again, the walk tries the same place.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>> {
        let mut tries = READ_TRIES;
        loop {
            let seen = self.store.shard.changed.version();
            match self.advance().await {
                Err(error) if tries > 0 && self.store.was_overtaken(&error, seen).await? => {
                    tries -= 1;
                }
                result => return result,
            }
        }
    }

    async fn advance(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        let (mut scan, view) = match self.open.take() {
            Some(open) => open,
            None => self.begin().await?,
        };
        let Some(entry) = scan.next().await? else {
            self.ended = true;
            return Ok(None);
        };
        match self.direction {
            Direction::Forward => self.range.start = [&entry.key[..], &[0]].concat().into(),
            Direction::Reverse => self.range.end = Some(entry.key.clone()),
        }
        self.open = Some((scan, view));
        Ok(Some(entry))
    }

    async fn begin(&self) -> Result<(Scan, FamilyView)> {
        self.store.refresh().await?;
        let shard = &self.store.shard;
        let view = shard.family(shard.layout().by_id(self.family)?).await?;
        Ok((view.index.scan(&self.range, self.direction), view))
    }
}
