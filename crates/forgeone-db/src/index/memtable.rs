//! The newest changes of a family, in memory.

use super::Slot;
use bytes::Bytes;
use forgeone_db_engine::{Direction, KeyRange};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError, RwLock};

/// What an entry takes beyond its key and value: its place in the map, which is two thirds full, and
/// two allocations.
const ENTRY_BYTES: usize = 160;

/// An ordered map of keys to values or tombstones.
#[derive(Default)]
pub(crate) struct Memtable {
    entries: BTreeMap<Bytes, Option<Bytes>>,
    bytes: usize,
}

impl Memtable {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets the value of `key`, replacing what was there.
    pub(crate) fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.set(key.into(), Some(value.into()));
    }

    /// Leaves a tombstone: older places may have a value.
    pub(crate) fn delete(&mut self, key: impl Into<Bytes>) {
        self.set(key.into(), None);
    }

    fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        let (key_bytes, value_bytes) = (key.len(), value.as_ref().map_or(0, Bytes::len));
        self.bytes += value_bytes;
        match self.entries.insert(key, value) {
            Some(before) => self.bytes -= before.map_or(0, |value| value.len()),
            None => self.bytes += key_bytes + ENTRY_BYTES,
        }
    }

    /// What the memtable knows of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Slot> {
        self.entries.get(key).map(|value| match value {
            Some(value) => Slot::Value(value.clone()),
            None => Slot::Tombstone,
        })
    }

    /// Keys with a value or a tombstone.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// About what all entries take in memory.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every entry in order; a tombstone is `None`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, Option<&Bytes>)> {
        self.entries.iter().map(|(key, value)| (key, value.as_ref()))
    }

    /// Copies up to `entries_max` entries of a range, in the direction asked.
    pub(crate) fn page(
        &self,
        range: &KeyRange,
        direction: Direction,
        entries_max: usize,
    ) -> Vec<(Bytes, Option<Bytes>)> {
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Vec::new();
        }
        let end = range.end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(&**end));
        let found = self.entries.range::<[u8], _>((Bound::Included(&*range.start), end));
        let copy = |(key, value): (&Bytes, &Option<Bytes>)| (key.clone(), value.clone());
        match direction {
            Direction::Forward => found.take(entries_max).map(copy).collect(),
            Direction::Reverse => found.rev().take(entries_max).map(copy).collect(),
        }
    }
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable").field("entries", &self.len()).finish_non_exhaustive()
    }
}

/// A memtable that may sit behind a lock. REQUIRES: it is the same memtable at every call, not
/// whichever is the newest; entries may be added in between but never leave.
pub(crate) trait MemtableSource: Send + Sync + 'static {
    /// Shows the memtable to `reader`, which is short and takes no lock.
    fn with(&self, reader: &mut dyn FnMut(&Memtable));
}

impl MemtableSource for Memtable {
    fn with(&self, reader: &mut dyn FnMut(&Memtable)) {
        reader(self);
    }
}

impl MemtableSource for RwLock<Memtable> {
    fn with(&self, reader: &mut dyn FnMut(&Memtable)) {
        reader(&self.read().unwrap_or_else(PoisonError::into_inner));
    }
}

impl MemtableSource for Mutex<Memtable> {
    fn with(&self, reader: &mut dyn FnMut(&Memtable)) {
        reader(&self.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
