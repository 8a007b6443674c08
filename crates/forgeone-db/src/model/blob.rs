//! A blob's description and its pieces.

use super::text;
use super::{ContentHash, check_metadata};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

/// What is known about a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobMetadata {
    /// The blob's id.
    pub id: Uuid,
    /// The name its creator gave it; need not be unique.
    pub name: String,
    /// Its media type. Missing in JSON: empty, which means unknown.
    #[serde(default, deserialize_with = "text::null_as_default")]
    pub content_type: String,
    /// Its size in bytes, as given by its creator: neither compressed nor encrypted.
    pub size: u64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Who created it. Missing in JSON: empty, which means unknown.
    #[serde(default, deserialize_with = "text::null_as_default")]
    pub created_by: String,
    /// The hash of its whole content.
    pub checksum: ContentHash,
    /// Whether its chunks are encrypted where they are stored. Missing in JSON: no.
    #[serde(default)]
    pub encrypted: bool,
    /// Whether its chunks are compressed where they are stored. Missing in JSON: no.
    #[serde(default)]
    pub compressed: bool,
    /// How many chunks it has.
    pub chunk_count: u32,
    /// Facts about the blob. Missing in JSON: none.
    #[serde(default, serialize_with = "text::sorted", deserialize_with = "text::null_as_default")]
    pub metadata: HashMap<String, String>,
}

impl BlobMetadata {
    /// Checks the metadata against its limit.
    ///
    /// # Errors
    /// `Invalid` when it exceeds [`METADATA_BYTES_MAX`](super::METADATA_BYTES_MAX).
    pub fn check(&self) -> Result<()> {
        check_metadata(&self.metadata)
    }
}

/// One piece of a blob's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobChunk {
    /// The blob that it is a piece of.
    pub blob_id: Uuid,
    /// Its place, counted from 0.
    pub chunk_index: u32,
    /// Its bytes: neither compressed nor encrypted.
    #[serde(with = "text::hex")]
    pub data: Vec<u8>,
    /// The hash of `data`.
    pub checksum: ContentHash,
}

impl BlobChunk {
    /// Makes a chunk of `data`, with its checksum.
    pub fn new(blob_id: Uuid, chunk_index: u32, data: Vec<u8>) -> Self {
        let checksum = ContentHash::of(&data);
        Self { blob_id, chunk_index, data, checksum }
    }

    /// Checks the checksum against the data.
    ///
    /// # Errors
    /// `Corrupt` when it is that of other data.
    pub fn check(&self) -> Result<()> {
        if self.checksum == ContentHash::of(&self.data) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "the checksum of a blob chunk is not that of its data")
            .with("blob", self.blob_id)
            .with("chunk", self.chunk_index))
    }
}
