//! Repairing an open store: a plan to look at, then its steps.

use super::database::Database;
use crate::codec::corrupt;
use crate::index::FamilyId;
use crate::integrity::{VerifyDepth, VerifyProgress};
use crate::pool::off_thread;
use crate::recovery::{RebuiltIndex, RepairPlan, RepairProgress, RepairReport};
use crate::stream::rebuild;
use forgeone_db_engine::Result;
use std::sync::Arc;

impl Database {
    /// Verifies the store, and says what of the damage a repair would mend: indexes, which follow
    /// from records that are all there. Changes nothing; works on handles that only read.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn plan_repair(
        &self,
        progress: impl FnMut(&VerifyProgress) + Send,
    ) -> Result<RepairPlan> {
        Ok(RepairPlan::new(&self.verify(VerifyDepth::Standard, progress).await?))
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
    /// `Unsupported` on a handle that only reads; `Corrupt` for a record that cannot be read, or a
    /// step that is not this store's: the index then stays as it was; as commits. The steps before
    /// it are done.
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
