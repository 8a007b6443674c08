//! ForgeOne DB: one encrypted, verifiable store for a platform's events, logs, blobs and state.

pub mod environment;
pub mod model;
pub mod redb;

pub(crate) mod codec;
pub(crate) mod crypto;
mod db;
mod events;
pub(crate) mod index;
mod integrity;
pub(crate) mod log;
mod options;
pub(crate) mod piece;
pub(crate) mod pool;
pub(crate) mod stream;

pub use crypto::{KdfParams, Key, KeyFile};
pub use db::{
    BlockingResults, BlockingSubscription, Database, DatabaseStats, KeySlot, RedbManager,
    StoreKeys, StoreStats, init_redb,
};
pub use events::{
    EventManager, EventOrder, EventPosition, EventQuery, EventResults, EventSubscription, NewEvent,
    StartFrom, StoredEvent, TopicInfo,
};
pub use forgeone_db_engine::{
    ClosedReason, Durability, Engine, Error, ErrorKind, MemoryEngine, Outcome, Result, Status,
};
pub use integrity::{Finding, FindingSeverity, VerifyDepth, VerifyProgress, VerifyReport};
pub use model::{EventMessage, EventPriority, StreamableEvent, TopicPattern};
pub use options::{DbOptions, OpenMode, StoreOptions};
