//! How large the parts of a record may be, checked before anything is written.
//!
//! Every message names the limit and the size that was met, never the content.

use forgeone_db_engine::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::hash::BuildHasher;

/// The longest topic name, in bytes.
pub const TOPIC_BYTES_MAX: usize = 255;
/// The largest payload of an event and the largest log line, in bytes: 16 MiB.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The largest metadata of one record, in bytes of all keys and values together: 64 KiB.
pub const METADATA_BYTES_MAX: usize = 64 * 1024;
/// The longest checkpoint marker, in bytes.
pub const CHECKPOINT_MARKER_BYTES_MAX: usize = 255;

/// The longest key of a setting and the longest name of a fact about the store, in bytes.
pub const SETTING_KEY_BYTES_MAX: usize = 255;
/// The largest value of a setting as compact JSON, in bytes: 1 MiB.
pub const SETTING_VALUE_BYTES_MAX: usize = 1024 * 1024;
/// The largest text of a fact about the store, in bytes: 64 KiB.
pub const METADATA_TEXT_BYTES_MAX: usize = 64 * 1024;

/// Accepts a topic name: 1 to [`TOPIC_BYTES_MAX`] bytes without control characters.
///
/// Dots divide a name into the tokens that a [`TopicPattern`](super::TopicPattern) selects by;
/// names may have empty tokens, and nothing else is special in a name.
///
/// # Errors
/// `Invalid` for any other name.
pub fn check_topic(topic: &str) -> Result<()> {
    check_name("a topic name", topic)
}

/// Accepts a setting's key: 1 to [`SETTING_KEY_BYTES_MAX`] bytes without control characters.
///
/// # Errors
/// `Invalid` for any other key.
pub fn check_setting_key(key: &str) -> Result<()> {
    check_name("a setting's key", key)
}

/// Accepts the name and text of a fact about the store: a name like a setting's key, and at most
/// [`METADATA_TEXT_BYTES_MAX`] bytes of text.
///
/// # Errors
/// `Invalid` for any other name or text.
pub fn check_metadata_text(name: &str, text: &str) -> Result<()> {
    check_metadata_name(name)?;
    check_bytes("a text about the store", text.len(), METADATA_TEXT_BYTES_MAX)
}

/// Accepts the name of a fact about the store.
///
/// # Errors
/// As [`check_metadata_text`].
pub fn check_metadata_name(name: &str) -> Result<()> {
    check_name("the name of a text about the store", name)
}

/// The rule that topic names and topic patterns share.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > TOPIC_BYTES_MAX {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{what} has 1 to {TOPIC_BYTES_MAX} bytes"),
        )
        .with("bytes", name.len()));
    }
    if let Some((offset, _)) = name.char_indices().find(|(_, letter)| letter.is_control()) {
        return Err(Error::new(ErrorKind::Invalid, format!("{what} has no control characters"))
            .with("name", name.escape_debug())
            .with("offset", offset));
    }
    Ok(())
}

/// Accepts a payload or a log line of at most [`PAYLOAD_BYTES_MAX`] bytes.
///
/// # Errors
/// `Invalid` for a larger one.
pub fn check_payload(payload: &[u8]) -> Result<()> {
    check_bytes("a payload", payload.len(), PAYLOAD_BYTES_MAX)
}

/// Accepts metadata whose keys and values have at most [`METADATA_BYTES_MAX`] bytes together.
///
/// # Errors
/// `Invalid` for larger metadata.
pub fn check_metadata<S: BuildHasher>(metadata: &HashMap<String, String, S>) -> Result<()> {
    let bytes = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    check_bytes("the metadata of a record", bytes, METADATA_BYTES_MAX)
}

/// Accepts no marker, or one of at most [`CHECKPOINT_MARKER_BYTES_MAX`] bytes.
///
/// # Errors
/// `Invalid` for a longer one.
pub fn check_checkpoint_marker(marker: Option<&str>) -> Result<()> {
    check_bytes("a checkpoint marker", marker.map_or(0, str::len), CHECKPOINT_MARKER_BYTES_MAX)
}

fn check_bytes(what: &str, bytes: usize, bytes_max: usize) -> Result<()> {
    if bytes > bytes_max {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{what} has at most {bytes_max} bytes"),
        )
        .with("bytes", bytes));
    }
    Ok(())
}
