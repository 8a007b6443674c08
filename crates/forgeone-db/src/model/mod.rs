//! The records that users store and read back, their limits, and the patterns that select topics.
//!
//! Absent on purpose: how a record lies on disk (`codec`), where (`events`, `logs`, `blobs`), and
//! any clock or randomness: an id or a time that a record lacks is given by the store.
//!
//! # JSON
//!
//! Field names are those of the Rust fields and do not change. A priority or a severity is a
//! lower-case string, a time is RFC 3339 in UTC, a hash and raw bytes are lower-case hexadecimal.
//! Reading ignores unknown fields and takes a missing or null `metadata` as empty, `priority` as
//! `normal`, `severity` as `info` and `checkpoint_marker` as none. Writing sorts `metadata` by key,
//! so equal records give equal text.

mod blob;
mod event;
mod hash;
mod limits;
mod line_end;
mod log;
mod pattern;
mod severity;
mod start_from;
mod streamable;
mod text;
mod topic_info;

pub use blob::{BlobChunk, BlobMetadata};
pub use event::{EventMessage, EventPriority};
pub use hash::ContentHash;
pub use limits::{
    CHECKPOINT_MARKER_BYTES_MAX, METADATA_BYTES_MAX, METADATA_TEXT_BYTES_MAX, PAYLOAD_BYTES_MAX,
    SETTING_KEY_BYTES_MAX, SETTING_VALUE_BYTES_MAX, TOPIC_BYTES_MAX, check_checkpoint_marker,
    check_metadata, check_metadata_name, check_metadata_text, check_payload, check_setting_key,
    check_topic,
};
pub use line_end::LineEnd;
pub use log::LogEntry;
pub use pattern::TopicPattern;
pub use severity::{Severity, SeverityLevel};
pub use start_from::{QueryOrder, StartFrom};
pub use streamable::{EVENT_TYPE_KEY, StreamableEvent};
pub use topic_info::TopicInfo;

#[cfg(test)]
mod tests;
