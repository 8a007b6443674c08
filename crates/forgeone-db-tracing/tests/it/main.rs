//! The layer as programs meet it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests, helpers included")]

mod entries;
mod overload;
mod quiet;
mod support;
