//! What is known of a topic without reading its records.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A topic, with what is known of it without reading its records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicInfo {
    /// The topic's name.
    pub topic: String,
    /// The shard it lives in.
    pub shard: u32,
    /// The number of the oldest retained record; that of the next one if there is none.
    pub first_seq: u64,
    /// The number of the newest record; 0 if there is none.
    pub last_seq: u64,
    /// Retained records.
    pub count: u64,
    /// The greatest timestamp of a record; none where there is no record, or some were lost before they
    /// were sealed, of which nobody knows the times.
    pub last_timestamp: Option<DateTime<Utc>>,
    /// Sealed segments.
    pub segments: u64,
    /// Bytes of sealed records before compression.
    pub sealed_raw_bytes: u64,
    /// Bytes that they occupy, compressed and encrypted.
    pub sealed_bytes: u64,
}
