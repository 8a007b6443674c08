//! Salvaging a store: what is left of a damaged one, in a new one.

use super::database::Database;
use super::unopened::{Unopened, close_unopened, open_unopened};
use crate::options::{OpenMode, StoreOptions};
use crate::pool::off_thread;
use crate::recovery::{SalvageProgress, SalvageReport, Target, salvage};
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::Arc;

/// The fact about a new store that says where its records come from.
const SALVAGE_FACT: &str = "salvage";

impl Database {
    /// Writes everything that can be authenticated of a store that may be too damaged to open into
    /// a new one: events, logs, settings with their history, flags, metadata. The damaged store is
    /// only read; `source`'s mode does not count. `target` must name a place without a store, and
    /// brings the new store's key; `progress` is called after every few MiB.
    ///
    /// Ids, times and contents stay as they were. Numbers stay up to the first record of a topic
    /// that is lost; behind it they move up, and the report says from where to where. Of a damaged
    /// unit, block or manifest only what it holds is lost, and named.
    ///
    /// # Durability
    /// The new store is durable and closed on return.
    ///
    /// # Errors
    /// As [`open`](Self::open) for what concerns directory, keyring and key of the damaged store;
    /// `AlreadyExists` when `target` is taken; what writing the new store fails with, which then
    /// has a part of the records and no fact `salvage`: remove it and start again. Damage is no
    /// error but in the report.
    ///
    /// # Limits
    /// Memory for a few MiB of records, the names of all topics, and the changes of settings. A
    /// store whose keyring does not open cannot be salvaged. Of a database whose manifest is
    /// damaged, sealed records are found by their own directories, and the report says of each topic
    /// that there may have been more.
    pub async fn salvage(
        source: StoreOptions,
        target: StoreOptions,
        mut progress: impl FnMut(&SalvageProgress) + Send + 'static,
    ) -> Result<SalvageReport> {
        let environment = Arc::clone(&source.environment);
        let work = async move {
            let Unopened { engine, subject } = open_unopened(source).await?;
            let target = target.shard_count_or(subject.shard_count).mode(OpenMode::Create);
            let saved = async {
                let store = Self::open(target).await?;
                let saved = store.save(&subject, &mut progress).await;
                let closed = store.close().await;
                let report = saved?;
                closed?;
                Ok(report)
            };
            let saved = Box::pin(saved).await;
            close_unopened(&engine).await;
            saved
        };
        off_thread(&*environment, "salvage", work).await?
    }

    async fn save(
        &self,
        subject: &crate::integrity::Subject,
        progress: &mut (impl FnMut(&SalvageProgress) + Send),
    ) -> Result<SalvageReport> {
        let core = self.core();
        let missing = || Error::new(ErrorKind::Internal, "a new store has no writer");
        let target = Target {
            events: Arc::clone(self.events().streams()),
            logs: Arc::clone(self.logs().streams()),
            system: Arc::clone(core.writers.first().ok_or_else(missing)?),
        };
        let report = salvage(subject, &target, progress).await?;
        let digest = blake3::hash(&report.to_json()?).to_hex();
        let fact = format!("from store {}, manifest blake3 {digest}", report.store);
        self.system().set_metadata(SALVAGE_FACT, &fact).await?;
        Ok(report)
    }
}
