//! A store as a few maps, too simple to be wrong.

use chrono::{DateTime, Utc};
use forgeone_db::{
    ErrorKind, LineEnd, NewSetting, SettingVersion, StoredEvent, StoredLogEntry, TopicPattern,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// An event or a log entry.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) topic: String,
    pub(super) seq: u64,
    /// None if the store derives it.
    pub(super) id: Option<Uuid>,
    pub(super) time: DateTime<Utc>,
    /// Whether the time was made up; not something that a reader is told.
    pub(super) assigned: bool,
    pub(super) level: u8,
    pub(super) bytes: Vec<u8>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) marker: Option<String>,
    pub(super) end: LineEnd,
}

/// Short: a difference is looked for in hundreds of them.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, seq, id, time, assigned, level, bytes, metadata, marker, end } = self;
        let text = String::from_utf8_lossy(bytes.get(..20).unwrap_or(bytes));
        write!(f, "{topic}/{seq} {id:?} {} {assigned} {level} ", time.format("%F %H:%M:%S%.f"))?;
        write!(f, "{text:?}..{} {metadata:?} {marker:?} {end:?}", bytes.len())
    }
}

impl Row {
    /// What a reader is told of it.
    pub(super) fn shown(&self) -> Self {
        Self { assigned: false, ..self.clone() }
    }

    fn same_content(&self, other: &Self) -> bool {
        (self.assigned || other.assigned || self.time == other.time)
            && (self.level, &self.bytes, &self.metadata, &self.marker, self.end)
                == (other.level, &other.bytes, &other.metadata, &other.marker, other.end)
    }
}

impl From<StoredEvent> for Row {
    fn from(StoredEvent { event, seq }: StoredEvent) -> Self {
        Self {
            topic: event.topic,
            seq,
            id: Some(event.id),
            time: event.timestamp,
            assigned: false,
            level: event.priority.level(),
            bytes: event.payload.into_bytes(),
            metadata: event.metadata.into_iter().collect(),
            marker: event.checkpoint_marker,
            end: LineEnd::Lf,
        }
    }
}

impl From<StoredLogEntry> for Row {
    fn from(StoredLogEntry { entry, seq }: StoredLogEntry) -> Self {
        Self {
            bytes: entry.line().to_vec(),
            topic: entry.topic,
            seq,
            id: Some(entry.id).filter(|id| id.get_version_num() != 8),
            time: entry.timestamp,
            assigned: false,
            level: entry.severity.number(),
            metadata: entry.metadata.into_iter().collect(),
            marker: entry.checkpoint_marker,
            end: entry.line_end,
        }
    }
}

/// A topic: all its rows ever, and how many of the first ones are gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    pub(super) rows: Vec<Row>,
    pub(super) floor: u64,
}

impl Topic {
    pub(super) fn last(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.seq > self.floor)
    }

    fn of_id(&self, id: Uuid) -> Option<&Row> {
        self.live().find(|row| row.id == Some(id))
    }
}

/// Topics of one kind, by name.
pub(super) type Topics = BTreeMap<String, Topic>;

/// Adds rows, all or none: their numbers, and which were there before.
pub(super) fn append(topics: &mut Topics, rows: &[Row]) -> Result<Vec<(u64, bool)>, ErrorKind> {
    let mut after = topics.clone_touched(rows);
    let mut positions = Vec::new();
    for row in rows {
        let topic = after.entry(row.topic.clone()).or_default();
        if let Some(known) = row.id.and_then(|id| topic.of_id(id)) {
            if !known.same_content(row) {
                return Err(ErrorKind::Conflict);
            }
            positions.push((known.seq, true));
            continue;
        }
        let seq = topic.last() + 1;
        topic.rows.push(Row { seq, ..row.clone() });
        positions.push((seq, false));
    }
    topics.extend(after);
    Ok(positions)
}

trait CloneTouched {
    fn clone_touched(&self, rows: &[Row]) -> Self;
}

impl CloneTouched for Topics {
    /// The topics of these rows alone.
    fn clone_touched(&self, rows: &[Row]) -> Self {
        let mut touched = Self::new();
        for Row { topic, .. } in rows {
            if !touched.contains_key(topic) {
                touched.insert(topic.clone(), self.get(topic).cloned().unwrap_or_default());
            }
        }
        touched
    }
}

/// The rows of all topics that match, in the order of a query.
pub(super) fn find(
    topics: &Topics,
    pattern: &TopicPattern,
    wanted: impl Fn(&Row) -> bool,
) -> Vec<Row> {
    let mut found: Vec<&Row> = topics
        .iter()
        .filter(|(name, _)| pattern.matches(name))
        .flat_map(|(_, topic)| topic.live())
        .filter(|row| wanted(row))
        .collect();
    found.sort_by(|a, b| (a.time, &a.topic, a.seq).cmp(&(b.time, &b.topic, b.seq)));
    found.into_iter().map(Row::shown).collect()
}

/// Settings, flags and facts.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Every version of every key; a removal has no value.
    pub(super) settings: BTreeMap<String, Vec<SettingVersion>>,
    pub(super) facts: BTreeMap<String, (String, DateTime<Utc>)>,
    /// Every call's changes since the watch last looked.
    pub(super) changes: Vec<Vec<SettingVersion>>,
}

impl State {
    pub(super) fn present(&self, key: &str) -> Option<&SettingVersion> {
        self.settings.get(key)?.last().filter(|version| version.value.is_some())
    }

    /// Sets settings, all or none, and gives their versions.
    pub(super) fn set(
        &mut self,
        settings: &[NewSetting],
        now: DateTime<Utc>,
    ) -> Result<Vec<u64>, ErrorKind> {
        let twice = |key: &str| settings.iter().filter(|one| one.key == key).count() > 1;
        if settings.iter().any(|one| twice(&one.key)) {
            return Err(ErrorKind::Invalid);
        }
        for NewSetting { key, value, options } in settings {
            let present = self.present(key);
            let version = present.map_or(0, |present| present.version);
            if options.if_version.is_some_and(|wanted| wanted != version) {
                return Err(ErrorKind::Conflict);
            }
            let present = present.and_then(|present| present.value.as_ref());
            if !options.retype && present.is_some_and(|present| type_of(present) != type_of(value))
            {
                return Err(ErrorKind::Invalid);
            }
        }
        let made: Vec<SettingVersion> = settings
            .iter()
            .map(|one| self.version(&one.key, Some(one.value.clone()), now))
            .collect();
        let versions = made.iter().map(|version| version.version).collect();
        for version in &made {
            self.settings.entry(version.key.clone()).or_default().push(version.clone());
        }
        if !made.is_empty() {
            self.changes.push(made);
        }
        Ok(versions)
    }

    pub(super) fn remove(
        &mut self,
        key: &str,
        if_version: Option<u64>,
        now: DateTime<Utc>,
    ) -> Result<u64, ErrorKind> {
        let present = self.present(key).ok_or(ErrorKind::NotFound)?.version;
        if if_version.is_some_and(|wanted| wanted != present) {
            return Err(ErrorKind::Conflict);
        }
        let made = self.version(key, None, now);
        self.settings.entry(key.to_owned()).or_default().push(made.clone());
        self.changes.push(vec![made]);
        Ok(present + 1)
    }

    fn version(&self, key: &str, value: Option<Value>, now: DateTime<Utc>) -> SettingVersion {
        let before = self.settings.get(key).map_or(0, |versions| versions.len() as u64);
        SettingVersion { key: key.to_owned(), value, version: before + 1, updated_at: now }
    }
}

fn type_of(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}
