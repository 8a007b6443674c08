//! The suites, one module each.

pub(crate) mod appends;
pub(crate) mod bytes;
pub(crate) mod ciphertext;
pub(crate) mod crash;
pub(crate) mod faults;
pub(crate) mod kill;
pub(crate) mod memory;
