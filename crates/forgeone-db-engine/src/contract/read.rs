//! Reads as values: what is asked, and what comes back.

use super::{Capability, TableName};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;

/// The keys `start <= key < end`; no `end` means to the last key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// First key of the range, included. Empty means from the first key.
    pub start: Bytes,
    /// End of the range, excluded; `None` means to the last key.
    pub end: Option<Bytes>,
}

impl KeyRange {
    /// Every key of a table.
    pub const fn all() -> Self {
        Self { start: Bytes::new(), end: None }
    }

    /// The keys `start <= key < end`.
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// The keys from `start` on, `start` included.
    pub fn from(start: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: None }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= &*self.start && self.end.as_ref().is_none_or(|end| key < &**end)
    }

    /// # Errors
    /// `Invalid` when the range ends before it starts, or a bound is longer than a key may be
    /// (one byte more is allowed, so that the successor of the longest key can be named).
    pub(super) fn check(&self, capability: &Capability) -> Result<()> {
        let bound_bytes_max = capability.key_bytes_max as usize + 1;
        let end_len = self.end.as_ref().map_or(0, Bytes::len);
        if self.start.len() > bound_bytes_max || end_len > bound_bytes_max {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a range bound is longer than a key may be",
            )
            .with("key_bytes_max", capability.key_bytes_max));
        }
        match &self.end {
            Some(end) if *end < self.start => {
                Err(Error::new(ErrorKind::Invalid, "a range ends before it starts"))
            }
            _ => Ok(()),
        }
    }
}

/// The order in which a scan returns entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key up.
    Forward,
    /// From the greatest key down.
    Reverse,
}

/// What a scan returns of each entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// Keys alone; values come back empty and are not read where the engine can avoid it.
    Keys,
    /// Keys and values.
    Entries,
}

/// A read of one database, consistent within itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Values by key, from any tables. Answered in the order asked; keys may repeat.
    Get(Vec<(TableName, Bytes)>),
    /// One page of the entries of a range, in order.
    Scan {
        /// The table to read.
        table: TableName,
        /// The keys to visit.
        range: KeyRange,
        /// The order to visit them in.
        direction: Direction,
        /// What to return of each.
        projection: Projection,
        /// The most entries to return; 1 to `page_entries_max`.
        entries_max: u32,
        /// Stop after the entry with which keys and values reach this many bytes. At least one
        /// entry is returned if there is one.
        bytes_max: u64,
    },
}

impl Read {
    /// A get of one key.
    pub fn get(table: &TableName, key: impl Into<Bytes>) -> Self {
        Self::Get(vec![(table.clone(), key.into())])
    }

    /// Checks the request against the limits. Every engine calls this first.
    ///
    /// # Errors
    /// `Invalid`, naming the limit.
    pub fn check(&self, capability: &Capability) -> Result<()> {
        match self {
            Self::Get(keys) => {
                if keys.len() > capability.get_keys_max as usize {
                    return Err(Error::new(ErrorKind::Invalid, "a get asks for too many keys")
                        .with("keys", keys.len())
                        .with("get_keys_max", capability.get_keys_max));
                }
                keys.iter().try_for_each(|(_, key)| check_key(key, capability))
            }
            Self::Scan { range, entries_max, .. } => {
                if *entries_max == 0 || *entries_max > capability.page_entries_max {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "a scan's page size is out of range",
                    )
                    .with("entries_max", entries_max)
                    .with("page_entries_max", capability.page_entries_max));
                }
                range.check(capability)
            }
        }
    }
}

/// # Errors
/// `Invalid` for an empty or too long key.
pub(super) fn check_key(key: &[u8], capability: &Capability) -> Result<()> {
    if key.is_empty() || key.len() > capability.key_bytes_max as usize {
        return Err(Error::new(ErrorKind::Invalid, "a key is empty or too long")
            .with("key_bytes", key.len())
            .with("key_bytes_max", capability.key_bytes_max));
    }
    Ok(())
}

/// One entry of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// The value; empty under [`Projection::Keys`].
    pub value: Bytes,
}

/// One page of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The entries in the direction asked, possibly fewer than asked for.
    pub entries: Vec<Entry>,
    /// Whether the range may hold more. A page without entries never says so, so that a loop over
    /// pages ends. To go on: forward, start just above the last key (the key with a zero byte
    /// appended); in reverse, end at the last key.
    pub more: bool,
}

/// The answer to a [`Read`], of the same variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadResult {
    /// One value, or its absence, for each key of [`Read::Get`], in the order asked.
    Values(Vec<Option<Bytes>>),
    /// The page of [`Read::Scan`].
    Page(Page),
}

impl ReadResult {
    /// The values of a get.
    ///
    /// # Errors
    /// `Internal` if this is a page: the engine broke the contract.
    pub fn into_values(self) -> Result<Vec<Option<Bytes>>> {
        match self {
            Self::Values(values) => Ok(values),
            Self::Page(_) => Err(mismatch()),
        }
    }

    /// The page of a scan.
    ///
    /// # Errors
    /// `Internal` if these are values: the engine broke the contract.
    pub fn into_page(self) -> Result<Page> {
        match self {
            Self::Page(page) => Ok(page),
            Self::Values(_) => Err(mismatch()),
        }
    }
}

fn mismatch() -> Error {
    Error::new(ErrorKind::Internal, "the engine answered a read with a result of another variant")
}
