//! What has been read and not yet been committed: a bounded queue between the thread that reads
//! and the one that commits.

use super::Record;
use crate::exit::Failure;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Records of the largest commit.
const COMMIT_RECORDS_MAX: usize = 8_000;
/// Bytes at which a commit is full. One record may exceed it, all together stay below what the
/// store takes at once, 32 MiB.
const COMMIT_BYTES_MAX: usize = 8 << 20;
/// Records and bytes that wait at most before reading pauses.
const WAITING_RECORDS_MAX: usize = 2 * COMMIT_RECORDS_MAX;
const WAITING_BYTES_MAX: usize = 2 * COMMIT_BYTES_MAX;
/// How long a record waits for company. With the commit itself this stays below the 50 ms that are
/// promised on a disk that is not overloaded.
const COMPANY_WAIT: Duration = Duration::from_millis(15);

/// Why there is no more.
#[derive(Debug)]
pub(super) enum End {
    /// The input ended.
    Input,
    /// A signal asked to stop.
    Interrupted,
    /// Reading failed, or a line was no record. What waits with it is not to be stored.
    Failed(Failure),
    /// As above, but what came before is stored.
    FailedBehind(Failure),
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Batch<R> {
    Commit {
        records: Vec<R>,
        /// The line of the last of them.
        line: u64,
        /// Bytes of input that they were.
        bytes: u64,
    },
    End(End),
}

#[derive(Debug)]
struct Waiting<R> {
    record: R,
    line: u64,
    line_bytes: usize,
    bytes: usize,
    since: Instant,
}

#[derive(Debug)]
struct State<R> {
    waiting: VecDeque<Waiting<R>>,
    bytes: usize,
    interrupted: bool,
    end: Option<End>,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Pending<R> {
    state: Mutex<State<R>>,
    filled: Condvar,
    drained: Condvar,
}

impl<R: Record> Pending<R> {
    pub(super) fn new() -> Self {
        let state = State { waiting: VecDeque::new(), bytes: 0, interrupted: false, end: None };
        Self { state: Mutex::new(state), filled: Condvar::new(), drained: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more; what is there is still to be committed.
    pub(super) fn interrupt(&self) {
        self.lock().interrupted = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    /// Says that nothing more comes.
    pub(super) fn end(&self, end: End) {
        self.lock().end = Some(end);
        self.filled.notify_all();
    }

    /// Adds a record, once there is room; `false` when no more are wanted.
    pub(super) fn push(&self, record: R, (line, line_bytes): (u64, usize)) -> bool {
        let bytes = record.bytes();
        let mut state = self.lock();
        while !state.interrupted
            && (state.waiting.len() >= WAITING_RECORDS_MAX || state.bytes >= WAITING_BYTES_MAX)
        {
            state = self.drained.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.interrupted {
            return false;
        }
        state.bytes += bytes;
        state.waiting.push_back(Waiting { record, line, line_bytes, bytes, since: Instant::now() });
        let wake = state.waiting.len() == 1 || state.is_full();
        drop(state);
        if wake {
            self.filled.notify_all();
        }
        true
    }

    /// Waits for the next commit's records, or the end. If the end is a failure, what waited with it
    /// is dropped: it would have been part of the same commit.
    pub(super) fn take(&self) -> Batch<R> {
        let mut state = self.lock();
        while !state.is_full() && !state.interrupted && state.end.is_none() {
            let left = match state.waiting.front() {
                None => Duration::MAX,
                Some(first) => COMPANY_WAIT.saturating_sub(first.since.elapsed()),
            };
            if left.is_zero() {
                break;
            }
            let waited = self.filled.wait_timeout(state, left.min(Duration::from_mins(1)));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let batch = state.take();
        drop(state);
        self.drained.notify_all();
        batch
    }
}

impl<R> State<R> {
    fn is_full(&self) -> bool {
        self.waiting.len() >= COMMIT_RECORDS_MAX || self.bytes >= COMMIT_BYTES_MAX
    }

    fn take(&mut self) -> Batch<R> {
        let mut records = Vec::with_capacity(self.waiting.len().min(COMMIT_RECORDS_MAX));
        let (mut line, mut bytes, mut input_bytes) = (0, 0, 0);
        while records.len() < COMMIT_RECORDS_MAX
            && bytes < COMMIT_BYTES_MAX
            && let Some(next) = self.waiting.pop_front()
        {
            line = next.line;
            bytes += next.bytes;
            input_bytes += next.line_bytes as u64;
            records.push(next.record);
        }
        self.bytes -= bytes;
        let full = records.len() == COMMIT_RECORDS_MAX || bytes >= COMMIT_BYTES_MAX;
        let failed = !full && self.waiting.is_empty() && matches!(self.end, Some(End::Failed(_)));
        if failed || records.is_empty() {
            // Only an end or an interruption wakes whoever takes while nothing waits.
            return Batch::End(self.end.take().unwrap_or(End::Interrupted));
        }
        Batch::Commit { records, line, bytes: input_bytes }
    }
}
