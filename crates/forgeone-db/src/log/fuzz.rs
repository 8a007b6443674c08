//! The decoders of the log, for the fuzzer: each gets what stands behind the seal that guards it.

use super::block::{BlockContext, Section};
use super::{Block, Head, Manifest, TopicTable, from_cbor};
use crate::codec::{Cursor, corrupt};
use crate::crypto::{
    DomainKey, KdfParams, KeyStore, Keyring, Lineage, PieceType, Place, seal_value,
};
use crate::environment::SystemEnvironment;
use forgeone_db_engine::Result;
use std::sync::{Arc, LazyLock};

/// The place of every block that is opened here.
const DATABASE: &str = "events_shard_0";
const NUMBER: u64 = 7;

/// The keyring of a store without a key: its seals are checksums.
static KEYS: LazyLock<Arc<KeyStore>> = LazyLock::new(|| {
    let environment = Arc::new(SystemEnvironment::new());
    let keyring = Keyring::create_opts(None, KdfParams::FLOOR, &*environment);
    Arc::new(KeyStore::new(keyring.expect("there is randomness"), environment))
});

/// A head.
pub(crate) fn head(data: &[u8]) -> bool {
    from_cbor::<Head>(data).is_ok()
}

/// A manifest.
pub(crate) fn manifest(data: &[u8]) -> bool {
    from_cbor::<Manifest>(data).is_ok_and(|manifest| manifest.check().is_ok())
}

/// A block: `length of the header u16 | header | sections`.
pub(crate) fn block(data: &[u8]) -> bool {
    open(data).is_ok()
}

fn open(data: &[u8]) -> Result<Block> {
    let mut cursor = Cursor::new(data);
    let len = cursor.array().map(u16::from_be_bytes)?;
    let raw = cursor.take(len.into())?.to_vec();
    let body = cursor.take(cursor.remaining())?;
    let environment = SystemEnvironment::new();
    let lineage: Lineage = KEYS.keyring().lineage();
    let place = Place { lineage, subject: 0, position: NUMBER };
    let header = seal_value(&DomainKey::none(), PieceType::BlockHeader, place, raw, &environment)?;
    let header_len = u32::try_from(header.len()).map_err(|_| corrupt("too long"))?;
    let stored = [&header_len.to_be_bytes()[..], &header, body].concat();
    let topics = TopicTable::new(Arc::clone(&KEYS));
    let context =
        BlockContext { database: DATABASE, keys: &KEYS, lineage, environment: &environment };
    let (block, damaged) = context.open_parts(NUMBER, &stored.into(), &topics)?;
    damaged.into_iter().next().map_or(Ok(block), Err)
}

/// A section with any numbers in its header:
/// `count u16 | length of the ids u16 | length of the columns u32 | compression u8 | bytes`.
pub(crate) fn section(data: &[u8]) -> Result<Section> {
    let mut cursor = Cursor::new(data);
    let count = cursor.array().map(u16::from_be_bytes)?;
    let ids_len = cursor.array().map(u16::from_be_bytes)?;
    let columns_len = cursor.u32()?;
    let compression = cursor.u8()?;
    let bytes = cursor.take(cursor.remaining())?.to_vec();
    Section::of_parts((count.into(), ids_len.into(), columns_len.into()), compression, bytes)
}
