//! The newest value under every key of state, without holding the keys.

use super::digest::{Digest, DigestKey};
use crate::index::FamilyId;
use std::collections::{BTreeMap, HashMap};

/// What a key takes at most in [`Latest`], about: three slots while the map grows, each a seventh
/// larger than its contents.
pub(super) const KEY_BYTES_MAX: usize = 3 * (size_of::<[u64; 7]>() + 1) * 8 / 7;

/// Some of all keys: those whose hash begins with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// How many bits.
    depth: u32,
    /// They, as a number.
    prefix: u64,
}

impl Part {
    const ALL: Self = Self { depth: 0, prefix: 0 };

    const fn has(self, hash: [u64; 2]) -> bool {
        match hash[0].checked_shr(u64::BITS - self.depth) {
            Some(bits) => bits == self.prefix,
            None => true,
        }
    }

    /// Two halves.
    const fn split(self) -> [Self; 2] {
        let depth = self.depth + 1;
        [Self { depth, prefix: self.prefix << 1 }, Self { depth, prefix: self.prefix << 1 | 1 }]
    }
}

/// Folds changes into a digest of what is there in the end, family by family. Keys are taken part by
/// part: when there is no room for all, the changes are gone through again for each further part.
#[derive(Debug)]
pub(super) struct Latest {
    keys_max: usize,
    part: Part,
    /// Parts that the changes have still to be gone through for.
    later: Vec<Part>,
    /// By hash of family and key: the digest of the entry, and its family.
    entries: HashMap<[u64; 2], (u64, [u64; 4])>,
    /// Of the parts that are done.
    digests: BTreeMap<FamilyId, Digest>,
    /// The most keys that were held at once.
    #[cfg(test)]
    held_max: usize,
}

impl Latest {
    /// One that holds so many keys at once.
    pub(super) fn new(keys_max: usize) -> Self {
        Self {
            keys_max: keys_max.max(1),
            part: Part::ALL,
            later: Vec::new(),
            entries: HashMap::new(),
            digests: BTreeMap::new(),
            #[cfg(test)]
            held_max: 0,
        }
    }

    /// Takes in one change; those of one key in the order in which they were made.
    pub(super) fn change(
        &mut self,
        digest_key: &DigestKey,
        family: FamilyId,
        (key, value): (&[u8], Option<&[u8]>),
    ) {
        let [first, second, ..] = digest_key.entry(family, (key, &[]));
        let hash = [first, second];
        if !self.part.has(hash) {
            return;
        }
        let Some(value) = value else {
            self.entries.remove(&hash);
            return;
        };
        self.entries.insert(hash, (family.0, digest_key.entry(family, (key, value))));
        // Hashes do not agree in 64 bits, so this comes to an end.
        while self.entries.len() > self.keys_max && self.part.depth < u64::BITS {
            let [this, other] = self.part.split();
            self.part = this;
            self.later.push(other);
            self.entries.retain(|hash, _| this.has(*hash));
        }
        #[cfg(test)]
        {
            self.held_max = self.held_max.max(self.entries.len());
        }
    }

    /// Ends a part; says whether the changes have to be gone through again, for another.
    pub(super) fn finish_part(&mut self) -> bool {
        for (_, (family, entry)) in std::mem::take(&mut self.entries) {
            self.digests.entry(FamilyId(family)).or_default().add_entry(entry);
        }
        match self.later.pop() {
            Some(part) => {
                self.part = part;
                true
            }
            None => false,
        }
    }

    /// What a family comes to, of the parts that are done.
    pub(super) fn digest(&self, family: FamilyId) -> Digest {
        self.digests.get(&family).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: DigestKey = DigestKey([9; 32]);

    /// Changes of 3,000 keys in two families, some more than once, every tenth removed in the end.
    fn changes() -> Vec<(FamilyId, Vec<u8>, Option<Vec<u8>>)> {
        let change = |number: u32, round: u32| {
            let value = format!("{number} {round}").into_bytes();
            let value = (!number.is_multiple_of(10) || round == 0).then_some(value);
            (FamilyId(u64::from(18 + number % 2)), number.to_be_bytes().to_vec(), value)
        };
        let first = (0..3000).map(|number| change(number, 0));
        let again = (0..3000)
            .filter(|number: &u32| number.is_multiple_of(5))
            .map(|number| change(number, 1));
        first.chain(again).collect()
    }

    fn fold(keys_max: usize) -> (Latest, u32) {
        let mut latest = Latest::new(keys_max);
        let mut passes = 0;
        loop {
            passes += 1;
            for (family, key, value) in &changes() {
                latest.change(&KEY, *family, (key, value.as_deref()));
            }
            if !latest.finish_part() {
                return (latest, passes);
            }
        }
    }

    // I5: bounded memory, and the same verdict however little of it there is.
    #[test]
    fn however_few_keys_are_held_the_digests_are_those_of_the_newest_values() {
        let mut expected: BTreeMap<(FamilyId, Vec<u8>), Vec<u8>> = BTreeMap::new();
        for (family, key, value) in changes() {
            match value {
                Some(value) => expected.insert((family, key), value),
                None => expected.remove(&(family, key)),
            };
        }
        for (keys_max, passes_min) in [(10_000, 1), (1000, 3), (100, 27), (7, 386)] {
            let (latest, passes) = fold(keys_max);
            assert!(passes >= passes_min, "{passes} passes with {keys_max} keys");
            assert!(latest.held_max <= keys_max);
            for family in [FamilyId(18), FamilyId(19)] {
                let mut digest = Digest::default();
                for ((_, key), value) in expected.iter().filter(|((id, _), _)| *id == family) {
                    digest.add(&KEY, family, (key, value));
                }
                assert!(digest.count > 1000);
                assert_eq!(latest.digest(family), digest);
            }
        }
    }

    #[test]
    fn a_value_that_differs_gives_another_digest() {
        let mut latest = Latest::new(10);
        latest.change(&KEY, FamilyId(18), (b"a", Some(b"1")));
        assert!(!latest.finish_part());
        let mut other = Digest::default();
        other.add(&KEY, FamilyId(18), (b"a", b"2"));
        assert_ne!(latest.digest(FamilyId(18)), other);
        assert_eq!(latest.digest(FamilyId(19)), Digest::default());
    }
}
