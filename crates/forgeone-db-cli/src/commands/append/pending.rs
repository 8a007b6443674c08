//! What has been read and not yet been committed: a bounded queue between the thread that reads
//! and the one that commits.

use crate::exit::{Exit, Failure};
use crate::input::{Line, Lines, Records};
use forgeone_db::NewEvent;
use std::collections::VecDeque;
use std::io::BufRead;
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
/// Bytes that a record takes beside its texts.
const RECORD_BYTES: usize = 64;

/// Why there is no more.
#[derive(Debug)]
pub(super) enum End {
    /// The input ended.
    Input,
    /// A signal asked to stop.
    Interrupted,
    /// Reading failed, or a line was no record.
    Failed(Failure),
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Batch {
    Commit {
        events: Vec<NewEvent>,
        /// The line of the last of them.
        line: u64,
        /// Bytes of input that they were.
        bytes: u64,
    },
    End(End),
}

#[derive(Debug)]
struct Waiting {
    event: NewEvent,
    line: u64,
    line_bytes: usize,
    bytes: usize,
    since: Instant,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    interrupted: bool,
    end: Option<End>,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    filled: Condvar,
    drained: Condvar,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
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
    fn push(&self, event: NewEvent, (line, line_bytes): (u64, usize)) -> bool {
        let bytes = bytes_of(&event);
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
        state.waiting.push_back(Waiting { event, line, line_bytes, bytes, since: Instant::now() });
        let wake = state.waiting.len() == 1 || state.is_full();
        drop(state);
        if wake {
            self.filled.notify_all();
        }
        true
    }

    /// Waits for the next commit's events, or the end. If the end is a failure, what waited with it
    /// is dropped: it would have been part of the same commit.
    pub(super) fn take(&self) -> Batch {
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

impl State {
    fn is_full(&self) -> bool {
        self.waiting.len() >= COMMIT_RECORDS_MAX || self.bytes >= COMMIT_BYTES_MAX
    }

    fn take(&mut self) -> Batch {
        let mut events = Vec::with_capacity(self.waiting.len().min(COMMIT_RECORDS_MAX));
        let (mut line, mut bytes, mut input_bytes) = (0, 0, 0);
        while events.len() < COMMIT_RECORDS_MAX
            && bytes < COMMIT_BYTES_MAX
            && let Some(next) = self.waiting.pop_front()
        {
            line = next.line;
            bytes += next.bytes;
            input_bytes += next.line_bytes as u64;
            events.push(next.event);
        }
        self.bytes -= bytes;
        let full = events.len() == COMMIT_RECORDS_MAX || bytes >= COMMIT_BYTES_MAX;
        let failed = !full && self.waiting.is_empty() && matches!(self.end, Some(End::Failed(_)));
        if failed || events.is_empty() {
            // Only an end or an interruption wakes whoever takes while nothing waits.
            return Batch::End(self.end.take().unwrap_or(End::Interrupted));
        }
        Batch::Commit { events, line, bytes: input_bytes }
    }
}

fn bytes_of(event: &NewEvent) -> usize {
    let event = &event.event;
    let metadata: usize = event.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    let marker = event.checkpoint_marker.as_ref().map_or(0, String::len);
    RECORD_BYTES + event.topic.len() + event.payload.len() + metadata + marker
}

/// Reads records until the input ends, one is none, or no more are wanted.
pub(super) fn read(input: impl BufRead, records: &Records, pending: &Pending) -> End {
    let mut lines = Lines::new(input, records.line_bytes_max());
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        number += 1;
        let failed = |why: &str| {
            End::Failed(
                Failure::new(Exit::Failure, format!("line {number}: {why}"))
                    .hint("mend the line and start again behind the last one that is stored"),
            )
        };
        match lines.next(&mut line) {
            Err(error) => return End::Failed(Failure::io("the input cannot be read", &error)),
            Ok(Line::End) => return End::Input,
            Ok(Line::TooLong) => {
                let bytes_max = records.line_bytes_max();
                return failed(&format!("the line has more than {bytes_max} bytes"));
            }
            Ok(Line::Read) => {}
        }
        if number == 1 {
            skip_mark(&mut line, records);
        }
        match records.parse(&line) {
            Err(why) => return failed(&why),
            Ok(None) => {}
            Ok(Some(event)) => {
                if !pending.push(event, (number, line.len() + 1)) {
                    return End::Interrupted;
                }
            }
        }
        if line.capacity() > (1 << 20) {
            line = Vec::new();
        }
    }
}

/// JSON may start with a byte order mark, which is no part of it.
fn skip_mark(line: &mut Vec<u8>, records: &Records) {
    if matches!(records, Records::Ndjson(_)) && line.starts_with(b"\xef\xbb\xbf") {
        line.drain(..3);
    }
}
