//! What was found in files that a crash had left.

use super::open::Core;
use crate::log::Witness;
use crate::redb::RedbEngine;
use crate::stream::Shard;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A database that a crash, or a failed write, had left open, and that was recovered.
///
/// What is in it afterwards is exactly its commits 1 to `last_commit`. Nothing that was acknowledged is
/// beyond that: what was rolled back had never been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The database's name.
    pub database: String,
    /// How long recovering its file took.
    pub ms: u64,
    /// Commits that had left a record in the file and were rolled back: 1 if the crash came while one
    /// was being finished, else 0. One that was cut off before that leaves nothing to count.
    pub rolled_back_txns: u64,
    /// The newest commit that was there when the store was opened. None for a database that is damaged,
    /// that was never written to, or that was recovered later, in the open store.
    pub last_commit: Option<u64>,
    /// The newest commit at the last clean close, where there was one. Those behind it, up to
    /// `last_commit`, survived without it.
    pub closed_commit: Option<u64>,
    /// Whether the file itself is as the crash left it, because the medium refuses writes: a reader sees
    /// it recovered, in memory, and the next one has that to do again.
    #[serde(default)]
    pub in_memory: bool,
}

/// How far databases had come when the store was opened.
#[derive(Debug, Default)]
pub(super) struct Found {
    extents: BTreeMap<String, Extent>,
    /// How many were recovered for that; others later, in the open store, which has gone on.
    recoveries: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    last: Option<u64>,
    closed: Option<u64>,
}

impl Found {
    /// REQUIRES: nothing was written to the databases since they were loaded.
    pub(super) fn new(
        shards: &[Arc<Shard>],
        closed: &[Witness],
        redb: Option<&RedbEngine>,
    ) -> Self {
        let extent = |shard: &Arc<Shard>| {
            let database = shard.context().database.to_string();
            let last = shard.state().head.as_ref().map(|head| head.number);
            let closed = closed.iter().find(|head| head.database == database);
            let closed = closed.map(|head| head.number);
            let last = last.filter(|_| shard.check().is_ok());
            (database, Extent { last, closed })
        };
        Self {
            extents: shards.iter().map(extent).collect(),
            recoveries: redb.map_or(0, |redb| redb.recoveries().len()),
        }
    }
}

impl Core {
    /// What was recovered since the store was opened, in order.
    pub(super) fn recovered(&self) -> Vec<Recovered> {
        let recoveries = self.redb.as_ref().map_or_else(Vec::new, |redb| redb.recoveries());
        let report = |(index, recovery): (usize, crate::redb::Recovery)| {
            let extent = self.found.extents.get(recovery.database.as_str());
            let extent = extent.filter(|_| index < self.found.recoveries);
            let extent = extent.copied().unwrap_or_default();
            Recovered {
                database: recovery.database.to_string(),
                ms: u64::try_from(recovery.duration.as_millis()).unwrap_or(u64::MAX),
                rolled_back_txns: recovery.unfinished_commits,
                last_commit: extent.last,
                closed_commit: extent.closed,
                in_memory: recovery.in_memory,
            }
        };
        recoveries.into_iter().enumerate().map(report).collect()
    }
}
