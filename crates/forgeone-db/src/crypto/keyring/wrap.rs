//! Domain keys wrapped for keeping in the store's own data.

use super::Keyring;
use crate::codec::{Compression, Cursor, corrupt};
use crate::crypto::piece::{Binding, DomainKey, KeyId, Lineage, PieceKey, PieceType};
use crate::environment::Environment;
use forgeone_db_engine::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

const WRAPPED_NONE: u8 = 0; // on-disk
const WRAPPED_SEALED: u8 = 1; // on-disk
/// Bytes of a wrapped key: clear part, piece prefix, sealed key, tag.
const WRAPPED_BYTES: usize = 36 + 80 + 32 + 16; // on-disk

/// The clear part of a wrapped key.
struct WrappedHead {
    generation: u32,
    lineage: Lineage,
    id: KeyId,
}

impl WrappedHead {
    fn read(cursor: &mut Cursor<'_>) -> Result<Option<Self>> {
        match cursor.u8()? {
            WRAPPED_NONE => return Ok(None),
            WRAPPED_SEALED if cursor.array()? == [0; 3] => {}
            _ => return Err(corrupt("a wrapped key")),
        }
        let generation = cursor.u32()?;
        let lineage = Lineage { store_id: cursor.array()?, epoch: cursor.u32()? };
        Ok(Some(Self { generation, lineage, id: KeyId(cursor.u64()?) }))
    }

    const fn binding(&self) -> Binding {
        Binding {
            lineage: self.lineage,
            subject: self.id.0,
            first: self.generation as u64,
            last: self.generation as u64,
            compression: Compression::None,
        }
    }
}

/// The generation of the wrapping key that `bytes` need; `None` without encryption. For finding
/// what a rotation has still to wrap again.
pub(crate) fn wrapped_generation(bytes: &[u8]) -> Result<Option<u32>> {
    Ok(WrappedHead::read(&mut Cursor::new(bytes))?.map(|head| head.generation))
}

impl Keyring {
    /// Wraps `key` under the current wrapping key: 164 bytes. In a store that is not encrypted, one
    /// byte that stands for the absence of a key.
    ///
    /// # Errors
    /// `Internal` when the key is not of the store's kind; `Unavailable` when there is no randomness.
    pub(crate) fn wrap(&self, key: &DomainKey, environment: &dyn Environment) -> Result<Vec<u8>> {
        let secret = match (self.is_encrypted(), key.secret()) {
            (true, Some(secret)) => secret,
            (false, None) => return Ok(vec![WRAPPED_NONE]),
            _ => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "a domain key does not fit the store's encryption",
                ));
            }
        };
        let head =
            WrappedHead { generation: self.generation(), lineage: self.lineage, id: key.id() };
        let piece = PieceKey::create(&self.wrapping, PieceType::WrappedKey, environment)?;
        let mut sealed = Zeroizing::new(*secret);
        let tag = piece.seal(0, &head.binding(), &mut *sealed)?;
        let mut out = Vec::with_capacity(WRAPPED_BYTES);
        out.extend_from_slice(&[WRAPPED_SEALED, 0, 0, 0]);
        out.extend_from_slice(&head.generation.to_be_bytes());
        out.extend_from_slice(&head.lineage.store_id);
        out.extend_from_slice(&head.lineage.epoch.to_be_bytes());
        out.extend_from_slice(&head.id.0.to_be_bytes());
        out.extend_from_slice(piece.prefix());
        out.extend_from_slice(&*sealed);
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// The domain key in `bytes`. REQUIRES of the caller: that its id is the expected one.
    ///
    /// # Errors
    /// `Corrupt` when the bytes are not what a keyring of this store has wrapped, or are of a
    /// generation that it no longer holds.
    pub(crate) fn unwrap(&self, bytes: &[u8]) -> Result<DomainKey> {
        let mut cursor = Cursor::new(bytes);
        let head = match (self.is_encrypted(), WrappedHead::read(&mut cursor)?) {
            (true, Some(head)) => head,
            (false, None) => return cursor.finish().map(|()| DomainKey::none()),
            _ => return Err(corrupt("a wrapped key does not fit the store's encryption")),
        };
        let wrapping = [Some(&self.wrapping), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.id().0 == u64::from(head.generation))
            .ok_or_else(|| {
                corrupt("a key is wrapped in a generation that is not held")
                    .with("generation", head.generation)
            })?;
        if !self.accepts(head.lineage, 0) {
            return Err(corrupt("a key was wrapped by another store"));
        }
        let piece = PieceKey::read(wrapping, PieceType::WrappedKey, &mut cursor)?;
        let sealed = cursor.take(32)?;
        let tag = cursor.array()?;
        cursor.finish()?;
        let plain = Zeroizing::new(piece.open(0, &head.binding(), sealed, &tag)?);
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&plain);
        Ok(DomainKey::from_secret(head.id, secret))
    }
}
