//! A writer's first commit to every database, which ends the term of any other.

use crate::log::{BlockDraft, CommitLog};
use crate::stream::{Shard, Shared};
use forgeone_db_engine::Result;

/// Commits a block without content under the log's new term.
pub(super) async fn fence(shard: &Shard, log: &CommitLog, shared: &Shared) -> Result<()> {
    let draft = BlockDraft {
        stamp: shared.next_stamp(),
        time: shared.environment.now().in_calendar(),
        witnesses: shared.other_heads(shard.context().database.as_str()),
        topics: Vec::new(),
        sections: Vec::new(),
    };
    let block = log.append(draft).await?;
    let head = log.head().await;
    shared.record_head(&head);
    shard.publish(block, head, &[])
}
