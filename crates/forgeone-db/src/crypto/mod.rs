//! The one place where bytes are sealed and opened.
//!
//! Absent on purpose: where keys are kept between runs (the store's directory) and what the sealed
//! bytes mean.

mod aead;
mod exchange;
mod kdf;
mod keyring;
mod piece;
mod secret;
mod token;

#[cfg(test)]
mod vectors_tests;

pub(crate) use kdf::KdfParams;
pub(crate) use keyring::{
    FormerLineage, Keyring, Phase, SealedKeyring, SlotInfo, SlotKind, choose, wrapped_generation,
};
pub(crate) use piece::{
    Binding, DomainKey, KeyId, Lineage, PREFIX_BYTES_MAX, PieceKey, PieceType, TAG_BYTES, Tag,
};
#[expect(unreachable_pub, reason = "the facade re-exports these types once it stands")]
pub use secret::{Key, KeyFile};
pub(crate) use token::CursorKey;
