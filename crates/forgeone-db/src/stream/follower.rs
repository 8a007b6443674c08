//! Following a writer in another process, for whoever waits for its commits.

use super::shard::Shard;
use super::store::Shared;
use crate::pool::run_blocking;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a commit of another process may stay unseen.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(25);
/// How soon it is noticed that somebody waits.
const IDLE_INTERVAL: Duration = Duration::from_millis(200);

/// Looks for new commits while anyone waits for them; ends when the store closes.
pub(crate) fn follow(shards: &[Arc<Shard>], shared: &Shared) {
    let mut told = version(shards);
    while !shared.stopping.load(Ordering::Acquire) {
        let awaited = shared.is_awaited();
        if awaited {
            // An error is not lost: whoever waits meets it when it looks for itself.
            let failed = shards.iter().any(|shard| run_blocking(shard.refresh()).is_err());
            // Whoever saw a change first, perhaps another thread's read: who waits is told.
            let present = version(shards);
            if failed || present != told {
                told = present;
                shared.commits.notify();
            }
        }
        shared.sleep(if awaited { FOLLOW_INTERVAL } else { IDLE_INTERVAL });
    }
}

/// Grows with every change that this handle has seen.
fn version(shards: &[Arc<Shard>]) -> u64 {
    shards.iter().map(|shard| shard.changed.version()).fold(0, u64::wrapping_add)
}
