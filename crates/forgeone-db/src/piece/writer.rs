//! Writing a piece as a stream, with bounded memory.

use super::{
    DIRECTORY_BYTES_MAX, DIRECTORY_COUNTER, DIRECTORY_HEADER_BYTES, PART_BYTES, PieceRef,
    PieceTable, UnitRef, part_key,
};
use crate::codec::compress;
use crate::crypto::{Binding, DomainKey, PieceKey, PieceType};
use crate::environment::Environment;
use bytes::Bytes;
use forgeone_db_engine::{
    Batch, DatabaseName, Durability, Engine, Error, ErrorKind, Result, TableName,
};
use std::mem;
use std::sync::Arc;

/// About how many bytes go into one commit.
const BATCH_BYTES: usize = 1 << 20;
/// Directories are written once and read at every open.
const DIRECTORY_LEVEL: i32 = 3;

/// What a finished piece takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceStats {
    /// Entries in the engine.
    pub(crate) parts: u32,
    /// Bytes of all parts.
    pub(crate) bytes: u64,
}

/// Writes one piece.
///
/// # Durability
/// Parts are committed with [`Durability::None`] as they fill; the caller's next `Sync` commit to
/// the same database makes them durable. A writer that is dropped or fails leaves parts behind,
/// which nothing names: the caller collects them with [`delete_piece`](super::delete_piece).
#[derive(Debug)]
pub(crate) struct PieceWriter {
    table: PieceTable,
    piece: u64,
    /// The part being filled.
    current: Vec<u8>,
    /// Full parts that wait for the next commit.
    pending: Vec<Bytes>,
    /// How many parts make a commit.
    batch_parts: usize,
    /// Parts committed.
    parts: u32,
    /// Bytes taken, committed or not.
    bytes: u64,
    /// A commit failed or its future was dropped, so that parts are missing.
    broken: bool,
}

impl PieceWriter {
    /// Starts piece number `piece`, which REQUIRES: no live piece of the table has that number.
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        database: DatabaseName,
        table: TableName,
        piece: u64,
    ) -> Self {
        let capability = engine.capability();
        let bytes_max = usize::try_from(capability.batch_bytes_max).unwrap_or(usize::MAX);
        let by_bytes = bytes_max.min(BATCH_BYTES) / (PART_BYTES + 12);
        let batch_parts = by_bytes.min(capability.batch_operations_max as usize).max(1);
        Self {
            table: PieceTable { engine, database, table },
            piece,
            current: Vec::new(),
            pending: Vec::new(),
            batch_parts,
            parts: 0,
            bytes: 0,
            broken: false,
        }
    }

    /// Starts a member under a key of its own in `domain`. One that is dropped unfinished leaves
    /// bytes that nothing names; the next member starts behind them.
    ///
    /// # Errors
    /// `Unavailable` when there is no randomness.
    pub(crate) fn begin(
        &mut self,
        domain: &DomainKey,
        piece_type: PieceType,
        environment: &dyn Environment,
    ) -> Result<MemberWriter<'_>> {
        let key = PieceKey::create(domain, piece_type, environment)?;
        Ok(MemberWriter { offset: self.bytes, units: 0, key, piece: self })
    }

    /// Commits what is left.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) async fn finish(mut self) -> Result<PieceStats> {
        if !self.current.is_empty() {
            let last = mem::take(&mut self.current);
            self.pending.push(last.into());
        }
        self.flush().await?;
        Ok(PieceStats { parts: self.parts, bytes: self.bytes })
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.current.capacity() == 0 {
                self.current.reserve_exact(PART_BYTES);
            }
            let room = PART_BYTES.saturating_sub(self.current.len());
            let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.current.extend_from_slice(head);
            self.bytes += head.len() as u64;
            bytes = rest;
            if self.current.len() == PART_BYTES {
                let part = mem::take(&mut self.current);
                self.pending.push(part.into());
                if self.pending.len() >= self.batch_parts {
                    self.flush().await?;
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if self.broken {
            return Err(Error::new(
                ErrorKind::Internal,
                "a piece was written to after one of its commits had failed",
            ));
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        self.broken = true;
        let mut batch = Batch::new(self.table.database.clone());
        for part in self.pending.drain(..) {
            batch.put(&self.table.table, part_key(self.piece, self.parts), part);
            self.parts = self
                .parts
                .checked_add(1)
                .ok_or_else(|| Error::new(ErrorKind::Invalid, "a piece has too many parts"))?;
        }
        self.table
            .engine
            .commit(batch, Durability::None)
            .await
            .map_err(|error| self.table.locate(error, self.piece))?;
        self.broken = false;
        Ok(())
    }
}

/// Writes one member of a piece: units, then the directory.
#[derive(Debug)]
pub(crate) struct MemberWriter<'a> {
    piece: &'a mut PieceWriter,
    key: PieceKey,
    /// Where in the piece the member starts.
    offset: u64,
    units: u32,
}

impl MemberWriter<'_> {
    /// Bytes of the units added.
    pub(crate) const fn units_bytes(&self) -> u64 {
        self.piece.bytes - self.offset
    }

    /// Seals and writes the next unit. `stored` is compressed as `binding` says. The answer must
    /// be kept in the directory: nothing else proves the unit.
    ///
    /// # Errors
    /// As the engine's; after one the piece is lost.
    pub(crate) async fn add_unit(
        &mut self,
        binding: &Binding,
        mut stored: Vec<u8>,
    ) -> Result<UnitRef> {
        let invalid = |what| Error::new(ErrorKind::Invalid, what);
        if self.units == DIRECTORY_COUNTER {
            return Err(invalid("a member has too many units"));
        }
        let len = u32::try_from(stored.len()).map_err(|_| invalid("a unit is too large"))?;
        let tag = self.key.seal(self.units, binding, &mut stored)?;
        let unit = UnitRef { offset: self.units_bytes(), len, tag };
        self.units += 1;
        self.piece.write(&stored).await?;
        Ok(unit)
    }

    /// Seals and writes the directory, compressed if that makes it smaller, and names the member.
    /// The compression in `binding` does not count.
    ///
    /// # Errors
    /// `Invalid` for a directory of more than 64 MiB; as the engine's.
    pub(crate) async fn finish(self, directory: Vec<u8>, binding: &Binding) -> Result<PieceRef> {
        if directory.len() > DIRECTORY_BYTES_MAX {
            return Err(Error::new(ErrorKind::Invalid, "a directory is too large")
                .with("directory_bytes", directory.len())
                .with("directory_bytes_max", DIRECTORY_BYTES_MAX));
        }
        let too_large = |_| Error::new(ErrorKind::Internal, "a directory is too large");
        let raw_len = u32::try_from(directory.len()).map_err(too_large)?;
        let (compression, mut sealed) = compress(directory, DIRECTORY_LEVEL)?;
        let sealed_len = u32::try_from(sealed.len()).map_err(too_large)?;
        let binding = Binding { compression, ..*binding };
        let tag = self.key.seal(DIRECTORY_COUNTER, &binding, &mut sealed)?;

        let prefix = self.key.prefix();
        let mut record = Vec::with_capacity(prefix.len() + DIRECTORY_HEADER_BYTES + sealed.len());
        record.extend_from_slice(prefix);
        record.push(compression.code());
        record.extend_from_slice(&raw_len.to_be_bytes());
        record.extend_from_slice(&sealed_len.to_be_bytes());
        record.extend_from_slice(&tag);
        record.extend_from_slice(&sealed);
        let named = PieceRef {
            piece: self.piece.piece,
            offset: self.offset,
            units_bytes: self.units_bytes(),
            directory_bytes: u32::try_from(record.len()).map_err(too_large)?,
            hash: *blake3::hash(&record).as_bytes(),
        };
        self.piece.write(&record).await?;
        Ok(named)
    }
}
