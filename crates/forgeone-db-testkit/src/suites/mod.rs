//! The suites, one module each.

pub(crate) mod appends;
pub(crate) mod bytes;
pub(crate) mod ciphertext;
pub(crate) mod crash;
pub(crate) mod differential;
pub(crate) mod faults;
pub(crate) mod full_disk;
pub(crate) mod histories;
pub(crate) mod kill;
pub(crate) mod memory;
pub(crate) mod syscalls;
