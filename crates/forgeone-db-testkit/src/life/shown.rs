//! Everything that a store shows to whoever reads it.

use super::step::number;
use forgeone_db::{Error, EventQuery, LogQuery, RedbManager, SettingsQuery};
use std::collections::BTreeMap;

/// Numbers of records by topic and sequence; settings by key, each with version and value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Shown {
    pub(crate) events: BTreeMap<String, BTreeMap<u64, u64>>,
    pub(crate) lines: BTreeMap<String, BTreeMap<u64, u64>>,
    pub(crate) settings: BTreeMap<String, (u64, u64)>,
}

impl Shown {
    /// Reads everything.
    ///
    /// # Errors
    /// What a read failed with, or what it returned that nobody ever wrote.
    pub(crate) fn read(store: &RedbManager) -> Result<Self, String> {
        let failed = |error: Error| format!("a read failed: {error}");
        let mut shown = Self::default();
        for event in store.query_events(EventQuery::default()).map_err(failed)? {
            let found = event.map_err(failed)?;
            put(&mut shown.events, (found.event.topic, found.seq), &found.event.payload)?;
        }
        for line in store.query_logs(LogQuery::default()).map_err(failed)? {
            let found = line.map_err(failed)?;
            put(&mut shown.lines, (found.entry.topic, found.seq), &found.entry.message)?;
        }
        for setting in store.list_settings(SettingsQuery::default()) {
            let found = setting.map_err(failed)?;
            let value = found.value.as_u64().ok_or("a setting has a value that nobody set")?;
            shown.settings.insert(found.key, (found.version, value));
        }
        Ok(shown)
    }
}

type Topics = BTreeMap<String, BTreeMap<u64, u64>>;

fn put(topics: &mut Topics, (topic, seq): (String, u64), text: &str) -> Result<(), String> {
    let number = number(text)
        .ok_or_else(|| format!("record {seq} of topic {topic} has a content that nobody wrote"))?;
    match topics.entry(topic).or_default().insert(seq, number) {
        None => Ok(()),
        Some(_) => Err(format!("a query returned record {seq} twice")),
    }
}
