//! A page of a run: entries in key order with shared prefixes left out.
//!
//! Every 16th key is whole and its place is in a table at the end, so that a lookup reads a few
//! entries only, and a page can be walked in both directions.

use super::{KEY_BYTES_MAX, Slot};
use crate::codec::{Cursor, corrupt, put_varint};
use bytes::Bytes;
use forgeone_db_engine::Result;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of the largest page before compression, unless one entry alone is larger.
pub(super) const PAGE_BYTES: usize = 16 << 10; // on-disk
/// Entries from one whole key to the next.
const BLOCK_ENTRIES: u32 = 16; // on-disk
/// The varint in place of a value's length plus one.
const TOMBSTONE: u64 = 0; // on-disk

/// Collects entries until they make a page.
#[derive(Debug, Default)]
pub(super) struct PageBuilder {
    bytes: Vec<u8>,
    blocks: Vec<u32>,
    entries: u32,
    first: Vec<u8>,
    last: Vec<u8>,
}

/// A page before it is compressed and sealed.
#[derive(Debug)]
pub(super) struct RawPage {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: u32,
    pub(super) first: Vec<u8>,
}

impl PageBuilder {
    pub(super) const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Whether an entry can be added. An empty page takes any.
    pub(super) fn takes(&self, key: &[u8], value: Option<&[u8]>) -> bool {
        let table = (self.blocks.len() + 2) * size_of::<u32>();
        let entry = 15 + key.len() + value.map_or(0, <[u8]>::len);
        self.is_empty() || self.bytes.len() + table + entry <= PAGE_BYTES
    }

    /// Adds an entry. REQUIRES: its key is greater than the last one.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let shared = if self.entries.is_multiple_of(BLOCK_ENTRIES) {
            let at = u32::try_from(self.bytes.len()).map_err(|_| corrupt("a page is too large"))?;
            self.blocks.push(at);
            0
        } else {
            shared_prefix(&self.last, key)
        };
        let suffix = key.get(shared..).unwrap_or_default();
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, suffix.len() as u64);
        put_varint(&mut self.bytes, value.map_or(TOMBSTONE, |value| value.len() as u64 + 1));
        self.bytes.extend_from_slice(suffix);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        if self.entries == 0 {
            self.first = key.to_vec();
        }
        self.last.truncate(shared);
        self.last.extend_from_slice(suffix);
        self.entries += 1;
        Ok(())
    }

    /// The page of what was pushed; starts anew.
    pub(super) fn take(&mut self) -> RawPage {
        let mut bytes = mem::take(&mut self.bytes);
        for block in &self.blocks {
            bytes.extend_from_slice(&block.to_be_bytes());
        }
        let blocks = self.entries.div_ceil(BLOCK_ENTRIES);
        bytes.extend_from_slice(&blocks.to_be_bytes());
        self.blocks.clear();
        self.last.clear();
        RawPage { bytes, entries: mem::take(&mut self.entries), first: mem::take(&mut self.first) }
    }
}

/// Bytes that two keys have in common at their start.
pub(super) fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// A page that was opened and decompressed.
#[derive(Debug)]
pub(super) struct Page {
    bytes: Arc<Vec<u8>>,
    /// Where the entries end and the table of blocks starts.
    table: usize,
    blocks: usize,
    #[cfg(test)]
    _gauge: gauge::Gauge,
}

/// An entry at a known place: its value, and where the next entry starts.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) value: Option<Range<usize>>,
    pub(super) next: usize,
}

impl Page {
    /// # Errors
    /// `Corrupt` if the table of blocks is not whole.
    pub(super) fn new(bytes: Arc<Vec<u8>>) -> Result<Self> {
        let malformed = || corrupt("a page's table is not whole");
        let (rest, count) = bytes.split_last_chunk().ok_or_else(malformed)?;
        let blocks = u32::from_be_bytes(*count) as usize;
        let table = blocks
            .checked_mul(size_of::<u32>())
            .and_then(|len| rest.len().checked_sub(len))
            .ok_or_else(malformed)?;
        Ok(Self {
            bytes,
            table,
            blocks,
            #[cfg(test)]
            _gauge: gauge::Gauge::new(),
        })
    }

    /// Checks the page against its row in the directory.
    ///
    /// # Errors
    /// `Corrupt` if it has another number of blocks or another first key.
    pub(super) fn check(self, entries: u32, first: Option<&[u8]>) -> Result<Self> {
        let blocks = entries.div_ceil(BLOCK_ENTRIES) as usize;
        if self.blocks == blocks && Some(self.block_key(0)?) == first {
            Ok(self)
        } else {
            Err(corrupt("a page is not what its run's directory says"))
        }
    }

    pub(super) const fn blocks(&self) -> usize {
        self.blocks
    }

    /// Where the entries end.
    pub(super) const fn entries_end(&self) -> usize {
        self.table
    }

    /// Where block number `block` starts; the end of the entries after the last one.
    pub(super) fn block_start(&self, block: usize) -> Result<usize> {
        if block >= self.blocks {
            return Ok(self.table);
        }
        let table = self.bytes.get(self.table..).unwrap_or_default();
        let at = table.get(block * size_of::<u32>()..).and_then(|rest| rest.first_chunk());
        at.map(|at| u32::from_be_bytes(*at) as usize)
            .filter(|at| *at < self.table)
            .ok_or_else(|| corrupt("a page's table is not whole"))
    }

    /// Reads the entry at `at`. `key` holds the key before it, and holds its key afterwards.
    pub(super) fn entry(&self, at: usize, key: &mut Vec<u8>) -> Result<Place> {
        let entries = self.bytes.get(at..self.table).unwrap_or_default();
        let mut cursor = Cursor::new(entries);
        let shared = cursor.len()?;
        let suffix_len = cursor.len()?;
        let value_len = cursor.varint()?;
        if shared > key.len() || suffix_len > KEY_BYTES_MAX || shared + suffix_len > KEY_BYTES_MAX {
            return Err(corrupt("a key in a page is malformed"));
        }
        key.truncate(shared);
        key.extend_from_slice(cursor.take(suffix_len)?);
        let value = match value_len.checked_sub(1) {
            None => None,
            Some(len) => {
                let start = self.table - cursor.remaining();
                let len = usize::try_from(len).map_err(|_| corrupt("a value is too large"))?;
                cursor.take(len)?;
                Some(start..start + len)
            }
        };
        Ok(Place { value, next: self.table - cursor.remaining() })
    }

    /// The bytes of a value that [`entry`](Self::entry) found.
    pub(super) fn value(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// The whole key at the start of a block.
    fn block_key(&self, block: usize) -> Result<&[u8]> {
        let entries = self.bytes.get(self.block_start(block)?..self.table).unwrap_or_default();
        let mut cursor = Cursor::new(entries);
        if cursor.len()? != 0 {
            return Err(corrupt("a key in a page is malformed"));
        }
        let len = cursor.len()?;
        cursor.varint()?;
        cursor.take(len)
    }

    /// How many blocks start with a key for which `before` holds; it must hold for the first few
    /// and for no other.
    pub(super) fn blocks_before(&self, before: impl Fn(&[u8]) -> bool) -> Result<usize> {
        let (mut low, mut high) = (0, self.blocks);
        while low < high {
            let middle = usize::midpoint(low, high);
            if before(self.block_key(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// What the page knows of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Slot>> {
        let blocks = self.blocks_before(|first| first <= key)?;
        let Some(block) = blocks.checked_sub(1) else { return Ok(None) };
        let (mut at, end) = (self.block_start(block)?, self.block_start(blocks)?);
        let mut present = Vec::with_capacity(key.len());
        while at < end {
            let place = self.entry(at, &mut present)?;
            match (*present).cmp(key) {
                std::cmp::Ordering::Less => at = place.next,
                std::cmp::Ordering::Equal => {
                    return Ok(Some(place.value.map_or(Slot::Tombstone, |range| {
                        Slot::Value(Bytes::copy_from_slice(self.value(&range)))
                    })));
                }
                std::cmp::Ordering::Greater => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// Counts the pages alive on this thread, so that a test can say how many there were at most.
#[cfg(test)]
pub(super) mod gauge {
    use std::cell::Cell;

    thread_local! {
        static ALIVE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    }

    #[derive(Debug)]
    pub(super) struct Gauge;

    impl Gauge {
        pub(super) fn new() -> Self {
            ALIVE.with(|alive| {
                let (now, most) = alive.get();
                alive.set((now + 1, most.max(now + 1)));
            });
            Self
        }
    }

    impl Drop for Gauge {
        fn drop(&mut self) {
            ALIVE.with(|alive| alive.set((alive.get().0 - 1, alive.get().1)));
        }
    }

    /// The most pages that were alive at once since the last call.
    pub(in crate::index) fn take_most() -> usize {
        ALIVE.with(|alive| {
            let (now, most) = alive.get();
            alive.set((now, now));
            most
        })
    }
}
