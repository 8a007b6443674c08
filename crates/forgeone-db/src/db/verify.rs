//! Verifying a store, open or too damaged to open.

use super::check::read_closed;
use super::database::Database;
use super::open::Core;
use super::sidecar::Sidecar;
use super::unopened::{Unopened, close_unopened, open_unopened};
use crate::crypto::KeyStore;
use crate::integrity::{self, Pins, Subject, VerifyDepth, VerifyProgress, VerifyReport};
use crate::options::StoreOptions;
use crate::pool::off_thread;
use crate::stream::{Shard, Shared, read_settings};
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::Arc;

impl Database {
    /// Reads the store as a sceptic, and names whatever is damaged, missing or contradictory.
    ///
    /// Works on its own snapshot beside a writer, in this process or another, and on handles that
    /// only read; slows nobody but by the reading itself. What is read goes past all caches.
    /// A damaged place is named in the report and does not stop the walk. `progress` is called
    /// after every few units.
    ///
    /// # Errors
    /// Only what ends every read: `Closed`, `Unavailable`. Damage is no error but a finding.
    ///
    /// # Limits
    /// Memory for a few units at a time, the names of all topics, the list of live segments, and
    /// the hashes of the blocks that are not sealed yet; and for the keys of state at most half of
    /// what [`memory_max`](crate::StoreOptions::memory_max) leaves to searches, about 170,000 keys
    /// by default: with more keys the changes of state are read several times. Depth `Quick` reads what opening reads;
    /// `Standard` reads all that is live once; `Deep` also looks up every sealed id.
    ///
    /// It does not detect that the whole store was replaced by an older consistent copy, nor the
    /// loss of a database's newest commits that neither another database nor a clean close has
    /// witnessed.
    pub async fn verify(
        &self,
        depth: VerifyDepth,
        mut progress: impl FnMut(&VerifyProgress) + Send,
    ) -> Result<VerifyReport> {
        let core = self.core();
        core.shared.check_open()?;
        let room = core.shared.memory.searches.take_room();
        let subject = Ground::of(core).subject(room.bytes, Pins::Walk).await?;
        let mut on_progress = |at: &VerifyProgress| {
            progress(at);
            Ok(())
        };
        integrity::verify(subject, depth, &mut on_progress).await
    }

    /// As [`verify`](Self::verify), for a store that may be too damaged to open: only its keyring
    /// and its engine must. The options' mode does not count: the store is only read, beside a
    /// writer or without one. What a crash has left is recovered first, as by every reader.
    ///
    /// # Errors
    /// As [`open`](Self::open) for what concerns directory, keyring and key; as
    /// [`verify`](Self::verify).
    pub async fn verify_store(
        options: StoreOptions,
        depth: VerifyDepth,
        mut progress: impl FnMut(&VerifyProgress) + Send,
    ) -> Result<VerifyReport> {
        let environment = Arc::clone(&options.environment);
        let opened = off_thread(&*environment, "open", open_unopened(options)).await??;
        let Unopened { engine, subject } = opened;
        let mut on_progress = |at: &VerifyProgress| {
            progress(at);
            Ok(())
        };
        let report = integrity::verify(subject, depth, &mut on_progress).await;
        close_unopened(&engine).await;
        report
    }
}

/// What a verification of an open store stands on, without keeping the store open.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) system: Arc<Shard>,
    pub(super) shards: Vec<Arc<Shard>>,
    shard_count: u32,
    sidecar: Sidecar,
    keys: Arc<KeyStore>,
    pub(super) shared: Arc<Shared>,
}

impl Ground {
    pub(super) fn of(core: &Core) -> Self {
        Self {
            system: Arc::clone(&core.system),
            shards: core.shards.clone(),
            shard_count: core.settings.shard_count,
            sidecar: core.sidecar.clone(),
            keys: Arc::clone(&core.keys),
            shared: Arc::clone(&core.shared),
        }
    }

    /// # Errors
    /// `Unavailable` once a writer has given the store more shards than this handle knows.
    pub(super) async fn subject(&self, memory_bytes: usize, pins: Pins) -> Result<Subject> {
        let settings = read_settings(&self.system).await;
        if settings.is_ok_and(|settings| settings.shard_count > self.shard_count) {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the store has more shards by now; open it again to verify all of them",
            ));
        }
        // Beside a writer the file is of an earlier close, and everything has grown since.
        let watch = self.system.context().watch.as_deref();
        let closed = read_closed(&self.sidecar, &self.keys, watch).await;
        Ok(Subject {
            system: Arc::clone(&self.system),
            shards: self.shards.clone(),
            shard_count: self.shard_count,
            closed,
            keyrings: self.sidecar.keyrings().await?,
            memory_bytes,
            pins,
            pages: None,
        })
    }
}
