//! Streams: topics of records with dense sequence numbers, over databases that each have one log.
//!
//! Absent on purpose: what a record means (`events` and its siblings give it a type) and where the
//! bytes lie (the engine).

mod change;
mod committer;
mod directory;
mod families;
mod follower;
mod following;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod group;
mod heal;
mod memory;
mod notify;
mod place_id;
mod query;
mod queue;
mod record;
mod results;
mod room;
mod sealer;
mod segment;
mod settings;
mod shard;
mod state_store;
mod store;
mod streams;
mod subscription;
mod sync;
mod tail;
mod token;
mod transaction;

pub(crate) use change::{Change, decode_changes};
pub(crate) use committer::{Position, Writer};
pub(crate) use directory::{
    Directory, DirectoryEntry, Shredding, next_topic_id, parse_directory, parse_entry, prefix_range,
};
pub use families::TopicKind;
pub(crate) use families::{
    COUNTER_ID_KEY, COUNTER_MAX_SIZE, COUNTER_REKEY, COUNTER_SHRED, FAMILY_COUNTERS,
    FAMILY_METADATA, FAMILY_REMOVED_SETTINGS, FAMILY_SETTING_VERSIONS, FAMILY_SETTINGS,
    FAMILY_TOPIC_NAMES, Layout, SUBJECT_STATE, entry_position, id_key, index_entries,
    parse_sequence,
};
pub(crate) use follower::follow;
pub(crate) use following::{AtTheEnd, Following};
pub(crate) use memory::MemoryLimits;
pub(crate) use place_id::{IdKey, PlaceIds};
pub(crate) use query::{Found, RecordFilter};
pub(crate) use record::{Record, RecordBatch};
pub(crate) use results::{Results, Search};
pub(crate) use sealer::{
    IfAbsent, Remaining, SealLimits, amend, drop_shredded_entries, give_up, rebuild, rewrite_older,
    run_sealer, seal, seal_due, tidy_up,
};
pub(crate) use segment::{Segment, SegmentCache, read_lost};
pub(crate) use settings::{Settings, read_settings, write_settings};
pub(crate) use shard::{Caches, Shard};
pub(crate) use state_store::{StateScan, StateStore};
pub(crate) use store::{Medium, Shared};
pub(crate) use streams::Streams;
pub(crate) use tail::decode_section;
pub(crate) use token::Tokens;
pub(crate) use transaction::{Decision, StateView, Transaction};
