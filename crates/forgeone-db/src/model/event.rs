//! An event as it is stored and read, and how urgent it is.

use super::limits::{check_checkpoint_marker, check_metadata, check_payload, check_topic};
use super::text;
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// One event: what happened, when, and in which topic.
///
/// To store and read back a type of one's own, implement
/// [`StreamableEvent`](super::StreamableEvent).
///
/// # Limits
/// See [`check`](Self::check).
///
/// # Example
/// ```
/// use forgeone_db::model::{EventMessage, EventPriority};
///
/// let event: EventMessage = serde_json::from_str(
///     r#"{"id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "topic": "system.startup",
///         "timestamp": "2026-03-01T12:00:00Z", "payload": "{}"}"#,
/// )?;
/// assert_eq!(event.priority, EventPriority::Normal);
/// assert!(event.metadata.is_empty());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMessage {
    /// The event's id, unique within its topic; storing the same id and content again is harmless.
    pub id: Uuid,
    /// The topic, named as [`check_topic`] accepts.
    pub topic: String,
    /// When it happened. Data, not order: within a topic, order is the order of commits.
    pub timestamp: DateTime<Utc>,
    /// How urgent it is. Missing in JSON: normal.
    #[serde(default, deserialize_with = "text::null_as_default")]
    pub priority: EventPriority,
    /// The content, often JSON; the store does not look into it.
    pub payload: String,
    /// Facts about the event. Missing in JSON: none.
    #[serde(default, serialize_with = "text::sorted", deserialize_with = "text::null_as_default")]
    pub metadata: HashMap<String, String>,
    /// A name for this place in the topic, from which a replay can start. Missing in JSON: none.
    #[serde(default)]
    pub checkpoint_marker: Option<String>,
}

impl EventMessage {
    /// Checks topic, payload, metadata and marker against their limits.
    ///
    /// # Errors
    /// `Invalid` for the first part that exceeds its limit.
    pub fn check(&self) -> Result<()> {
        check_topic(&self.topic)?;
        check_payload(self.payload.as_bytes())?;
        check_metadata(&self.metadata)?;
        check_checkpoint_marker(self.checkpoint_marker.as_deref())
    }
}

/// How urgent an event is; a later variant is more urgent.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum EventPriority {
    /// Can wait: level 0.
    Low = 0,
    /// Ordinary: level 1, the default.
    #[default]
    Normal = 1,
    /// Before ordinary ones: level 2.
    High = 2,
    /// Before all others: level 3.
    Critical = 3,
}

impl EventPriority {
    /// All priorities, least urgent first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The level, 0 to 3. Stored; it does not change.
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The priority of a level, if there is one.
    pub fn from_level(level: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.level() == level)
    }

    /// The lower-case name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for EventPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventPriority {
    type Err = Error;

    /// Reads a lower-case name.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == name).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "a priority is low, normal, high or critical")
                .with("priority", name.escape_debug())
        })
    }
}
