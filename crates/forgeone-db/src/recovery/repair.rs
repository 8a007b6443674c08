//! Which damage can be repaired, and how: what follows from records is built anew from them.

use crate::integrity::{Finding, FindingSeverity, REMEDY_SALVAGE, VerifyReport};
use crate::stream::Layout;
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The message of the error for a store that a repair must not write to.
pub(crate) const NOT_TO_BE_WRITTEN: &str = "the engine's own pages are damaged, so nothing was repaired: \
    write nothing to the store, and salvage it into a new one";

/// What a repair would do, and what it cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RepairPlan {
    /// Indexes to be built anew, in this order. None while `pages_damaged` names a database.
    pub steps: Vec<RepairStep>,
    /// Damage that no repair mends: what a salvage or a backup is for.
    pub remaining: Vec<Finding>,
    /// Further findings that the verification did not name.
    pub findings_dropped: u64,
    /// Databases whose engine's own pages are damaged. Writing to them may lose what can still be
    /// read, so nothing is repaired: a salvage saves it.
    #[serde(default)]
    pub pages_damaged: Vec<String>,
}

/// One index to be built anew from the records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RepairStep {
    /// The database.
    pub database: String,
    /// The number of the index.
    pub index: u64,
    /// What the index finds.
    pub purpose: String,
}

/// How far a repair has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairProgress {
    /// What is being built.
    pub step: RepairStep,
    /// Steps done.
    pub steps_done: usize,
    /// All steps.
    pub steps: usize,
    /// Records read for this step.
    pub records: u64,
}

/// What a repair has done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RepairReport {
    /// The indexes that were built anew, with their entries.
    pub rebuilt: Vec<RebuiltIndex>,
}

/// An index that was built anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuiltIndex {
    /// Which one.
    #[serde(flatten)]
    pub step: RepairStep,
    /// Entries that it has now.
    pub entries: u64,
}

impl RepairPlan {
    /// The plan that follows from what a verification found. Rely on it only where that checked the
    /// engine's own pages, as [`verify_store`](crate::Database::verify_store) does at depth `Standard`
    /// and `Deep`.
    pub fn new(report: &VerifyReport) -> Self {
        let errors = report.findings.iter().filter(|one| one.severity == FindingSeverity::Error);
        let writable = report.pages_damaged.is_empty();
        // Where records cannot be read, an index built without them would deny that they exist. Of those
        // that were lost before they were sealed no index has anything.
        let unreadable: BTreeSet<&str> = errors
            .clone()
            .filter(|one| one.index.is_none() && !one.is_twin() && !one.is_set_aside())
            .filter_map(|one| one.database.as_deref())
            .collect();
        let mut plan = Self {
            findings_dropped: report.findings_dropped,
            pages_damaged: report.pages_damaged.clone(),
            ..Self::default()
        };
        let mut steps = BTreeSet::new();
        for finding in errors {
            match (&finding.database, finding.index) {
                (Some(database), Some(index))
                    if writable && !unreadable.contains(database.as_str()) =>
                {
                    let purpose = Layout::purpose(index).to_owned();
                    steps.insert(RepairStep { database: database.clone(), index, purpose });
                }
                (_, None) => plan.remaining.push(finding.clone()),
                (_, Some(_)) => {
                    let remedy = REMEDY_SALVAGE.to_owned();
                    plan.remaining.push(Finding { remedy, ..finding.clone() });
                }
            }
        }
        plan.steps.extend(steps);
        plan
    }

    /// # Errors
    /// `Corrupt` where writing may lose what can still be read.
    pub(crate) fn check_pages(&self) -> Result<()> {
        let Some(database) = self.pages_damaged.first() else { return Ok(()) };
        Err(Error::new(ErrorKind::Corrupt, NOT_TO_BE_WRITTEN).with("database", database))
    }

    /// Whether nothing is damaged.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.mends_all()
    }

    /// Whether nothing is damaged once the steps are done.
    pub fn mends_all(&self) -> bool {
        self.remaining.is_empty() && self.pages_damaged.is_empty() && self.findings_dropped == 0
    }
}

impl fmt::Display for RepairStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "build the index of {} in {} anew", self.purpose, self.database)
    }
}
