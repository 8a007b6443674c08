//! The directory of a run: every unit with its tag, and the first key of every page and filter.
//!
//! Absent on purpose: the seal around it, which is the member's.

use super::filter::{FILTER_SEED_BYTES, FilterSeed};
use super::page::shared_prefix;
use super::{FamilyId, FilterKey, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::codec::{Compression, Cursor, corrupt, put_bytes, put_varint};
use crate::piece::UnitRef;
use forgeone_db_engine::{Error, ErrorKind, Result};
use minicbor::{Decode, Encode};

const UNIT_PAGE: u8 = 0; // on-disk
const UNIT_FILTER: u8 = 1; // on-disk
/// Bytes of the largest unit before compression: a page of one entry.
const UNIT_RAW_BYTES_MAX: usize = KEY_BYTES_MAX + VALUE_BYTES_MAX + 64;

/// The directory as it is stored. Numbers are stable; new fields get new ones.
#[derive(Debug, Encode, Decode)]
struct Stored {
    #[n(0)]
    family: FamilyId,
    #[n(1)]
    entries: u64,
    #[n(2)]
    tombstones: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    last_key: Vec<u8>,
    #[n(4)]
    filter: FilterKey,
    #[cbor(n(5), with = "minicbor::bytes")]
    filter_seed: [u8; FILTER_SEED_BYTES],
    #[n(6)]
    units: u32,
    #[cbor(n(7), with = "minicbor::bytes")]
    table: Vec<u8>,
}

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitKind {
    Page,
    Filter,
}

/// One unit of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnitRow {
    /// Its number in the member, which is its counter.
    pub(super) unit: u32,
    pub(super) at: UnitRef,
    pub(super) compression: Compression,
    pub(super) raw_len: u32,
    /// Entries of a page, distinct keys of a filter.
    pub(super) count: u32,
}

/// Keys in ascending order, in one allocation.
#[derive(Debug, Default)]
pub(super) struct Fences {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Fences {
    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn last(&self) -> Option<&[u8]> {
        self.get(self.ends.len().checked_sub(1)?)
    }

    pub(super) fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)?,
        };
        self.bytes.get(start..end)
    }

    /// How many keys `before` holds for; it must hold for the first few and for no other.
    pub(super) fn partition_point(&self, before: impl Fn(&[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle).is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Collects a run's units as they are written.
#[derive(Debug)]
pub(super) struct DirectoryBuilder {
    family: FamilyId,
    filter: FilterKey,
    filter_seed: FilterSeed,
    entries: u64,
    tombstones: u64,
    units: u32,
    table: Vec<u8>,
    /// The last first key, of pages and of filters.
    last_fences: (Vec<u8>, Vec<u8>),
}

impl DirectoryBuilder {
    pub(super) const fn new(family: FamilyId, filter: FilterKey, filter_seed: FilterSeed) -> Self {
        Self {
            family,
            filter,
            filter_seed,
            entries: 0,
            tombstones: 0,
            units: 0,
            table: Vec::new(),
            last_fences: (Vec::new(), Vec::new()),
        }
    }

    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Counts an entry.
    pub(super) const fn count(&mut self, value: Option<&[u8]>) {
        self.entries += 1;
        self.tombstones += value.is_none() as u64;
    }

    /// The number of the next unit.
    pub(super) const fn next_unit(&self) -> u32 {
        self.units
    }

    /// Adds the next unit, whose first key is `fence`.
    pub(super) fn add(&mut self, kind: UnitKind, row: &UnitRow, fence: &[u8]) {
        let (code, last) = match kind {
            UnitKind::Page => (UNIT_PAGE, &mut self.last_fences.0),
            UnitKind::Filter => (UNIT_FILTER, &mut self.last_fences.1),
        };
        let shared = shared_prefix(last, fence);
        let suffix = fence.get(shared..).unwrap_or_default();
        self.table.extend_from_slice(&[code, row.compression.code()]);
        put_varint(&mut self.table, row.at.len.into());
        put_varint(&mut self.table, row.raw_len.into());
        put_varint(&mut self.table, row.count.into());
        self.table.extend_from_slice(&row.at.tag);
        put_varint(&mut self.table, shared as u64);
        put_bytes(&mut self.table, suffix);
        last.truncate(shared);
        last.extend_from_slice(suffix);
        self.units += 1;
    }

    /// The stored form.
    pub(super) fn finish(self, last_key: Vec<u8>) -> Result<Vec<u8>> {
        let stored = Stored {
            family: self.family,
            entries: self.entries,
            tombstones: self.tombstones,
            last_key,
            filter: self.filter,
            filter_seed: self.filter_seed.0,
            units: self.units,
            table: self.table,
        };
        minicbor::to_vec(&stored).map_err(|error| {
            Error::new(ErrorKind::Internal, "a directory could not be encoded").with_source(error)
        })
    }
}

/// The directory of an opened run.
pub(super) struct Directory {
    pub(super) family: FamilyId,
    pub(super) entries: u64,
    pub(super) tombstones: u64,
    pub(super) last_key: Vec<u8>,
    pub(super) filter: FilterKey,
    pub(super) filter_seed: FilterSeed,
    pub(super) pages: Vec<UnitRow>,
    pub(super) page_fences: Fences,
    pub(super) filters: Vec<UnitRow>,
    pub(super) filter_fences: Fences,
}

impl Directory {
    /// Reads a directory and checks it against itself and against the bytes of all units.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn read(bytes: &[u8], units_bytes: u64) -> Result<Self> {
        let stored: Stored = minicbor::decode(bytes)
            .map_err(|error| corrupt("a run's directory is malformed").with_source(error))?;
        let mut directory = Self {
            family: stored.family,
            entries: stored.entries,
            tombstones: stored.tombstones,
            last_key: stored.last_key,
            filter: stored.filter,
            filter_seed: FilterSeed(stored.filter_seed),
            pages: Vec::new(),
            page_fences: Fences::default(),
            filters: Vec::new(),
            filter_fences: Fences::default(),
        };
        let mut cursor = Cursor::new(&stored.table);
        let mut offset = 0u64;
        for unit in 0..stored.units {
            offset = directory.read_row(&mut cursor, unit, offset)?;
        }
        cursor.finish()?;
        directory.check(offset, units_bytes)?;
        Ok(directory)
    }

    /// Reads one row; returns where the next unit starts.
    fn read_row(&mut self, cursor: &mut Cursor<'_>, unit: u32, offset: u64) -> Result<u64> {
        let (rows, fences) = match cursor.u8()? {
            UNIT_PAGE => (&mut self.pages, &mut self.page_fences),
            UNIT_FILTER => (&mut self.filters, &mut self.filter_fences),
            _ => return Err(corrupt("a unit is of an unknown kind")),
        };
        let compression = Compression::from_code(cursor.u8()?)?;
        let length = |value| u32::try_from(value).map_err(|_| corrupt("a length is too large"));
        let len = length(cursor.varint()?)?;
        let raw_len = length(cursor.varint()?)?;
        let count = length(cursor.varint()?)?;
        let tag = cursor.array()?;
        let shared = cursor.len()?;
        let suffix = cursor.bytes()?;
        let last = fences.last().unwrap_or_default();
        let head = last.get(..shared).ok_or_else(|| corrupt("a fence is malformed"))?;
        let fence = [head, suffix].concat();
        let ascends = rows.is_empty() || *fence > *last;
        if !ascends || fence.len() > KEY_BYTES_MAX || raw_len as usize > UNIT_RAW_BYTES_MAX {
            return Err(corrupt("a unit of a run is impossible"));
        }
        fences.push(&fence);
        rows.push(UnitRow { unit, at: UnitRef { offset, len, tag }, compression, raw_len, count });
        offset.checked_add(len.into()).ok_or_else(|| corrupt("a run is too large"))
    }

    fn check(&self, units_end: u64, units_bytes: u64) -> Result<()> {
        let entries: u64 = self.pages.iter().map(|page| u64::from(page.count)).sum();
        let has_filters = self.filter != FilterKey::None && !self.pages.is_empty();
        let fits = units_end == units_bytes
            && entries == self.entries
            && self.tombstones <= entries
            && has_filters != self.filters.is_empty()
            && self.pages.iter().all(|page| page.count > 0)
            && *self.last_key >= *self.page_fences.last().unwrap_or_default()
            && (entries > 0 || self.last_key.is_empty());
        if fits { Ok(()) } else { Err(corrupt("a run's directory contradicts itself")) }
    }

    /// The first key of the run; empty for an empty run.
    pub(super) fn first_key(&self) -> &[u8] {
        self.page_fences.get(0).unwrap_or_default()
    }
}
