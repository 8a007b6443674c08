//! Bytes in and out: bounded reading, varints, and compression with a known result size.
//!
//! Absent on purpose: keys and secrets (`crypto`), and any knowledge of what is encoded.

mod compression;
mod cursor;
mod varint;

pub(crate) use compression::{Compression, compress, decompress};
pub(crate) use cursor::{Cursor, corrupt};
pub(crate) use varint::{put_bytes, put_varint, zigzag};
