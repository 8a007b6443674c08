//! Loom's primitives: every interleaving is tried, as far as they differ.

pub(crate) use loom::future::block_on;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
pub(crate) use loom::thread;

use std::sync::atomic::AtomicU64 as Counter;

/// Callers beside the committer; loom knows five threads, and its work grows by the factorial.
pub(crate) const CALLERS: u64 = 2;
/// Requests of each caller.
pub(crate) const REQUESTS: u64 = 1;
/// How often a thread may be interrupted where it need not wait.
const PREEMPTIONS: usize = 2;

/// Runs `case` in every order; gives how many there were.
pub(crate) fn check(case: fn(), _size: usize) -> u64 {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    let count = std::sync::Arc::new(Counter::new(0));
    let seen = std::sync::Arc::clone(&count);
    builder.check(move || {
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        case();
    });
    count.load(std::sync::atomic::Ordering::Relaxed)
}
