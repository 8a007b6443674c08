//! A moment as it is stored: seconds and nanoseconds since 1970.

use chrono::{DateTime, Utc};
use std::time::{SystemTime, UNIX_EPOCH};

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

    /// This moment, or the end of the calendar that is nearest: for what a clock says, which may be
    /// anything, and is a date again for whoever reads it.
    #[must_use]
    pub fn in_calendar(self) -> Self {
        let (min, max) = (DateTime::<Utc>::MIN_UTC.into(), DateTime::<Utc>::MAX_UTC.into());
        if self.to_datetime().is_some() {
            self
        } else if (min..=max).contains(&self) {
            // Only the nanoseconds are none.
            Self { nanos: 0, ..self }
        } else {
            self.clamp(min, max)
        }
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

/// What the operating system's clock or a file's time says: also before 1970, where chrono's own
/// conversion panics, and beyond the calendar, where the nearest end of it is meant.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let moment = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self {
                seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                nanos: since.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self { seconds: -seconds, nanos: 0 },
                    nanos => Self { seconds: -seconds - 1, nanos: 1_000_000_000 - nanos },
                }
            }
        };
        moment.in_calendar()
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_clock_before_1970_or_beyond_the_calendar_is_a_moment_like_any_other() {
        let at = |seconds, nanos| Timestamp { seconds, nanos };
        let half = Duration::from_millis(500);
        for (time, moment) in [
            (UNIX_EPOCH, at(0, 0)),
            (UNIX_EPOCH - half, at(-1, 500_000_000)),
            (UNIX_EPOCH - Duration::from_secs(7), at(-7, 0)),
            (UNIX_EPOCH + half, at(0, 500_000_000)),
        ] {
            assert_eq!(Timestamp::from(time), moment);
        }
        let far = Duration::from_secs(i64::MAX.unsigned_abs());
        let ends = [UNIX_EPOCH.checked_sub(far), UNIX_EPOCH.checked_add(far)];
        for (end, date) in
            ends.into_iter().zip([DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC])
        {
            assert_eq!(Timestamp::from(end.unwrap()).to_datetime(), Some(date));
        }
    }

    #[test]
    fn both_ends_of_the_calendar_survive() {
        for moment in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert_eq!(Timestamp::from(moment).to_datetime(), Some(moment));
        }
    }

    proptest! {
        #[test]
        fn whatever_a_clock_says_is_a_date_in_the_calendar(seconds: i64, nanos: u32) {
            let moment = Timestamp { seconds, nanos };
            prop_assert!(moment.in_calendar().to_datetime().is_some());
            if moment.to_datetime().is_some() {
                prop_assert_eq!(moment.in_calendar(), moment);
            }
        }

        #[test]
        fn bytes_order_as_moments_do(a: (i64, u32), b: (i64, u32)) {
            let [a, b] = [a, b].map(|(seconds, nanos)| Timestamp { seconds, nanos });
            prop_assert_eq!(a.cmp(&b), a.to_ordered_bytes().cmp(&b.to_ordered_bytes()));
            prop_assert_eq!(Timestamp::from_ordered_bytes(a.to_ordered_bytes()), a);
        }
    }
}
