//! Events: storing messages in topics, finding them, replaying and following them.
//!
//! Absent on purpose: consumers with acknowledgement, retention, and anything that needs to know
//! what a payload says.

mod convert;
mod manager;
mod query;
mod subscription;
mod token;

pub use manager::{EventManager, EventPosition, NewEvent, StoredEvent, TopicInfo};
pub use query::{EventOrder, EventQuery, EventResults};
pub(crate) use token::Tokens;

pub use subscription::{EventSubscription, StartFrom};
