//! Walks through settings, their history, flags and facts about the store.

use super::encoding::{StoredVersion, decode_text, text_key, versioned_key, versions_prefix};
use super::flags::{FLAG_PREFIX, StoredFlag};
use super::metadata::MetadataEntry;
use super::settings::{Setting, SettingVersion};
use crate::stream::{
    FAMILY_METADATA, FAMILY_SETTING_VERSIONS, FAMILY_SETTINGS, StateScan, StateStore, prefix_range,
};
use forgeone_db_engine::{Direction, Entry, KeyRange, Result};
use std::sync::Arc;

/// Which settings to list. The default is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsQuery {
    prefix: String,
    after: Option<String>,
    limit: Option<u64>,
}

impl SettingsQuery {
    /// Settings whose key starts with `prefix`.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..Self::default() }
    }

    /// Only keys behind this one, in byte order: the last key of the page before.
    #[must_use]
    pub fn after(mut self, key: impl Into<String>) -> Self {
        self.after = Some(key.into());
        self
    }

    /// No more than this many settings.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    fn range(&self) -> KeyRange {
        let mut range = prefix_range(self.prefix.as_bytes());
        if let Some(after) = &self.after {
            let start = [after.as_bytes(), &[0]].concat();
            if *start > *range.start {
                range.start = start.into();
            }
        }
        range
    }
}

impl From<&str> for SettingsQuery {
    fn from(prefix: &str) -> Self {
        Self::new(prefix)
    }
}

/// Settings in the byte order of their keys, read as they are asked for.
#[derive(Debug)]
pub struct SettingResults {
    scan: StateScan,
    left: u64,
}

impl SettingResults {
    pub(super) fn new(state: &Arc<StateStore>, query: &SettingsQuery) -> Self {
        let scan = state.scan(FAMILY_SETTINGS, query.range(), Direction::Forward);
        Self { scan, left: query.limit.unwrap_or(u64::MAX) }
    }

    /// The next setting; `None` after the last.
    ///
    /// Cancellation: dropping the returned future loses no setting.
    ///
    /// # Errors
    /// `Corrupt`; `Closed`.
    pub async fn next(&mut self) -> Result<Option<Setting>> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(entry) = self.scan.next().await? else { return Ok(None) };
        self.left -= 1;
        to_setting(&entry).map(Some)
    }

    /// All that is left, in memory.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn all(mut self) -> Result<Vec<Setting>> {
        let mut all = Vec::new();
        while let Some(setting) = self.next().await? {
            all.push(setting);
        }
        Ok(all)
    }
}

fn to_setting(entry: &Entry) -> Result<Setting> {
    let key = text_key(&entry.key)?;
    StoredVersion::decode(&entry.value)
        .and_then(|stored| stored.into_setting(key.to_owned()))
        .map_err(|error| error.with("key", key))
}

/// The versions of one setting, newest first, read as they are asked for.
#[derive(Debug)]
pub struct SettingHistory(StateScan);

impl SettingHistory {
    pub(super) fn new(state: &Arc<StateStore>, key: &str) -> Self {
        let range = prefix_range(&versions_prefix(key));
        Self(state.scan(FAMILY_SETTING_VERSIONS, range, Direction::Reverse))
    }

    /// The next older version; `None` after the oldest that is kept.
    ///
    /// Cancellation: dropping the returned future loses no version.
    ///
    /// # Errors
    /// `Corrupt`; `Closed`.
    pub async fn next(&mut self) -> Result<Option<SettingVersion>> {
        let Some(entry) = self.0.next().await? else { return Ok(None) };
        let key = versioned_key(&entry.key)?;
        StoredVersion::decode(&entry.value)
            .and_then(|stored| stored.into_version(key.to_owned()))
            .map_err(|error| error.with("key", key))
            .map(Some)
    }

    /// All that is left, in memory.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn all(mut self) -> Result<Vec<SettingVersion>> {
        let mut all = Vec::new();
        while let Some(version) = self.next().await? {
            all.push(version);
        }
        Ok(all)
    }
}

/// Feature flags in the byte order of their names, read as they are asked for.
#[derive(Debug)]
pub struct FlagResults(SettingResults);

impl FlagResults {
    pub(super) fn new(state: &Arc<StateStore>) -> Self {
        Self(SettingResults::new(state, &FLAG_PREFIX.into()))
    }

    /// The next flag; `None` after the last. One that is malformed is there, without its content.
    ///
    /// Cancellation: dropping the returned future loses no flag.
    ///
    /// # Errors
    /// `Corrupt`; `Closed`.
    pub async fn next(&mut self) -> Result<Option<StoredFlag>> {
        Ok(self.0.next().await?.map(StoredFlag::from_setting))
    }

    /// All that is left, in memory.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn all(mut self) -> Result<Vec<StoredFlag>> {
        let mut all = Vec::new();
        while let Some(flag) = self.next().await? {
            all.push(flag);
        }
        Ok(all)
    }
}

/// Facts about the store in the byte order of their names, read as they are asked for.
#[derive(Debug)]
pub struct MetadataResults(StateScan);

impl MetadataResults {
    pub(super) fn new(state: &Arc<StateStore>, prefix: &str) -> Self {
        let range = prefix_range(prefix.as_bytes());
        Self(state.scan(FAMILY_METADATA, range, Direction::Forward))
    }

    /// The next fact; `None` after the last.
    ///
    /// Cancellation: dropping the returned future loses no fact.
    ///
    /// # Errors
    /// `Corrupt`; `Closed`.
    pub async fn next(&mut self) -> Result<Option<MetadataEntry>> {
        let Some(entry) = self.0.next().await? else { return Ok(None) };
        let name = text_key(&entry.key)?.to_owned();
        let (updated_at, text) =
            decode_text(&entry.value).map_err(|error| error.with("name", &name))?;
        Ok(Some(MetadataEntry { name, text, updated_at }))
    }

    /// All that is left, in memory.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn all(mut self) -> Result<Vec<MetadataEntry>> {
        let mut all = Vec::new();
        while let Some(entry) = self.next().await? {
            all.push(entry);
        }
        Ok(all)
    }
}
