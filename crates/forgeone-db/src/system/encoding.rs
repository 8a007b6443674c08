//! Settings and facts as they are stored, drawn in `docs/format.md`.

use super::json;
use super::settings::{Setting, SettingVersion};
use crate::codec::{Cursor, corrupt, put_varint, zigzag};
use crate::environment::Timestamp;
use chrono::{DateTime, Utc};
use forgeone_db_engine::Result;

const SETTING_REMOVED: u8 = 0; // on-disk
const SETTING_VALUE: u8 = 1; // on-disk
/// Between a setting's key, which has no control characters, and the number of a version.
const VERSION_SEPARATOR: u8 = 0; // on-disk

/// One version of a setting as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredVersion {
    pub(super) version: u64,
    pub(super) time: Timestamp,
    /// Canonical JSON; `None` is a removal.
    pub(super) text: Option<Vec<u8>>,
}

impl StoredVersion {
    pub(super) fn encode(&self) -> Vec<u8> {
        let text = self.text.as_deref();
        let mut out = Vec::with_capacity(32 + text.map_or(0, <[u8]>::len));
        put_varint(&mut out, self.version);
        put_time(&mut out, self.time);
        out.push(if text.is_some() { SETTING_VALUE } else { SETTING_REMOVED });
        out.extend_from_slice(text.unwrap_or_default());
        out
    }

    /// # Errors
    /// `Corrupt` when the bytes are no version.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        let version = cursor.varint()?;
        let time = take_time(&mut cursor)?;
        let kind = cursor.u8()?;
        let rest = cursor.take(cursor.remaining())?;
        let text = match kind {
            SETTING_VALUE => Some(rest.to_vec()),
            SETTING_REMOVED if rest.is_empty() => None,
            _ => return Err(corrupt("a version of a setting is neither a value nor a removal")),
        };
        Ok(Self { version, time, text })
    }

    /// # Errors
    /// `Corrupt` when the version is no value.
    pub(super) fn into_setting(self, key: String) -> Result<Setting> {
        let version = self.into_version(key)?;
        let value = version.value.ok_or_else(|| corrupt("a setting has no value"))?;
        let SettingVersion { key, version, updated_at, .. } = version;
        Ok(Setting { key, value, version, updated_at })
    }

    /// # Errors
    /// `Corrupt` when value or time are none.
    pub(super) fn into_version(self, key: String) -> Result<SettingVersion> {
        let value = self.text.as_deref().map(json::parse).transpose()?;
        Ok(SettingVersion { key, value, version: self.version, updated_at: datetime(self.time)? })
    }
}

/// The key of a version in the family of versions.
pub(super) fn version_key(key: &str, version: u64) -> Vec<u8> {
    [&versions_prefix(key)[..], &version.to_be_bytes()].concat()
}

/// What the keys of all versions of a setting start with.
pub(super) fn versions_prefix(key: &str) -> Vec<u8> {
    [key.as_bytes(), &[VERSION_SEPARATOR]].concat()
}

/// The setting that an entry in the family of versions is about.
///
/// # Errors
/// `Corrupt` when it is no such entry.
pub(super) fn versioned_key(key: &[u8]) -> Result<&str> {
    let name = key.len().checked_sub(9).and_then(|len| key.split_at_checked(len));
    match name {
        Some((name, [VERSION_SEPARATOR, ..])) => text_key(name),
        _ => Err(corrupt("the version of a setting has no key")),
    }
}

/// # Errors
/// `Corrupt` when a key is not text.
pub(super) fn text_key(key: &[u8]) -> Result<&str> {
    std::str::from_utf8(key).map_err(|_| corrupt("a setting's key is not text"))
}

/// A fact about the store: the time, then the text.
pub(super) fn encode_text(time: Timestamp, text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + text.len());
    put_time(&mut out, time);
    out.extend_from_slice(text.as_bytes());
    out
}

/// # Errors
/// `Corrupt` when the bytes are no fact.
pub(super) fn decode_text(bytes: &[u8]) -> Result<(DateTime<Utc>, String)> {
    let mut cursor = Cursor::new(bytes);
    let time = datetime(take_time(&mut cursor)?)?;
    let text = cursor.take(cursor.remaining())?.to_vec();
    let text = String::from_utf8(text).map_err(|_| corrupt("a text about the store is no text"))?;
    Ok((time, text))
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    put_varint(out, zigzag(time.seconds));
    put_varint(out, time.nanos.into());
}

fn take_time(cursor: &mut Cursor<'_>) -> Result<Timestamp> {
    let seconds = cursor.signed()?;
    let nanos = u32::try_from(cursor.varint()?).map_err(|_| corrupt("a time is out of range"))?;
    Ok(Timestamp { seconds, nanos })
}

pub(super) fn datetime(time: Timestamp) -> Result<DateTime<Utc>> {
    time.to_datetime().ok_or_else(|| corrupt("a time is beyond the calendar"))
}

#[cfg(test)]
mod tests {
    use super::{StoredVersion, decode_text, encode_text, version_key, versioned_key};
    use crate::environment::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn versions_come_back(version: u64, seconds: i64, nanos: u32, text: Option<Vec<u8>>) {
            let stored = StoredVersion { version, time: Timestamp { seconds, nanos }, text };
            prop_assert_eq!(StoredVersion::decode(&stored.encode()).unwrap(), stored);
        }

        #[test]
        fn the_key_of_a_version_names_its_setting(key: String, version: u64) {
            let stored = version_key(&key, version);
            prop_assert_eq!(versioned_key(&stored).unwrap(), key);
        }

        #[test]
        fn texts_come_back(text: String, nanos in 0u32..1_000_000_000) {
            let time = Timestamp { seconds: -5, nanos };
            let (moment, found) = decode_text(&encode_text(time, &text)).unwrap();
            prop_assert_eq!((Timestamp::from(moment), found), (time, text));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = StoredVersion::decode(&bytes).is_ok();
            let _ = decode_text(&bytes).is_ok();
            let _ = versioned_key(&bytes).is_ok();
        }
    }
}
