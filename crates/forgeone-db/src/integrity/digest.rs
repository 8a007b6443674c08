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

impl Digest {
    /// Adds an entry of an index.
    pub(super) fn add(&mut self, key: &DigestKey, family: FamilyId, entry: (&[u8], &[u8])) {
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        hasher.update(&family.0.to_be_bytes());
        hasher.update(&(entry.0.len() as u64).to_be_bytes());
        hasher.update(entry.0);
        hasher.update(entry.1);
        let hash = hasher.finalize();
        let (high, low) = hash.as_bytes().split_at(16);
        let half = |bytes: &[u8]| bytes.first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        self.high = self.high.wrapping_add(half(high));
        self.low = self.low.wrapping_add(half(low));
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
}
