//! Filters that say which keys a run does not have.
//!
//! A binary fuse filter with 16-bit fingerprints for every 65,536 distinct keys: about 19 bits a
//! key, one lookup in 65,536 wrong. `xorf` constructs them; the query is written here, because it
//! is part of the format and a library's next version must not change it. Keys are hashed with
//! BLAKE3 under random bytes of the run, so that nobody outside can choose ids that collide.

use super::FilterKey;
use crate::codec::corrupt;
use forgeone_db_engine::Result;
use std::mem;
use xorf::BinaryFuse16;

/// Distinct keys in one filter: bounds the memory of building and of loading one.
pub(super) const FILTER_KEYS_MAX: usize = 65_536; // on-disk
/// Bytes of the random seed that keys are hashed under.
pub(super) const FILTER_SEED_BYTES: usize = 32; // on-disk
/// Bytes before the fingerprints: seed, segment length, length of all first segments.
const FILTER_HEADER_BYTES: usize = 8 + 4 + 4; // on-disk

/// The random bytes that a run's keys are hashed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilterSeed(pub(super) [u8; FILTER_SEED_BYTES]);

impl FilterSeed {
    /// The first 8 bytes, little-endian, of BLAKE3 keyed with the seed.
    pub(super) fn hash(&self, filter_key: &[u8]) -> u64 {
        let hash = blake3::keyed_hash(&self.0, filter_key);
        let (head, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        u64::from_le_bytes(*head)
    }
}

/// Collects the keys of one filter after another.
#[derive(Debug)]
pub(super) struct FilterBuilder {
    kind: FilterKey,
    seed: FilterSeed,
    hashes: Vec<u64>,
    first: Vec<u8>,
    last: Vec<u8>,
}

/// A filter before it is sealed.
#[derive(Debug)]
pub(super) struct RawFilter {
    pub(super) bytes: Vec<u8>,
    /// Distinct keys.
    pub(super) keys: u32,
    /// The first of them.
    pub(super) first: Vec<u8>,
}

impl FilterBuilder {
    pub(super) const fn new(kind: FilterKey, seed: FilterSeed) -> Self {
        Self { kind, seed, hashes: Vec::new(), first: Vec::new(), last: Vec::new() }
    }

    /// Adds a key of the run, in order. Returns the filter that it no longer fitted into.
    pub(super) fn push(&mut self, key: &[u8]) -> Option<RawFilter> {
        let filter_key = self.kind.of(key)?;
        if !self.hashes.is_empty() && filter_key == self.last {
            return None;
        }
        let full = if self.hashes.len() >= FILTER_KEYS_MAX { self.take() } else { None };
        if self.hashes.is_empty() {
            self.first = filter_key.to_vec();
        }
        self.hashes.push(self.seed.hash(filter_key));
        self.last.clear();
        self.last.extend_from_slice(filter_key);
        full
    }

    /// The filter of what was pushed, if anything was; starts anew.
    pub(super) fn take(&mut self) -> Option<RawFilter> {
        if self.hashes.is_empty() {
            return None;
        }
        let keys = u32::try_from(self.hashes.len()).expect("at most FILTER_KEYS_MAX");
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let bytes = build(&self.hashes);
        self.hashes.clear();
        Some(RawFilter { bytes, keys, first: mem::take(&mut self.first) })
    }
}

/// A filter of `hashes`, or no bytes at all, which rules nothing out, if none could be found that
/// answers for every one of them: a filter that forgets a key would make data disappear.
fn build(hashes: &[u64]) -> Vec<u8> {
    let Ok(fuse) = BinaryFuse16::try_from(hashes) else { return Vec::new() };
    let mut bytes = Vec::with_capacity(FILTER_HEADER_BYTES + fuse.fingerprints.len() * 2);
    bytes.extend_from_slice(&fuse.descriptor.seed.to_be_bytes());
    bytes.extend_from_slice(&fuse.descriptor.segment_length.to_be_bytes());
    bytes.extend_from_slice(&fuse.descriptor.segment_count_length.to_be_bytes());
    for fingerprint in &fuse.fingerprints {
        bytes.extend_from_slice(&fingerprint.to_be_bytes());
    }
    match Filter::new(&bytes) {
        Ok(filter) if hashes.iter().all(|hash| filter.may_contain(*hash)) => bytes,
        _ => Vec::new(),
    }
}

/// A filter in its stored form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter<'a> {
    seed: u64,
    segment_length: u32,
    segment_count_length: u32,
    fingerprints: &'a [u8],
}

impl<'a> Filter<'a> {
    /// # Errors
    /// `Corrupt` if the lengths do not fit each other.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        if bytes.is_empty() {
            let (seed, segment_length, segment_count_length) = (0, 0, 0);
            return Ok(Self { seed, segment_length, segment_count_length, fingerprints: bytes });
        }
        let malformed = || corrupt("a filter is malformed");
        let (seed, rest) = bytes.split_first_chunk().ok_or_else(malformed)?;
        let (segment_length, rest) = rest.split_first_chunk().ok_or_else(malformed)?;
        let (segment_count_length, fingerprints) =
            rest.split_first_chunk().ok_or_else(malformed)?;
        let filter = Self {
            seed: u64::from_be_bytes(*seed),
            segment_length: u32::from_be_bytes(*segment_length),
            segment_count_length: u32::from_be_bytes(*segment_count_length),
            fingerprints,
        };
        let wanted = u64::from(filter.segment_count_length) + 2 * u64::from(filter.segment_length);
        let fits = filter.segment_length.is_power_of_two()
            && filter.segment_count_length.is_multiple_of(filter.segment_length)
            && wanted * 2 == fingerprints.len() as u64;
        if fits { Ok(filter) } else { Err(malformed()) }
    }

    /// Whether a key of this hash may be in the set; `false` is certain.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let mixed = mix(hash.wrapping_add(self.seed));
        let low = |value: u64| (value & 0xffff_ffff) as u32;
        let wide = (u128::from(mixed) * u128::from(self.segment_count_length)) >> 64;
        let mask = self.segment_length.wrapping_sub(1);
        let h0 = low(wide as u64);
        let h1 = h0.wrapping_add(self.segment_length) ^ (low(mixed >> 18) & mask);
        let h2 = h0.wrapping_add(2 * self.segment_length) ^ (low(mixed) & mask);
        let at = |index: u32| {
            let rest = self.fingerprints.get(index as usize * 2..)?;
            rest.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
        };
        match (at(h0), at(h1), at(h2)) {
            (Some(a), Some(b), Some(c)) => ((mixed ^ (mixed >> 32)) & 0xffff) as u16 == a ^ b ^ c,
            _ => true,
        }
    }
}

/// The finaliser of `MurmurHash3`.
const fn mix(mut value: u64) -> u64 {
    value ^= value >> 33;
    value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    value ^= value >> 33;
    value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}
