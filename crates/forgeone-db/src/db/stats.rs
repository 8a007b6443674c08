//! Sizes and counts.

use super::key_work::PendingKeyChange;
use super::open::Core;
use super::recovered::Recovered;
use crate::stream::Shard;
use forgeone_db_engine::Result;
use serde::{Deserialize, Serialize};

/// Sizes and counts of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStats {
    /// Each database, the system's first.
    pub databases: Vec<DatabaseStats>,
    /// Bytes allocated to all databases, free space inside them included.
    pub allocated_bytes: u64,
    /// Bytes set aside for a full disk, beside those; see
    /// [`StoreOptions::reserve_bytes`](crate::StoreOptions::reserve_bytes).
    #[serde(default)]
    pub reserve_bytes: u64,
    /// Bytes that the medium below can still give, where that is known.
    pub available_bytes: Option<u64>,
    /// Bytes the store may occupy; 0 for no limit.
    pub max_size_bytes: u64,
    /// Whether the store is encrypted.
    pub encrypted: bool,
    /// The change of keys that is under way, or was cut short and waits to be finished.
    #[serde(default)]
    pub key_change: Option<PendingKeyChange>,
    /// Databases that are out of use because they are damaged: see [`DatabaseStats::damage`].
    #[serde(default)]
    pub quarantined_databases: u64,
    /// Topics that live in them, and can be neither read nor written.
    #[serde(default)]
    pub quarantined_topics: u64,
    /// What this handle has recovered after a crash.
    #[serde(default)]
    pub recovered: Vec<Recovered>,
    /// Pieces that a sealing which was cut off had left, and that this handle has removed since. They
    /// are looked for by the first sealing of each database.
    #[serde(default)]
    pub orphans_removed: u64,
}

/// Sizes and counts of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseStats {
    /// Its name.
    pub database: String,
    /// Number of its newest commit; 0 if it was never written to.
    pub commits: u64,
    /// Bytes allocated to it.
    pub allocated_bytes: u64,
    /// Topics with records in it.
    pub topics: u64,
    /// Records that are not sealed yet.
    pub tail_records: u64,
    /// Bytes of them in memory, compressed.
    pub tail_bytes: u64,
    /// Sealed segments.
    pub segments: u64,
    /// Bytes of sealed records before compression.
    pub sealed_raw_bytes: u64,
    /// Bytes that they occupy, compressed and encrypted.
    pub sealed_bytes: u64,
    /// Index runs.
    pub runs: u64,
    /// Bytes that they occupy.
    pub run_bytes: u64,
    /// Entries in them.
    pub run_entries: u64,
    /// Ranges of records that are damaged and set aside since before they were sealed, and damaged
    /// segments and index runs that a change of data keys could not seal anew. The keys of both are
    /// kept.
    #[serde(default)]
    pub quarantined: u64,
    /// Why the database is out of use, if it is; the other numbers say nothing then, but for the
    /// allocated bytes.
    #[serde(default)]
    pub damage: Option<String>,
}

pub(super) async fn collect(core: &Core) -> Result<StoreStats> {
    let mut databases = Vec::with_capacity(core.shards.len() + 1);
    let mut available_bytes = None;
    for shard in std::iter::once(&core.system).chain(&core.shards) {
        if core.writers.is_empty() {
            shard.refresh().await?;
        }
        let usage = core.engine.usage(&shard.context().database).await?;
        available_bytes = usage.available_bytes.or(available_bytes);
        databases.push(of(shard, usage.allocated_bytes));
    }
    let quarantined_databases = databases.iter().filter(|one| one.damage.is_some()).count() as u64;
    let mut quarantined_topics = 0;
    if quarantined_databases > 0 {
        for streams in [core.events.streams(), core.logs.streams()] {
            quarantined_topics += streams.topics_out_of_use().await?;
        }
    }
    Ok(StoreStats {
        allocated_bytes: databases.iter().map(|database| database.allocated_bytes).sum(),
        reserve_bytes: core.redb.as_ref().map_or(0, |redb| redb.reserve_bytes()),
        available_bytes,
        max_size_bytes: core.shared.quota_bytes(),
        encrypted: core.keys.keyring().is_encrypted(),
        key_change: core.pending_key_change().await?,
        recovered: core.recovered(),
        orphans_removed: core.shared.orphans_removed(),
        databases,
        quarantined_databases,
        quarantined_topics,
    })
}

fn of(shard: &Shard, allocated_bytes: u64) -> DatabaseStats {
    let state = shard.state();
    let manifest = &state.manifest;
    DatabaseStats {
        database: shard.context().database.to_string(),
        commits: state.head.as_ref().map_or(0, |head| head.number),
        allocated_bytes,
        topics: shard.context().topics.all().len() as u64,
        tail_records: state.tail.records(),
        tail_bytes: state.tail.bytes() as u64,
        segments: manifest.segments.len() as u64,
        sealed_raw_bytes: manifest.segments.iter().map(|segment| segment.raw_bytes).sum(),
        sealed_bytes: manifest.segments.iter().map(crate::log::SegmentRef::stored_bytes).sum(),
        runs: manifest.runs.len() as u64,
        run_bytes: manifest.runs.iter().map(|run| run.piece.bytes()).sum(),
        run_entries: manifest.runs.iter().map(|run| run.entries).sum(),
        quarantined: (manifest.quarantined_keys().count() + state.tail.lost().len()) as u64,
        damage: shard.check().err().map(|error| error.to_string()),
    }
}
