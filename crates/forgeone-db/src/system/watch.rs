//! Following settings, by the record of every change.
//!
//! As with subscriptions to events there is no hand-over from catch-up to live: a watch reads
//! behind its position what is durable, and waits when nothing is.

use super::encoding::{StoredVersion, versioned_key};
use super::settings::SettingVersion;
use crate::stream::{Change, FAMILY_SETTING_VERSIONS, StateStore};
use forgeone_db_engine::{Error, ErrorKind, Result};
use futures::Stream;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Where a watch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchFrom {
    /// With the first change after the watch began.
    Now,
    /// Behind this revision. What was changed since comes first.
    After(u64),
}

/// Settings that were changed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsUpdate {
    /// The revision that made the changes. A watch behind it goes on with the next one.
    pub revision: u64,
    /// The new versions, in the order they were given; never none.
    pub changes: Vec<SettingVersion>,
}

/// Every change of the settings that it is about, in the order of commits, without gap or repeat.
///
/// # Limits
/// Buffers one page: 1,024 changes or 1 MiB of them, or one call's if that is more. A slow reader
/// slows nobody and loses nothing: what it has not read is read from the store when it asks.
#[derive(Debug)]
pub struct SettingsWatch {
    state: Arc<StateStore>,
    prefix: String,
    /// Everything up to this revision was looked at.
    position: u64,
    buffer: VecDeque<SettingsUpdate>,
}

impl SettingsWatch {
    pub(super) async fn start(
        state: Arc<StateStore>,
        prefix: &str,
        from: WatchFrom,
    ) -> Result<Self> {
        let present = state.revision().await?;
        let position = match from {
            WatchFrom::Now => present,
            WatchFrom::After(revision) if revision > present => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "the revision is ahead of the store, so it is from another history",
                )
                .with("revision", revision)
                .with("present", present));
            }
            WatchFrom::After(revision) => revision,
        };
        let watch = Self { state, prefix: prefix.to_owned(), position, buffer: VecDeque::new() };
        watch.check_retained()?;
        Ok(watch)
    }

    /// A gap is an error, never a shorter answer.
    fn check_retained(&self) -> Result<()> {
        let oldest = self.state.oldest_revision();
        if self.position.saturating_add(1) < oldest {
            return Err(Error::new(
                ErrorKind::NotFound,
                "changes that old are no longer kept; list the settings and watch from then on",
            )
            .with("revision", self.position)
            .with("oldest", oldest));
        }
        Ok(())
    }

    /// What to start behind to go on with what was not delivered yet.
    pub fn revision(&self) -> u64 {
        self.buffer.front().map_or(self.position, |update| update.revision - 1)
    }

    /// The next update that is there now, if any.
    ///
    /// Cancellation: dropping the returned future loses nothing.
    ///
    /// # Errors
    /// `Corrupt`, naming the range; asked again, the watch tries the same place. `Closed`.
    pub async fn try_next(&mut self) -> Result<Option<SettingsUpdate>> {
        while self.buffer.is_empty() {
            self.check_retained()?;
            let page = self.state.changes_after(self.position).await?;
            let Some((last, _)) = page.last() else { return Ok(None) };
            let last = *last;
            let mut updates = VecDeque::new();
            for (revision, changes) in page {
                let changes = self.concerned(&changes)?;
                if !changes.is_empty() {
                    updates.push_back(SettingsUpdate { revision, changes });
                }
            }
            (self.buffer, self.position) = (updates, last);
        }
        Ok(self.buffer.pop_front())
    }

    /// The next update; waits for it.
    ///
    /// Cancellation: dropping the returned future loses nothing.
    ///
    /// # Errors
    /// As [`try_next`](Self::try_next); `Closed` when the store closes.
    pub async fn next(&mut self) -> Result<SettingsUpdate> {
        loop {
            let seen = self.state.version();
            if let Some(update) = self.try_next().await? {
                return Ok(update);
            }
            self.state.wait(seen).await?;
        }
    }

    /// The same as a stream, which ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<SettingsUpdate>> + Send {
        futures::stream::try_unfold(self, async |mut watch| {
            let update = watch.next().await?;
            Ok(Some((update, watch)))
        })
    }

    fn concerned(&self, changes: &[Change]) -> Result<Vec<SettingVersion>> {
        let mut versions = Vec::new();
        for change in changes.iter().filter(|change| change.family == FAMILY_SETTING_VERSIONS) {
            // Without a value it is an old version that is no longer kept.
            let Some(value) = &change.value else { continue };
            let key = versioned_key(&change.key)?;
            if key.starts_with(&self.prefix) {
                versions.push(StoredVersion::decode(value)?.into_version(key.to_owned())?);
            }
        }
        Ok(versions)
    }
}
