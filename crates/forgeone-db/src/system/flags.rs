//! Feature flags: settings under a prefix, and a stable answer for every key.

use super::cursor::FlagResults;
use super::manager::SystemManager;
use super::settings::{SetOptions, Setting, SettingWrite};
use crate::model::check_setting_key;
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What the keys of the settings start with that hold flags.
pub(super) const FLAG_PREFIX: &str = "flags/"; // on-disk
/// Sets the hash that chooses a variant apart from the one that chooses who is in.
const VARIANT_CONTEXT: &str = "forgeone-db flag variant v1"; // on-disk
/// Parts that keys are divided into; a hundredth of a percent is one of them.
const BUCKETS: u64 = 10_000; // on-disk
/// Variants of one flag.
const VARIANTS_MAX: usize = 100;

/// Whether a flag is on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum FlagState {
    /// For nobody.
    Off,
    /// For everybody.
    On,
    /// For some, always the same ones.
    Percentage {
        /// How many of a hundred, 0 to 100, to the nearest hundredth.
        percent: f64,
    },
}

/// One of several forms of what a flag switches on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagVariant {
    /// Its name.
    pub name: String,
    /// Its share among the weights of all variants.
    pub weight: u32,
}

/// A feature flag. It is stored as the setting `flags/NAME`: a JSON object with `state` (`off`,
/// `on` or `percentage`, then with `percent`), `variants` and `description`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flag {
    /// Whether it is on.
    #[serde(flatten)]
    pub state: FlagState,
    /// The forms there are; mostly none.
    #[serde(default)]
    pub variants: Vec<FlagVariant>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

impl Flag {
    /// A flag without variants and description.
    pub const fn new(state: FlagState) -> Self {
        Self { state, variants: Vec::new(), description: String::new() }
    }

    /// # Errors
    /// `Invalid` for a percentage outside 0 to 100, and for variants that are too many, have no
    /// name or the same one, or no weight at all.
    pub fn check(&self) -> Result<()> {
        let invalid = |what| Err(Error::new(ErrorKind::Invalid, what));
        if let FlagState::Percentage { percent } = self.state
            && !(0.0..=100.0).contains(&percent)
        {
            return invalid("a flag's percentage is 0 to 100");
        }
        if self.variants.len() > VARIANTS_MAX {
            return invalid("a flag has at most 100 variants");
        }
        let mut names = HashSet::with_capacity(self.variants.len());
        if !self.variants.iter().all(|variant| names.insert(&variant.name)) {
            return invalid("two variants of a flag have the same name");
        }
        if names.contains(&String::new()) {
            return invalid("a variant of a flag has no name");
        }
        if !self.variants.is_empty() && self.weights() == 0 {
            return invalid("no variant of a flag has a weight");
        }
        Ok(())
    }

    fn weights(&self) -> u64 {
        self.variants.iter().map(|variant| u64::from(variant.weight)).sum()
    }

    /// What the flag of this name is for `key`: always the same, as long as the flag is. A higher
    /// percentage turns it on for more keys and off for none.
    ///
    /// The first 8 bytes, as a number, of the BLAKE3 hash of name, a zero byte and key, modulo
    /// 10,000, is below a hundred times the percentage where the flag is on. A number made of the
    /// same bytes by BLAKE3's key derivation with the context `forgeone-db flag variant v1`, modulo
    /// the sum of all weights, falls into the share of the variant.
    pub fn evaluate(&self, name: &str, key: &str) -> FlagValue {
        let subject = [name.as_bytes(), &[0], key.as_bytes()].concat();
        let reason = match self.state {
            FlagState::Off => FlagReason::Off,
            FlagState::On => FlagReason::On,
            FlagState::Percentage { percent } => {
                let bucket = first_number(blake3::hash(&subject).as_bytes()) % BUCKETS;
                if bucket < buckets(percent) { FlagReason::Included } else { FlagReason::Excluded }
            }
        };
        let on = matches!(reason, FlagReason::On | FlagReason::Included);
        let variant = if on { self.variant(&subject) } else { None };
        FlagValue { on, variant, reason }
    }

    fn variant(&self, subject: &[u8]) -> Option<String> {
        let hash = blake3::derive_key(VARIANT_CONTEXT, subject);
        let mut point = first_number(&hash).checked_rem(self.weights())?;
        for variant in &self.variants {
            match point.checked_sub(variant.weight.into()) {
                Some(rest) => point = rest,
                None => return Some(variant.name.clone()),
            }
        }
        None
    }
}

fn first_number(hash: &[u8; 32]) -> u64 {
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a percentage is 0 to 100; casts of other numbers saturate"
)]
fn buckets(percent: f64) -> u64 {
    (percent * 100.0).round() as u64
}

/// Why a flag is what it is for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlagReason {
    /// On for everybody.
    On,
    /// Off for everybody.
    Off,
    /// The key is among the percentage.
    Included,
    /// The key is not among the percentage.
    Excluded,
    /// There is no such flag.
    Unknown,
    /// The setting is no flag.
    Malformed,
}

/// What a flag is for a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagValue {
    /// Whether it is on.
    pub on: bool,
    /// The variant, if it is on and has some.
    pub variant: Option<String>,
    /// Why.
    pub reason: FlagReason,
}

impl FlagValue {
    const fn off(reason: FlagReason) -> Self {
        Self { on: false, variant: None, reason }
    }
}

/// A flag as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredFlag {
    /// Its name.
    pub name: String,
    /// The flag; `None` if the setting is no flag.
    pub flag: Option<Flag>,
    /// The version of the setting.
    pub version: u64,
    /// When it was set, as [`Setting::updated_at`].
    pub updated_at: DateTime<Utc>,
}

impl StoredFlag {
    pub(super) fn from_setting(setting: Setting) -> Self {
        let Setting { key, value, version, updated_at } = setting;
        let name = key.strip_prefix(FLAG_PREFIX).unwrap_or(&key).to_owned();
        let flag = serde_json::from_value(value).ok().filter(|flag: &Flag| flag.check().is_ok());
        Self { name, flag, version, updated_at }
    }
}

/// The key of a flag's setting.
///
/// # Errors
/// `Invalid` for a name without letters or too long for a setting's key.
fn flag_key(name: &str) -> Result<String> {
    let key = [FLAG_PREFIX, name].concat();
    check_setting_key(&key)?;
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "a flag has a name"));
    }
    Ok(key)
}

impl SystemManager {
    /// What a flag is for `key`, which is mostly the id of a user, a machine or a request: see
    /// [`Flag::evaluate`]. A flag that is unknown or malformed is off, and the reason says so.
    ///
    /// # Errors
    /// Only what ends every read: `Corrupt`, `Closed`.
    pub async fn evaluate(&self, name: &str, key: &str) -> Result<FlagValue> {
        let Ok(setting_key) = flag_key(name) else {
            return Ok(FlagValue::off(FlagReason::Unknown));
        };
        Ok(match self.get(&setting_key).await?.map(StoredFlag::from_setting) {
            None => FlagValue::off(FlagReason::Unknown),
            Some(StoredFlag { flag: None, .. }) => FlagValue::off(FlagReason::Malformed),
            Some(StoredFlag { flag: Some(flag), .. }) => flag.evaluate(name, key),
        })
    }

    /// The flag of this name, if there is one.
    ///
    /// # Errors
    /// `Invalid` for a name beyond the limits, and when the setting is no flag; `Corrupt`;
    /// `Closed`.
    pub async fn get_flag(&self, name: &str) -> Result<Option<Flag>> {
        Ok(self.versioned_flag(name).await?.map(|(flag, _)| flag))
    }

    async fn versioned_flag(&self, name: &str) -> Result<Option<(Flag, u64)>> {
        let Some(setting) = self.get(&flag_key(name)?).await? else { return Ok(None) };
        let StoredFlag { flag, version, .. } = StoredFlag::from_setting(setting);
        let malformed = || {
            Error::new(ErrorKind::Invalid, "the setting is no flag; set the flag or remove it")
                .with("flag", name)
        };
        flag.map(|flag| (flag, version)).ok_or_else(malformed).map(Some)
    }

    /// Makes or replaces a flag, whatever was there.
    ///
    /// # Durability
    /// As [`set`](Self::set).
    ///
    /// # Errors
    /// `Invalid` for a name beyond the limits and for what [`Flag::check`] refuses; otherwise as
    /// [`set`](Self::set).
    pub async fn set_flag(&self, name: &str, flag: &Flag) -> Result<SettingWrite> {
        self.put_flag(name, flag, None).await
    }

    async fn put_flag(
        &self,
        name: &str,
        flag: &Flag,
        if_version: Option<u64>,
    ) -> Result<SettingWrite> {
        flag.check().map_err(|error| error.with("flag", name))?;
        let value = serde_json::to_value(flag)
            .map_err(|_| Error::new(ErrorKind::Internal, "a flag could not be written as JSON"))?;
        self.set(&flag_key(name)?, &value, SetOptions { if_version, retype: true }).await
    }

    /// Changes the state of a flag alone; a flag that is not there is made.
    ///
    /// # Errors
    /// As [`get_flag`](Self::get_flag) and [`set_flag`](Self::set_flag).
    pub async fn switch_flag(&self, name: &str, state: FlagState) -> Result<SettingWrite> {
        loop {
            let (flag, version) = match self.versioned_flag(name).await? {
                Some((flag, version)) => (Flag { state, ..flag }, version),
                None => (Flag::new(state), 0),
            };
            match self.put_flag(name, &flag, Some(version)).await {
                // Somebody else has changed it in between: what they changed must stay.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                result => return result,
            }
        }
    }

    /// Turns a flag on for everybody; keeps variants and description.
    ///
    /// # Errors
    /// As [`switch_flag`](Self::switch_flag).
    pub async fn flag_on(&self, name: &str) -> Result<SettingWrite> {
        self.switch_flag(name, FlagState::On).await
    }

    /// Turns a flag off for everybody; keeps variants and description.
    ///
    /// # Errors
    /// As [`switch_flag`](Self::switch_flag).
    pub async fn flag_off(&self, name: &str) -> Result<SettingWrite> {
        self.switch_flag(name, FlagState::Off).await
    }

    /// Removes a flag, which is then off.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name; otherwise as [`remove`](Self::remove).
    pub async fn remove_flag(&self, name: &str) -> Result<SettingWrite> {
        self.remove(&flag_key(name)?, None).await
    }

    /// Walks all flags in the byte order of their names.
    pub fn list_flags(&self) -> FlagResults {
        FlagResults::new(&self.state)
    }
}
