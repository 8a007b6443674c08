//! The commit log of one database: sealed blocks in a chain, the head that names its end, and the
//! manifest that names what older blocks were rewritten into.
//!
//! Absent on purpose: what sections hold (`stream` folds them) and when to write a checkpoint.

mod block;
mod commit_log;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod head;
mod lost;
mod manifest;
mod remains;
mod topic_table;

pub(crate) use block::{
    Block, BlockDraft, Hash, Section, SectionDraft, SectionEntry, TopicIntro, Witness, WrappedKeys,
};
pub(crate) use commit_log::{
    BehindHead, CommitLog, KeyringWatch, Loaded, LogContext, Tables, is_older_keyring,
    older_keyring,
};
pub(crate) use head::Head;
pub(crate) use lost::{LostRange, LostSection};
pub(crate) use manifest::{Floor, Manifest, PinnedEntry, SegmentRef, is_older};
pub(crate) use topic_table::{TOPIC_ID_MIN, TopicTable};

use crate::codec::corrupt;
use forgeone_db_engine::{Error, Result};

/// Encodes a stored structure.
pub(crate) fn to_cbor<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("writing to memory does not fail")
}

/// Decodes an authenticated structure.
///
/// # Errors
/// `Corrupt` if the bytes are not that structure.
pub(crate) fn from_cbor<T: for<'b> minicbor::Decode<'b, ()>>(bytes: &[u8]) -> Result<T> {
    minicbor::decode(bytes).map_err(|error| undecodable(&error))
}

fn undecodable(error: &minicbor::decode::Error) -> Error {
    corrupt("an authentic value is not encoded as this version expects").with("cause", error)
}
