//! Walking several places at once as if they were one map: the newest place that knows a key
//! decides.

use super::memtable::MemtableSource;
use super::{CachePolicy, Run, RunCursor};
use bytes::Bytes;
use forgeone_db_engine::{Direction, Entry, Error, ErrorKind, KeyRange, Result};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Entries that are copied out of a memtable at once, under its lock.
const MEMTABLE_PAGE_ENTRIES: usize = 1024;

/// A position in a memtable that may sit behind a lock and may grow meanwhile.
struct MemtableCursor {
    source: Arc<dyn MemtableSource>,
    /// What was not yet copied.
    range: KeyRange,
    direction: Direction,
    copied: VecDeque<(Bytes, Option<Bytes>)>,
    /// How many entries the next copy takes: few at first, for scans that stop early.
    entries_next: usize,
    more: bool,
    current: Option<(Bytes, Option<Bytes>)>,
}

impl MemtableCursor {
    fn new(source: Arc<dyn MemtableSource>, range: KeyRange, direction: Direction) -> Self {
        let copied = VecDeque::new();
        Self { source, range, direction, copied, entries_next: 16, more: true, current: None }
    }

    fn next(&mut self) {
        if self.copied.is_empty() && self.more {
            let asked = self.entries_next;
            let mut copied = Vec::new();
            self.source.with(&mut |memtable| {
                copied = memtable.page(&self.range, self.direction, asked);
            });
            self.more = copied.len() == asked;
            self.entries_next = (asked * 4).min(MEMTABLE_PAGE_ENTRIES);
            if let Some((last, _)) = copied.last() {
                match self.direction {
                    Direction::Forward => {
                        let mut above = last.to_vec();
                        above.push(0);
                        self.range.start = above.into();
                    }
                    Direction::Reverse => self.range.end = Some(last.clone()),
                }
            }
            self.copied.extend(copied);
        }
        self.current = self.copied.pop_front();
    }
}

enum Source {
    Memtable(MemtableCursor),
    Run { cursor: Box<RunCursor>, at_entry: bool },
}

impl Source {
    async fn next(&mut self) -> Result<()> {
        match self {
            Self::Memtable(cursor) => cursor.next(),
            Self::Run { cursor, at_entry } => *at_entry = cursor.next().await?,
        }
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Memtable(cursor) => cursor.current.as_ref().map(|(key, _)| &**key),
            Self::Run { cursor, at_entry } => at_entry.then(|| cursor.key()),
        }
    }

    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Memtable(cursor) => cursor.current.as_ref()?.1.as_deref(),
            Self::Run { cursor, .. } => cursor.value(),
        }
    }

    fn entry(&self) -> Option<(Bytes, Option<Bytes>)> {
        match self {
            Self::Memtable(cursor) => cursor.current.clone(),
            Self::Run { .. } => Some((
                Bytes::copy_from_slice(self.key()?),
                self.value().map(Bytes::copy_from_slice),
            )),
        }
    }
}

/// A position in the union of several places, tombstones included.
pub(super) struct Merged {
    /// Newest first.
    sources: Vec<Source>,
    direction: Direction,
    /// The sources that stand at the present key, newest first. All of them before the start.
    at: Vec<usize>,
    broken: bool,
}

impl Merged {
    pub(super) fn new(
        memtables: &[Arc<dyn MemtableSource>],
        runs: &[Arc<Run>],
        range: &KeyRange,
        direction: Direction,
        policy: CachePolicy,
    ) -> Self {
        let memtables = memtables.iter().map(|source| {
            let source = Arc::clone(source);
            Source::Memtable(MemtableCursor::new(source, range.clone(), direction))
        });
        let runs = runs.iter().map(|run| {
            let cursor = Box::new(run.scan(range.clone(), direction, policy));
            Source::Run { cursor, at_entry: false }
        });
        let sources: Vec<_> = memtables.chain(runs).collect();
        Self { at: (0..sources.len()).collect(), sources, direction, broken: false }
    }

    /// Moves to the next key; says whether there is one.
    pub(super) async fn next(&mut self) -> Result<bool> {
        if self.broken {
            return Err(Error::new(ErrorKind::Internal, "a scan went on after it had failed"));
        }
        self.broken = true;
        for index in self.at.drain(..) {
            if let Some(source) = self.sources.get_mut(index) {
                source.next().await?;
            }
        }
        let mut best: Option<&[u8]> = None;
        for (index, source) in self.sources.iter().enumerate() {
            let Some(key) = source.key() else { continue };
            let order = best.map_or(Ordering::Less, |best| match self.direction {
                Direction::Forward => key.cmp(best),
                Direction::Reverse => best.cmp(key),
            });
            match order {
                Ordering::Less => {
                    best = Some(key);
                    self.at.clear();
                    self.at.push(index);
                }
                Ordering::Equal => self.at.push(index),
                Ordering::Greater => {}
            }
        }
        self.broken = false;
        Ok(best.is_some())
    }

    fn newest(&self) -> Option<&Source> {
        self.sources.get(*self.at.first()?)
    }

    pub(super) fn key(&self) -> &[u8] {
        self.newest().and_then(Source::key).unwrap_or_default()
    }

    /// The value; `None` is a tombstone.
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.newest().and_then(Source::value)
    }

    /// Entries that were read from runs.
    pub(super) fn run_entries(&self) -> u64 {
        let count = |source: &Source| match source {
            Source::Memtable(_) => 0,
            Source::Run { cursor, .. } => cursor.entries(),
        };
        self.sources.iter().map(count).sum()
    }
}

/// Walks the keys of an index that have a value. Memory is a few pages for each run and at most
/// 1,024 entries for each memtable.
pub(crate) struct Scan(Merged);

impl Scan {
    pub(super) const fn new(merged: Merged) -> Self {
        Self(merged)
    }

    /// The next entry in order.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's. After an error, or when the
    /// future was dropped, every further call is an error: never a shorter answer.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>> {
        while self.0.next().await? {
            if let Some((key, Some(value))) = self.0.newest().and_then(Source::entry) {
                return Ok(Some(Entry { key, value }));
            }
        }
        Ok(None)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("sources", &self.0.sources.len()).finish_non_exhaustive()
    }
}
