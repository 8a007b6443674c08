//! Ids that follow from a record's place, so that they need not be stored.
//!
//! Epoch, topic and sequence number are permuted under a key of the store and written as a UUID of
//! version 8 (RFC 9562). The permutation is a balanced Feistel network over 122 bits whose round
//! function is keyed BLAKE3, with the four rounds that make it a strong permutation (Luby and
//! Rackoff 1988): it hides the place, two places never have one id, and the place is
//! found from the id without an index.

use crate::environment::Environment;
use forgeone_db_engine::Result;
use std::fmt;
use zeroize::Zeroizing;

const EPOCH_BITS: u32 = 26; // on-disk
const SUBJECT_BITS: u32 = 40; // on-disk
const SEQUENCE_BITS: u32 = 56; // on-disk
/// Bits of each half of the network.
const HALF_BITS: u32 = 61; // on-disk
const FEISTEL_ROUNDS: u8 = 4; // on-disk
const HALF_MASK: u64 = (1 << HALF_BITS) - 1;
const UUID_VERSION: u128 = 8 << 76;
const UUID_VARIANT: u128 = 2 << 62;
const UUID_FIXED: u128 = (0xf << 76) | (3 << 62);

/// The secret of the permutation: random, made with the store, kept for its life.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IdKey(Zeroizing<[u8; 32]>);

impl IdKey {
    pub(crate) fn random(environment: &dyn Environment) -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        environment.fill_random(&mut *key)?;
        Ok(Self(key))
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdKey(..)")
    }
}

/// Gives ids to places, and finds places by them.
#[derive(Debug, Clone)]
pub(crate) struct PlaceIds {
    key: IdKey,
    epoch: u32,
}

impl PlaceIds {
    /// Of the epoch the lowest 26 bits count: nobody restores a store 67 million times.
    pub(crate) const fn new(key: IdKey, epoch: u32) -> Self {
        Self { key, epoch: epoch & ((1 << EPOCH_BITS) - 1) }
    }

    /// The id of record `sequence` of the topic `subject`.
    pub(crate) fn id_of(&self, subject: u64, sequence: u64) -> [u8; 16] {
        let place = (u128::from(self.epoch) << (SUBJECT_BITS + SEQUENCE_BITS))
            | (u128::from(subject) << SEQUENCE_BITS)
            | u128::from(sequence);
        let (mut left, mut right) = halves(place);
        for round in 0..FEISTEL_ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        let mixed = (u128::from(left) << HALF_BITS) | u128::from(right);
        let high = (mixed >> 74) << 80;
        let middle = ((mixed >> 62) & 0xfff) << 64;
        let low = mixed & ((1 << 62) - 1);
        (high | UUID_VERSION | middle | UUID_VARIANT | low).to_be_bytes()
    }

    /// The topic and sequence number that `id` would belong to; `None` for an id of another kind,
    /// store or epoch.
    pub(crate) fn place_of(&self, id: [u8; 16]) -> Option<(u64, u64)> {
        let id = u128::from_be_bytes(id);
        if id & UUID_FIXED != UUID_VERSION | UUID_VARIANT {
            return None;
        }
        let high = (id >> 80) << 74;
        let middle = ((id >> 64) & 0xfff) << 62;
        let (mut left, mut right) = halves(high | middle | (id & ((1 << 62) - 1)));
        for round in (0..FEISTEL_ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        let place = (u128::from(left) << HALF_BITS) | u128::from(right);
        let epoch = place >> (SUBJECT_BITS + SEQUENCE_BITS);
        let subject = u64::try_from((place >> SEQUENCE_BITS) & ((1 << SUBJECT_BITS) - 1)).ok()?;
        let sequence = u64::try_from(place & ((1 << SEQUENCE_BITS) - 1)).ok()?;
        (epoch == u128::from(self.epoch)).then_some((subject, sequence))
    }

    fn round(&self, round: u8, half: u64) -> u64 {
        let mut input = [round; 9];
        if let Some(rest) = input.last_chunk_mut::<8>() {
            *rest = half.to_be_bytes();
        }
        let hash = blake3::keyed_hash(self.key.as_bytes(), &input);
        let word = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(word) & HALF_MASK
    }
}

fn halves(value: u128) -> (u64, u64) {
    let half = |value: u128| u64::try_from(value & u128::from(HALF_MASK)).unwrap_or(0);
    (half(value >> HALF_BITS), half(value))
}

#[cfg(test)]
mod tests {
    use super::{EPOCH_BITS, HALF_BITS, IdKey, PlaceIds, SEQUENCE_BITS, SUBJECT_BITS};
    use proptest::prelude::*;
    use std::collections::HashSet;
    use uuid::{Uuid, Variant};

    fn ids(key: u8, epoch: u32) -> PlaceIds {
        PlaceIds::new(IdKey::from_bytes([key; 32]), epoch)
    }

    #[test]
    fn the_parts_fill_the_free_bits_of_a_uuid() {
        assert_eq!(EPOCH_BITS + SUBJECT_BITS + SEQUENCE_BITS, 122);
        assert_eq!(HALF_BITS * 2, 122);
    }

    #[test]
    fn neighbours_look_unrelated_and_never_meet() {
        let ids = ids(7, 1);
        let places = (1024..1034).flat_map(|subject| (1..1000).map(move |seq| (subject, seq)));
        let all: HashSet<[u8; 16]> = places.map(|(a, b)| ids.id_of(a, b)).collect();
        assert_eq!(all.len(), 10 * 999);
        let distance = |a: [u8; 16], b: [u8; 16]| {
            (u128::from_be_bytes(a) ^ u128::from_be_bytes(b)).count_ones()
        };
        let total: u32 =
            (1..1000).map(|seq| distance(ids.id_of(1024, seq), ids.id_of(1024, seq + 1))).sum();
        let mean = f64::from(total) / 999.0;
        assert!((56.0..66.0).contains(&mean), "half of 122 bits differ, not {mean}");
    }

    proptest! {
        #[test]
        fn a_place_comes_back_in_its_own_store_and_epoch(
            subject in 0u64..1 << SUBJECT_BITS,
            sequence in 0u64..1 << SEQUENCE_BITS,
            epoch in 1u32..1 << EPOCH_BITS,
        ) {
            let own = ids(7, epoch);
            let id = own.id_of(subject, sequence);
            prop_assert_eq!(own.place_of(id), Some((subject, sequence)));
            prop_assert_eq!(ids(7, epoch - 1).place_of(id), None);
            prop_assert!(ids(8, epoch).place_of(id) != Some((subject, sequence)));
            let uuid = Uuid::from_bytes(id);
            prop_assert_eq!((uuid.get_version_num(), uuid.get_variant()), (8, Variant::RFC4122));
        }

        #[test]
        fn other_ids_have_no_place_or_one_that_gives_them(id: [u8; 16]) {
            let ids = ids(7, 1);
            if let Some((subject, sequence)) = ids.place_of(id) {
                prop_assert_eq!(ids.id_of(subject, sequence), id);
            }
        }
    }
}
