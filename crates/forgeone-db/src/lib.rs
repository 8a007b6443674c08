//! ForgeOne DB.

// Layers that nothing public uses yet are built from the bottom up.
#![allow(dead_code, unused_imports, reason = "TEMPORARY: removed when the facade stands")]

pub mod environment;
pub mod model;

pub(crate) mod codec;
pub(crate) mod crypto;
pub(crate) mod index;
pub(crate) mod log;
pub(crate) mod piece;
pub(crate) mod pool;
pub(crate) mod stream;

pub use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Outcome, Result, Status};
