//! A digest of a multiset, whatever the order in which its members come.

use crate::index::FamilyId;

/// The sum, modulo 2^256 in two halves, of keyed hashes. Two different multisets have the same
/// digest with a probability of about 2^-128, as long as the key is random and unknown to whoever
/// made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Digest {
    high: u128,
    low: u128,
    pub(super) count: u64,
}

/// The random key of one verification.
#[derive(Clone)]
pub(super) struct DigestKey(pub(super) [u8; 32]);

/// Bytes of an entry that are hashed in one go.
const SHORT_BYTES: usize = 128;

impl DigestKey {
    /// The hash of an entry of an index.
    pub(super) fn entry(&self, family: FamilyId, (key, value): (&[u8], &[u8])) -> [u64; 4] {
        let head = [family.0.to_be_bytes(), (key.len() as u64).to_be_bytes()];
        let parts = [head.as_flattened(), key, value];
        let mut short = [0; SHORT_BYTES];
        let mut len = 0;
        for part in parts {
            let Some(place) = short.get_mut(len..len + part.len()) else {
                return words(&self.long_entry(parts));
            };
            place.copy_from_slice(part);
            len += part.len();
        }
        words(&blake3::keyed_hash(&self.0, short.get(..len).unwrap_or_default()))
    }

    fn long_entry(&self, parts: [&[u8]; 3]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

fn words(hash: &blake3::Hash) -> [u64; 4] {
    let mut words = [0; 4];
    let (chunks, _) = hash.as_bytes().as_chunks();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_be_bytes(*chunk);
    }
    words
}

impl Digest {
    /// Adds an entry of an index.
    pub(super) fn add(&mut self, key: &DigestKey, family: FamilyId, entry: (&[u8], &[u8])) {
        self.add_entry(key.entry(family, entry));
    }

    /// Adds an entry by its hash.
    pub(super) fn add_entry(&mut self, [a, b, c, d]: [u64; 4]) {
        let half = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        self.high = self.high.wrapping_add(half(a, b));
        self.low = self.low.wrapping_add(half(c, d));
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, DigestKey};
    use crate::index::FamilyId;

    fn digest(entries: &[(u64, &[u8], &[u8])]) -> Digest {
        let mut digest = Digest::default();
        for (family, key, value) in entries {
            digest.add(&DigestKey([7; 32]), FamilyId(*family), (key, value));
        }
        digest
    }

    #[test]
    fn order_does_not_count_but_everything_else_does() {
        type Entry = (u64, &'static [u8], &'static [u8]);
        let (a, b): (Entry, Entry) = ((1, b"ab", b"c"), (1, b"d", b""));
        assert_eq!(digest(&[a, b]), digest(&[b, a]));
        assert_ne!(digest(&[a, b]), digest(&[a]));
        assert_ne!(digest(&[a, b]), digest(&[a, b, b]));
        assert_ne!(digest(&[a]), digest(&[(1, b"a", b"bc")]));
        assert_ne!(digest(&[a]), digest(&[(2, b"ab", b"c")]));
    }

    #[test]
    fn a_long_entry_is_hashed_like_a_short_one() {
        let key = DigestKey([7; 32]);
        for len in [0, 1, 111, 112, 113, 5000] {
            let value = vec![7; len];
            let parts = [&[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0][..], &[], &value];
            let long = super::words(&key.long_entry(parts));
            assert_eq!(key.entry(FamilyId(3), (&[], &value)), long, "{len}");
        }
    }
}
