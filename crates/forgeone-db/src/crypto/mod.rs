//! The one place where bytes are sealed and opened.
//!
//! Absent on purpose: where keys are kept between runs (the store's directory) and what the sealed
//! bytes mean.

mod aead;
mod exchange;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod kdf;
mod key_store;
mod keyring;
mod piece;
mod secret;
mod token;
mod value;

#[cfg(test)]
mod vectors_tests;

pub use kdf::KdfParams;
pub(crate) use key_store::KeyStore;
pub(crate) use keyring::{Keyring, Phase, SlotKind, choose};
pub(crate) use piece::{
    Binding, DomainKey, KeyId, Lineage, PREFIX_BYTES_MAX, PieceKey, PieceType, TAG_BYTES, Tag,
};
pub use secret::{Key, KeyFile};
pub(crate) use token::CursorKey;
pub(crate) use value::{Place, open_value, seal_value};
