//! The stores that are compared, behind one face.

mod forgeone;
mod literal;
#[cfg(feature = "sqlite")]
mod sqlite;

pub(crate) use forgeone::{ForgeOne, KEY};
pub(crate) use literal::Literal;
#[cfg(feature = "sqlite")]
pub(crate) use sqlite::Sqlite;

use crate::Result;
use chrono::{DateTime, Utc};
use forgeone_db::EventMessage;
use uuid::Uuid;

/// A store of events. Writes are durable on return.
pub(crate) trait Store: Sync {
    /// Engine, version and how it is set up.
    fn name(&self) -> String;

    /// Stores one event; `worker` is the number of the calling thread.
    fn put(&self, worker: usize, event: &EventMessage) -> Result<()>;

    /// Stores events of one topic, all or none.
    fn put_batch(&self, events: &[EventMessage]) -> Result<()>;

    /// Waits until nothing is owed for what was stored.
    fn settle(&self) -> Result<()>;

    /// The event with this id.
    fn get(&self, id: Uuid) -> Result<Option<EventMessage>>;

    /// Reads every event, decoded.
    fn scan(&self, each: &mut dyn FnMut(&EventMessage)) -> Result<()>;

    /// Reads the events of `topic` from `from` on and before `to`, in the order of their times.
    fn range(
        &self,
        topic: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        each: &mut dyn FnMut(&EventMessage),
    ) -> Result<()>;

    /// Closes the store.
    fn close(&self) -> Result<()>;
}
