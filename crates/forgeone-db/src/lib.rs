//! ForgeOne DB: one encrypted, verifiable store for a platform's events, logs, blobs and state.
//!
//! [`init_redb`] opens a store in a directory and gives a [`RedbManager`], whose calls block;
//! [`Database`] is the same store for async callers, and [`StoreOptions`] has everything that can
//! be set. Events go through [`EventManager`], settings and flags
//! through [`SystemManager`].
//!
//! # Example
//! ```
//! use forgeone_db::{
//!     EventQuery, Key, OpenMode, RedbManager, StoreOptions, StreamableEvent, TopicPattern,
//! };
//! use serde::{Deserialize, Serialize};
//! use std::borrow::Cow;
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Shipped {
//!     order: u64,
//! }
//!
//! impl StreamableEvent for Shipped {
//!     const TYPE_NAME: &'static str = "shop.shipped.v1";
//!
//!     fn topic(&self) -> Cow<'_, str> {
//!         "orders.shipped".into()
//!     }
//! }
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("store");
//! let options = StoreOptions::new(path).key(Key::raw([7; 32])).mode(OpenMode::OpenOrCreate);
//! let store = RedbManager::open(options)?;
//! let (message, position) = store.store_typed(&Shipped { order: 7 })?;
//! assert_eq!(position.seq, 1);
//!
//! let found = store.get_event(message.id)?;
//! assert_eq!(Shipped::from_message(&found[0].event)?, Shipped { order: 7 });
//!
//! let query = EventQuery::new(TopicPattern::new("orders.*")?);
//! for event in store.query_events(query)? {
//!     println!("{}", event?.event.payload);
//! }
//! store.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! What a successful write means, what survives what, and what is detected: `docs/durability.md`
//! and `docs/threat-model.md`. The format of stored data may change until the first release.

pub mod crypto;
pub mod environment;
pub mod error;
pub mod events;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod integrity;
pub mod logs;
pub mod model;
pub mod recovery;
pub mod redb;
pub mod system;

mod codec;
mod db;
mod index;
mod log;
mod options;
mod piece;
mod pool;
mod stream;

#[cfg(test)]
mod format_tests;

pub use crypto::{KdfParams, Key, KeyFile};
pub use db::{
    BlockingLogResults, BlockingLogSubscription, BlockingResults, BlockingScan,
    BlockingSubscription, BlockingWatch, CompactProgress, CompactReport, CompactedDatabase,
    Database, DatabaseStats, KeyProgress, KeyRotation, KeySlot, PendingKeyChange, Recovered,
    RedbManager, Scrub, ScrubOptions, ScrubRound, ScrubStatus, Shredded, StoreKeys, StoreStats,
    init_redb,
};
pub use error::{ClosedReason, Error, ErrorKind, Outcome, Result, Status};
pub use events::{
    EventManager, EventPosition, EventQuery, EventResults, EventSubscription, NewEvent, StoredEvent,
};
pub use forgeone_db_engine::{Durability, Engine, MemoryEngine};
pub use integrity::{Finding, FindingSeverity, VerifyDepth, VerifyProgress, VerifyReport};
pub use logs::{
    LogManager, LogPosition, LogQuery, LogResults, LogSubscription, NewLogEntry, StoredLogEntry,
};
pub use model::{
    EventMessage, EventPriority, LineEnd, LogEntry, QueryOrder, Severity, StartFrom,
    StreamableEvent, TopicInfo, TopicPattern,
};
pub use options::{DbOptions, OpenMode, StoreOptions};
pub use recovery::{
    KeptRange, LostRange, RebuiltIndex, RepairPlan, RepairProgress, RepairReport, RepairStep,
    SalvageDamage, SalvageProgress, SalvageReport, SalvagedTopic,
};
pub use stream::TopicKind;
pub use system::{
    Flag, FlagReason, FlagResults, FlagState, FlagValue, FlagVariant, MetadataEntry,
    MetadataResults, NewSetting, SetOptions, Setting, SettingHistory, SettingResults,
    SettingVersion, SettingWrite, SettingsQuery, SettingsUpdate, SettingsWatch, StoredFlag,
    SystemManager, WatchFrom,
};

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
