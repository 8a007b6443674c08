//! Exports: a store's content as lines of JSON that any program can read, with a last line that
//! tells whether all of it is there and unchanged. Drawn in `docs/format-export.md`.
//!
//! Absent on purpose: encryption, which is a backup's business, and blobs.

mod reader;
mod writer;

pub(crate) use reader::{ExportReader, Numbered};
pub(crate) use writer::ExportWriter;

use chrono::{DateTime, Utc};
use forgeone_db::model::PAYLOAD_BYTES_MAX;
use forgeone_db::{MetadataEntry, Setting, StoredEvent, StoredLogEntry, TopicInfo};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of what is written.
pub(crate) const EXPORT_VERSION: u32 = 1; // on-disk

/// Bytes of the longest line: each byte of the largest log line may take six letters in the message
/// and two among the raw bytes, and the rest of a record is less than 2 MiB.
pub(crate) const EXPORT_LINE_BYTES_MAX: usize = 8 * PAYLOAD_BYTES_MAX + (2 << 20); // on-disk

/// The first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) forgeone_db_export: u32,
    pub(crate) store: Uuid,
    pub(crate) created_at: DateTime<Utc>,
}

/// How many lines there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    pub(crate) topics: u64,
    pub(crate) events: u64,
    pub(crate) logs: u64,
    pub(crate) settings: u64,
    pub(crate) metadata: u64,
}

/// The last line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Footer {
    pub(crate) end: bool,
    pub(crate) counts: Counts,
    /// Of all lines before this one, line feeds included.
    pub(crate) blake3: String,
}

/// What a topic is a topic of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TopicOf {
    Events,
    Logs,
}

/// A topic, of which the records up to a number follow further down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TopicLine {
    pub(crate) of: TopicOf,
    pub(crate) topic: String,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) count: u64,
}

impl TopicLine {
    pub(crate) fn new(of: TopicOf, info: TopicInfo) -> Self {
        let TopicInfo { topic, first_seq, last_seq, count, .. } = info;
        Self { of, topic, first_seq, last_seq, count }
    }
}

/// What a line between the first and the last says, to be written.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Line<'a> {
    Topic(&'a TopicLine),
    Event(&'a StoredEvent),
    Log(&'a StoredLogEntry),
    Setting(&'a Setting),
    Metadata(&'a MetadataEntry),
}

/// What a line between the first and the last says, as it was read.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Topic(TopicLine),
    Event(Box<StoredEvent>),
    Log(Box<StoredLogEntry>),
    Setting(Setting),
    Metadata(MetadataEntry),
}

impl Item {
    /// The place of the line among the others: kind, name, number. Lines are in this order, so
    /// nothing is there twice.
    pub(crate) fn place(&self) -> (u8, &str, u64) {
        match self {
            Self::Topic(TopicLine { of: TopicOf::Events, topic, .. }) => (0, topic, 0),
            Self::Topic(TopicLine { of: TopicOf::Logs, topic, .. }) => (1, topic, 0),
            Self::Event(event) => (2, &event.event.topic, event.seq),
            Self::Log(log) => (3, &log.entry.topic, log.seq),
            Self::Setting(setting) => (4, &setting.key, 0),
            Self::Metadata(entry) => (5, &entry.name, 0),
        }
    }

    /// Whether both are stored by one kind of commit: same kind, and same topic if they have one.
    pub(crate) fn goes_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Event(one), Self::Event(two)) => one.event.topic == two.event.topic,
            (Self::Log(one), Self::Log(two)) => one.entry.topic == two.entry.topic,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    /// The topic that it is in or about, if any.
    pub(crate) fn topic(&self) -> Option<&str> {
        match self {
            Self::Topic(topic) => Some(&topic.topic),
            Self::Event(event) => Some(&event.event.topic),
            Self::Log(log) => Some(&log.entry.topic),
            Self::Setting(_) | Self::Metadata(_) => None,
        }
    }
}

impl Counts {
    pub(crate) fn add(&mut self, item: &Item) {
        *match item {
            Item::Topic(_) => &mut self.topics,
            Item::Event(_) => &mut self.events,
            Item::Log(_) => &mut self.logs,
            Item::Setting(_) => &mut self.settings,
            Item::Metadata(_) => &mut self.metadata,
        } += 1;
    }

    /// Each kind by its name.
    pub(crate) const fn each(&self) -> [(&'static str, u64); 5] {
        [
            ("topics", self.topics),
            ("events", self.events),
            ("logs", self.logs),
            ("settings", self.settings),
            ("metadata", self.metadata),
        ]
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, count)) in self.each().into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {name}")?;
        }
        Ok(())
    }
}
