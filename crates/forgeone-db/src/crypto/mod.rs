//! The one place where bytes are sealed and opened.
//!
//! Absent on purpose: where keys are kept between runs (the store's directory) and what the sealed
//! bytes mean.

mod aead;
mod piece;
mod value;

pub(crate) use piece::{
    Binding, DomainKey, KeyId, Lineage, PREFIX_BYTES_MAX, PieceKey, PieceType, TAG_BYTES, Tag,
};
pub(crate) use value::{Place, open_value, seal_value};
