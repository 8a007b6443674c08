//! Events: storing messages in topics, finding them, replaying and following them.
//!
//! Absent on purpose: consumers with acknowledgement, retention, and anything that needs to know
//! what a payload says.

mod convert;
mod manager;
mod query;
mod subscription;

pub use manager::{EventManager, EventPosition, NewEvent, StoredEvent};
pub use query::{EventQuery, EventResults};
pub use subscription::EventSubscription;
