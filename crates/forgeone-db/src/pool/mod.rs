//! Reads and compactions off the caller's thread: a bounded pool in front of an engine whose calls
//! block.
//!
//! Absent on purpose: commits, which are made by threads of their own anyway.
//!
//! A thread that may block, such as a committer or a caller of the blocking face, says so with
//! [`run_blocking`] and is served on the spot, without a hand-over.

use crate::environment::{Environment, Task};
use forgeone_db_engine::{
    Batch, BoxFuture, Capability, ClosedReason, DatabaseName, Durability, Engine, Error, ErrorKind,
    Read, ReadResult, Result, Usage,
};
use futures::channel::oneshot;
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

thread_local! {
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Runs a future to its end on this thread, which may block meanwhile.
pub(crate) fn run_blocking<T>(future: impl Future<Output = T>) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            MAY_BLOCK.set(self.0);
        }
    }
    let _restore = Restore(MAY_BLOCK.replace(true));
    block_on(future)
}

/// Runs `work`, which blocks, on a thread of its own, unless this thread may block anyway. Dropping
/// the future lets the work run on.
///
/// # Errors
/// `Unavailable` when no thread can be started; `Internal` when the work panicked.
pub(crate) async fn off_thread<T: Send + 'static>(
    environment: &dyn Environment,
    name: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    if MAY_BLOCK.get() {
        return Ok(work.await);
    }
    let (reply, answer) = oneshot::channel();
    let task = move || {
        // A caller that went away wanted no answer.
        drop(reply.send(run_blocking(work)));
    };
    environment.spawn(name, Box::new(task))?;
    answer.await.map_err(|_| Error::new(ErrorKind::Internal, "a background task panicked"))
}

/// Wakes a thread that waits in [`block_on`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future on this thread until it is done. Unlike the executors of the crates around, it
/// may be nested: a caller's executor may drop a store, and dropping closes it.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        // A wake-up between the poll and here makes this return at once.
        thread::park();
    }
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    idle: usize,
    threads: usize,
    closed: bool,
}

/// An engine whose reads and compactions are made by at most `threads_max` threads of the pool.
pub(crate) struct PooledEngine {
    inner: Arc<dyn Engine>,
    pool: Arc<Pool>,
    environment: Arc<dyn Environment>,
    threads_max: usize,
    tasks: Mutex<Vec<Task>>,
}

#[derive(Default)]
struct Pool {
    jobs: Mutex<Jobs>,
    arrived: Condvar,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut jobs = self.lock();
            let job = loop {
                if let Some(job) = jobs.waiting.pop_front() {
                    break job;
                }
                if jobs.closed {
                    return;
                }
                jobs.idle += 1;
                jobs = self.arrived.wait(jobs).unwrap_or_else(PoisonError::into_inner);
                jobs.idle -= 1;
            };
            drop(jobs);
            job();
        }
    }
}

impl PooledEngine {
    /// Puts a pool in front of `inner`. Threads start when they are first needed.
    pub(crate) fn new(
        inner: Arc<dyn Engine>,
        environment: Arc<dyn Environment>,
        threads_max: usize,
    ) -> Self {
        Self {
            inner,
            pool: Arc::default(),
            environment,
            threads_max: threads_max.max(1),
            tasks: Mutex::default(),
        }
    }

    fn submit(&self, job: Job) -> Result<()> {
        let mut jobs = self.pool.lock();
        if jobs.closed {
            return Err(Error::new(
                ErrorKind::Closed(ClosedReason::Shutdown),
                "the store is closed; open it again",
            ));
        }
        jobs.waiting.push_back(job);
        if jobs.idle < jobs.waiting.len() && jobs.threads < self.threads_max {
            let pool = Arc::clone(&self.pool);
            let started = self.environment.spawn("read", Box::new(move || pool.work()));
            match started {
                Ok(task) => {
                    jobs.threads += 1;
                    self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
                }
                // The threads there are will come to it; without any, nobody would.
                Err(error) if jobs.threads == 0 => {
                    jobs.waiting.pop_back();
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        drop(jobs);
        self.pool.arrived.notify_one();
        Ok(())
    }

    /// Makes a call of the engine on a thread of the pool. Dropping the future lets it run on.
    async fn on_pool<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        // A caller that was dropped wants no answer.
        self.submit(Box::new(move || drop(reply.send(call()))))?;
        answer.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "a call of the engine panicked"))
        })
    }

    fn stop(&self) {
        self.pool.lock().closed = true;
        self.pool.arrived.notify_all();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.join();
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Engine for PooledEngine {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let database = database.clone();
        Box::pin(async move {
            if MAY_BLOCK.get() {
                return self.inner.read(&database, request).await;
            }
            let inner = Arc::clone(&self.inner);
            self.on_pool(move || run_blocking(inner.read(&database, request))).await
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        self.inner.commit(batch, durability)
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.inner.usage(database)
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let database = database.clone();
        Box::pin(async move {
            if MAY_BLOCK.get() {
                return self.inner.compact(&database).await;
            }
            let inner = Arc::clone(&self.inner);
            self.on_pool(move || run_blocking(inner.compact(&database))).await
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.stop();
            self.inner.close().await
        })
    }
}

impl fmt::Display for PooledEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pooled({})", self.inner)
    }
}

impl fmt::Debug for PooledEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledEngine")
            .field("inner", &self.inner)
            .field("threads_max", &self.threads_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
