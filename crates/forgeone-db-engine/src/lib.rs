//! The engine contract of ForgeOne DB.
//!
//! An [`Engine`] stores opaque bytes in few, large operations; everything that ForgeOne DB promises
//! above that (encryption, order, verification) is built on this contract alone. This crate has the
//! contract, the project's [`Error`], an engine in memory, wrappers that are engines themselves, a
//! deliberately strict engine for tests, and the conformance suite that every engine runs.
#![forbid(unsafe_code)]

pub mod conformance;
pub mod contract;
pub mod error;
pub mod faulty;
pub mod memory;
pub mod metered;
#[doc(hidden)]
pub mod mutant;
pub mod poisoned;
pub mod read_only;
pub mod strict;
mod task;

pub use contract::{
    Batch, BoxFuture, Capability, DatabaseName, Direction, Durability, Engine, Entry, KeyRange,
    MaybeSend, MaybeSync, Operation, Page, Precondition, Projection, Read, ReadResult, TableName,
    Usage,
};
pub use error::{ClosedReason, Error, ErrorKind, Outcome, Result, Status};
pub use faulty::FaultyEngine;
pub use memory::MemoryEngine;
pub use metered::MeteredEngine;
pub use poisoned::PoisonedEngine;
pub use read_only::ReadOnlyEngine;
pub use strict::StrictEngine;
