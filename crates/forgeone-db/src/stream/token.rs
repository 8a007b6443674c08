//! Cursors and tokens as users hold them: opaque text that only this store, in this epoch, takes
//! back.

use super::families::TopicKind;
use crate::crypto::CursorKey;
use forgeone_db_engine::{Error, ErrorKind, Result};

/// What a token is for. Kind of topic and purpose are in its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Query = 1,
    Subscription = 2,
}

impl Purpose {
    const fn code(self, kind: TopicKind) -> u8 {
        self as u8 + 2 * (kind.code() - 1)
    }
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
    pub(super) fn seal(&self, place: (TopicKind, Purpose), payload: &[u8]) -> Result<String> {
        let head = [&[place.1.code(place.0)], &self.epoch.to_be_bytes()[..], payload].concat();
        self.key.seal(&head)
    }

    /// # Errors
    /// `Invalid` for a token of another kind, store or epoch.
    pub(super) fn open(&self, place: (TopicKind, Purpose), token: &str) -> Result<Vec<u8>> {
        let mut payload = self.key.open(token)?;
        let rest = payload.split_off(payload.len().min(5));
        if payload == [&[place.1.code(place.0)], &self.epoch.to_be_bytes()[..]].concat() {
            return Ok(rest);
        }
        Err(Error::new(
            ErrorKind::Invalid,
            "the token is for something else, or from before the store was restored",
        ))
    }
}
