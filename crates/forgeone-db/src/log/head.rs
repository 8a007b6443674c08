//! The head: the one value that names the end of the log and the live manifest.

use super::block::Hash;
use super::{from_cbor, to_cbor};
use crate::codec::corrupt;
use crate::crypto::{KeyStore, Lineage, PieceType, Place, open_value, seal_value};
use crate::environment::Environment;
use forgeone_db_engine::Result;
use minicbor::{Decode, Encode};

/// Where a database's log ends.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Head {
    #[n(0)]
    pub(crate) database: String,
    /// Number of the newest commit; 0 before the first.
    #[n(1)]
    pub(crate) number: u64,
    /// Hash of its block.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) hash: Hash,
    /// Its stamp.
    #[n(3)]
    pub(crate) stamp: u64,
    /// The writer's term.
    #[n(4)]
    pub(crate) term: u64,
    /// Number of the live manifest; 0 when there is none yet.
    #[n(5)]
    pub(crate) manifest: u64,
    /// Hash of the stored manifest.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub(crate) manifest_hash: Hash,
    /// The oldest block that is still needed.
    #[n(7)]
    pub(crate) oldest: u64,
    /// Number of the keyring the writer had.
    #[n(8)]
    pub(crate) keyring: u64,
}

impl Head {
    pub(crate) fn seal(
        &self,
        keys: &KeyStore,
        lineage: Lineage,
        environment: &dyn Environment,
    ) -> Result<Vec<u8>> {
        seal_value(&keys.system_key(), PieceType::Head, place(lineage), to_cbor(self), environment)
    }

    /// # Errors
    /// `Corrupt` when the value is not the head of `database`.
    pub(crate) fn open(
        keys: &KeyStore,
        lineage: Lineage,
        database: &str,
        stored: &[u8],
    ) -> Result<Self> {
        let raw =
            open_value(&keys.system_key_for(stored), PieceType::Head, place(lineage), stored)?;
        let head: Self = from_cbor(&raw)?;
        if head.database != database {
            return Err(corrupt("the head belongs to another database"));
        }
        Ok(head)
    }
}

fn place(lineage: Lineage) -> Place {
    Place { lineage, subject: 0, position: 0 }
}
