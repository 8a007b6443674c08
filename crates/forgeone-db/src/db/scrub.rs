//! Scrubbing: verifying an open store over and over in the background, within a rate.

use super::database::Database;
use super::verify::Ground;
use crate::integrity::{self, Finding, Pins, VerifyDepth, VerifyProgress, VerifyReport};
use crate::pool::run_blocking;
use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes a second unless something else is asked for.
const RATE_DEFAULT: u64 = 20 << 20;
/// Time between two rounds unless something else is asked for.
const PAUSE_DEFAULT: Duration = Duration::from_hours(1);
/// The least time before another round after one that failed.
const PAUSE_MIN_FAILED: Duration = Duration::from_secs(1);
/// Waits shorter than this are put together.
const WAIT_MIN: Duration = Duration::from_millis(5);

/// How a store is scrubbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubOptions {
    bytes_per_second: u64,
    pause: Duration,
    rounds_max: Option<u64>,
}

impl Default for ScrubOptions {
    fn default() -> Self {
        Self { bytes_per_second: RATE_DEFAULT, pause: PAUSE_DEFAULT, rounds_max: None }
    }
}

impl ScrubOptions {
    /// Stored bytes that are read in a second, at most; 0 for no limit. Default: 20 MiB.
    #[must_use]
    pub const fn bytes_per_second(mut self, bytes: u64) -> Self {
        self.bytes_per_second = bytes;
        self
    }

    /// Time between the end of a round and the beginning of the next. Default: one hour.
    #[must_use]
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Ends after so many rounds. Default: goes on until it is stopped.
    #[must_use]
    pub const fn rounds_max(mut self, rounds: u64) -> Self {
        self.rounds_max = Some(rounds);
        self
    }
}

/// What a round has found, or why it did not go through.
pub type ScrubRound<'a> = Result<&'a VerifyReport, &'a Error>;

/// How far a scrub is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// Whether it goes on.
    pub is_running: bool,
    /// Rounds that went through the whole store.
    pub rounds: u64,
    /// How far the present round is, or how far the last one came.
    pub progress: VerifyProgress,
    /// What the last whole round found.
    pub last: Option<VerifyReport>,
    /// Why the newest round did not go through, if it did not.
    pub failed: Option<String>,
}

/// A scrub in the background. Dropping it stops it.
#[derive(Debug)]
pub struct Scrub {
    work: Arc<Work>,
}

impl Scrub {
    /// How far it is.
    pub fn status(&self) -> ScrubStatus {
        self.work.status().clone()
    }

    /// Has it stop; what it is about to read is still read. Does not wait for that.
    pub fn stop(&self) {
        self.work.ground.shared.end_sleep(&self.work.stop);
    }

    /// Waits until it has ended: after the last round, when it was stopped, or when the store closes.
    /// Blocks.
    pub fn wait(&self) -> ScrubStatus {
        let mut status = self.work.status();
        while status.is_running {
            status = self.work.ended.wait(status).unwrap_or_else(PoisonError::into_inner);
        }
        status.clone()
    }
}

impl Drop for Scrub {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Database {
    /// Verifies the store in the background, at standard depth, round after round, reading no more
    /// than so many bytes a second. `on_round` is told what each round has found, or why it did not go
    /// through; it runs on the scrub's thread and must not close the store.
    ///
    /// Appends, reads and sealing go on. A writer keeps what it has replaced no longer than it takes
    /// to walk one index, the system database excepted. The scrub keeps the store open for nobody:
    /// closing it ends the scrub at the next unit.
    ///
    /// # Errors
    /// `Closed`; `Unavailable` when no thread can be started. Damage is no error but in the report; what
    /// ends a round otherwise is told and in [`ScrubStatus::failed`], and the next round is tried. A
    /// panic in what is told ends the scrub and is there, too.
    ///
    /// # Limits
    /// As [`verify`](Self::verify). What does not rest on bytes read, such as comparing topics, is not
    /// slowed down. The engine's own pages are not checked.
    pub fn scrub(
        &self,
        options: ScrubOptions,
        on_round: impl FnMut(ScrubRound<'_>) + Send + 'static,
    ) -> Result<Scrub> {
        let core = self.core();
        core.shared.check_open()?;
        let status = ScrubStatus { is_running: true, ..ScrubStatus::default() };
        let work = Arc::new(Work {
            ground: Ground::of(core),
            options,
            stop: AtomicBool::new(false),
            status: Mutex::new(status),
            ended: Condvar::new(),
        });
        let worker = Arc::clone(&work);
        let task = Box::new(move || worker.run(on_round));
        let task = core.shared.environment.spawn("scrub", task)?;
        core.background.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        Ok(Scrub { work })
    }
}

/// What the thread and the handle share.
#[derive(Debug)]
struct Work {
    ground: Ground,
    options: ScrubOptions,
    stop: AtomicBool,
    status: Mutex<ScrubStatus>,
    ended: Condvar,
}

impl Work {
    fn status(&self) -> MutexGuard<'_, ScrubStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut on_round: impl FnMut(ScrubRound<'_>)) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.rounds(&mut on_round)));
        let mut status = self.status();
        status.is_running = false;
        if ended.is_err() {
            status.failed = Some("the scrub panicked; it has ended".to_owned());
        }
        drop(status);
        self.ended.notify_all();
    }

    fn rounds(&self, on_round: &mut impl FnMut(ScrubRound<'_>)) {
        let mut tried = 0;
        loop {
            let verified = run_blocking(self.round());
            if self.check_going_on().is_err() {
                return;
            }
            tried += 1;
            let pause = match verified {
                Ok(report) => {
                    self.note_round(&report);
                    on_round(Ok(&report));
                    self.options.pause
                }
                Err(error) => {
                    self.status().failed = Some(error.to_string());
                    on_round(Err(&error));
                    self.options.pause.max(PAUSE_MIN_FAILED)
                }
            };
            if self.options.rounds_max.is_some_and(|max| tried >= max) || !self.sleep(pause) {
                return;
            }
        }
    }

    fn note_round(&self, report: &VerifyReport) {
        let mut status = self.status();
        status.rounds += 1;
        (status.last, status.failed) = (Some(report.clone()), None);
    }

    async fn round(&self) -> Result<VerifyReport> {
        let shared = &self.ground.shared;
        let room = shared.memory.searches.take_room();
        let subject = self.ground.subject(room.bytes, Pins::Index).await?;
        let mut throttle = Throttle::new(self.options.bytes_per_second);
        let mut on_progress = |at: &VerifyProgress| {
            self.status().progress.clone_from(at);
            let wait = throttle.wait(at.bytes + at.bytes_again, shared.environment.monotonic());
            if wait >= WAIT_MIN {
                self.sleep(wait);
            }
            self.check_going_on()
        };
        integrity::verify(subject, VerifyDepth::Standard, &mut on_progress).await
    }

    fn check_going_on(&self) -> Result<()> {
        self.ground.shared.check_open()?;
        if self.stop.load(Ordering::Acquire) {
            let reason = ErrorKind::Closed(ClosedReason::Shutdown);
            return Err(Error::new(reason, "the scrub was stopped"));
        }
        Ok(())
    }

    /// Sleeps for `interval`; false once the scrub is to end.
    fn sleep(&self, interval: Duration) -> bool {
        let now = || self.ground.shared.environment.monotonic();
        let end = now().saturating_add(interval);
        while self.check_going_on().is_ok() {
            let left = end.saturating_sub(now());
            if left.is_zero() {
                return true;
            }
            self.ground.shared.sleep_unless(left, &self.stop);
        }
        false
    }
}

/// Says how long to wait so that a rate is kept. What was not read in a slow time is not made up for.
#[derive(Debug)]
struct Throttle {
    bytes_per_second: u64,
    bytes: u64,
    /// When what was read so far may have been read.
    free_at: Duration,
}

impl Throttle {
    const fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, bytes: 0, free_at: Duration::ZERO }
    }

    /// How long to wait after `bytes` in all were read.
    fn wait(&mut self, bytes: u64, now: Duration) -> Duration {
        let more = bytes.saturating_sub(std::mem::replace(&mut self.bytes, bytes));
        if self.bytes_per_second == 0 {
            return Duration::ZERO;
        }
        let nanos = u128::from(more) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(now).saturating_add(cost);
        self.free_at.saturating_sub(now)
    }
}

impl ScrubStatus {
    /// The findings of the last whole round that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.last.iter().flat_map(VerifyReport::errors)
    }
}

#[cfg(test)]
mod tests {
    use super::Throttle;
    use std::time::Duration;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_rate_is_kept_and_lost_time_is_not_made_up_for() {
        let mut throttle = Throttle::new(1000);
        assert_eq!(throttle.wait(100, MS(0)), MS(100));
        // Not waited for: it adds up.
        assert_eq!(throttle.wait(200, MS(0)), MS(200));
        assert_eq!(throttle.wait(300, MS(150)), MS(150));
        // Long after: nothing is saved up.
        assert_eq!(throttle.wait(1300, MS(10_000)), MS(1000));
        // A walk that began again counts on.
        assert_eq!(throttle.wait(300, MS(11_000)), MS(0));
        assert_eq!(throttle.wait(400, MS(11_000)), MS(100));
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let mut throttle = Throttle::new(0);
        assert_eq!(throttle.wait(u64::MAX, MS(0)), MS(0));
        assert!(Throttle::new(1).wait(u64::MAX, MS(0)) > Duration::from_secs(1 << 33));
    }
}
