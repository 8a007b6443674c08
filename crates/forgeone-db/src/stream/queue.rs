//! The queue in front of a committer, taken in groups. What may wait in it is bounded in front of it.

use super::sync::{Condvar, Mutex, MutexGuard};
use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Result, mutant};
use std::collections::VecDeque;
use std::sync::PoisonError;

#[derive(Debug)]
struct Waiting<T> {
    items: VecDeque<(T, usize)>,
    closed: bool,
}

/// Requests that wait for one committer.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    arrived: Condvar,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        let waiting = Waiting { items: VecDeque::new(), closed: false };
        Self { waiting: Mutex::new(waiting), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request of `bytes`. Once this returned, the request is the committer's, whatever
    /// becomes of the caller.
    ///
    /// # Errors
    /// `Closed(Shutdown)` when the queue is closed.
    pub(crate) fn push(&self, item: T, bytes: usize) -> Result<()> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(Error::new(
                ErrorKind::Closed(ClosedReason::Shutdown),
                "the store is closed; open it again",
            ));
        }
        waiting.items.push_back((item, bytes));
        self.arrived.notify_one();
        Ok(())
    }

    /// Takes what is waiting, at most `bytes_max` of it but at least one request; waits for one.
    /// `None` when the queue is closed and empty.
    pub(crate) fn take(&self, bytes_max: usize) -> Option<Vec<T>> {
        let mut waiting = self.lock();
        while waiting.items.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut taken, mut sum) = (Vec::new(), 0);
        while let Some((_, bytes)) = waiting.items.front() {
            if mutant!("lose-a-request-in-the-queue") && taken.len() == 1 {
                drop(waiting.items.pop_front());
                break;
            }
            if !taken.is_empty() && sum + bytes > bytes_max {
                break;
            }
            if let Some((item, bytes)) = waiting.items.pop_front() {
                sum += bytes;
                taken.push(item);
            }
        }
        Some(taken)
    }

    /// Refuses further requests; what waits is still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }
}
