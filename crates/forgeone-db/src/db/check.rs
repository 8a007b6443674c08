//! Whether the databases of a store agree on how far each other had come.

use super::sidecar::{CLOSED_NAME, Sidecar};
use crate::codec::corrupt;
use crate::crypto::{KeyStore, Lineage, PieceType, Place, open_value, seal_value};
use crate::environment::Environment;
use crate::log::{KeyringWatch, Witness, from_cbor, to_cbor};
use crate::stream::Shard;
use forgeone_db_engine::{Error, Result, mutant};
use minicbor::{Decode, Encode};
use std::sync::Arc;

/// The heads of all databases at a clean close.
#[derive(Debug, Encode, Decode)]
struct Closed {
    #[n(0)]
    heads: Vec<Witness>,
}

pub(super) fn seal_closed(
    heads: Vec<Witness>,
    keys: &KeyStore,
    environment: &dyn Environment,
) -> Result<Vec<u8>> {
    let raw = to_cbor(&Closed { heads });
    let place = place(keys.keyring().lineage());
    seal_value(&keys.system_key(), PieceType::Closed, place, raw, environment)
}

/// # Errors
/// `Corrupt`, with what to do, when the file is not what a clean close wrote.
pub(super) fn open_closed(stored: &[u8], keys: &KeyStore) -> Result<Vec<Witness>> {
    let open = || {
        let place = place(keys.keyring().lineage());
        let raw = open_value(&keys.system_key_for(stored), PieceType::Closed, place, stored)?;
        from_cbor::<Closed>(&raw)
    };
    open().map(|closed| closed.heads).map_err(|error| {
        error.with("file", CLOSED_NAME).with(
            "remedy",
            "remove the file to open the store without its witness of the last close",
        )
    })
}

/// The heads that the last clean close has witnessed.
pub(super) async fn read_closed(
    sidecar: &Sidecar,
    keys: &KeyStore,
    watch: Option<&dyn KeyringWatch>,
) -> Result<Vec<Witness>> {
    let Some(stored) = sidecar.read(CLOSED_NAME).await? else { return Ok(Vec::new()) };
    let opened = open_closed(&stored, keys);
    if let (Err(_), Some(watch)) = (&opened, watch) {
        // A writer may have changed its key; then the keyring is newer, or the file is.
        watch.refresh().await?;
        let now = sidecar.read(CLOSED_NAME).await?.unwrap_or(stored);
        return open_closed(&now, keys);
    }
    opened
}

fn place(lineage: Lineage) -> Place {
    Place { lineage, subject: 0, position: 0 }
}

/// Checks every head that some database or the last clean close has witnessed against what is
/// there.
///
/// # Errors
/// `Corrupt`, naming the database whose newest commits are missing or replaced.
pub(super) fn check_witnesses(shards: &[Arc<Shard>], closed: &[Witness]) -> Result<()> {
    for shard in shards {
        let witnesses = shard.state().witnesses();
        let by = shard.context().database.as_str();
        witnesses.iter().try_for_each(|witness| check(shards, witness, by))?;
    }
    closed.iter().try_for_each(|witness| check(shards, witness, "the last clean close"))
}

fn check(shards: &[Arc<Shard>], witness: &Witness, by: &str) -> Result<()> {
    let missing = |found: u64| -> Error {
        corrupt("a database is older than another has seen it; its newest commits are missing")
            .with("database", &witness.database)
            .with("commits found", found)
            .with("commits witnessed", witness.number)
            .with("witness", by)
    };
    if mutant!("skip-the-witnesses") {
        return Ok(());
    }
    let shard = shards
        .iter()
        .find(|shard| shard.context().database.as_str() == witness.database)
        .ok_or_else(|| missing(0))?;
    let state = shard.state();
    let head = state.head.as_ref().ok_or_else(|| missing(0))?;
    if head.number < witness.number {
        return Err(missing(head.number));
    }
    // What was sealed long ago has no hash any more.
    if state.link(witness.number).is_some_and(|hash| hash != witness.hash) {
        return Err(corrupt("a database has another history than its witness saw")
            .with("database", &witness.database)
            .with("commit", witness.number)
            .with("witness", by));
    }
    Ok(())
}
