//! The blocking face of the system's state: settings, feature flags, facts about the store.

use super::database::Database;
use super::redb_manager::RedbManager;
use crate::pool::run_blocking;
use crate::system::{
    Flag, FlagResults, FlagState, FlagValue, MetadataEntry, MetadataResults, NewSetting,
    SetOptions, Setting, SettingHistory, SettingResults, SettingVersion, SettingWrite,
    SettingsQuery, SettingsUpdate, SettingsWatch, StoredFlag, SystemManager, WatchFrom,
};
use forgeone_db_engine::Result;
use serde::de::DeserializeOwned;
use serde_json::Value;

impl RedbManager {
    /// The async face of the system's state.
    pub fn system(&self) -> &SystemManager {
        self.database().system()
    }

    /// The setting of this key, if there is one.
    ///
    /// # Errors
    /// As [`SystemManager::get`].
    pub fn get_setting(&self, key: &str) -> Result<Option<Setting>> {
        run_blocking(self.system().get(key))
    }

    /// The value of a setting as a type of the caller's own.
    ///
    /// # Errors
    /// As [`SystemManager::get_as`].
    pub fn get_setting_as<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        run_blocking(self.system().get_as(key))
    }

    /// Sets a setting; durable on return.
    ///
    /// # Errors
    /// As [`SystemManager::set`].
    pub fn set_setting(
        &self,
        key: &str,
        value: &Value,
        options: SetOptions,
    ) -> Result<SettingWrite> {
        run_blocking(self.system().set(key, value, options))
    }

    /// Sets many settings, all or none, with one sync; durable on return.
    ///
    /// # Errors
    /// As [`SystemManager::set_many`].
    pub fn set_settings(&self, settings: &[NewSetting]) -> Result<Vec<SettingWrite>> {
        run_blocking(self.system().set_many(settings))
    }

    /// Removes a setting; durable on return.
    ///
    /// # Errors
    /// As [`SystemManager::remove`].
    pub fn remove_setting(&self, key: &str, if_version: Option<u64>) -> Result<SettingWrite> {
        run_blocking(self.system().remove(key, if_version))
    }

    /// The versions of a setting, newest first.
    ///
    /// # Errors
    /// As [`SystemManager::history`].
    pub fn setting_history(&self, key: &str) -> Result<BlockingScan<SettingHistory>> {
        self.system().history(key).map(|history| self.blocking(history))
    }

    /// Walks settings in the byte order of their keys.
    pub fn list_settings(&self, query: impl Into<SettingsQuery>) -> BlockingScan<SettingResults> {
        self.blocking(self.system().list(query))
    }

    /// Follows the settings whose key starts with `prefix`; the iterator waits for what comes.
    ///
    /// # Errors
    /// As [`SystemManager::watch`].
    pub fn watch_settings(&self, prefix: &str, from: WatchFrom) -> Result<BlockingWatch> {
        let watch = run_blocking(self.system().watch(prefix, from))?;
        Ok(BlockingWatch { watch, ended: false, _store: self.database().clone() })
    }

    /// The number of the store's newest change of state.
    ///
    /// # Errors
    /// As [`SystemManager::revision`].
    pub fn revision(&self) -> Result<u64> {
        run_blocking(self.system().revision())
    }

    /// What a flag is for `key`.
    ///
    /// # Errors
    /// As [`SystemManager::evaluate`].
    pub fn evaluate_flag(&self, name: &str, key: &str) -> Result<FlagValue> {
        run_blocking(self.system().evaluate(name, key))
    }

    /// The flag of this name, if there is one.
    ///
    /// # Errors
    /// As [`SystemManager::get_flag`].
    pub fn get_flag(&self, name: &str) -> Result<Option<Flag>> {
        run_blocking(self.system().get_flag(name))
    }

    /// Makes or replaces a flag; durable on return.
    ///
    /// # Errors
    /// As [`SystemManager::set_flag`].
    pub fn set_flag(&self, name: &str, flag: &Flag) -> Result<SettingWrite> {
        run_blocking(self.system().set_flag(name, flag))
    }

    /// Changes the state of a flag alone; durable on return.
    ///
    /// # Errors
    /// As [`SystemManager::switch_flag`].
    pub fn switch_flag(&self, name: &str, state: FlagState) -> Result<SettingWrite> {
        run_blocking(self.system().switch_flag(name, state))
    }

    /// Removes a flag; durable on return.
    ///
    /// # Errors
    /// As [`SystemManager::remove_flag`].
    pub fn remove_flag(&self, name: &str) -> Result<SettingWrite> {
        run_blocking(self.system().remove_flag(name))
    }

    /// Walks all flags in the byte order of their names.
    pub fn list_flags(&self) -> BlockingScan<FlagResults> {
        self.blocking(self.system().list_flags())
    }

    /// A fact about the store, if there is one of this name.
    ///
    /// # Errors
    /// As [`SystemManager::metadata`].
    pub fn metadata(&self, name: &str) -> Result<Option<MetadataEntry>> {
        run_blocking(self.system().metadata(name))
    }

    /// Writes down a fact about the store; durable on return.
    ///
    /// # Errors
    /// As [`SystemManager::set_metadata`].
    pub fn set_metadata(&self, name: &str, text: &str) -> Result<MetadataEntry> {
        run_blocking(self.system().set_metadata(name, text))
    }

    /// Removes a fact about the store; durable on return.
    ///
    /// # Errors
    /// As [`SystemManager::remove_metadata`].
    pub fn remove_metadata(&self, name: &str) -> Result<()> {
        run_blocking(self.system().remove_metadata(name))
    }

    /// Walks the facts whose name starts with `prefix`, in the byte order of their names.
    pub fn list_metadata(&self, prefix: &str) -> BlockingScan<MetadataResults> {
        self.blocking(self.system().list_metadata(prefix))
    }

    fn blocking<T>(&self, scan: T) -> BlockingScan<T> {
        BlockingScan { scan, ended: false, _store: self.database().clone() }
    }
}

/// A walk as an iterator, which keeps the store open and ends after an error.
#[derive(Debug)]
pub struct BlockingScan<T> {
    scan: T,
    ended: bool,
    _store: Database,
}

/// Makes an iterator of each walk: they have the same `next`, and no trait of their own.
macro_rules! iterate {
    ($($scan:ty => $item:ty),+ $(,)?) => {$(
        impl Iterator for BlockingScan<$scan> {
            type Item = Result<$item>;

            fn next(&mut self) -> Option<Self::Item> {
                if self.ended {
                    return None;
                }
                let item = run_blocking(self.scan.next());
                self.ended = !matches!(item, Ok(Some(_)));
                item.transpose()
            }
        }
    )+};
}

iterate! {
    SettingResults => Setting,
    SettingHistory => SettingVersion,
    FlagResults => StoredFlag,
    MetadataResults => MetadataEntry,
}

/// A watch as an iterator, which keeps the store open: waits for the next update, and ends after an
/// error.
#[derive(Debug)]
pub struct BlockingWatch {
    watch: SettingsWatch,
    ended: bool,
    _store: Database,
}

impl BlockingWatch {
    /// As [`SettingsWatch::revision`].
    pub fn revision(&self) -> u64 {
        self.watch.revision()
    }

    /// The next update that is there now, if any.
    ///
    /// # Errors
    /// As [`SettingsWatch::try_next`].
    pub fn try_next(&mut self) -> Result<Option<SettingsUpdate>> {
        run_blocking(self.watch.try_next())
    }
}

impl Iterator for BlockingWatch {
    type Item = Result<SettingsUpdate>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let update = run_blocking(self.watch.next());
        self.ended = update.is_err();
        Some(update)
    }
}
