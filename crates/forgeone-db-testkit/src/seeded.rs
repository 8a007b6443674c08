//! A world in which a store comes out the same every time.

use crate::random::Random;
use forgeone_db::Error;
use forgeone_db::environment::{Environment, SystemEnvironment, Task, Timestamp};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Times and random bytes from a seed; real threads.
#[derive(Debug)]
pub(crate) struct SeededEnvironment {
    random: Mutex<Random>,
    system: SystemEnvironment,
}

impl SeededEnvironment {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Mutex::new(Random::of_case(seed, 0)), system: SystemEnvironment::new() }
    }
}

impl Environment for SeededEnvironment {
    fn now(&self) -> Timestamp {
        // Nothing is ordered by it, so it may as well stand still.
        Timestamp { seconds: 1_700_000_000, nanos: 0 }
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            for (byte, drawn) in chunk.iter_mut().zip(random.next().to_le_bytes()) {
                *byte = drawn;
            }
        }
        Ok(())
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task, Error> {
        self.system.spawn(name, task)
    }
}
