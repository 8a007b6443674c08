//! Reading members: every byte is authenticated before it is used.

use super::{
    CHUNKS_MAX, DIRECTORY_BYTES_MAX, DIRECTORY_COUNTER, PART_BYTES, PieceRef, PieceTable,
    RECORD_BYTES_MAX, UnitRef, chunk_key,
};
use crate::codec::{Compression, Cursor, corrupt, decompress};
use crate::crypto::{Binding, DomainKey, PieceKey, PieceType};
use bytes::{Bytes, BytesMut};
use forgeone_db_engine::{DatabaseName, Engine, Error, ErrorKind, Read, Result, TableName};
use std::fmt;
use std::sync::Arc;

/// Opens the members of one table.
#[derive(Debug, Clone)]
pub(crate) struct PieceReader(pub(super) PieceTable);

impl PieceReader {
    pub(crate) fn new(engine: Arc<dyn Engine>, database: DatabaseName, table: TableName) -> Self {
        Self(PieceTable { engine, database, table })
    }

    /// The database that is read.
    pub(crate) const fn database(&self) -> &DatabaseName {
        &self.0.database
    }

    /// The table that is read.
    pub(crate) const fn table(&self) -> &TableName {
        &self.0.table
    }

    /// Reads and opens a member's directory. The compression in `binding` does not count.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece, when the directory is missing, is not the one
    /// that `named` names, or does not open; as the engine's.
    pub(crate) async fn open(
        &self,
        named: &PieceRef,
        domain: &DomainKey,
        piece_type: PieceType,
        binding: &Binding,
    ) -> Result<Member> {
        let table = self.0.clone();
        let record = directory_record(&table, named).await?;
        let (key, directory) = open_directory(&record, named.hash, domain, piece_type, binding)
            .map_err(|error| table.locate(error, named.piece))?;
        Ok(Member { table, named: named.clone(), key, directory })
    }
}

async fn directory_record(table: &PieceTable, named: &PieceRef) -> Result<Bytes> {
    let start = named
        .offset
        .checked_add(named.units_bytes)
        .ok_or_else(|| table.locate(corrupt("a member's place is impossible"), named.piece))?;
    if named.directory_bytes as usize > RECORD_BYTES_MAX {
        return Err(table.locate(corrupt("a directory is too large"), named.piece));
    }
    read_bytes(table, named.piece, start, named.directory_bytes.into()).await
}

pub(super) fn open_directory(
    record: &[u8],
    hash: [u8; 32],
    domain: &DomainKey,
    piece_type: PieceType,
    binding: &Binding,
) -> Result<(PieceKey, Vec<u8>)> {
    if *blake3::hash(record).as_bytes() != hash {
        return Err(corrupt("a directory is not the one that was named"));
    }
    let mut cursor = Cursor::new(record);
    let key = PieceKey::read(domain, piece_type, &mut cursor)?;
    let compression = Compression::from_code(cursor.u8()?)?;
    let raw_len = cursor.u32()? as usize;
    let sealed_len = cursor.u32()? as usize;
    let tag = cursor.array()?;
    let sealed = cursor.take(sealed_len)?;
    cursor.finish()?;
    if raw_len > DIRECTORY_BYTES_MAX {
        return Err(corrupt("a directory is too large"));
    }
    let binding = Binding { compression, ..*binding };
    let stored = key.open(DIRECTORY_COUNTER, &binding, sealed, &tag)?;
    Ok((key, decompress(compression, stored, raw_len)?))
}

/// An opened member: its directory, and the way to its units.
pub(crate) struct Member {
    table: PieceTable,
    named: PieceRef,
    key: PieceKey,
    directory: Vec<u8>,
}

impl Member {
    /// The directory, authenticated.
    #[cfg(test)]
    pub(crate) fn directory(&self) -> &[u8] {
        &self.directory
    }

    /// Takes the directory out, for a caller that keeps what it means instead.
    pub(crate) fn take_directory(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.directory)
    }

    /// Bytes it takes in memory, for a cache.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.directory.capacity()
    }

    /// Says of an error which piece it is about. For errors in what a directory or unit means.
    pub(crate) fn locate(&self, error: Error) -> Error {
        self.table.locate(error, self.named.piece)
    }

    /// Reads and opens unit number `index`. What comes back is compressed as `binding` says.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's.
    pub(crate) async fn read_unit(
        &self,
        index: u32,
        unit: &UnitRef,
        binding: &Binding,
    ) -> Result<Vec<u8>> {
        self.check_span(unit.offset, unit.len.into())?;
        let start = self.named.offset + unit.offset;
        let sealed = read_bytes(&self.table, self.named.piece, start, unit.len.into()).await?;
        self.open_unit(index, unit, binding, &sealed)
    }

    /// Reads and opens units that follow one another, the first of which has number `index`, with
    /// as few engine calls as the engine allows.
    ///
    /// # Errors
    /// As [`read_unit`](Self::read_unit); also `Corrupt` if the units do not touch.
    pub(crate) async fn read_units(
        &self,
        index: u32,
        units: &[(UnitRef, Binding)],
    ) -> Result<Vec<Vec<u8>>> {
        let Some((first, _)) = units.first() else { return Ok(Vec::new()) };
        let mut len = 0u64;
        for (unit, _) in units {
            if first.offset.checked_add(len) != Some(unit.offset) {
                return Err(self.locate(corrupt("units do not follow one another")));
            }
            len += u64::from(unit.len);
        }
        self.check_span(first.offset, len)?;
        let start = self.named.offset + first.offset;
        let mut sealed = read_bytes(&self.table, self.named.piece, start, len).await?;
        let mut opened = Vec::with_capacity(units.len());
        for (counter, (unit, binding)) in (index..).zip(units) {
            let one = sealed.split_to(unit.len as usize);
            opened.push(self.open_unit(counter, unit, binding, &one)?);
        }
        Ok(opened)
    }

    fn open_unit(
        &self,
        index: u32,
        unit: &UnitRef,
        binding: &Binding,
        sealed: &[u8],
    ) -> Result<Vec<u8>> {
        if index == DIRECTORY_COUNTER {
            return Err(self.locate(corrupt("a unit has the directory's number")));
        }
        self.key
            .open(index, binding, sealed, &unit.tag)
            .map_err(|error| self.locate(error).with("unit", index))
    }

    fn check_span(&self, offset: u64, len: u64) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.named.units_bytes => Ok(()),
            _ => Err(self.locate(corrupt("a unit lies outside its member"))),
        }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("named", &self.named).finish_non_exhaustive()
    }
}

/// Reads `len` bytes of a piece from `start` on. Memory grows with what the engine returns, not
/// with what is asked for.
pub(super) async fn read_bytes(
    table: &PieceTable,
    piece: u64,
    start: u64,
    len: u64,
) -> Result<Bytes> {
    let damaged = |what: &str, part: u64| table.locate(corrupt(what), piece).with("part", part);
    let part_bytes = PART_BYTES as u64;
    let Some(last_byte) = len.checked_sub(1) else { return Ok(Bytes::new()) };
    let last_byte = start
        .checked_add(last_byte)
        .ok_or_else(|| damaged("a member's place is impossible", u64::MAX))?;
    let (mut next, last) = (start / part_bytes, last_byte / part_bytes);
    let chunks_max = u64::from(CHUNKS_MAX);
    let parts_max =
        u64::from(table.engine.capability().get_keys_max).max(1 + chunks_max) - chunks_max;
    let mut joined = BytesMut::new();
    loop {
        let until = last.min(next.saturating_add(parts_max - 1));
        let mut values = get_parts(table, piece, next, until).await?.into_iter();
        for part in next..=until {
            let value =
                values.next().flatten().ok_or_else(|| damaged("a part is missing", part))?;
            let value = if part == until { with_chunks(value, &mut values) } else { value };
            let from = if part == start / part_bytes { within_part(start) } else { 0 };
            let to = if part == last { within_part(last_byte) + 1 } else { PART_BYTES };
            let whole = value.len() == PART_BYTES || (part == last && value.len() < PART_BYTES);
            if !whole || value.len() < to {
                return Err(damaged("a part has another size than it must", part));
            }
            if part == last && joined.is_empty() {
                return Ok(value.slice(from..to));
            }
            joined.extend_from_slice(&value.slice(from..to));
        }
        if until == last {
            return Ok(joined.freeze());
        }
        next = until + 1;
    }
}

/// A part of which `first` is the first chunk, or all.
pub(super) fn with_chunks(first: Bytes, chunks: impl Iterator<Item = Option<Bytes>>) -> Bytes {
    let mut chunks = chunks.map_while(|chunk| chunk).peekable();
    if chunks.peek().is_none() {
        return first;
    }
    let mut part = BytesMut::from(first);
    chunks.for_each(|chunk| part.extend_from_slice(&chunk));
    part.freeze()
}

/// Where in its part the byte at `offset` lies.
fn within_part(offset: u64) -> usize {
    usize::try_from(offset % PART_BYTES as u64).expect("less than PART_BYTES")
}

/// Parts that follow one another, the last with its chunks; absent chunks are none.
pub(super) async fn get_parts(
    table: &PieceTable,
    piece: u64,
    first: u64,
    last: u64,
) -> Result<Vec<Option<Bytes>>> {
    let too_far = |_| table.locate(corrupt("a member's place is impossible"), piece);
    let first = u32::try_from(first).map_err(too_far)?;
    let last = u32::try_from(last).map_err(too_far)?;
    let places = (first..=last).map(|part| (part, 0)).chain((1..CHUNKS_MAX).map(|at| (last, at)));
    let keys = places
        .map(|(part, chunk)| Some((table.table.clone(), chunk_key(piece, part, chunk)?)))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| table.locate(corrupt("a member's place is impossible"), piece))?;
    let asked = keys.len();
    let values = table.engine.read(&table.database, Read::Get(keys)).await?.into_values()?;
    if values.len() != asked {
        return Err(Error::new(
            ErrorKind::Internal,
            "the engine answered a get with another number of values",
        ));
    }
    Ok(values)
}
