//! The generator behind every case: small, seeded, and the same on every machine.

/// `SplitMix64` (Steele, Lea and Flood 2014). Good enough to choose cases with, and nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator of one case of a campaign.
    pub(crate) fn of_case(seed: u64, case: u64) -> Self {
        let mut random = Self(seed);
        let mixed = random.next();
        Self(mixed ^ case.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// One of several.
    ///
    /// # Panics
    /// Where there is nothing to choose from.
    pub(crate) fn of<T: Copy, const N: usize>(&mut self, choices: &[T; N]) -> T {
        let index = usize::try_from(self.below(N as u64)).unwrap_or(0);
        choices.get(index).copied().expect("a choice lies below the number of choices")
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_case_is_the_same_every_time_and_unlike_its_neighbours() {
        let draw = |case| {
            let mut random = Random::of_case(7, case);
            [random.next(), random.next()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
