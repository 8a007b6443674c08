//! The suites, one module each.

pub(crate) mod appends;
pub(crate) mod bytes;
pub(crate) mod crash;
pub(crate) mod kill;
pub(crate) mod memory;
