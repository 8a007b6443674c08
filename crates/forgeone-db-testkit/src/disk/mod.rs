//! A disk in memory that logs what is done to it, fails when it is told to, and can be cut off from
//! its power after any operation.
//!
//! [`SimDisk`] is what a store is opened on. What it holds is an [`Image`], which is cheap to copy.
//! [`Medium`] goes through a disk's log and knows after each operation what
//! is durable and what is only on its way; a [`Selection`] says what of the latter arrived.
//!
//! ```text
//! let disk = SimDisk::new();                          // or SimDisk::holding(image)
//! RedbManager::open(disk.options())?;                 // StoreOptions with .disk(..)
//! let image = disk.image();                           // as the running process sees it
//! RedbManager::open(SimDisk::holding(image).options())?;
//! ```
//!
//! Absent on purpose: permissions, symbolic links, more than one process.

mod content;
mod crash;
mod fault;
mod image;
mod medium;
mod sim;

pub(crate) use crash::{Part, Selection, selections};
pub(crate) use fault::{Class, Failure, Fault, Repeat};
pub(crate) use image::Image;
pub(crate) use medium::{Medium, Operation};
pub(crate) use sim::{STORE, SimDisk};

#[cfg(test)]
mod tests;
