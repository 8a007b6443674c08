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
    while !shared.stopping.load(Ordering::Acquire) {
        let awaited = shared.is_awaited();
        if awaited {
            // An error is not lost: whoever waits meets it when it looks for itself.
            let changed = shards.iter().any(|shard| run_blocking(shard.refresh()).unwrap_or(true));
            if changed {
                shared.commits.notify();
            }
        }
        shared.sleep(if awaited { FOLLOW_INTERVAL } else { IDLE_INTERVAL });
    }
}
