//! Time for waiting on locks and for reporting how long a recovery took.

use std::fmt;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A clock that only goes forward, and a way to wait. Handed in, so that a simulation controls it.
pub trait Timer: fmt::Debug + Send + Sync {
    /// The time since some fixed point in the past.
    fn now(&self) -> Duration;

    /// Returns after `duration`, or earlier; every caller looks at [`now`](Self::now) again.
    fn pause(&self, duration: Duration);
}

/// The operating system's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemTimer {
    start: Instant,
}

impl SystemTimer {
    /// A timer that starts at zero now.
    pub fn new() -> Self {
        Self { start: instant() }
    }
}

impl Default for SystemTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for SystemTimer {
    fn now(&self) -> Duration {
        instant().saturating_duration_since(self.start)
    }

    fn pause(&self, duration: Duration) {
        let nothing = Mutex::new(());
        let guard = nothing.lock().unwrap_or_else(PoisonError::into_inner);
        drop(Condvar::new().wait_timeout_while(guard, duration, |()| true));
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where this engine meets the clock")]
fn instant() -> Instant {
    Instant::now()
}
