//! AES-256-GCM-SIV (RFC 8452) in place with a detached tag, over aws-lc-rs.
//!
//! Its key stream follows from what is sealed: where key and nonce repeat, as they do in two
//! machines resumed from one snapshot, nobody learns more than which of two texts are the same.

use super::piece::Tag;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use forgeone_db_engine::{Error, ErrorKind, Result, mutant};

/// A key. `LessSafeKey` because nonces are ours to choose: every key here is used for
/// one piece only, with a counter (see `piece`).
pub(super) struct AeadKey(LessSafeKey);

impl AeadKey {
    pub(super) fn new(key: &[u8; 32]) -> Result<Self> {
        UnboundKey::new(&AES_256_GCM_SIV, key)
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| Error::new(ErrorKind::Internal, "the cipher refused a key"))
    }

    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<Tag> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), in_out)
            .map_err(|_| Error::new(ErrorKind::Internal, "the cipher refused to seal"))?;
        tag.as_ref()
            .try_into()
            .map_err(|_| Error::new(ErrorKind::Internal, "the cipher made a tag of another size"))
    }

    /// Opens `sealed` into a new buffer.
    ///
    /// # Errors
    /// `Corrupt` when the tag does not fit.
    pub(super) fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        sealed: &[u8],
        tag: &Tag,
    ) -> Result<Vec<u8>> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let mut plain = vec![0; sealed.len()];
        match self.0.open_separate_gather(nonce, Aad::from(aad), sealed, tag, &mut plain) {
            Ok(()) => Ok(plain),
            Err(_) if mutant!("skip-the-tag") => Ok(plain),
            Err(_) => Err(Error::new(ErrorKind::Corrupt, "sealed bytes are not authentic")),
        }
    }
}
