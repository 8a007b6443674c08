//! What is to fail: which call, how often, with which error, and what a failed commit leaves.
//!
//! Absent on purpose: chance. A plan and a sequence of calls give the same failures every time.

use crate::contract::DatabaseName;
use crate::error::{ErrorKind, Outcome};

/// Whether a fault happens at one call or from that call on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// At the n-th matching call alone.
    Once,
    /// At the n-th matching call and every later one.
    Forever,
}

/// What a failed commit or compaction leaves behind, and what its error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// Nothing is applied; the outcome is `Rejected`.
    Before,
    /// Nothing is applied; the outcome is `Unknown`.
    UnknownNotApplied,
    /// The batch is applied, or the database compacted; the outcome is `Unknown`. If the inner
    /// engine refuses, its own error is returned.
    UnknownApplied,
}

impl CommitFault {
    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::Before => Outcome::Rejected,
            Self::UnknownNotApplied | Self::UnknownApplied => Outcome::Unknown,
        }
    }
}

/// The calls that a fault can hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Read,
    Commit(CommitFault),
    Usage,
    Compact(CommitFault),
}

#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) target: Target,
    pub(super) kind: ErrorKind,
    at: u64,
    repeat: Repeat,
    database: Option<DatabaseName>,
    seen: u64,
}

impl Fault {
    /// Counts a call to `database` that this fault could hit, and says whether it hits.
    pub(super) fn hits(&mut self, database: &DatabaseName) -> bool {
        if self.database.as_ref().is_some_and(|only| only != database) {
            return false;
        }
        self.seen += 1;
        match self.repeat {
            Repeat::Once => self.seen == self.at,
            Repeat::Forever => self.seen >= self.at,
        }
    }
}

/// A list of faults. Calls are counted from 1, for each fault on its own, and only those that pass
/// the check of the request. Where several faults hit one call, the first in the list decides.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    pub(super) faults: Vec<Fault>,
}

impl FaultPlan {
    /// A plan under which nothing fails.
    pub const fn new() -> Self {
        Self { faults: Vec::new() }
    }

    /// Fails the `at`-th read with `kind`.
    #[must_use]
    pub fn fail_read(self, at: u64, repeat: Repeat, kind: ErrorKind) -> Self {
        self.fail(Target::Read, at, repeat, kind)
    }

    /// Fails the `at`-th commit with `kind`, leaving behind what `fault` says.
    #[must_use]
    pub fn fail_commit(self, at: u64, repeat: Repeat, kind: ErrorKind, fault: CommitFault) -> Self {
        self.fail(Target::Commit(fault), at, repeat, kind)
    }

    /// Fails the `at`-th usage with `kind`.
    #[must_use]
    pub fn fail_usage(self, at: u64, repeat: Repeat, kind: ErrorKind) -> Self {
        self.fail(Target::Usage, at, repeat, kind)
    }

    /// Fails the `at`-th compaction with `kind`, leaving behind what `fault` says.
    #[must_use]
    pub fn fail_compact(
        self,
        at: u64,
        repeat: Repeat,
        kind: ErrorKind,
        fault: CommitFault,
    ) -> Self {
        self.fail(Target::Compact(fault), at, repeat, kind)
    }

    /// Limits the fault added last to calls on `database`, and counts only those.
    #[must_use]
    pub fn in_database(mut self, database: &DatabaseName) -> Self {
        if let Some(fault) = self.faults.last_mut() {
            fault.database = Some(database.clone());
        }
        self
    }

    fn fail(mut self, target: Target, at: u64, repeat: Repeat, kind: ErrorKind) -> Self {
        self.faults.push(Fault { target, kind, at, repeat, database: None, seen: 0 });
        self
    }
}
