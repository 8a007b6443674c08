//! Salvaging a store: what is left of a damaged one, in a new one.

use super::database::Database;
use super::memory::MEMORY_MIN;
use super::unfinished::{Unfinished, check_apart, check_target, hold_source, is_unfinished_at};
use super::unopened::{Unopened, close_unopened, open_unopened};
use crate::integrity::Subject;
use crate::options::StoreOptions;
use crate::pool::off_thread;
use crate::recovery::{SalvageProgress, SalvageReport, Target, salvage};
use crate::redb::SystemDisk;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

/// The fact about a new store that says where its records come from, unless the damaged store had one
/// of this name.
const SALVAGE_FACT: &str = "salvage";

impl Database {
    /// Writes everything that can be authenticated of a store that may be too damaged to open into
    /// a new one: events, logs, settings with their history, flags, metadata, and the quota unless
    /// `target` has one. The damaged store is only read; `source`'s mode does not count. Its writer's
    /// lock is held meanwhile, unless this process may not take it, because what a writer moves would
    /// be taken for lost. `target` must name a place without a store, and brings the new store's key;
    /// `progress` is called after every few MiB.
    ///
    /// Ids of events, times and contents stay as they were; those of log entries stay unless
    /// [`ids_are_kept`](SalvageReport::ids_are_kept) says otherwise. Numbers stay up to the first
    /// record of a topic that is lost or was shredded; behind it they move up, and the report says
    /// from where to where. Of a damaged unit, block or manifest only what it holds is lost, and
    /// named.
    ///
    /// The new store has a fact with the BLAKE3 hash of the report, under the name that the report
    /// has as [`fact`](SalvageReport::fact): `salvage`, or the first of `salvage.2`, `salvage.3` and
    /// so on that the damaged store has not.
    ///
    /// # Durability
    /// The new store is durable and closed on return. Until then it is none: its keyring has another
    /// name, and opening it is `NotFound`.
    ///
    /// # Errors
    /// As [`open`](Self::open) for what concerns directory, keyring and key of the damaged store;
    /// `Denied` when a file of it may not be read, which may well be whole; `InUse` when a writer keeps
    /// it for longer than `source` waits, or another salvage writes to `target`; `Invalid` for a `target` inside the damaged store's directory; `AlreadyExists` when
    /// `target` is taken; what writing the new store fails with, which then is unfinished: a salvage
    /// into the same directory removes what is there and begins anew, while an engine must be a new
    /// one. Damage is no error but in the report.
    ///
    /// # Limits
    /// Memory as `target`'s [`memory_max`](StoreOptions::memory_max) says, for both stores; `source`'s
    /// does not count. Beside it the names of all topics, and the changes of settings. A store whose
    /// keyring does not open cannot be salvaged. Of a database whose manifest is damaged, sealed records
    /// are found by their own directories, and the report says of each topic that there may have been
    /// more. A store on an engine of its own has no lock: nobody may write to it meanwhile.
    pub async fn salvage(
        source: StoreOptions,
        target: StoreOptions,
        progress: impl FnMut(&SalvageProgress) + Send + 'static,
    ) -> Result<SalvageReport> {
        Self::salvage_and_keep(source, target, progress, |_| Ok(())).await
    }

    /// As [`salvage`](Self::salvage). `keep` gets the report when everything is written, and before
    /// the new store becomes one, so that none is ever there without it.
    ///
    /// # Errors
    /// As [`salvage`](Self::salvage), and what `keep` fails with, which leaves the new store
    /// unfinished.
    pub async fn salvage_and_keep(
        mut source: StoreOptions,
        target: StoreOptions,
        mut progress: impl FnMut(&SalvageProgress) + Send + 'static,
        keep: impl FnOnce(&SalvageReport) -> Result<()> + Send + 'static,
    ) -> Result<SalvageReport> {
        let environment = Arc::clone(&source.environment);
        // It is read once, from beginning to end: memory is of use where the new store is written.
        source.memory_max = MEMORY_MIN;
        let work = async move {
            check_apart(&source, &target)?;
            check_target(&target).await?;
            let source = hold_source(source).await?;
            let Unopened { engine, subject } = open_unopened(source).await?;
            let saved = Box::pin(save_into(target, &subject, &mut progress, keep)).await;
            close_unopened(&engine).await;
            saved
        };
        off_thread(&*environment, "salvage", work).await?
    }

    /// Whether an interrupted salvage left a new store in this directory that is not finished, or one
    /// is at work there. It is no store, and a salvage into the directory begins anew.
    pub fn is_unfinished_salvage(path: impl AsRef<Path>) -> bool {
        is_unfinished_at(&SystemDisk, path.as_ref())
    }

    async fn save(
        &self,
        subject: &Subject,
        progress: &mut (impl FnMut(&SalvageProgress) + Send),
        records_quota: bool,
    ) -> Result<SalvageReport> {
        let core = self.core();
        let missing = || Error::new(ErrorKind::Internal, "a new store has no writer");
        let target = Target {
            events: Arc::clone(self.events().streams()),
            logs: Arc::clone(self.logs().streams()),
            system: Arc::clone(core.writers.first().ok_or_else(missing)?),
            request_bytes: core.shared.memory.requests.bytes_max(),
        };
        let mut report = salvage(subject, &target, progress).await?;
        report.fact = self.free_fact().await?;
        let digest = blake3::hash(&report.to_json()?).to_hex();
        let fact = format!("from store {}, manifest blake3 {digest}", report.store);
        self.system().set_metadata(&report.fact, &fact).await?;
        // Last: the new store may be larger than the old one was allowed to be.
        if let Some(bytes) = report.max_size_bytes.filter(|bytes| records_quota && *bytes > 0) {
            core.set_max_size_bytes(bytes).await?;
        }
        Ok(report)
    }

    /// A name that no fact of the damaged store had: what users wrote down is theirs.
    async fn free_fact(&self) -> Result<String> {
        let mut name = SALVAGE_FACT.to_owned();
        let mut number = 1_u64;
        while self.system().metadata(&name).await?.is_some() {
            number += 1;
            name = format!("{SALVAGE_FACT}.{number}");
        }
        Ok(name)
    }
}

/// Writes what is left of a store into a new one, which becomes a store at the very end.
async fn save_into(
    target: StoreOptions,
    subject: &Subject,
    progress: &mut (impl FnMut(&SalvageProgress) + Send),
    keep: impl FnOnce(&SalvageReport) -> Result<()> + Send,
) -> Result<SalvageReport> {
    let records_quota = target.max_size_bytes.is_none();
    let target = target.shard_count_or(subject.shard_count);
    let (unfinished, target) = Unfinished::take(target).await?;
    let written = async {
        let store = Database::open(target).await?;
        let finished = async {
            let report = store.save(subject, progress, records_quota).await?;
            keep(&report)?;
            unfinished.finish().await?;
            Ok(report)
        };
        let finished = finished.await;
        // What is there is durable, and what is lost matters more than how the store was let go: the
        // next opening recovers it.
        drop(store.close().await);
        finished
    };
    written.await.map_err(|error| unfinished.explain(error))
}
