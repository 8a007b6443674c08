//! The few numbers that a store records about itself.

use super::change::Change;
use super::committer::Writer;
use super::families::{COUNTER_ID_KEY, COUNTER_MAX_SIZE, COUNTER_SHARDS, parse_sequence};
use super::place_id::IdKey;
use super::shard::Shard;
use crate::codec::{corrupt, put_varint};
use forgeone_db_engine::Result;
use std::sync::Arc;

/// What a store records about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Shards of each kind; only grows.
    pub(crate) shard_count: u32,
    /// Bytes the store may occupy; 0 for no limit.
    pub(crate) max_size_bytes: u64,
    /// What ids of log entries are made with.
    pub(crate) id_key: IdKey,
}

/// # Errors
/// `Corrupt` when the store does not know its shards.
pub(crate) async fn read_settings(system: &Shard) -> Result<Settings> {
    let view = system.family(system.layout().counters()?).await?;
    let shards = view.index.get(COUNTER_SHARDS).await?;
    let shards = shards.ok_or_else(|| corrupt("the number of shards is not recorded"))?;
    let max_size = view.index.get(COUNTER_MAX_SIZE).await?;
    let id_key = view.index.get(COUNTER_ID_KEY).await?;
    let id_key = id_key.and_then(|key| <[u8; 32]>::try_from(&*key).ok());
    Ok(Settings {
        shard_count: u32::try_from(parse_sequence(&shards)?)
            .map_err(|_| corrupt("the number of shards is out of range"))?,
        max_size_bytes: max_size.map_or(Ok(0), |value| parse_sequence(&value))?,
        id_key: id_key
            .map(IdKey::from_bytes)
            .ok_or_else(|| corrupt("the key of the store's ids is not recorded"))?,
    })
}

/// Commits the settings.
pub(crate) async fn write_settings(writer: &Arc<Writer>, settings: &Settings) -> Result<()> {
    let layout = writer.shard().layout();
    let family = layout.counters()?.id.0;
    let number = |value: u64| {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        Some(out)
    };
    let change = |key: &[u8], value| Change { family, key: key.to_vec(), value };
    let changes = vec![
        change(COUNTER_SHARDS, number(settings.shard_count.into())),
        change(COUNTER_MAX_SIZE, number(settings.max_size_bytes)),
        change(COUNTER_ID_KEY, Some(settings.id_key.as_bytes().to_vec())),
    ];
    writer.change(changes).await
}
