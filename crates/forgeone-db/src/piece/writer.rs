//! Writing a piece as a stream, with bounded memory.

use super::{
    DIRECTORY_BYTES_MAX, DIRECTORY_COUNTER, DIRECTORY_HEADER_BYTES, PART_BYTES, PieceRef,
    PieceTable, UnitRef, chunk_key, chunks,
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

/// About how many bytes go into one commit. An engine may sync each commit, so that a few large
/// ones are cheaper than many small ones; and they are held in memory until then.
const BATCH_BYTES: usize = 4 << 20;
/// Directories are written once and read at every open.
const DIRECTORY_LEVEL: i32 = 3;

/// What a finished piece takes.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceStats {
    /// Full parts.
    pub(crate) parts: u32,
    /// Bytes of all parts.
    pub(crate) bytes: u64,
}

/// Parts and chunks, of one or more pieces, that wait for a commit.
#[derive(Debug, Default)]
pub(crate) struct PendingParts {
    parts: Vec<(TableName, Bytes, Bytes)>,
    bytes: usize,
}

impl PendingParts {
    /// Adds what another piece has left over.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.parts.append(&mut other.parts);
        self.bytes += other.bytes;
    }

    fn push(&mut self, table: TableName, key: Bytes, value: Bytes) {
        self.bytes += key.len() + value.len();
        self.parts.push((table, key, value));
    }

    /// Commits all of them, in as few commits as the engine allows; nothing happens if there are
    /// none.
    ///
    /// # Durability
    /// As [`PieceWriter`].
    ///
    /// # Errors
    /// As the engine's. The parts are lost then.
    pub(crate) async fn commit(
        &mut self,
        engine: &dyn Engine,
        database: &DatabaseName,
    ) -> Result<()> {
        let limits = BatchLimits::of(engine);
        let (mut batch, mut bytes) = (Batch::new(database.clone()), 0);
        self.bytes = 0;
        for (table, key, part) in self.parts.drain(..) {
            let more = key.len() + part.len();
            if limits.are_reached(batch.operations().len(), bytes, more) {
                let full = mem::replace(&mut batch, Batch::new(database.clone()));
                engine.commit(full, Durability::None).await?;
                bytes = 0;
            }
            bytes += more;
            batch.put(&table, key, part);
        }
        if batch.operations().is_empty() {
            return Ok(());
        }
        engine.commit(batch, Durability::None).await
    }
}

/// What goes into one commit.
#[derive(Debug, Clone, Copy)]
struct BatchLimits {
    operations: usize,
    bytes: usize,
}

impl BatchLimits {
    fn of(engine: &dyn Engine) -> Self {
        let capability = engine.capability();
        let bytes_max = usize::try_from(capability.batch_bytes_max).unwrap_or(usize::MAX);
        Self {
            operations: capability.batch_operations_max as usize,
            bytes: bytes_max.min(BATCH_BYTES),
        }
    }

    /// Whether a commit of so many operations and bytes cannot take another one of `more` bytes.
    const fn are_reached(self, operations: usize, bytes: usize, more: usize) -> bool {
        operations > 0 && (operations >= self.operations || bytes + more > self.bytes)
    }
}

/// Writes one piece.
///
/// # Durability
/// Parts are committed with [`Durability::None`] as they fill; the caller's next `Sync` commit to
/// the same database makes them durable. A writer that is dropped or fails leaves parts behind,
/// which nothing names: the caller collects them with [`delete_pieces`](super::delete_pieces).
#[derive(Debug)]
pub(crate) struct PieceWriter {
    table: PieceTable,
    piece: u64,
    /// The part being filled.
    current: Vec<u8>,
    /// Full parts that wait for the next commit.
    pending: PendingParts,
    limits: BatchLimits,
    /// Full parts, committed or not.
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
        let limits = BatchLimits::of(&*engine);
        Self {
            table: PieceTable { engine, database, table },
            piece,
            current: Vec::new(),
            pending: PendingParts::default(),
            limits,
            parts: 0,
            bytes: 0,
            broken: false,
        }
    }

    /// Puts together at most about so many bytes for one commit.
    pub(crate) fn batches_of(mut self, bytes: usize) -> Self {
        self.limits.bytes = self.limits.bytes.min(bytes);
        self
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

    /// Takes along what another piece has left over: it goes into this one's next commit.
    pub(crate) fn carry(&mut self, pending: PendingParts) {
        self.pending.append(pending);
    }

    /// Commits what is left.
    ///
    /// # Errors
    /// As the engine's.
    #[cfg(test)]
    pub(crate) async fn finish(mut self) -> Result<PieceStats> {
        self.end_piece()?;
        self.flush().await?;
        Ok(PieceStats { parts: self.parts, bytes: self.bytes })
    }

    /// Gives what is left to the caller, who REQUIRES: commits it before anything names the piece.
    ///
    /// # Errors
    /// `Internal` after one of the piece's commits has failed.
    pub(crate) fn hand_over(mut self) -> Result<PendingParts> {
        self.check()?;
        self.end_piece()?;
        Ok(mem::take(&mut self.pending))
    }

    /// Sets a full part aside.
    fn end_part(&mut self) -> Result<()> {
        let part = mem::take(&mut self.current);
        self.set_aside(0, part.into())?;
        self.parts = self.parts.checked_add(1).ok_or_else(too_many_parts)?;
        Ok(())
    }

    /// Sets the last part aside, in chunks.
    fn end_piece(&mut self) -> Result<()> {
        let part = Bytes::from(mem::take(&mut self.current));
        for (number, chunk) in (0..).zip(chunks::cut(&part)) {
            self.set_aside(number, part.slice_ref(chunk))?;
        }
        Ok(())
    }

    fn set_aside(&mut self, chunk: u32, bytes: Bytes) -> Result<()> {
        let key = chunk_key(self.piece, self.parts, chunk).ok_or_else(too_many_parts)?;
        self.pending.push(self.table.table.clone(), key, bytes);
        Ok(())
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
                self.end_part()?;
                let waiting = (self.pending.parts.len(), self.pending.bytes);
                if self.limits.are_reached(waiting.0, waiting.1, PART_BYTES) {
                    self.flush().await?;
                }
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.broken {
            return Err(Error::new(
                ErrorKind::Internal,
                "a piece was written to after one of its commits had failed",
            ));
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.check()?;
        self.broken = true;
        self.pending
            .commit(&*self.table.engine, &self.table.database)
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

fn too_many_parts() -> Error {
    Error::new(ErrorKind::Invalid, "a piece has too many parts")
}
