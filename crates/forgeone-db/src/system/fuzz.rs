//! What is kept of settings, flags and facts, for the fuzzer.

use super::encoding::{StoredVersion, decode_text, versioned_key};
use super::flags::{Flag, StoredFlag};
use super::json;

/// A version of a setting, which may be a flag; it comes back from its own encoding.
pub(crate) fn setting(data: &[u8]) -> bool {
    let Ok(version) = StoredVersion::decode(data) else { return false };
    assert_eq!(StoredVersion::decode(&version.encode()).ok(), Some(version.clone()));
    let Ok(setting) = version.into_setting("flags/one".to_owned()) else { return false };
    // Not every value that can be read may be set again: numbers out of range, for one.
    drop(json::to_text(&setting.value));
    let flag = StoredFlag::from_setting(setting).flag;
    flag.is_some_and(|flag| flag.evaluate("one", "somebody").on)
}

/// A flag as its JSON.
pub(crate) fn flag(data: &[u8]) -> bool {
    let flag = serde_json::from_slice::<Flag>(data).ok().filter(|flag| flag.check().is_ok());
    flag.is_some_and(|flag| flag.evaluate("one", "somebody").on)
}

/// The key of a version, and a fact about the store.
pub(crate) fn keys_and_texts(data: &[u8]) -> bool {
    versioned_key(data).is_ok() | decode_text(data).is_ok()
}
