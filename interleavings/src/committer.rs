//! The committer around the library's queue: takes a group, decides it, commits it, publishes it,
//! answers, as `stream/committer.rs` does and in that order.

use crate::stream::notify::Notify;
use crate::stream::queue::Queue;
use crate::sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Ordering};
use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Outcome, Result, mutant};

const GROUP_BYTES_MAX: usize = 8 << 20;

/// Where a caller waits for its answer. As with the library's channel, a request that is dropped
/// is answered by that.
#[derive(Debug, Default)]
struct Reply {
    answer: Mutex<Option<Result<u64>>>,
    told: Condvar,
    /// Whether it was told.
    taken: AtomicBool,
}

impl Reply {
    fn tell(&self, answer: Result<u64>) {
        let mut told = self.answer.lock().unwrap();
        assert!(!self.taken.swap(true, Ordering::AcqRel), "a caller is told twice");
        *told = Some(answer);
        self.told.notify_one();
    }

    fn wait(&self) -> Result<u64> {
        let mut answer = self.answer.lock().unwrap();
        loop {
            match answer.take() {
                Some(told) => return told,
                None => answer = self.told.wait(answer).unwrap(),
            }
        }
    }
}

/// What waits in the queue.
#[derive(Debug)]
pub(crate) struct Request(Arc<Reply>);

impl Drop for Request {
    fn drop(&mut self) {
        let mut told = self.0.answer.lock().unwrap();
        if told.is_none() && !self.0.taken.load(Ordering::Acquire) {
            *told = Some(Err(unknown()));
            self.0.told.notify_one();
        }
    }
}

fn unknown() -> Error {
    Error::new(ErrorKind::Unavailable, "nobody knows").with_outcome(Outcome::Unknown)
}

/// One database: its queue, what is durable, and what is visible.
#[derive(Debug)]
pub(crate) struct Committer {
    queue: Queue<Request>,
    poisoned: AtomicBool,
    /// The newest sequence number that the medium has.
    pub(crate) durable: AtomicU64,
    /// The newest one that readers may see.
    pub(crate) visible: AtomicU64,
    /// Rung when more is visible.
    pub(crate) commits: Notify,
    /// The commit that fails, counted from 0.
    failing: Option<u64>,
    made: AtomicU64,
}

impl Committer {
    pub(crate) fn new(failing: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            queue: Queue::new(),
            poisoned: AtomicBool::new(false),
            durable: AtomicU64::new(0),
            visible: AtomicU64::new(0),
            commits: Notify::default(),
            failing,
            made: AtomicU64::new(0),
        })
    }

    /// Appends one record; gives its number.
    pub(crate) fn append(&self) -> Result<u64> {
        let reply = Arc::new(Reply::default());
        self.queue.push(Request(Arc::clone(&reply)), 1)?;
        reply.wait()
    }

    pub(crate) fn close(&self) {
        self.queue.close();
    }

    /// What the committer's thread does.
    pub(crate) fn run(&self) {
        while let Some(requests) = self.queue.take(GROUP_BYTES_MAX) {
            self.commit_group(requests);
        }
    }

    fn commit_group(&self, requests: Vec<Request>) {
        if self.poisoned.load(Ordering::Acquire) && !mutant!("forget-poison") {
            let refused = || Err(Error::new(ErrorKind::Closed(ClosedReason::Poisoned), "no more"));
            requests.into_iter().for_each(|request| request.0.tell(refused()));
            return;
        }
        let first = self.visible.load(Ordering::Acquire) + 1;
        let last = first + requests.len() as u64 - 1;
        let mut requests = requests;
        if mutant!("answer-before-the-commit") {
            let early = (first..).zip(requests.drain(..));
            early.for_each(|(number, request)| request.0.tell(Ok(number)));
        }
        let committed = self.commit(last);
        for (number, request) in (first..).zip(requests) {
            request.0.tell(committed.map_err(|()| unknown()).map(|()| number));
        }
    }

    fn commit(&self, last: u64) -> std::result::Result<(), ()> {
        let number = self.made.fetch_add(1, Ordering::AcqRel);
        if self.failing == Some(number) {
            self.poisoned.store(true, Ordering::Release);
            return Err(());
        }
        self.durable.store(last, Ordering::Release);
        self.visible.store(last, Ordering::Release);
        self.commits.notify();
        Ok(())
    }
}
