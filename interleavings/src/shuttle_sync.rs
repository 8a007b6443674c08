//! Shuttle's primitives: very many random interleavings of more threads.

pub(crate) use shuttle::future::block_on;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub(crate) use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};
pub(crate) use shuttle::thread;

/// Callers beside the committer.
pub(crate) const CALLERS: u64 = 4;
/// Requests of each caller.
pub(crate) const REQUESTS: u64 = 3;
/// How many moments of a schedule are chosen with care, in the half that is not chosen at random.
const DEPTH: usize = 3;

/// Runs `case` in `size` orders, half of them random and half by the method that finds rare ones
/// (PCT); a failure prints the schedule that replays it.
pub(crate) fn check(case: fn(), size: usize) -> u64 {
    let half = size.div_ceil(2);
    shuttle::check_random(case, half);
    shuttle::check_pct(case, half, DEPTH);
    2 * half as u64
}
