//! The decoders of records, for the fuzzer: each gets what stands behind the seal that guards it.

use super::change::{decode_changes, encode_changes};
use super::directory::parse_entry;
use super::families::{FAMILY_IDS, entry_position, parse_late_key, parse_sequence};
use super::place_id::{IdKey, PlaceIds};
use super::record::RecordBatch;
use super::subscription::{decode_positions, encode_positions};
use super::tail;
use crate::environment::Timestamp;
use crate::index::FamilyId;

/// A segment's directory, `first u64 | last u64 | directory`, and a unit by its first entry.
pub(crate) fn segment_directory(data: &[u8]) -> bool {
    super::segment::fuzz_directory(data)
}

/// A section of a block, as [`crate::log::fuzz::section`] has it, down to its records.
pub(crate) fn section(data: &[u8]) -> bool {
    let mark = super::record::CommitMark { first: 1, stamp: 1, time: Timestamp::default() };
    crate::log::fuzz::section(data).and_then(|section| tail::decode(&section, mark)).is_ok()
}

/// A batch, `count u16 | length of the ids u16 | ids | columns`. What can be read is the same after
/// it was written and read again.
pub(crate) fn record_batch(data: &[u8]) -> bool {
    let Some((count, rest)) = data.split_first_chunk() else { return false };
    let Some((len, rest)) = rest.split_first_chunk() else { return false };
    let len = usize::from(u16::from_be_bytes(*len));
    let Some((ids, columns)) = rest.split_at_checked(len) else { return false };
    let count = u32::from(u16::from_be_bytes(*count));
    let Ok(batch) = RecordBatch::decode(1, count, ids, columns) else { return false };
    let again = RecordBatch::encode(1, &batch.records, &batch.commits);
    let again = RecordBatch::decode(1, count, &again.ids, &again.columns);
    assert_eq!(again.ok(), Some(batch), "a batch changes when it is written again");
    true
}

/// Changes of state, which come back from their own encoding.
pub(crate) fn changes(data: &[u8]) -> bool {
    let Ok(changes) = decode_changes(data) else { return false };
    assert_eq!(decode_changes(&encode_changes(&changes)).ok(), Some(changes));
    true
}

/// The payload of a subscription's token, which comes back from its own encoding.
pub(crate) fn positions(data: &[u8]) -> bool {
    let Ok(positions) = decode_positions(data) else { return false };
    assert_eq!(decode_positions(&encode_positions(&positions)).ok(), Some(positions));
    true
}

/// Keys and values of indexes and of the directory of topics: `length of the key u8 | key | value`.
pub(crate) fn index_entries(data: &[u8]) -> bool {
    let Some((len, rest)) = data.split_first() else { return false };
    let Some((key, value)) = rest.split_at_checked((*len).into()) else { return false };
    let late = parse_late_key(key).is_ok();
    let sequence = parse_sequence(value).is_ok();
    let of_id = entry_position(FamilyId(FAMILY_IDS), key, value).is_ok();
    let other = entry_position(FamilyId(FAMILY_IDS + 1), key, value).is_ok();
    late | sequence | of_id | other | parse_entry(key, value).is_ok()
}

/// An id that may follow from a place; a place that is found gives the id back.
pub(crate) fn place_id(data: &[u8]) -> bool {
    let Some((id, rest)) = data.split_first_chunk::<16>() else { return false };
    let epoch = u32::from(rest.first().copied().unwrap_or(1));
    let ids = PlaceIds::new(IdKey::from_bytes([3; 32]), epoch);
    let Some((subject, sequence)) = ids.place_of(*id) else { return false };
    assert_eq!(ids.id_of(subject, sequence), *id, "a place gives another id than it came from");
    true
}
