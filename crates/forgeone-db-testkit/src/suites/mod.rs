//! The suites, one module each.

pub(crate) mod appends;
