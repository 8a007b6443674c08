//! Facts about the store: short texts by name.

use super::cursor::MetadataResults;
use super::encoding::{datetime, decode_text, encode_text};
use super::manager::SystemManager;
use crate::model::{check_metadata_name, check_metadata_text};
use crate::stream::{Change, Decision, FAMILY_METADATA, StateView, Transaction};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// A fact about the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataEntry {
    /// Its name.
    pub name: String,
    /// What there is to say.
    pub text: String,
    /// When it was set, by the clock of the machine that did it.
    pub updated_at: DateTime<Utc>,
}

/// Sets a fact, or removes it.
#[derive(Debug)]
struct ChangeMetadata {
    name: String,
    text: Option<String>,
}

impl Transaction for ChangeMetadata {
    type Answer = DateTime<Utc>;

    fn bytes(&self) -> usize {
        96 + self.name.len() + self.text.as_ref().map_or(0, String::len)
    }

    async fn decide(&mut self, view: &StateView<'_>) -> Result<Decision<DateTime<Utc>>> {
        let time = view.now();
        let name = self.name.as_bytes();
        let change = if let Some(text) = &self.text {
            Change::put(FAMILY_METADATA, name.to_vec(), encode_text(time, text))
        } else {
            if view.get(FAMILY_METADATA, name).await?.is_none() {
                return Err(Error::new(ErrorKind::NotFound, "there is no text of this name")
                    .with("name", &self.name));
            }
            Change::delete(FAMILY_METADATA, name.to_vec())
        };
        Ok((vec![change], datetime(time)?))
    }
}

impl SystemManager {
    /// A fact about the store, if there is one of this name.
    ///
    /// # Errors
    /// `Invalid` for a name beyond the limits; `Corrupt`; `Closed`.
    pub async fn metadata(&self, name: &str) -> Result<Option<MetadataEntry>> {
        check_metadata_name(name)?;
        let Some(value) = self.state.get(FAMILY_METADATA, name.as_bytes()).await? else {
            return Ok(None);
        };
        let (updated_at, text) = decode_text(&value).map_err(|error| error.with("name", name))?;
        Ok(Some(MetadataEntry { name: name.to_owned(), text, updated_at }))
    }

    /// Writes down a fact about the store; the last one wins.
    ///
    /// # Durability
    /// As [`set`](Self::set).
    ///
    /// # Errors
    /// `Invalid` for a name that no setting's key could be, and for more than 64 KiB of text;
    /// `Full`; `Unsupported` on a handle that only reads; `Closed`.
    pub async fn set_metadata(&self, name: &str, text: &str) -> Result<MetadataEntry> {
        check_metadata_text(name, text)?;
        let change = ChangeMetadata { name: name.to_owned(), text: Some(text.to_owned()) };
        let (_, updated_at) = self.state.transact(change).await?;
        Ok(MetadataEntry { name: name.to_owned(), text: text.to_owned(), updated_at })
    }

    /// Removes a fact about the store.
    ///
    /// # Errors
    /// `NotFound` when there is none of this name; otherwise as
    /// [`set_metadata`](Self::set_metadata).
    pub async fn remove_metadata(&self, name: &str) -> Result<()> {
        check_metadata_name(name)?;
        let change = ChangeMetadata { name: name.to_owned(), text: None };
        self.state.transact(change).await.map(|_| ())
    }

    /// Walks the facts whose name starts with `prefix`, in the byte order of their names.
    pub fn list_metadata(&self, prefix: &str) -> MetadataResults {
        MetadataResults::new(&self.state, prefix)
    }
}
