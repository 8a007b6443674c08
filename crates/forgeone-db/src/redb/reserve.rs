//! The reserve: a file that is nothing but room, given back when there is none left. An engine that
//! copies on write needs room to delete.
//!
//! Absent on purpose: how large it is to be and when it is spent, which is decided above. What is in
//! the file means nothing, and it may be missing or of any size at any time.

use super::directory::StoreDirectory;
use super::failure::from_io;
use forgeone_db_engine::{ErrorKind, Result};
use std::path::PathBuf;

/// The file's name.
pub(super) const RESERVE_FILE: &str = "reserve"; // on-disk

impl StoreDirectory {
    fn reserve_file(&self) -> PathBuf {
        self.path().join(RESERVE_FILE)
    }

    /// Bytes that are set aside; 0 if that cannot be seen.
    pub(crate) fn reserve_bytes(&self) -> u64 {
        let allocated = self.disk().allocated_bytes(&self.reserve_file());
        allocated.ok().flatten().unwrap_or(0)
    }

    /// Sets aside `bytes`. What was set aside before counts.
    ///
    /// # Errors
    /// `Full`, `Denied`, `Unavailable`. Any part of it may have been set aside then.
    pub(crate) fn keep_reserve(&self, bytes: u64) -> Result<()> {
        self.disk()
            .set_aside(&self.reserve_file(), bytes)
            .map_err(|error| from_io(error, "room cannot be set aside"))
    }

    /// Gives back what was set aside, and says how much that was. Should it fail, the file stays, and
    /// what needed the room says what is wrong.
    pub(crate) fn free_reserve(&self) -> u64 {
        let bytes = self.reserve_bytes();
        match self.disk().remove(&self.reserve_file()) {
            Ok(()) => bytes,
            Err(_) => 0,
        }
    }

    /// Does what may need room; where there is too little, once more with the reserve given back.
    pub(super) fn with_reserve<T>(&self, mut call: impl FnMut() -> Result<T>) -> Result<T> {
        match call() {
            Err(error) if error.kind() == ErrorKind::Full && self.free_reserve() > 0 => call(),
            result => result,
        }
    }
}
