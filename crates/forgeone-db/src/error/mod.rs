//! The project's one error type. Its home is the engine crate, so that engines can make it.
//!
//! Absent on purpose: anything else; see `docs/errors.md` for what each kind means.

pub use forgeone_db_engine::error::{ClosedReason, Error, ErrorKind, Outcome, Result, Status};
