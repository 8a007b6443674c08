//! Streams: topics of records with dense sequence numbers, over databases that each have one log.
//!
//! Absent on purpose: what a record means (`events` and its siblings give it a type) and where the
//! bytes lie (the engine).

mod change;
mod committer;
mod directory;
mod families;
mod follower;
mod group;
mod notify;
mod query;
mod queue;
mod record;
mod sealer;
mod segment;
mod settings;
mod shard;
mod store;
mod streams;
mod subscription;
mod tail;

pub(crate) use change::decode_changes;
pub(crate) use committer::{Position, Writer};
pub(crate) use directory::{Directory, DirectoryEntry, Shredding, next_topic_id, parse_directory};
pub use families::TopicKind;
pub(crate) use families::{
    COUNTER_REKEY, COUNTER_SHRED, FAMILY_COUNTERS, Layout, SUBJECT_STATE, entry_position, id_key,
    index_entries, parse_sequence,
};
pub(crate) use follower::follow;
pub(crate) use query::{Found, Order, Query, QueryCursor, QuerySpec};
pub(crate) use record::{Record, RecordBatch};
pub(crate) use sealer::{
    IfAbsent, Remaining, SealLimits, amend, drop_shredded_entries, give_up, rewrite_older,
    run_sealer, seal, tidy_up,
};
pub(crate) use segment::{Segment, SegmentCache};
pub(crate) use settings::{Settings, read_settings, write_settings};
pub(crate) use shard::{Caches, Shard};
pub(crate) use store::Shared;
pub(crate) use streams::Streams;
pub(crate) use subscription::{Start, Subscription, decode_positions, encode_positions};
pub(crate) use tail::decode_section;
