//! Indexes and mutable state as sorted runs: memtables in front, immutable sealed runs behind.
//!
//! Absent on purpose: what keys and values mean, when memtables are flushed and runs are merged,
//! and which runs are live (the manifest).
//!
//! A *family* is one ordered map of small keys. Its newest changes are in memtables; a memtable
//! that is flushed becomes a *run*: sealed pages in key order, filters that say which keys are
//! absent, and a directory with the first key and the tag of every page. A tombstone in a newer
//! place hides a value in an older one; a merge of all runs drops both. Every answer, also that a
//! key is absent, rests on authenticated bytes alone.

mod directory;
mod filter;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod memtable;
mod merge;
mod page;
mod run;
mod run_cursor;
mod run_writer;
mod scan;
mod view;

pub(crate) use memtable::{Memtable, MemtableSource};
pub(crate) use merge::{Keeps, Tombstones, merge};
pub(crate) use run::{AuditedRuns, Run};
pub(crate) use run_cursor::{CachePolicy, RunCursor};
#[cfg(test)]
pub(crate) use run_writer::write_run;
pub(crate) use run_writer::{RunRef, RunWriter};
pub(crate) use scan::Scan;
pub(crate) use view::Index;

use crate::codec::Compression;
use crate::crypto::{Binding, KeyStore, Lineage, PieceType};
use crate::environment::Environment;
use crate::piece::{PieceReader, PieceWriter, UnitCache};
use bytes::Bytes;
use forgeone_db_engine::{DatabaseName, Engine, TableName};
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// Bytes of the longest key.
pub(crate) const KEY_BYTES_MAX: usize = 4096; // on-disk
/// Bytes of the largest value.
pub(crate) const VALUE_BYTES_MAX: usize = 16 << 20; // on-disk

/// The number of a family, below 1024: the subject that its runs are sealed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct FamilyId(#[n(0)] pub(crate) u64);

impl FamilyId {
    /// Whether the family is folded from changes of state; the others follow from records.
    pub(crate) const fn is_state(self) -> bool {
        self.0 < 32
    }
}

/// What of a key goes into the filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) enum FilterKey {
    /// Nothing: the family is only scanned.
    #[n(0)]
    None,
    /// The first so many bytes, or the whole of a shorter key.
    #[n(1)]
    Prefix(#[n(0)] u32),
    /// The whole key.
    #[n(2)]
    Whole,
}

impl FilterKey {
    /// The part of `key` that goes into the filters.
    fn of(self, key: &[u8]) -> Option<&[u8]> {
        match self {
            Self::None => None,
            Self::Prefix(len) => Some(key.get(..len as usize).unwrap_or(key)),
            Self::Whole => Some(key),
        }
    }

    /// The part that all keys starting with `prefix` share, if filters can tell anything of them.
    fn of_prefix(self, prefix: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Prefix(len) => prefix.get(..len as usize),
            Self::None | Self::Whole => None,
        }
    }
}

/// One ordered map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) id: FamilyId,
    /// The table that its runs lie in.
    pub(crate) table: TableName,
    pub(crate) filter: FilterKey,
}

/// What runs are read and written with: one database, the system domain's keys, a cache.
#[derive(Debug, Clone)]
pub(crate) struct IndexContext {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) database: DatabaseName,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) lineage: Lineage,
    pub(crate) environment: Arc<dyn Environment>,
    /// Opened pages and filters. May be shared with segments and other databases.
    pub(crate) units: Arc<UnitCache>,
    /// Bytes of parts that are put together for one commit.
    pub(crate) batch_bytes: usize,
}

impl IndexContext {
    /// Starts a piece for the runs of a family.
    pub(crate) fn piece_writer(&self, table: &TableName, piece: u64) -> PieceWriter {
        let engine = Arc::clone(&self.engine);
        PieceWriter::new(engine, self.database.clone(), table.clone(), piece)
            .batches_of(self.batch_bytes)
    }

    fn piece_reader(&self, table: &TableName) -> PieceReader {
        PieceReader::new(Arc::clone(&self.engine), self.database.clone(), table.clone())
    }
}

/// The place of a run's unit. The directory has the number that its nonce has.
fn binding(lineage: Lineage, family: FamilyId, unit: u32, compression: Compression) -> Binding {
    Binding { lineage, subject: family.0, first: unit.into(), last: unit.into(), compression }
}

/// The unit number in a directory's place.
const DIRECTORY_UNIT: u32 = u32::MAX; // on-disk
const RUN: PieceType = PieceType::Run;

/// What one place knows of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The key has this value.
    Value(Bytes),
    /// The key is deleted, whatever older places say.
    Tombstone,
}

impl Slot {
    /// The value, unless it is deleted.
    pub(crate) fn into_value(self) -> Option<Bytes> {
        match self {
            Self::Value(value) => Some(value),
            Self::Tombstone => None,
        }
    }
}

#[cfg(test)]
mod tests;
