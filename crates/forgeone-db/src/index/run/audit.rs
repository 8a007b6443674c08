//! What a verification asks of a run beyond what readers do.

use super::{CachePolicy, Filter, Run, RunCursor};
use crate::codec::corrupt;
use forgeone_db_engine::{Direction, KeyRange, Result};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// An audit says how far it has come after so many entries.
const ENTRIES_TOLD: u64 = 1024;

/// A walk over all entries of a run, past the cache, that checks that entries ascend, are as many as
/// the directory says, and that no filter rules out a key that is there.
struct RunAudit {
    run: Arc<Run>,
    cursor: RunCursor,
    /// The key before the one stood at.
    before: Vec<u8>,
    tombstones: u64,
    /// The filter read last.
    filter: Option<(usize, Arc<Vec<u8>>)>,
}

impl RunAudit {
    fn new(run: &Arc<Run>) -> Self {
        Self {
            run: Arc::clone(run),
            cursor: run.scan(KeyRange::all(), Direction::Forward, CachePolicy::Bypass),
            before: Vec::new(),
            tombstones: 0,
            filter: None,
        }
    }

    /// Moves to the next entry; says whether there is one.
    async fn next(&mut self) -> Result<bool> {
        self.before.clear();
        self.before.extend_from_slice(self.cursor.key());
        let is_first = self.cursor.entries() == 0;
        if !self.cursor.next().await? {
            return self.check_end().map(|()| false);
        }
        let key = self.cursor.key();
        if !is_first && *self.before >= *key {
            return Err(self.run.locate(corrupt("the keys of a run do not ascend")));
        }
        self.tombstones += u64::from(self.cursor.value().is_none());
        self.run.audit_filter(&mut self.filter, key).await?;
        Ok(true)
    }

    fn check_end(&self) -> Result<()> {
        let directory = &self.run.directory;
        if self.before != directory.last_key
            || self.cursor.entries() != directory.entries
            || self.tombstones != directory.tombstones
        {
            let what = "a run has other entries than its directory says";
            return Err(self.run.locate(corrupt(what)));
        }
        Ok(())
    }

    /// About how many stored bytes were read so far.
    fn bytes(&self) -> u64 {
        let (done, all) = (self.cursor.entries(), self.run.directory.entries.max(1));
        let share = u128::from(self.run.named.piece.bytes()) * u128::from(done) / u128::from(all);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// All runs of a family, audited while they are walked as one map: the newest decides on a key.
pub(crate) struct AuditedRuns {
    /// Newest first; with whether it stands at an entry.
    audits: Vec<(RunAudit, bool)>,
    /// Those that stand at the present key; all of them before the start.
    at: Vec<usize>,
    steps: u64,
    bytes_told: u64,
}

impl AuditedRuns {
    /// REQUIRES: the newest run comes first.
    pub(crate) fn new(runs: &[Arc<Run>]) -> Self {
        Self {
            audits: runs.iter().map(|run| (RunAudit::new(run), true)).collect(),
            at: (0..runs.len()).collect(),
            steps: 0,
            bytes_told: 0,
        }
    }

    /// The next key with its value; no value is a tombstone.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's. The walk is over then.
    pub(crate) async fn next(&mut self) -> Result<Option<(&[u8], Option<&[u8]>)>> {
        for index in self.at.drain(..) {
            if let Some((audit, stands)) = self.audits.get_mut(index) {
                *stands = audit.next().await?;
            }
        }
        self.steps += 1;
        let mut best: Option<&RunAudit> = None;
        for (index, (audit, stands)) in self.audits.iter().enumerate() {
            if !stands {
                continue;
            }
            let order =
                best.map_or(Ordering::Less, |best| audit.cursor.key().cmp(best.cursor.key()));
            match order {
                Ordering::Less => {
                    best = Some(audit);
                    self.at.clear();
                    self.at.push(index);
                }
                Ordering::Equal => self.at.push(index),
                Ordering::Greater => {}
            }
        }
        Ok(best.map(|audit| (audit.cursor.key(), audit.cursor.value())))
    }

    /// About how many stored bytes were read since this was asked last; asked seldom enough to be
    /// asked for each entry.
    pub(crate) fn take_bytes(&mut self) -> u64 {
        if !self.at.is_empty() && !self.steps.is_multiple_of(ENTRIES_TOLD) {
            return 0;
        }
        let bytes: u64 = self.audits.iter().map(|(audit, _)| audit.bytes()).sum();
        bytes - std::mem::replace(&mut self.bytes_told, bytes)
    }
}

impl fmt::Debug for AuditedRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditedRuns").field("runs", &self.audits.len()).finish_non_exhaustive()
    }
}

impl Run {
    /// Reads every page and every filter past the cache, and checks that entries ascend, are as
    /// many as the directory says, and that no filter rules out a key that is there.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's.
    pub(crate) async fn audit(self: &Arc<Self>) -> Result<()> {
        let mut audit = RunAudit::new(self);
        while audit.next().await? {}
        Ok(())
    }

    /// Checks that the filter that answers for `key` lets it pass. `present` is the filter read
    /// last.
    async fn audit_filter(
        &self,
        present: &mut Option<(usize, Arc<Vec<u8>>)>,
        key: &[u8],
    ) -> Result<()> {
        let damaged = |what| self.member.locate(corrupt(what));
        let Some(filter_key) = self.directory.filter.of(key) else { return Ok(()) };
        let fences = &self.directory.filter_fences;
        let index = fences
            .partition_point(|fence| fence <= filter_key)
            .checked_sub(1)
            .ok_or_else(|| damaged("no filter answers for a key that is there"))?;
        if present.as_ref().is_none_or(|(present, _)| *present != index) {
            let row = self.row(&self.directory.filters, index)?;
            let place = super::binding(self.lineage, self.named.family, row.unit, row.compression);
            let stored = self.member.read_unit(row.unit, &row.at, &place).await?;
            *present = Some((index, self.raw(row, stored)?));
        }
        let Some((_, bytes)) = present else { return Ok(()) };
        let filter = Filter::new(bytes).map_err(|error| self.member.locate(error))?;
        if filter.may_contain(self.directory.filter_seed.hash(filter_key)) {
            Ok(())
        } else {
            Err(damaged("a filter rules out a key that is there"))
        }
    }
}
