//! Log lines: what they say about themselves.
//!
//! Absent on purpose: input and output.

pub mod format;
