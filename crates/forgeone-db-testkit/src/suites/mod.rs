//! The suites, one module each.

pub(crate) mod appends;
pub(crate) mod differential;
pub(crate) mod histories;
pub(crate) mod kill;
pub(crate) mod syscalls;
