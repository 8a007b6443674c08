//! Logs: storing lines in topics, searching them by what they say, replaying and following them.
//!
//! Absent on purpose: indexes over words, retention, and where lines come from.

mod convert;
mod filter;
mod manager;
mod query;
mod subscription;

pub use manager::{LogManager, LogPosition, NewLogEntry, StoredLogEntry};
pub use query::{LogQuery, LogResults};
pub use subscription::LogSubscription;
