//! Sealed pieces: every piece has a key of its own, and every unit in it is bound to its place.
//!
//! A piece's key, and a commitment to it, are derived from its domain's key over 32 random bytes
//! that are stored with the piece (the committing construction of the AWS Encryption SDK suites
//! 0x0478 and 0x0578, with HKDF-SHA256). So copies of a directory repeat no key, and the counter
//! nonces of the units inside repeat no nonce. Machines resumed from one snapshot may draw the same
//! bytes: the cipher is one that bears it (see `aead`). Without a key the same layout carries BLAKE3
//! checksums instead of tags.

use super::aead::AeadKey;
use super::kdf::expand;
use crate::codec::{Compression, Cursor};
use crate::environment::Environment;
use forgeone_db_engine::{Error, ErrorKind, Result, mutant};
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const FORMAT_VERSION: u8 = 1; // on-disk
const SUITE_CHECKSUM: u8 = 0; // on-disk
const SUITE_AES_256_GCM_SIV: u8 = 1; // on-disk
const PIECE_KEY_INFO: &[u8] = b"forgeone-db piece key v1"; // on-disk
const CHECKSUM_CONTEXT: &str = "forgeone-db unit checksum v1"; // on-disk
const PREFIX_BYTES_PLAIN: usize = 16; // on-disk
const PREFIX_BYTES_SEALED: usize = 80; // on-disk
const BINDING_BYTES: usize = 48; // on-disk

/// Bytes of the longest prefix of a piece.
pub(crate) const PREFIX_BYTES_MAX: usize = PREFIX_BYTES_SEALED;
/// Bytes of a unit's tag or checksum.
pub(crate) const TAG_BYTES: usize = 16;
/// A unit's AES-GCM-SIV tag, or the first 16 bytes of its BLAKE3 checksum.
pub(crate) type Tag = [u8; TAG_BYTES];

/// The number of a domain key. Stored in every piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId(pub(crate) u64);

impl KeyId {
    /// No key: the store is not encrypted.
    pub(crate) const NONE: Self = Self(0);
    /// The first key of the system domain.
    pub(crate) const SYSTEM: Self = Self(1);
}

/// A random key of a shred domain (a topic, the system), or the absence of one in a store that is
/// not encrypted.
#[derive(Clone)]
pub(crate) struct DomainKey {
    id: KeyId,
    secret: Option<Zeroizing<[u8; 32]>>,
}

impl DomainKey {
    /// The stand-in for a key in a store that is not encrypted.
    pub(crate) const fn none() -> Self {
        Self { id: KeyId::NONE, secret: None }
    }

    #[cfg(test)]
    pub(crate) fn new(id: KeyId, secret: [u8; 32]) -> Self {
        Self { id, secret: Some(Zeroizing::new(secret)) }
    }

    /// As [`new`](Self::new), leaving no copy behind.
    pub(super) const fn from_secret(id: KeyId, secret: Zeroizing<[u8; 32]>) -> Self {
        Self { id, secret: Some(secret) }
    }

    /// A fresh key under `id`.
    pub(crate) fn random(id: KeyId, environment: &dyn Environment) -> Result<Self> {
        let mut secret = Zeroizing::new([0; 32]);
        environment.fill_random(&mut *secret)?;
        Ok(Self { id, secret: Some(secret) })
    }

    pub(crate) const fn id(&self) -> KeyId {
        self.id
    }

    /// The key itself, for wrapping it. `None` in a store that is not encrypted.
    pub(crate) fn secret(&self) -> Option<&[u8; 32]> {
        self.secret.as_deref()
    }
}

impl fmt::Debug for DomainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomainKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a piece is. The numbers are stored and bound into every unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum PieceType {
    Head = 1,
    BlockHeader = 2,
    BlockSection = 3,
    Segment = 4,
    Run = 5,
    Manifest = 6,
    Closed = 7,
    KeyringBody = 8,
    WrappedKey = 9,
    SlotKey = 10,
}

/// The line of descent a store seals under: changes when a store is restored or cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lineage {
    pub(crate) store_id: [u8; 16],
    pub(crate) epoch: u32,
}

/// The place of a unit: what the associated data is made of, besides the piece's type. Fixed
/// widths, so two different places never give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) lineage: Lineage,
    /// Topic or family id; 0 for what belongs to the whole database.
    pub(crate) subject: u64,
    /// Position, or first of a range of sequence numbers.
    pub(crate) first: u64,
    /// Position, or last of the range.
    pub(crate) last: u64,
    pub(crate) compression: Compression,
}

impl Binding {
    fn to_bytes(self, piece_type: PieceType) -> [u8; BINDING_BYTES] {
        if mutant!("empty-associated-data") {
            return [0; BINDING_BYTES];
        }
        let mut out = Vec::with_capacity(BINDING_BYTES);
        out.push(FORMAT_VERSION);
        out.push(self.compression.code());
        out.extend_from_slice(&(piece_type as u16).to_be_bytes());
        out.extend_from_slice(&self.lineage.store_id);
        out.extend_from_slice(&self.lineage.epoch.to_be_bytes());
        out.extend_from_slice(&self.subject.to_be_bytes());
        out.extend_from_slice(&self.first.to_be_bytes());
        out.extend_from_slice(&self.last.to_be_bytes());
        out.try_into().expect("the fields of a binding have fixed widths")
    }
}

/// The key of one piece, with which its units are sealed and opened.
pub(crate) struct PieceKey {
    piece_type: PieceType,
    prefix: Vec<u8>,
    cipher: Option<AeadKey>,
}

impl PieceKey {
    /// Makes the key of a new piece in `domain`.
    ///
    /// # Errors
    /// `Unavailable` when there is no randomness.
    pub(crate) fn create(
        domain: &DomainKey,
        piece_type: PieceType,
        environment: &dyn Environment,
    ) -> Result<Self> {
        let sealed = domain.secret.is_some();
        let bytes = if sealed { PREFIX_BYTES_SEALED } else { PREFIX_BYTES_PLAIN };
        let mut prefix = Vec::with_capacity(bytes);
        let suite = if sealed { SUITE_AES_256_GCM_SIV } else { SUITE_CHECKSUM };
        prefix.extend_from_slice(&[FORMAT_VERSION, suite]);
        prefix.extend_from_slice(&(piece_type as u16).to_be_bytes());
        prefix.extend_from_slice(&[0; 4]);
        prefix.extend_from_slice(&domain.id.0.to_be_bytes());
        let cipher = match &domain.secret {
            None => None,
            Some(secret) => {
                let mut salt = [0; 32];
                if !mutant!("reuse-the-salt-of-a-piece") {
                    environment.fill_random(&mut salt)?;
                }
                let (cipher, commitment) = derive(secret, domain.id, piece_type as u16, &salt)?;
                prefix.extend_from_slice(&salt);
                prefix.extend_from_slice(&commitment);
                Some(cipher)
            }
        };
        Ok(Self { piece_type, prefix, cipher })
    }

    /// The bytes that must be stored with the piece: 80 sealed, 16 in a store without a key.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Whether stored bytes begin as the prefix of a piece of this type does.
    pub(crate) fn begins(stored: &[u8], piece_type: PieceType) -> bool {
        let [high, low] = (piece_type as u16).to_be_bytes();
        matches!(stored, [FORMAT_VERSION, SUITE_CHECKSUM | SUITE_AES_256_GCM_SIV, a, b, 0, 0, 0, 0, ..]
            if (*a, *b) == (high, low))
    }

    /// Bytes of the prefix that begins like this.
    pub(crate) fn prefix_bytes(stored: &[u8]) -> usize {
        let is_plain = stored.get(1) == Some(&SUITE_CHECKSUM);
        if is_plain { PREFIX_BYTES_PLAIN } else { PREFIX_BYTES_SEALED }
    }

    /// The number of the domain key that a stored piece says it is sealed under; nothing of it is
    /// proved before the piece is opened.
    pub(crate) fn named_key(stored: &[u8]) -> Option<KeyId> {
        stored.get(8..)?.first_chunk().map(|id| KeyId(u64::from_be_bytes(*id)))
    }

    /// Whether a stored piece was begun under `domain`, whatever number of a key and version it says:
    /// by its commitment, which only a holder of the key can make.
    pub(crate) fn is_of(domain: &DomainKey, stored: &[u8]) -> bool {
        let mut cursor = Cursor::new(stored);
        let mut commits = || {
            let secret = domain.secret.as_ref()?;
            let [_, _, high, low] = cursor.array().ok()?;
            let piece_type = u16::from_be_bytes([high, low]);
            cursor.take(12).ok()?;
            let (salt, stored): ([u8; 32], [u8; 32]) = (cursor.array().ok()?, cursor.array().ok()?);
            let (_, commitment) = derive(secret, domain.id, piece_type, &salt).ok()?;
            Some(bool::from(commitment.ct_eq(&stored)))
        };
        commits().unwrap_or(false)
    }

    /// Reads the prefix that `cursor` stands at and moves behind it.
    ///
    /// # Errors
    /// `Corrupt` when the prefix is of another type or key, has the wrong suite for the store (a
    /// checksum where a seal must be), or its commitment does not fit; `UpgradeRequired` for a
    /// newer format version.
    pub(crate) fn read(
        domain: &DomainKey,
        piece_type: PieceType,
        cursor: &mut Cursor<'_>,
    ) -> Result<Self> {
        let whole = cursor.clone();
        let version = cursor.u8()?;
        if version != FORMAT_VERSION && !mutant!("read-a-newer-format-all-the-same") {
            if Self::is_of(domain, whole.clone().take(whole.remaining())?) {
                return Err(not_authentic("a piece of this format names another one"));
            }
            return Err(Error::new(
                ErrorKind::UpgradeRequired,
                "stored bytes are of another format version",
            )
            .with("version", version)
            .with("known", FORMAT_VERSION));
        }
        let wanted = if domain.secret.is_some() { SUITE_AES_256_GCM_SIV } else { SUITE_CHECKSUM };
        let suite = cursor.u8()?;
        let found_type = cursor.array().map(u16::from_be_bytes)?;
        let reserved = cursor.u32()?;
        let key_id = KeyId(cursor.u64()?);
        if suite != wanted
            || found_type != piece_type as u16
            || reserved != 0
            || key_id != domain.id
        {
            return Err(not_authentic("a piece is not what its place says"));
        }
        let cipher = match &domain.secret {
            None => None,
            Some(secret) => {
                let salt: [u8; 32] = cursor.array()?;
                let stored: [u8; 32] = cursor.array()?;
                let (cipher, commitment) = derive(secret, key_id, piece_type as u16, &salt)?;
                let fits = bool::from(commitment.ct_eq(&stored));
                if !fits && !mutant!("skip-the-key-commitment") {
                    return Err(not_authentic("a piece does not fit its key"));
                }
                Some(cipher)
            }
        };
        let prefix = whole.clone().take(whole.remaining() - cursor.remaining())?.to_vec();
        Ok(Self { piece_type, prefix, cipher })
    }

    /// Seals `in_out` in place as unit number `counter`, which REQUIRES: no other unit of this
    /// piece has that number.
    pub(crate) fn seal(&self, counter: u32, binding: &Binding, in_out: &mut [u8]) -> Result<Tag> {
        let aad = binding.to_bytes(self.piece_type);
        match &self.cipher {
            Some(cipher) => cipher.seal(nonce(counter), &aad, in_out),
            None => Ok(checksum(counter, &aad, in_out)),
        }
    }

    /// Opens unit number `counter`.
    ///
    /// # Errors
    /// `Corrupt` when the bytes, the tag or the place are not what was sealed.
    pub(crate) fn open(
        &self,
        counter: u32,
        binding: &Binding,
        sealed: &[u8],
        tag: &Tag,
    ) -> Result<Vec<u8>> {
        let aad = binding.to_bytes(self.piece_type);
        match &self.cipher {
            Some(cipher) => cipher.open(nonce(counter), &aad, sealed, tag),
            None if mutant!("skip-the-checksum") => Ok(sealed.to_vec()),
            None if checksum(counter, &aad, sealed) == *tag => Ok(sealed.to_vec()),
            None => Err(not_authentic("stored bytes fail their checksum")),
        }
    }
}

impl fmt::Debug for PieceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PieceKey").field("type", &self.piece_type).finish_non_exhaustive()
    }
}

fn not_authentic(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

fn nonce(counter: u32) -> [u8; 12] {
    let counter = if mutant!("reuse-the-nonce-of-a-unit") { 0 } else { counter };
    let [a, b, c, d] = counter.to_be_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
}

fn checksum(counter: u32, aad: &[u8], bytes: &[u8]) -> Tag {
    let mut hasher = blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT);
    hasher.update(aad);
    hasher.update(&counter.to_be_bytes());
    hasher.update(bytes);
    let mut tag = [0; TAG_BYTES];
    hasher.finalize_xof().fill(&mut tag);
    tag
}

fn derive(
    secret: &[u8; 32],
    id: KeyId,
    piece_type: u16,
    salt: &[u8; 32],
) -> Result<(AeadKey, [u8; 32])> {
    let mut output = Zeroizing::new([0u8; 64]);
    let info = [PIECE_KEY_INFO, &piece_type.to_be_bytes(), &id.0.to_be_bytes()];
    expand(salt, secret, &info, &mut *output)?;
    let (key, commitment) = output.split_at(32);
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(key.try_into().expect("half of 64 is 32"));
    Ok((AeadKey::new(&key)?, commitment.try_into().expect("half of 64 is 32")))
}

#[cfg(test)]
#[path = "piece_tests.rs"]
mod tests;
