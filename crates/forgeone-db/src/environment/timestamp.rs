//! A moment as it is stored: seconds and nanoseconds since 1970.

use chrono::{DateTime, Utc};

/// A moment: seconds since 1970-01-01T00:00:00Z, negative before it, and nanoseconds after the
/// start of that second. Orders by time. Nanoseconds reach 1,999,999,999 in a leap second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Whole seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds after the start of the second.
    pub nanos: u32,
}

impl Timestamp {
    /// The earliest moment that can be stored.
    pub const MIN: Self = Self { seconds: i64::MIN, nanos: 0 };
    /// The latest moment that can be stored.
    pub const MAX: Self = Self { seconds: i64::MAX, nanos: u32::MAX };

    /// The moment as a date, if the calendar reaches that far (about 262,000 years either way).
    pub fn to_datetime(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.seconds, self.nanos)
    }

    /// Twelve bytes: seconds with the sign bit flipped, then nanoseconds, both big-endian, so
    /// that bytes order as moments do.
    pub fn to_ordered_bytes(self) -> [u8; 12] {
        let seconds = (self.seconds.cast_unsigned() ^ (1 << 63)).to_be_bytes();
        let nanos = self.nanos.to_be_bytes();
        let mut bytes = [0; 12];
        let (head, tail) = bytes.split_at_mut(8);
        head.copy_from_slice(&seconds);
        tail.copy_from_slice(&nanos);
        bytes
    }

    /// The inverse of [`to_ordered_bytes`](Self::to_ordered_bytes).
    #[expect(clippy::cast_possible_truncation, reason = "twelve bytes: 64 bits above 32")]
    pub fn from_ordered_bytes(bytes: [u8; 12]) -> Self {
        let wide = bytes.iter().fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
        let seconds = (wide >> 32) as u64 ^ (1 << 63);
        Self { seconds: seconds.cast_signed(), nanos: (wide & 0xffff_ffff) as u32 }
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self { seconds: moment.timestamp(), nanos: moment.timestamp_subsec_nanos() }
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    #[test]
    fn both_ends_of_the_calendar_survive() {
        for moment in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert_eq!(Timestamp::from(moment).to_datetime(), Some(moment));
        }
    }

    proptest! {
        #[test]
        fn bytes_order_as_moments_do(a: (i64, u32), b: (i64, u32)) {
            let [a, b] = [a, b].map(|(seconds, nanos)| Timestamp { seconds, nanos });
            prop_assert_eq!(a.cmp(&b), a.to_ordered_bytes().cmp(&b.to_ordered_bytes()));
            prop_assert_eq!(Timestamp::from_ordered_bytes(a.to_ordered_bytes()), a);
        }
    }
}
