//! The world outside the store: time, randomness and tasks, injected so that a test or a
//! simulation decides them.
//!
//! Absent on purpose: files (an engine's and its directory's business) and the network.

mod mark;
mod system;
mod timestamp;

pub use mark::{mark_store_thread, on_store_thread};
pub use system::SystemEnvironment;
pub use timestamp::Timestamp;

use forgeone_db_engine::Result;
use std::fmt::Debug;
use std::time::Duration;

/// Time, randomness and tasks.
pub trait Environment: Debug + Send + Sync + 'static {
    /// The wall clock. May jump in either direction and say anything; nothing is ordered by it. What
    /// is beyond the calendar is stored as the end of the calendar that is nearest.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; never goes back. For delays and rates.
    fn monotonic(&self) -> Duration;

    /// Fills `bytes` from the operating system's generator, or from a seed in a simulation.
    ///
    /// # Errors
    /// `Unavailable` when the generator cannot answer. Nothing may be sealed then.
    fn fill_random(&self, bytes: &mut [u8]) -> Result<()>;

    /// Runs `task` on a thread of its own with a name, marked by [`mark_store_thread`].
    ///
    /// # Errors
    /// `Unavailable` when no thread can be started.
    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task>;
}

/// A task that was started. Dropping it lets the task run on.
#[derive(Debug)]
pub struct Task(Option<std::thread::JoinHandle<()>>);

impl Task {
    /// Wraps a thread.
    pub fn new(handle: std::thread::JoinHandle<()>) -> Self {
        Self(Some(handle))
    }

    /// Waits until the task has ended; says whether it ended without a panic.
    pub fn join(mut self) -> bool {
        self.0.take().is_none_or(|handle| handle.join().is_ok())
    }
}
