//! The real world.

use super::{Environment, Task, Timestamp, mark_store_thread};
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

/// The operating system's clock, generator and threads.
#[derive(Debug, Clone, Copy)]
pub struct SystemEnvironment {
    start: Instant,
}

impl SystemEnvironment {
    /// An environment whose monotonic clock starts now.
    #[expect(clippy::disallowed_methods, reason = "this is the place where the real clock is read")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for SystemEnvironment {
    #[expect(clippy::disallowed_methods, reason = "this is the place where the real clock is read")]
    fn now(&self) -> Timestamp {
        std::time::SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is where real randomness comes in")]
    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the operating system gives no randomness")
                .with_source(std::io::Error::from(error))
        })
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        let task = move || {
            mark_store_thread();
            task();
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(task).map(Task::new).map_err(
            |error| {
                Error::new(ErrorKind::Unavailable, "no thread could be started").with_source(error)
            },
        )
    }
}
