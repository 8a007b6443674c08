//! The few small values beside the data: two copies of the keyring, and what a clean close leaves.

use crate::redb::StoreDirectory;
use bytes::Bytes;
use forgeone_db_engine::{Batch, DatabaseName, Durability, Engine, Read, Result, TableName};
use std::sync::Arc;

/// The two places of the keyring; the highest valid number counts.
pub(super) const KEYRING_NAMES: [&str; 2] = ["keyring.0", "keyring.1"]; // on-disk
/// The sealed heads of all databases at the last clean close.
pub(super) const CLOSED_NAME: &str = "closed"; // on-disk
pub(super) const SIDECAR_DATABASE: &str = "keyring"; // on-disk
pub(super) const SIDECAR_TABLE: &str = "keyring"; // on-disk

/// Where the small values lie.
#[derive(Debug, Clone)]
pub(super) enum Sidecar {
    /// Files, replaced by rename.
    Directory(StoreDirectory),
    /// A database of their own.
    Engine(Arc<dyn Engine>, Durability),
}

impl Sidecar {
    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>> {
        match self {
            Self::Directory(directory) => directory.read(name),
            Self::Engine(engine, _) => {
                let (database, table) = place()?;
                let request = Read::get(&table, name.as_bytes().to_vec());
                let values = engine.read(&database, request).await?.into_values()?;
                Ok(values.into_iter().next().flatten())
            }
        }
    }

    /// Replaces a value as a whole, durably.
    pub(super) async fn replace(&self, name: &str, content: &[u8]) -> Result<()> {
        match self {
            Self::Directory(directory) => directory.replace(name, content),
            Self::Engine(engine, durability) => {
                let (database, table) = place()?;
                let mut batch = Batch::new(database);
                batch.put(&table, name.as_bytes().to_vec(), content.to_vec());
                engine.commit(batch, *durability).await
            }
        }
    }

    /// Both copies of the keyring. One that cannot be read is as good as a damaged one, as long as the
    /// other can.
    pub(super) async fn keyrings(&self) -> Result<[Option<Bytes>; 2]> {
        let [first, second] = KEYRING_NAMES;
        match [self.read(first).await, self.read(second).await] {
            [Ok(first), Ok(second)] => Ok([first, second]),
            [Ok(Some(first)), Err(_)] => Ok([Some(first), Some(Bytes::new())]),
            [Err(_), Ok(Some(second))] => Ok([Some(Bytes::new()), Some(second)]),
            [Err(error), _] | [_, Err(error)] => Err(error),
        }
    }
}

fn place() -> Result<(DatabaseName, TableName)> {
    Ok((DatabaseName::new(SIDECAR_DATABASE)?, TableName::new(SIDECAR_TABLE)?))
}
