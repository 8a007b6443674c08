//! Waking whoever waits for something to change, threads and tasks alike.

use super::sync::{AtomicU64, Mutex, Ordering};
use forgeone_db_engine::mutant;
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

/// A version that only grows, and those who wait for it to.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    version: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
}

impl Notify {
    /// The present version. Take it before looking at what it guards, then wait for a later one.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Raises the version and wakes everyone.
    pub(crate) fn notify(&self) {
        if !mutant!("wake-before-there-is-news") {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        let wakers =
            std::mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
        if mutant!("wake-before-there-is-news") {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Resolves when the version is no longer `seen`.
    pub(crate) const fn changed(&self, seen: u64) -> Changed<'_> {
        Changed { notify: self, seen }
    }
}

/// The future of [`Notify::changed`].
#[derive(Debug)]
pub(crate) struct Changed<'a> {
    notify: &'a Notify,
    seen: u64,
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut wakers = self.notify.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: a notification either came before, and shows, or will find the waker.
        if self.notify.version() != self.seen {
            return Poll::Ready(());
        }
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::Notify;
    use futures::executor::block_on;
    use std::sync::Arc;

    #[test]
    fn a_change_between_looking_and_waiting_is_not_missed() {
        let notify = Notify::default();
        let seen = notify.version();
        notify.notify();
        block_on(notify.changed(seen));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test of threads")]
    fn a_waiting_thread_wakes() {
        let notify = Arc::new(Notify::default());
        let seen = notify.version();
        let other = Arc::clone(&notify);
        let thread = std::thread::spawn(move || other.notify());
        block_on(notify.changed(seen));
        thread.join().unwrap();
    }
}
