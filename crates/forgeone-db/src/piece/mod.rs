//! Pieces: large sealed values, cut into parts that an engine stores well.
//!
//! Absent on purpose: what units and directories mean (segments and runs), which pieces are live
//! (the manifest), and the choice of piece numbers.
//!
//! A piece is a stream of bytes in one table, in parts of exactly [`PART_BYTES`] but for the last,
//! and the last in up to [`CHUNKS_MAX`] chunks, under the keys `piece: u64 || place: u32`. It holds one or more *members*, one after another; a
//! member is sealed units and then its sealed directory, so that writing needs bounded memory.
//! A [`PieceRef`] names a member with the hash of its directory, and the directory names every
//! unit with its tag: whoever trusts the reference can trust, or refuse, every byte. The bytes
//! are drawn in `docs/format.md`.

mod cache;
mod chunks;
mod reader;
mod remains;
mod writer;

pub(crate) use cache::{Cache, CacheKey, UnitCache};
pub(crate) use reader::{Member, PieceReader};
pub(crate) use remains::Trace;
pub(crate) use writer::{MemberWriter, PendingParts, PieceWriter};

use crate::crypto::{PREFIX_BYTES_MAX, TAG_BYTES, Tag};
use bytes::Bytes;
use forgeone_db_engine::{
    Batch, DatabaseName, Direction, Durability, Engine, Error, KeyRange, Projection, Read, Result,
    TableName,
};
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// Bytes of every part but the last. Just under 64 KiB, because redb allocates powers of two.
pub(crate) const PART_BYTES: usize = (64 << 10) - CHUNK_SPARE_BYTES; // on-disk
/// What a value must leave of a power of two for its key and the head of its page.
const CHUNK_SPARE_BYTES: usize = 44; // on-disk
/// Chunks that the last part may be in.
const CHUNKS_MAX: u32 = 5; // on-disk
/// Places of a part in the keys; the chunks of the last one take the first few.
const CHUNK_PLACES: u32 = 8; // on-disk
/// The unit number under which a member's directory is sealed. Units are numbered from 0.
const DIRECTORY_COUNTER: u32 = u32::MAX; // on-disk
/// What a directory record has besides prefix and directory: compression, two lengths, tag.
const DIRECTORY_HEADER_BYTES: usize = 1 + 4 + 4 + TAG_BYTES; // on-disk
/// Bytes of the largest directory, before compression.
const DIRECTORY_BYTES_MAX: usize = 64 << 20; // on-disk
/// Bytes of the largest directory record.
const RECORD_BYTES_MAX: usize = PREFIX_BYTES_MAX + DIRECTORY_HEADER_BYTES + DIRECTORY_BYTES_MAX;

/// The name of a member: where it lies, and the hash of its directory record.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PieceRef {
    /// The piece's number in its table.
    #[n(0)]
    pub(crate) piece: u64,
    /// Where in the piece the member's first unit starts.
    #[n(1)]
    pub(crate) offset: u64,
    /// Bytes of all units; the directory record follows them.
    #[n(2)]
    pub(crate) units_bytes: u64,
    /// Bytes of the directory record.
    #[n(3)]
    pub(crate) directory_bytes: u32,
    /// BLAKE3-256 of the directory record, prefix included.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub(crate) hash: [u8; 32],
}

impl PieceRef {
    /// Bytes of the member: units and directory record.
    pub(crate) fn bytes(&self) -> u64 {
        self.units_bytes.saturating_add(u64::from(self.directory_bytes))
    }
}

/// Where a unit lies in its member, and the tag that proves it. Kept in the member's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct UnitRef {
    /// Where the unit starts, counted from the member's start.
    #[n(0)]
    pub(crate) offset: u64,
    /// Stored bytes of the unit.
    #[n(1)]
    pub(crate) len: u32,
    /// Its tag or checksum.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) tag: Tag,
}

/// One table of pieces.
#[derive(Debug, Clone)]
struct PieceTable {
    engine: Arc<dyn Engine>,
    database: DatabaseName,
    table: TableName,
}

impl PieceTable {
    /// Says of an error which piece it is about.
    fn locate(&self, error: Error, piece: u64) -> Error {
        error.with("database", &self.database).with("table", &self.table).with("piece", piece)
    }
}

/// The key of a chunk of a part: `piece || part * CHUNK_PLACES + chunk`, both big-endian. `None` for
/// a part beyond the largest piece.
fn chunk_key(piece: u64, part: u32, chunk: u32) -> Option<Bytes> {
    let place = part.checked_mul(CHUNK_PLACES)?.checked_add(chunk)?;
    Some([&piece.to_be_bytes()[..], &place.to_be_bytes()].concat().into())
}

/// The key before all of a piece's.
fn first_key(piece: u64) -> Bytes {
    [&piece.to_be_bytes()[..], &[0; 4]].concat().into()
}

/// Removes every part of some pieces, in commits of bounded size; usually one for all of them.
/// Nothing happens for those that are not there. The commits are not durable by themselves: after
/// a crash parts may be back, as orphans.
///
/// # Errors
/// As the engine's. What was removed until then stays removed; calling again goes on.
pub(crate) async fn delete_pieces(
    engine: &dyn Engine,
    database: &DatabaseName,
    pieces: &[(TableName, u64)],
) -> Result<()> {
    let capability = engine.capability();
    let entries_max = capability.page_entries_max.min(capability.range_delete_entries_max);
    let (mut batch, mut entries) = (Batch::new(database.clone()), 0);
    for (table, piece) in pieces {
        let mut start = first_key(*piece);
        let end = piece.checked_add(1).map(first_key);
        loop {
            let scan = Read::Scan {
                table: table.clone(),
                range: KeyRange { start: start.clone(), end: end.clone() },
                direction: Direction::Forward,
                projection: Projection::Keys,
                entries_max,
                bytes_max: 1 << 20,
            };
            let page = engine.read(database, scan).await?.into_page()?;
            let Some(last) = page.entries.last() else { break };
            let mut successor = last.key.to_vec();
            successor.push(0);
            let successor = Bytes::from(successor);
            batch.delete_range(table, KeyRange::new(start, successor.clone()));
            entries += page.entries.len();
            let operations = batch.operations().len();
            if entries >= entries_max as usize
                || operations >= capability.batch_operations_max as usize
            {
                let full = std::mem::replace(&mut batch, Batch::new(database.clone()));
                engine.commit(full, Durability::None).await?;
                entries = 0;
            }
            if !page.more {
                break;
            }
            start = successor;
        }
    }
    if batch.operations().is_empty() {
        return Ok(());
    }
    engine.commit(batch, Durability::None).await
}

/// The numbers of all pieces in a table, live or not: one small read for each.
///
/// # Errors
/// As the engine's; `Corrupt` for a key that is no piece's.
pub(crate) async fn list_pieces(
    engine: &dyn Engine,
    database: &DatabaseName,
    table: &TableName,
) -> Result<Vec<u64>> {
    let mut pieces = Vec::new();
    let mut start = Bytes::new();
    loop {
        let scan = Read::Scan {
            table: table.clone(),
            range: KeyRange::from(start),
            direction: Direction::Forward,
            projection: Projection::Keys,
            entries_max: 1,
            bytes_max: 64,
        };
        let page = engine.read(database, scan).await?.into_page()?;
        let Some(entry) = page.entries.first() else { return Ok(pieces) };
        let piece = entry.key.first_chunk().map(|head| u64::from_be_bytes(*head));
        let piece = piece.ok_or_else(|| crate::codec::corrupt("a piece has a foreign key"))?;
        pieces.push(piece);
        let Some(next) = piece.checked_add(1) else { return Ok(pieces) };
        start = first_key(next);
    }
}

#[cfg(test)]
pub(crate) mod strict_store;
#[cfg(test)]
mod tests;
