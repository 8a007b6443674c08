//! A world in which a store comes out the same every time.

use crate::random::Random;
use forgeone_db::Result;
use forgeone_db::environment::{Environment, SystemEnvironment, Task, Timestamp};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Randomness from a seed, and a wall clock that goes on by a second with each look at it. Threads
/// and delays are real.
#[derive(Debug)]
pub(crate) struct Seeded {
    real: SystemEnvironment,
    state: Mutex<(Random, i64)>,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        let state = (Random::of_case(seed, 0), 1_700_000_000);
        Self { real: SystemEnvironment::new(), state: Mutex::new(state) }
    }
}

impl Environment for Seeded {
    fn now(&self) -> Timestamp {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1 += 1;
        Timestamp { seconds: state.1, nanos: 0 }
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(state.0.next().to_le_bytes()) {
                *byte = random;
            }
        }
        Ok(())
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        self.real.spawn(name, task)
    }
}
