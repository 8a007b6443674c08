//! Logs: storing lines in topics, searching them by what they say, replaying and following them.
//!
//! What lines say about themselves is read in [`mod@format`], which needs no store. Absent on purpose:
//! indexes over words, retention, and reading files.

pub mod format;

mod convert;
mod filter;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod manager;
mod query;
mod subscription;

pub use manager::{LogManager, LogPosition, NewLogEntry, StoredLogEntry};
pub use query::{LogQuery, LogResults};
pub use subscription::LogSubscription;
