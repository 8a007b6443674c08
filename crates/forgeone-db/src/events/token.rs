//! Cursors and tokens as users hold them: opaque text that only this store, in this epoch, takes
//! back.

use crate::crypto::CursorKey;
use forgeone_db_engine::{Error, ErrorKind, Result};

/// What a token is for. The numbers are in its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Query = 1,
    Subscription = 2,
}

/// Makes and opens tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: CursorKey,
    epoch: u32,
}

impl Tokens {
    pub(crate) const fn new(key: CursorKey, epoch: u32) -> Self {
        Self { key, epoch }
    }

    /// # Errors
    /// `Internal` if the token cannot be made.
    pub(super) fn seal(&self, kind: TokenKind, payload: &[u8]) -> Result<String> {
        let head = [&[kind as u8], &self.epoch.to_be_bytes()[..], payload].concat();
        self.key.seal(&head)
    }

    /// # Errors
    /// `Invalid` for a token of another kind, store or epoch.
    pub(super) fn open(&self, kind: TokenKind, token: &str) -> Result<Vec<u8>> {
        let mut payload = self.key.open(token)?;
        let rest = payload.split_off(payload.len().min(5));
        if payload == [&[kind as u8], &self.epoch.to_be_bytes()[..]].concat() {
            return Ok(rest);
        }
        Err(Error::new(
            ErrorKind::Invalid,
            "the token is for something else, or from before the store was restored",
        ))
    }
}
