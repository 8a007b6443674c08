//! The bounded buffer between the program's threads and the one that stores.
//!
//! Its lock is only ever held while records are moved in memory: nobody formats, frees, reads or
//! writes under it.

use crate::limits::{LINGER, RECORD_BYTES, ROUND_BYTES_MAX, ROUND_RECORDS_MAX};
use crate::record::Record;
use crate::stats::{DropReason, Dropped, LayerStats};
use forgeone_db::environment::Environment;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// See the module.
pub(crate) struct Buffer {
    environment: Arc<dyn Environment>,
    records_max: usize,
    bytes_max: usize,
    state: Mutex<State>,
    /// Whether, a moment ago, not even the smallest record had room.
    full: AtomicBool,
    /// Events on the store's own threads. Not under the lock: such an event may come from anywhere.
    ignored: AtomicU64,
    /// Signalled for the thread that stores.
    work: Condvar,
    /// Signalled when records were dealt with, or the thread that stores has ended.
    progress: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Record>,
    bytes: usize,
    /// A round starts at so many records or bytes: a small buffer must not fill up before.
    due_records: usize,
    due_bytes: usize,
    stats: LayerStats,
    /// Accepted records that were dealt with, stored or not. They are, in the order they came.
    finished: u64,
    /// Until so many are finished nobody waits for more to come.
    hurry_to: u64,
    phase: Phase,
    last_error: Option<String>,
}

/// A buffer's life, which goes forward only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Open,
    /// Takes nothing more; what is in it is still stored.
    Closing,
    /// The time to close has passed.
    Abandoned,
    /// The thread that stores is gone.
    Ended,
}

impl Buffer {
    pub(crate) fn new(
        environment: Arc<dyn Environment>,
        records_max: usize,
        bytes_max: usize,
    ) -> Self {
        let state = State {
            due_records: ROUND_RECORDS_MAX.min(records_max.div_ceil(2)),
            due_bytes: ROUND_BYTES_MAX.min(bytes_max / 2),
            ..State::default()
        };
        Self {
            environment,
            records_max,
            bytes_max,
            state: Mutex::new(state),
            full: AtomicBool::new(false),
            ignored: AtomicU64::new(0),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    pub(crate) fn environment(&self) -> &dyn Environment {
        &*self.environment
    }

    /// Every holder leaves the state whole between any two statements that can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an event that is left out for good.
    pub(crate) fn ignore(&self) {
        self.ignored.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an event that is dropped before it has become a record.
    pub(crate) fn refuse(&self, reason: DropReason) {
        self.lock().refuse(reason);
    }

    /// Drops an event that would have no room anyway, before it costs any formatting.
    pub(crate) fn refuse_if_full(&self) -> bool {
        if !self.full.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.lock();
        let full = self.is_full(&state);
        if full {
            state.refuse(DropReason::BufferFull);
        }
        full
    }

    fn is_full(&self, state: &State) -> bool {
        state.queue.len() >= self.records_max || state.bytes + RECORD_BYTES > self.bytes_max
    }

    /// Takes a record in and gives it its time, or drops it: the newest goes, because what led to
    /// an overflow tells more than what came after.
    pub(crate) fn push(&self, mut record: Record) {
        let bytes = record.bytes();
        let mut state = self.lock();
        if state.phase > Phase::Open {
            return state.refuse(DropReason::AfterClose);
        }
        if state.queue.len() >= self.records_max || state.bytes + bytes > self.bytes_max {
            self.full.store(self.is_full(&state), Ordering::Relaxed);
            return state.refuse(DropReason::BufferFull);
        }
        let due_before = state.is_due();
        record.time = self.environment.now().in_calendar();
        state.queue.push_back(record);
        state.bytes += bytes;
        state.stats.received += 1;
        state.stats.accepted += 1;
        self.full.store(self.is_full(&state), Ordering::Relaxed);
        let wakes = state.queue.len() == 1 || (state.is_due() && !due_before);
        drop(state);
        if wakes {
            self.work.notify_one();
        }
    }

    /// Waits for records and takes the oldest ones. `None` once the buffer is closed and empty.
    pub(crate) fn next_round(&self) -> Option<Vec<Record>> {
        let mut round = Vec::with_capacity(ROUND_RECORDS_MAX);
        let mut state = self.lock();
        while state.queue.is_empty() && state.phase == Phase::Open {
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let linger = |state: &mut State| !state.is_due();
        state = self
            .work
            .wait_timeout_while(state, LINGER, linger)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let mut bytes = 0;
        while round.len() < ROUND_RECORDS_MAX {
            let Some(size) = state.queue.front().map(Record::bytes) else { break };
            if bytes > 0 && bytes + size > ROUND_BYTES_MAX {
                break;
            }
            bytes += size;
            round.extend(state.queue.pop_front());
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        self.full.store(self.is_full(&state), Ordering::Relaxed);
        (!round.is_empty()).then_some(round)
    }

    /// Counts records of the round that are durable.
    pub(crate) fn stored(&self, records: usize) {
        self.lock().stats.stored += count(records);
    }

    /// Counts accepted records that will not be stored.
    pub(crate) fn dropped(&self, reason: DropReason, records: usize) {
        self.lock().stats.dropped.add(reason, count(records));
    }

    /// Every record of a round is stored or dropped.
    pub(crate) fn finish_round(&self, records: usize) {
        self.lock().finished += count(records);
        self.progress.notify_all();
    }

    pub(crate) fn set_last_error(&self, error: &forgeone_db::Error) {
        self.lock().last_error = Some(error.to_string());
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// Waits before the next attempt to write. False when there is no time left for one.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let patient = |state: &mut State| state.phase < Phase::Abandoned;
        let waited = self.work.wait_timeout_while(self.lock(), pause, patient);
        waited.unwrap_or_else(PoisonError::into_inner).0.phase < Phase::Abandoned
    }

    /// The thread that stores has ended, by a panic even; nothing that is left will be stored.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.advance(Phase::Ended);
        let left = state.take_all();
        state.stats.dropped.add(DropReason::StoreClosed, count(left.len()));
        let in_work = state.unaccounted();
        state.stats.dropped.add(DropReason::Unknown, in_work);
        state.finished = state.stats.accepted;
        drop(state);
        self.progress.notify_all();
    }

    /// Waits until what was accepted before this call is dealt with. False when time ran out.
    pub(crate) fn flush(&self, wait: Duration) -> bool {
        let mut state = self.lock();
        let target = state.stats.accepted;
        state.hurry_to = target;
        self.work.notify_one();
        let behind = |state: &mut State| state.finished < target;
        let waited = self.progress.wait_timeout_while(state, wait, behind);
        waited.unwrap_or_else(PoisonError::into_inner).0.finished >= target
    }

    /// Takes no more events, waits until all is dealt with, and drops what is not by then.
    pub(crate) fn close(&self, wait: Duration) {
        let mut state = self.lock();
        state.advance(Phase::Closing);
        self.work.notify_one();
        let running = |state: &mut State| state.phase < Phase::Ended;
        let waited = self.progress.wait_timeout_while(state, wait, running);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.advance(Phase::Abandoned);
        let left = state.take_all();
        state.stats.dropped.add(DropReason::Deadline, count(left.len()));
        state.finished += count(left.len());
        drop(state);
        self.work.notify_one();
    }

    pub(crate) fn stats(&self) -> LayerStats {
        let state = self.lock();
        let mut stats = state.stats;
        stats.waiting = state.unaccounted();
        drop(state);
        stats.ignored = self.ignored.load(Ordering::Relaxed);
        stats
    }

    pub(crate) fn drops(&self) -> Dropped {
        self.lock().stats.dropped
    }
}

impl State {
    fn refuse(&mut self, reason: DropReason) {
        self.stats.received += 1;
        self.stats.dropped.add(reason, 1);
    }

    /// Whether a round starts without waiting for more.
    fn is_due(&self) -> bool {
        self.queue.len() >= self.due_records
            || self.bytes >= self.due_bytes
            || self.phase > Phase::Open
            || self.finished < self.hurry_to
    }

    fn advance(&mut self, phase: Phase) {
        self.phase = self.phase.max(phase);
    }

    /// Records that are neither stored nor dropped.
    fn unaccounted(&self) -> u64 {
        self.stats.received - self.stats.stored - self.stats.dropped.total()
    }

    fn take_all(&mut self) -> VecDeque<Record> {
        self.bytes = 0;
        std::mem::take(&mut self.queue)
    }
}

fn count(records: usize) -> u64 {
    records.try_into().unwrap_or(u64::MAX)
}

/// Without the records: they are what the program logged.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("records_max", &self.records_max)
            .field("bytes_max", &self.bytes_max)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
