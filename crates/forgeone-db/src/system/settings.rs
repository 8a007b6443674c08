//! Settings: what users see of them, and how a change of them is decided.

use super::encoding::{StoredVersion, datetime, version_key};
use super::json;
use crate::codec::put_varint;
use crate::model::check_setting_key;
use crate::stream::{
    Change, Decision, FAMILY_REMOVED_SETTINGS, FAMILY_SETTING_VERSIONS, FAMILY_SETTINGS, StateView,
    Transaction, parse_sequence,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result, mutant};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// Versions of one setting that are kept, the newest of them.
pub const SETTING_VERSIONS_MAX: u64 = 1_000;

/// A setting as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// 1, 2, 3 ... for each key. A removal takes a version too, and none is used twice.
    pub version: u64,
    /// When this version was made, by the clock of the machine that made it.
    pub updated_at: DateTime<Utc>,
}

impl Setting {
    /// The value as a type of the caller's own.
    ///
    /// # Errors
    /// `Invalid` when the value is of another type. The error names key, expected and found type,
    /// never the value.
    pub fn value_as<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.value).map_err(|_| {
            Error::new(ErrorKind::Invalid, "a setting is of another type than asked for")
                .with("key", &self.key)
                .with("expected", std::any::type_name::<T>())
                .with("found", json::value_type(&self.value))
        })
    }
}

/// One version of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingVersion {
    /// The setting's key.
    pub key: String,
    /// The value; `None` if this version removed the setting.
    pub value: Option<Value>,
    /// The version's number.
    pub version: u64,
    /// When it was made, by the clock of the machine that made it.
    pub updated_at: DateTime<Utc>,
}

/// What a change of a setting led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingWrite {
    /// The version that was made.
    pub version: u64,
    /// When, as [`Setting::updated_at`].
    pub updated_at: DateTime<Utc>,
    /// The store's revision that has it: see
    /// [`SystemManager::revision`](super::SystemManager::revision).
    pub revision: u64,
}

/// On what terms a setting is set. The default is: whatever was there, but not another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetOptions {
    /// Only if the present version is this one; 0 means that there must be no such setting.
    pub if_version: Option<u64>,
    /// Lets the value have another JSON type than the present one.
    pub retype: bool,
}

/// A setting to set, on its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSetting {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
    /// The terms.
    pub options: SetOptions,
}

impl NewSetting {
    /// A setting on the default terms.
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into(), options: SetOptions::default() }
    }
}

/// What is to become of one setting.
#[derive(Debug)]
struct Wanted {
    key: String,
    /// Canonical JSON; `None` removes the setting.
    text: Option<Vec<u8>>,
    options: SetOptions,
}

/// Sets or removes settings, all or none.
#[derive(Debug)]
pub(super) struct ChangeSettings(Vec<Wanted>);

/// A version that was made, and when.
pub(super) type Made = (u64, DateTime<Utc>);

impl ChangeSettings {
    /// # Errors
    /// `Invalid` for a key or value beyond its limit, and for a key that occurs twice.
    pub(super) fn set(settings: &[NewSetting]) -> Result<Self> {
        let mut keys = HashSet::with_capacity(settings.len());
        let mut wanted = Vec::with_capacity(settings.len());
        for NewSetting { key, value, options } in settings {
            check_setting_key(key)?;
            if !keys.insert(key) {
                return Err(Error::new(ErrorKind::Invalid, "a key occurs twice in one call")
                    .with("key", key));
            }
            let text = json::to_text(value).map_err(|error| error.with("key", key))?;
            wanted.push(Wanted { key: key.clone(), text: Some(text), options: *options });
        }
        Ok(Self(wanted))
    }

    /// # Errors
    /// `Invalid` for a key beyond its limit.
    pub(super) fn remove(key: &str, if_version: Option<u64>) -> Result<Self> {
        check_setting_key(key)?;
        let options = SetOptions { if_version, retype: false };
        Ok(Self(vec![Wanted { key: key.to_owned(), text: None, options }]))
    }
}

impl Transaction for ChangeSettings {
    type Answer = Vec<Made>;

    fn bytes(&self) -> usize {
        // The value is kept twice: as the present one and as a version.
        let bytes = |wanted: &Wanted| {
            192 + 4 * wanted.key.len() + 2 * wanted.text.as_ref().map_or(0, Vec::len)
        };
        self.0.iter().map(bytes).sum()
    }

    async fn decide(&mut self, view: &StateView<'_>) -> Result<Decision<Vec<Made>>> {
        let time = view.now();
        let keys: Vec<Bytes> =
            self.0.iter().map(|wanted| Bytes::copy_from_slice(wanted.key.as_bytes())).collect();
        let present = view.get_many(FAMILY_SETTINGS, &keys).await?;
        let removed = view.get_many(FAMILY_REMOVED_SETTINGS, &keys).await?;
        let (mut changes, mut made) = (Vec::with_capacity(2 * keys.len()), Vec::new());
        for ((wanted, present), removed) in self.0.drain(..).zip(present).zip(removed) {
            let present = present.map(|bytes| StoredVersion::decode(&bytes)).transpose()?;
            wanted.check(present.as_ref())?;
            let last = match (&present, removed) {
                (Some(present), _) => present.version,
                (None, Some(_)) if mutant!("begin-anew-after-a-removal") => 0,
                (None, Some(removed)) => parse_sequence(&removed)?,
                (None, None) => 0,
            };
            let version = last + 1;
            wanted.change(
                StoredVersion { version, time, text: None },
                present.is_none(),
                &mut changes,
            );
            made.push((version, datetime(time)?));
        }
        Ok((changes, made))
    }
}

impl Wanted {
    /// Whether the terms are met.
    fn check(&self, present: Option<&StoredVersion>) -> Result<()> {
        if present.is_none() && self.text.is_none() {
            return Err(
                Error::new(ErrorKind::NotFound, "there is no such setting").with("key", &self.key)
            );
        }
        let version = present.map_or(0, |present| present.version);
        if let Some(expected) = self.options.if_version
            && expected != version
            && !mutant!("compare-and-set-without-comparing")
        {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the setting has another version; read it and decide again",
            )
            .with("key", &self.key)
            .with("expected", expected)
            .with("version", version));
        }
        let types = [present.and_then(|present| present.text.as_ref()), self.text.as_ref()];
        if let [Some(present), Some(wanted)] =
            types.map(|text| text.map(|text| json::text_type(text)))
            && present != wanted
            && !self.options.retype
        {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the setting has another type; allow retyping if that is meant",
            )
            .with("key", &self.key)
            .with("present", present)
            .with("given", wanted));
        }
        Ok(())
    }

    /// The changes that make `made`, which lacks the value. `absent`: there is no present value.
    fn change(self, mut made: StoredVersion, absent: bool, changes: &mut Vec<Change>) {
        let Self { key, text, .. } = self;
        let version = made.version;
        made.text = text;
        let encoded = made.encode();
        let name = || key.as_bytes().to_vec();
        if made.text.is_some() {
            changes.push(Change::put(FAMILY_SETTINGS, name(), encoded.clone()));
            if absent && version > 1 {
                changes.push(Change::delete(FAMILY_REMOVED_SETTINGS, name()));
            }
        } else {
            let mut last = Vec::new();
            put_varint(&mut last, version);
            changes.push(Change::delete(FAMILY_SETTINGS, name()));
            changes.push(Change::put(FAMILY_REMOVED_SETTINGS, name(), last));
        }
        changes.push(Change::put(FAMILY_SETTING_VERSIONS, version_key(&key, version), encoded));
        if let Some(old) = version.checked_sub(SETTING_VERSIONS_MAX)
            && old > 0
        {
            changes.push(Change::delete(FAMILY_SETTING_VERSIONS, version_key(&key, old)));
        }
    }
}
