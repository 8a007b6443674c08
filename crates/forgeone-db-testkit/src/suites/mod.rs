//! The suites, one module each.

pub(crate) mod appends;
pub(crate) mod crash;
pub(crate) mod faults;
