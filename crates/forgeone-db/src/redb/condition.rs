//! What can be told of a store's directory without a key and without changing it.

use super::RedbOptions;
use super::directory::{StoreDirectory, TEMPORARY_SUFFIX};
use super::files::{Access, Files, is_unrecovered};
use forgeone_db_engine::{DatabaseName, Result};

impl StoreDirectory {
    /// The databases whose files a crash left; whoever opens the store next recovers them. Changes
    /// nothing. While another process holds the store's lock the answer is of that moment only.
    ///
    /// # Errors
    /// `NotFound` when the directory is gone; `Denied`, `Unavailable`. A file that cannot be opened
    /// for another reason is not named: opening the store says what is wrong with it.
    pub fn unrecovered(&self) -> Result<Vec<DatabaseName>> {
        let files = Files::new(self.clone(), Access::Read, RedbOptions::default());
        let mut names = self.databases()?;
        names.retain(|name| files.open_beside(name).is_err_and(|error| is_unrecovered(&error)));
        Ok(names)
    }

    /// The names of files that an interrupted creation or replacement left, in order. They are
    /// ignored, and in nobody's way; while another process holds the lock they may be at work.
    ///
    /// # Errors
    /// `NotFound` when the directory is gone; `Denied`, `Unavailable`.
    pub fn leftovers(&self) -> Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| name.ends_with(TEMPORARY_SUFFIX));
        Ok(names)
    }
}
