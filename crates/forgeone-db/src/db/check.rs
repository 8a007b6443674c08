//! Whether the databases of a store agree on how far each other had come.

use super::sidecar::{CLOSED_NAME, Sidecar};
use crate::codec::corrupt;
use crate::crypto::{KeyStore, Lineage, PieceType, Place, open_value, seal_value};
use crate::environment::Environment;
use crate::log::{KeyringWatch, Witness, from_cbor, older_keyring, to_cbor};
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
        if keys.is_behind(stored) {
            return older_keyring().with("file", CLOSED_NAME);
        }
        error.with("file", CLOSED_NAME).with(
            "remedy",
            "remove the file to open the store without its witness of the last close",
        )
    })
}

/// The heads that the last clean close has witnessed. A file that cannot be read is no reason to
/// keep a store shut: whoever can damage it can remove it. `verify` tells of it.
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

/// What the databases of a store and its last clean close have witnessed, and by whom.
pub(super) struct Witnessed(Vec<(Witness, String)>);

impl Witnessed {
    pub(super) fn collect(shards: &[Arc<Shard>], closed: &[Witness]) -> Self {
        let closed = closed.iter().map(|head| (head.clone(), "the last clean close".to_owned()));
        let mut all: Vec<_> = closed.collect();
        for shard in shards {
            let by = shard.context().database.as_str();
            all.extend(shard.state().witnesses().into_iter().map(|head| (head, by.to_owned())));
        }
        Self(all)
    }

    pub(super) fn heads(&self) -> impl Iterator<Item = &Witness> {
        self.0.iter().map(|(head, _)| head)
    }

    /// What speaks against databases: that their newest commits are missing or replaced.
    pub(super) fn against(&self, shards: &[Arc<Shard>]) -> Vec<Accusation> {
        let check = |(head, by): &(Witness, String)| {
            let error = check(shards, head, by).err()?;
            Some(Accusation { database: head.database.clone(), by: by.clone(), error })
        };
        self.0.iter().filter_map(check).collect()
    }
}

/// That a database is not what another, or the last clean close, has seen of it.
pub(super) struct Accusation {
    database: String,
    by: String,
    error: Error,
}

/// Takes databases out of use that are not what they were. `shards` begin with the system database,
/// and it and the last clean close are believed first. A shard against which anything else speaks
/// has no say against the system database.
///
/// # Errors
/// That of the system database, or of one that the store should not have: nothing goes without it.
pub(super) fn isolate_behind(shards: &[Arc<Shard>], against: &[Accusation]) -> Result<()> {
    let shard = |database: &str| {
        shards.iter().skip(1).find(|shard| shard.context().database.as_str() == database)
    };
    let isolate = |one: &Accusation| match shard(&one.database) {
        Some(shard) => {
            shard.isolate(&one.error);
            Ok(())
        }
        None => Err(one.error.duplicate()),
    };
    let (by_shards, believed): (Vec<_>, Vec<_>) =
        against.iter().partition(|one| shard(&one.by).is_some());
    believed.into_iter().try_for_each(isolate)?;
    let speaks = |one: &&&Accusation| shard(&one.by).is_some_and(|shard| shard.check().is_ok());
    for one in by_shards.iter().filter(|one| shard(&one.database).is_none()) {
        let against_its_witness =
            by_shards.iter().filter(speaks).find(|other| other.database == one.by);
        match against_its_witness {
            Some(other) => isolate(other)?,
            None if speaks(&one) => isolate(one)?,
            None => {}
        }
    }
    by_shards
        .iter()
        .filter(speaks)
        .filter(|one| shard(&one.database).is_some())
        .copied()
        .try_for_each(isolate)
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
