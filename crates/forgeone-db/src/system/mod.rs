//! The state of a system: settings with their history, feature flags, and facts about the store.
//!
//! Absent on purpose: who may change what (`access`), and settings of the store itself, such as its
//! number of shards, which are nobody's to change through here.

mod cursor;
mod encoding;
mod flags;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod json;
mod manager;
mod metadata;
mod settings;
mod watch;

pub use cursor::{FlagResults, MetadataResults, SettingHistory, SettingResults, SettingsQuery};
pub use flags::{Flag, FlagReason, FlagState, FlagValue, FlagVariant, StoredFlag};
pub use manager::SystemManager;
pub use metadata::MetadataEntry;
pub use settings::{
    NewSetting, SETTING_VERSIONS_MAX, SetOptions, Setting, SettingVersion, SettingWrite,
};
pub use watch::{SettingsUpdate, SettingsWatch, WatchFrom};
