//! Directory records that lie in a piece, whether or not anything names them: for salvage, where the
//! manifest is lost. What is found is a guess until its owner has opened it.

use super::reader::{get_parts, open_directory, read_bytes, with_chunks};
use super::{DIRECTORY_HEADER_BYTES, PART_BYTES, PieceReader, PieceRef, RECORD_BYTES_MAX};
use crate::codec::Cursor;
use crate::crypto::{Binding, DomainKey, KeyId, PieceKey, PieceType};
use bytes::Bytes;
use forgeone_db_engine::{ErrorKind, Result};

/// Bytes by which the beginning of a prefix is known.
const MARK_BYTES: usize = 8;

/// What may be the directory record of a member.
#[derive(Debug)]
pub(crate) struct Trace {
    piece: u64,
    /// Where in the piece it begins, which is where the member's units end.
    start: u64,
    record: Bytes,
}

impl PieceReader {
    /// Everything in a piece that looks like the directory record of a member of `piece_type`, up to
    /// the first part that is missing.
    ///
    /// # Errors
    /// As the engine's; damage is passed over.
    ///
    /// # Limits
    /// Holds one part of the piece, and all that was found of it.
    pub(crate) async fn traces(&self, piece: u64, piece_type: PieceType) -> Result<Vec<Trace>> {
        let (mut found, mut part, mut window) = (Vec::new(), 0, Vec::new());
        while let Some(bytes) = self.part(piece, part).await? {
            let start = part * PART_BYTES as u64 - window.len() as u64;
            window.extend_from_slice(&bytes);
            let marks = (0..).zip(window.windows(MARK_BYTES));
            let marks = marks.filter(|(_, mark)| PieceKey::begins(mark, piece_type));
            let places: Vec<u64> = marks.map(|(at, _)| start + at).collect();
            for place in places {
                found.extend(self.trace(piece, place).await?);
            }
            // A mark may lie across two parts.
            window.drain(..window.len().saturating_sub(MARK_BYTES - 1));
            part += 1;
        }
        Ok(found)
    }

    async fn part(&self, piece: u64, part: u64) -> Result<Option<Bytes>> {
        let Some(values) = unless_damaged(get_parts(&self.0, piece, part, part).await)? else {
            return Ok(None);
        };
        let mut values = values.into_iter();
        Ok(values.next().flatten().map(|first| with_chunks(first, &mut values)))
    }

    async fn trace(&self, piece: u64, start: u64) -> Result<Option<Trace>> {
        let read =
            async |len: usize| unless_damaged(read_bytes(&self.0, piece, start, len as u64).await);
        let Some(mark) = read(MARK_BYTES).await? else { return Ok(None) };
        let header_bytes = PieceKey::prefix_bytes(&mark) + DIRECTORY_HEADER_BYTES;
        let Some(header) = read(header_bytes).await? else { return Ok(None) };
        let sealed_len = || {
            let mut cursor = Cursor::new(&header);
            cursor.take(PieceKey::prefix_bytes(&mark) + 1 + 4).ok()?;
            cursor.u32().ok()
        };
        let record_bytes = sealed_len().map(|sealed| header_bytes.saturating_add(sealed as usize));
        let Some(bytes) = record_bytes.filter(|bytes| *bytes <= RECORD_BYTES_MAX) else {
            return Ok(None);
        };
        Ok(read(bytes).await?.map(|record| Trace { piece, start, record }))
    }
}

fn unless_damaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        read => read.map(Some),
    }
}

impl Trace {
    /// The number of the key that it says it is sealed under.
    pub(crate) fn named_key(&self) -> Option<KeyId> {
        PieceKey::named_key(&self.record)
    }

    /// The directory, if it is one of `domain` in this place.
    ///
    /// # Errors
    /// `Corrupt` when it is not.
    pub(crate) fn open(
        &self,
        domain: &DomainKey,
        piece_type: PieceType,
        binding: &Binding,
    ) -> Result<Vec<u8>> {
        let hash = *blake3::hash(&self.record).as_bytes();
        let (_, directory) = open_directory(&self.record, hash, domain, piece_type, binding)?;
        Ok(directory)
    }

    /// The name of the member, if it has so many bytes of units; none if they have no room.
    pub(crate) fn name(&self, units_bytes: u64) -> Option<PieceRef> {
        Some(PieceRef {
            piece: self.piece,
            offset: self.start.checked_sub(units_bytes)?,
            units_bytes,
            directory_bytes: u32::try_from(self.record.len()).ok()?,
            hash: *blake3::hash(&self.record).as_bytes(),
        })
    }
}
