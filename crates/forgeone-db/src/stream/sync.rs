//! What the hand-over between callers and the committer is built of. It has a name of its own so
//! that a model checker can put its own in their place (`interleavings/`).

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
