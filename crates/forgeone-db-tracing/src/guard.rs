//! What a program holds on to while it logs.

use crate::buffer::Buffer;
use crate::limits::DROP_WAIT;
use crate::stats::LayerStats;
use forgeone_db::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

/// The other end of a [`StoreLayer`](crate::StoreLayer): tells what became of the events, and closes
/// the layer when it is closed or dropped. Close it before the store.
///
/// Dropping it waits up to 5 seconds for what is buffered to be stored and says nothing about the
/// rest; [`close`](Self::close) does.
#[must_use = "dropping it closes the layer"]
#[derive(Debug)]
pub struct StoreLayerGuard {
    buffer: Arc<Buffer>,
    closed: bool,
}

impl StoreLayerGuard {
    pub(crate) fn new(buffer: Arc<Buffer>) -> Self {
        Self { buffer, closed: false }
    }

    /// What became of the events so far.
    pub fn stats(&self) -> LayerStats {
        self.buffer.stats()
    }

    /// What the store last said when it did not store, for whoever looks for the reason of drops.
    pub fn last_error(&self) -> Option<String> {
        self.buffer.last_error()
    }

    /// Waits until every event that was accepted before this call is stored or dropped;
    /// [`stats`](Self::stats) tells which.
    ///
    /// # Errors
    /// `Unavailable` when that took longer than `wait`. Storing goes on all the same.
    pub fn flush(&self, wait: Duration) -> Result<()> {
        if self.buffer.flush(wait) {
            return Ok(());
        }
        let error =
            Error::new(ErrorKind::Unavailable, "not all logs were stored in time; wait longer");
        Err(error.with("waiting", self.stats().waiting))
    }

    /// Takes no more events, waits until those in the buffer are stored, drops what is not stored
    /// after `wait`, and tells what became of all. Later events are dropped.
    ///
    /// `waiting` in the answer is what was being written when the time had passed: a write that
    /// does not return is not waited for, and may or may not store them.
    pub fn close(mut self, wait: Duration) -> LayerStats {
        self.close_within(wait);
        self.stats()
    }

    fn close_within(&mut self, wait: Duration) {
        if !self.closed {
            self.closed = true;
            self.buffer.close(wait);
        }
    }
}

impl Drop for StoreLayerGuard {
    fn drop(&mut self) {
        self.close_within(DROP_WAIT);
    }
}
