//! Events of a program's own types, stored as messages and read back typed.

use super::{EventMessage, EventPriority};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::collections::HashMap;
use uuid::Uuid;

/// The metadata key under which [`StreamableEvent::to_message`] records the type's name. Reserved.
pub const EVENT_TYPE_KEY: &str = "forgeone.event_type";

/// An event that can be streamed: a type of one's own that is stored as an [`EventMessage`] and
/// read back as itself.
///
/// Implement the two items without a default; the value travels as JSON in the payload, and the
/// type's name in the metadata, so that reading one type as another is an error and not a guess.
/// [`EventMessage`] implements the trait as itself, unchanged.
///
/// # Example
/// ```
/// use chrono::DateTime;
/// use forgeone_db::model::{EventPriority, StreamableEvent};
/// use serde::{Deserialize, Serialize};
/// use std::borrow::Cow;
/// use uuid::Uuid;
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Shipped {
///     order: u64,
///     region: String,
/// }
///
/// impl StreamableEvent for Shipped {
///     const TYPE_NAME: &'static str = "shop.shipped.v1";
///
///     fn topic(&self) -> Cow<'_, str> {
///         format!("orders.{}.shipped", self.region).into()
///     }
///
///     fn priority(&self) -> EventPriority {
///         EventPriority::High
///     }
/// }
///
/// let shipped = Shipped { order: 7, region: "eu".to_owned() };
/// let message = shipped.to_message(Uuid::nil(), DateTime::UNIX_EPOCH)?;
/// assert_eq!(message.topic, "orders.eu.shipped");
/// assert_eq!(message.payload, r#"{"order":7,"region":"eu"}"#);
/// assert_eq!(Shipped::from_message(&message)?, shipped);
/// # Ok::<(), forgeone_db_engine::Error>(())
/// ```
pub trait StreamableEvent: Serialize + DeserializeOwned {
    /// The name under which the type is stored. Choose one that survives renaming the Rust type,
    /// and change it when older payloads can no longer be read.
    const TYPE_NAME: &'static str;

    /// The topic in which the event is stored.
    fn topic(&self) -> Cow<'_, str>;

    /// The event's own id; by default none, and the store assigns a random one.
    fn id(&self) -> Option<Uuid> {
        None
    }

    /// When it happened; by default not known, and the store assigns the time of storing.
    fn timestamp(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// How urgent it is; by default normal.
    fn priority(&self) -> EventPriority {
        EventPriority::default()
    }

    /// Facts to store beside the payload; by default none. [`EVENT_TYPE_KEY`] is reserved.
    fn metadata(&self) -> HashMap<String, String> {
        HashMap::new()
    }

    /// A name for this place in the topic; by default none.
    fn checkpoint_marker(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// Makes the message that is stored. `assigned_id` and `assigned_timestamp` are used where the
    /// event has none of its own.
    ///
    /// # Errors
    /// `Invalid` when the value cannot be written as JSON, when its metadata has
    /// [`EVENT_TYPE_KEY`] with another value, or when a part exceeds its limit
    /// ([`EventMessage::check`]).
    fn to_message(
        &self,
        assigned_id: Uuid,
        assigned_timestamp: DateTime<Utc>,
    ) -> Result<EventMessage> {
        let mut metadata = self.metadata();
        let former = metadata.insert(EVENT_TYPE_KEY.to_owned(), Self::TYPE_NAME.to_owned());
        if former.is_some_and(|former| former != Self::TYPE_NAME) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "an event's metadata has a key that is reserved for the name of its type",
            )
            .with("key", EVENT_TYPE_KEY)
            .with("type", Self::TYPE_NAME));
        }
        let payload = serde_json::to_string(self).map_err(|error| {
            json_error("an event cannot be written as JSON", &error).with("type", Self::TYPE_NAME)
        })?;
        let message = EventMessage {
            id: self.id().unwrap_or(assigned_id),
            topic: self.topic().into_owned(),
            timestamp: self.timestamp().unwrap_or(assigned_timestamp),
            priority: self.priority(),
            payload,
            metadata,
            checkpoint_marker: self.checkpoint_marker().map(Cow::into_owned),
        };
        message.check().map_err(|error| error.with("type", Self::TYPE_NAME))?;
        Ok(message)
    }

    /// Reads the event back from a message. A message that names no type, because it was not
    /// stored through this trait, is read by its payload alone.
    ///
    /// # Errors
    /// `Invalid` when the message names another type, or its payload is not JSON that fits this
    /// one. The error tells where in the payload, never what is there.
    fn from_message(message: &EventMessage) -> Result<Self> {
        let stored = message.metadata.get(EVENT_TYPE_KEY);
        if let Some(stored) = stored.filter(|stored| *stored != Self::TYPE_NAME) {
            return Err(Error::new(ErrorKind::Invalid, "an event is of another type")
                .with("id", message.id)
                .with("expected", Self::TYPE_NAME)
                .with("found", stored.escape_debug()));
        }
        serde_json::from_str(&message.payload).map_err(|error| {
            json_error("the payload of an event does not fit its type", &error)
                .with("id", message.id)
                .with("type", Self::TYPE_NAME)
        })
    }
}

/// Keeps what kind of error it was and where, but not its text, which quotes the payload.
fn json_error(message: &str, error: &serde_json::Error) -> Error {
    use serde_json::error::Category;
    let reason = match error.classify() {
        Category::Io => "input or output failed",
        Category::Syntax => "not JSON",
        Category::Data => "JSON of another shape",
        Category::Eof => "JSON that ends too early",
    };
    let error_at = (error.line(), error.column());
    let failure = Error::new(ErrorKind::Invalid, message).with("reason", reason);
    if error_at == (0, 0) {
        return failure;
    }
    failure.with("line", error_at.0).with("column", error_at.1)
}

impl StreamableEvent for EventMessage {
    /// Never recorded: a message is stored as it is.
    const TYPE_NAME: &'static str = "forgeone.event_message";

    fn topic(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.topic)
    }

    fn id(&self) -> Option<Uuid> {
        Some(self.id)
    }

    fn timestamp(&self) -> Option<DateTime<Utc>> {
        Some(self.timestamp)
    }

    fn priority(&self) -> EventPriority {
        self.priority
    }

    fn metadata(&self) -> HashMap<String, String> {
        self.metadata.clone()
    }

    fn checkpoint_marker(&self) -> Option<Cow<'_, str>> {
        self.checkpoint_marker.as_deref().map(Cow::Borrowed)
    }

    /// Copies the message, whatever type it names.
    fn to_message(&self, _: Uuid, _: DateTime<Utc>) -> Result<EventMessage> {
        self.check()?;
        Ok(self.clone())
    }

    /// Copies the message, whatever type it names.
    fn from_message(message: &EventMessage) -> Result<Self> {
        Ok(message.clone())
    }
}
