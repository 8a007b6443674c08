//! The facade: opening and creating stores, and the async and blocking faces over one core.
//!
//! Absent on purpose: what events are (`events`) and how they are kept (`stream` and below).

mod check;
mod compact;
mod create;
mod database;
mod fence;
mod key_work;
mod keys;
mod memory;
mod open;
mod quota;
mod recovered;
mod redb_logs;
mod redb_manager;
mod redb_system;
mod repair;
mod salvage;
mod scrub;
mod sidecar;
mod stack;
mod stats;
mod unfinished;
mod unopened;
mod verify;

pub use compact::{CompactProgress, CompactReport, CompactedDatabase};
pub use database::Database;
pub use key_work::{KeyProgress, KeyRotation, PendingKeyChange, Shredded};
pub use keys::{KeySlot, StoreKeys};
pub use recovered::Recovered;
pub use redb_logs::{BlockingLogResults, BlockingLogSubscription};
pub use redb_manager::{BlockingResults, BlockingSubscription, RedbManager, init_redb};
pub use redb_system::{BlockingScan, BlockingWatch};
pub use scrub::{Scrub, ScrubOptions, ScrubRound, ScrubStatus};
pub use stats::{DatabaseStats, StoreStats};
