//! A family as one map: memtables in front of runs.

use super::memtable::MemtableSource;
use super::run::Probe;
use super::scan::Merged;
use super::{CachePolicy, Run, Scan, Slot};
use bytes::Bytes;
use forgeone_db_engine::{Direction, KeyRange, Result};
use std::fmt;
use std::sync::Arc;

/// A family as its memtables and runs were at one moment. Entries that enter the active memtable
/// later may be seen; what is here stays readable as long as the pieces of the runs are kept.
#[derive(Clone, Default)]
pub(crate) struct Index {
    /// Newest first.
    memtables: Vec<Arc<dyn MemtableSource>>,
    /// Newest first.
    runs: Vec<Arc<Run>>,
}

impl Index {
    /// A view of memtables (active, then frozen) and runs, each newest first. REQUIRES: every
    /// memtable is newer than every run, and what is flushed meanwhile stays in its memtable.
    pub(crate) const fn new(memtables: Vec<Arc<dyn MemtableSource>>, runs: Vec<Arc<Run>>) -> Self {
        Self { memtables, runs }
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        for memtable in &self.memtables {
            let mut found = None;
            memtable.with(&mut |memtable| found = memtable.get(key));
            if let Some(slot) = found {
                return Ok(slot.into_value());
            }
        }
        for run in &self.runs {
            if let Some(slot) = run.get(key).await? {
                return Ok(slot.into_value());
            }
        }
        Ok(None)
    }

    /// The values of many keys, answered in the order asked. Each memtable is locked once, and
    /// each run is asked in key order, so that it reads no filter and no page twice.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's.
    pub(crate) async fn get_many(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let mut answers: Vec<Option<Slot>> = vec![None; keys.len()];
        let mut open: Vec<(usize, &Bytes)> = keys.iter().enumerate().collect();
        open.sort_unstable_by_key(|(_, key)| *key);
        for memtable in &self.memtables {
            memtable.with(&mut |memtable| {
                open.retain(|(index, key)| settle(&mut answers, *index, memtable.get(key)));
            });
        }
        for run in &self.runs {
            let mut probe = Probe::default();
            let mut left = Vec::with_capacity(open.len());
            for (index, key) in open {
                let found = run.probe(&mut probe, key).await?;
                if settle(&mut answers, index, found) {
                    left.push((index, key));
                }
            }
            open = left;
        }
        Ok(answers.into_iter().map(|slot| slot.and_then(Slot::into_value)).collect())
    }

    /// Walks the entries of a range in order.
    pub(crate) fn scan(&self, range: &KeyRange, direction: Direction) -> Scan {
        let policy = CachePolicy::Fill;
        Scan::new(Merged::new(&self.memtables, &self.runs, range, direction, policy))
    }
}

/// Keeps an answer; says whether there was none.
fn settle(answers: &mut [Option<Slot>], index: usize, found: Option<Slot>) -> bool {
    let open = found.is_none();
    if let (Some(answer), Some(slot)) = (answers.get_mut(index), found) {
        *answer = Some(slot);
    }
    open
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("memtables", &self.memtables.len())
            .field("runs", &self.runs)
            .finish()
    }
}
