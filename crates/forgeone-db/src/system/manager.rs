//! The manager of the system's state: settings.

use super::cursor::{SettingHistory, SettingResults, SettingsQuery};
use super::encoding::StoredVersion;
use super::settings::{ChangeSettings, NewSetting, SetOptions, Setting, SettingWrite};
use super::watch::{SettingsWatch, WatchFrom};
use crate::model::check_setting_key;
use crate::stream::{FAMILY_SETTINGS, StateStore};
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

/// Keeps the state of a system: settings, feature flags and facts about the store. Cheap to clone;
/// every clone is the same store, and none keeps it open.
///
/// A setting has a key of 1 to 255 bytes without control characters, and any JSON value of up to
/// 1 MiB. Numbers are kept as [`Value`] has them: integers of 64 bits and doubles exactly, and `1`
/// is not `1.0`. Changes of one key, by however many callers, happen one after another: each
/// decides on what the one before it left, and callers that come together share a sync.
///
/// # Limits
/// The record of every change stays in the store, with the values of then, also when a setting is
/// removed: nothing prunes it yet. Do not keep here what has to be forgotten.
///
/// # Example
/// ```
/// # use forgeone_db::{Database, Durability, MemoryEngine, OpenMode, StoreOptions};
/// use forgeone_db::{ErrorKind, SetOptions};
/// use serde_json::json;
/// # futures::executor::block_on(async {
/// # let options = StoreOptions::with_engine(std::sync::Arc::new(MemoryEngine::new()))
/// #     .durability(Durability::None)
/// #     .mode(OpenMode::OpenOrCreate);
/// # let database = Database::open(options).await?;
/// let system = database.system();
/// system.set("mail/retries", &json!(3), SetOptions::default()).await?;
/// let setting = system.get("mail/retries").await?.unwrap();
/// assert_eq!((setting.value, setting.version), (json!(3), 1));
///
/// // Only if nobody was faster.
/// let options = SetOptions { if_version: Some(1), ..SetOptions::default() };
/// assert_eq!(system.set("mail/retries", &json!(5), options).await?.version, 2);
/// let late = system.set("mail/retries", &json!(9), options).await.unwrap_err();
/// assert_eq!(late.kind(), ErrorKind::Conflict);
///
/// // Another type is a mistake more often than not.
/// let wrong = system.set("mail/retries", &json!("many"), SetOptions::default()).await;
/// assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Invalid);
/// assert_eq!(system.get_as::<u32>("mail/retries").await?, Some(5));
/// # database.close().await?;
/// # Ok::<(), forgeone_db::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct SystemManager {
    pub(super) state: Arc<StateStore>,
}

impl SystemManager {
    pub(crate) fn new(state: Arc<StateStore>) -> Self {
        Self { state }
    }

    /// The setting of this key, if there is one.
    ///
    /// # Errors
    /// `Invalid` for a key beyond the limits; `Corrupt`; `Closed`.
    pub async fn get(&self, key: &str) -> Result<Option<Setting>> {
        check_setting_key(key)?;
        let found = self.state.get(FAMILY_SETTINGS, key.as_bytes()).await?;
        let setting = |bytes: bytes::Bytes| {
            StoredVersion::decode(&bytes)
                .and_then(|stored| stored.into_setting(key.to_owned()))
                .map_err(|error| error.with("key", key))
        };
        found.map(setting).transpose()
    }

    /// The value of a setting as a type of the caller's own, if there is such a setting.
    ///
    /// # Errors
    /// As [`get`](Self::get); `Invalid` when the value is of another type.
    pub async fn get_as<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let setting = self.get(key).await?;
        setting.map(|setting| setting.value_as()).transpose()
    }

    /// Sets a setting, which makes the next version of it, also when the value is the present one.
    ///
    /// # Durability
    /// Durable and visible on return, at the store's level. Dropping the returned future after its
    /// first poll cancels nothing once the write is queued.
    ///
    /// # Errors
    /// `Invalid` for a key or value beyond the limits, and for a value of another JSON type than
    /// the present one unless `retype` is set; `Conflict` when `if_version` is not the present
    /// version, which the error names; `Full`; `Unsupported` on a handle that only reads;
    /// `Closed`.
    pub async fn set(&self, key: &str, value: &Value, options: SetOptions) -> Result<SettingWrite> {
        let setting = NewSetting { key: key.to_owned(), value: value.clone(), options };
        self.set_many(std::slice::from_ref(&setting)).await.and_then(first)
    }

    /// Sets many settings, all or none; answers in the order given. One revision has them all.
    ///
    /// # Errors
    /// As [`set`](Self::set), for any of them; `Invalid` for a key that occurs twice.
    ///
    /// # Limits
    /// 32 MiB together, where every value counts twice and every key four times, with 192 bytes
    /// more for each; `Invalid` beyond it.
    pub async fn set_many(&self, settings: &[NewSetting]) -> Result<Vec<SettingWrite>> {
        self.change(ChangeSettings::set(settings)?).await
    }

    /// Removes a setting, which takes a version: if it is set again, versions go on behind that.
    ///
    /// # Errors
    /// `NotFound` when there is no such setting; otherwise as [`set`](Self::set).
    pub async fn remove(&self, key: &str, if_version: Option<u64>) -> Result<SettingWrite> {
        self.change(ChangeSettings::remove(key, if_version)?).await.and_then(first)
    }

    async fn change(&self, change: ChangeSettings) -> Result<Vec<SettingWrite>> {
        let (revision, made) = self.state.transact(change).await?;
        Ok(made
            .into_iter()
            .map(|(version, updated_at)| SettingWrite { version, updated_at, revision })
            .collect())
    }

    /// The versions of a setting, newest first, also of one that was removed. The newest 1,000 are
    /// kept.
    ///
    /// # Errors
    /// `Invalid` for a key beyond the limits. A key that was never set has no versions.
    pub fn history(&self, key: &str) -> Result<SettingHistory> {
        check_setting_key(key)?;
        Ok(SettingHistory::new(&self.state, key))
    }

    /// Walks settings in the byte order of their keys: all whose key starts with a prefix, or what
    /// a [`SettingsQuery`] says.
    ///
    /// # Limits
    /// Reads as it is asked, a few pages at a time, from where it starts. Each setting is as it was
    /// when the walk came to it: the walk is no snapshot across settings.
    pub fn list(&self, query: impl Into<SettingsQuery>) -> SettingResults {
        SettingResults::new(&self.state, &query.into())
    }

    /// The number of the store's newest change of state, whatever it was about. Settings that are
    /// read after this are at least as new; a [`watch`](Self::watch) behind it misses nothing.
    ///
    /// # Errors
    /// `Corrupt`; `Closed`.
    pub async fn revision(&self) -> Result<u64> {
        self.state.revision().await
    }

    /// Follows the settings whose key starts with `prefix`: every change from `from` on, in the
    /// order of commits, without gap or repeat. Works on a handle that only reads, beside a writer
    /// in another process.
    ///
    /// # Errors
    /// `Invalid` for a revision that the store has not reached, which is one of another store or
    /// from before a restore; `NotFound` for one whose changes are no longer kept.
    pub async fn watch(&self, prefix: &str, from: WatchFrom) -> Result<SettingsWatch> {
        SettingsWatch::start(Arc::clone(&self.state), prefix, from).await
    }
}

fn first(writes: Vec<SettingWrite>) -> Result<SettingWrite> {
    writes
        .into_iter()
        .next()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a change was answered without a version"))
}
