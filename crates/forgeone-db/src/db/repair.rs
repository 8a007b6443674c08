//! Repairing a store, open or not: a plan to look at, then its steps.

use super::database::Database;
use super::open::prepare;
use super::verify::Ground;
use crate::codec::corrupt;
use crate::index::FamilyId;
use crate::integrity::{self, CheckPages, Pins, VerifyDepth, VerifyProgress};
use crate::options::{OpenMode, StoreOptions};
use crate::pool::off_thread;
use crate::recovery::{NOT_TO_BE_WRITTEN, RebuiltIndex, RepairPlan, RepairProgress, RepairReport};
use crate::stream::rebuild;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::Arc;

impl Database {
    /// Verifies the store with the engine's own pages, and says what of the damage a repair would mend:
    /// indexes, which follow from records that are all there. Changes nothing; works on handles that
    /// only read.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// # Limits
    /// As [`verify`](Self::verify). Where commits come all the time the engine's own pages cannot be
    /// checked; [`plan_store_repair`](Self::plan_store_repair) is for a store that nobody writes to.
    pub async fn plan_repair(
        &self,
        mut progress: impl FnMut(&VerifyProgress) + Send,
    ) -> Result<RepairPlan> {
        let core = self.core();
        core.shared.check_open()?;
        let room = core.shared.memory.searches.take_room();
        let mut subject = Ground::of(core).subject(room.bytes, Pins::Walk).await?;
        // An open store leaves them out elsewhere; here the answer decides whether to write.
        subject.pages = core.redb.clone().map(|redb| redb as Arc<dyn CheckPages>);
        let mut on_progress = |at: &VerifyProgress| {
            progress(at);
            Ok(())
        };
        let report = integrity::verify(subject, VerifyDepth::Standard, &mut on_progress).await?;
        Ok(RepairPlan::new(&report))
    }

    /// As [`plan_repair`](Self::plan_repair), for a store that is not open and may be too damaged to
    /// open. The options' mode does not count: the store is only read.
    ///
    /// # Errors
    /// As [`verify_store`](Self::verify_store).
    pub async fn plan_store_repair(
        options: StoreOptions,
        progress: impl FnMut(&VerifyProgress) + Send,
    ) -> Result<RepairPlan> {
        let report = Self::verify_store(options, VerifyDepth::Standard, progress).await?;
        Ok(RepairPlan::new(&report))
    }

    /// Takes the steps of a plan in a store that is not open: opens it for writing, does as
    /// [`execute_repair`](Self::execute_repair), and closes it. The options' mode does not count.
    ///
    /// A plan without steps opens nothing. With steps, the engine's own pages are checked once more
    /// before anything is opened for writing: opening commits to each database, and redb may then put
    /// to use what only looks free.
    ///
    /// # Durability
    /// As [`execute_repair`](Self::execute_repair).
    ///
    /// # Errors
    /// `Corrupt` while the engine's own pages are damaged in any database, and nothing was written
    /// then; as [`open`](Self::open) and [`execute_repair`](Self::execute_repair).
    pub async fn repair_store(
        options: StoreOptions,
        plan: &RepairPlan,
        progress: impl FnMut(&RepairProgress) + Send + 'static,
    ) -> Result<RepairReport> {
        plan.check_pages()?;
        if plan.steps.is_empty() {
            return Ok(RepairReport::default());
        }
        let environment = Arc::clone(&options.environment);
        let again = options.clone().mode(OpenMode::Read);
        off_thread(&*environment, "check", check_all_pages(again)).await??;
        let store = Self::open(options.mode(OpenMode::Open)).await?;
        let done = store.execute_repair(plan, progress).await;
        let closed = store.close().await;
        let report = done?;
        closed?;
        Ok(report)
    }

    /// Takes the steps of a plan while reads and appends go on. Each index is written whole beside
    /// the damaged one, read back, and put in its place in one commit; only then is the damaged one
    /// removed. Records are never touched.
    ///
    /// # Durability
    /// Durable on return. A crash at any moment leaves each index as it was or as it is to be; the
    /// plan may be made and executed again.
    ///
    /// # Errors
    /// `Unsupported` on a handle that only reads; `Corrupt` for a plan that names a database whose
    /// engine's own pages are damaged, before anything is written; for a record that cannot be read,
    /// or a step that is not this store's: the index then stays as it was; as commits. The steps
    /// before it are done.
    ///
    /// # Limits
    /// Sorts 32 MiB of entries at a time, and needs room for twice the index beside it.
    pub async fn execute_repair(
        &self,
        plan: &RepairPlan,
        mut progress: impl FnMut(&RepairProgress) + Send + 'static,
    ) -> Result<RepairReport> {
        let core = self.core();
        core.check_writable("repair")?;
        plan.check_pages()?;
        let (shared, writers) = (Arc::clone(&core.shared), core.writers.clone());
        let steps = plan.steps.clone();
        let work = async move {
            let mut report = RepairReport::default();
            for (done, step) in steps.iter().enumerate() {
                shared.check_open()?;
                let is_home = |name: &str| name == step.database;
                let writer = writers
                    .iter()
                    .find(|writer| is_home(writer.shard().context().database.as_str()))
                    .ok_or_else(|| {
                        corrupt("a plan names a database that the store does not have")
                    })?;
                let mut at = RepairProgress {
                    step: step.clone(),
                    steps_done: done,
                    steps: steps.len(),
                    records: 0,
                };
                let mut tell = |records| {
                    at.records = records;
                    progress(&at);
                };
                let entries = rebuild(writer, &shared, FamilyId(step.index), &mut tell).await?;
                report.rebuilt.push(RebuiltIndex { step: step.clone(), entries });
            }
            Ok(report)
        };
        off_thread(&*core.shared.environment, "repair", work).await?
    }
}

/// Checks the engine's own pages of every database, before anything else reads them or recovers them.
///
/// # Errors
/// `Corrupt` where they are damaged; as opening for reading.
async fn check_all_pages(options: StoreOptions) -> Result<()> {
    let opened = prepare(&options).await?;
    let Some(redb) = &opened.redb else { return Ok(()) };
    let checked = redb.directory().databases().and_then(|databases| {
        databases.iter().try_for_each(|database| {
            let damaged = |error: Error| match error.kind() {
                ErrorKind::Corrupt => Error::new(ErrorKind::Corrupt, NOT_TO_BE_WRITTEN)
                    .with("database", database)
                    .with_source(error),
                _ => error.with("database", database),
            };
            redb.check_pages(database).map(drop).map_err(damaged)
        })
    });
    // Nothing was written; what was found matters more than how the files were let go.
    drop(opened.engine.close().await);
    checked
}
