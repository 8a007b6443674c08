//! The times of a batch, in the coarsest unit that loses nothing: one small difference a record.
//!
//! Absent on purpose: the times of commits, of which there are few.

use super::{Record, put_time, take_time};
use crate::codec::{Cursor, corrupt, put_varint, zigzag};
use crate::environment::Timestamp;
use forgeone_db_engine::Result;

/// The part of a batch's form that says in which unit its times are.
pub(super) const FORM_TIMES: u8 = 0b0111_0000; // on-disk
const FORM_TIMES_SHIFT: u32 = FORM_TIMES.trailing_zeros();
const TIMES_APART: u8 = 0; // on-disk
const TIMES_SECONDS: u8 = 1; // on-disk
const TIMES_MILLISECONDS: u8 = 2; // on-disk
const TIMES_MICROSECONDS: u8 = 3; // on-disk
const TIMES_NANOSECONDS: u8 = 4; // on-disk

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// How the times of a batch are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Seconds and nanoseconds of each: for what fits no unit.
    Apart,
    /// So many ticks a second.
    Ticks(u32),
}

impl Unit {
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            TIMES_APART => Some(Self::Apart),
            TIMES_SECONDS => Some(Self::Ticks(1)),
            TIMES_MILLISECONDS => Some(Self::Ticks(1_000)),
            TIMES_MICROSECONDS => Some(Self::Ticks(1_000_000)),
            TIMES_NANOSECONDS => Some(Self::Ticks(NANOS_PER_SECOND)),
            _ => None,
        }
    }

    /// The ticks since 1970, if the time is a whole number of them.
    fn ticks(self, time: Timestamp) -> Option<i64> {
        let Self::Ticks(per_second) = self else { return None };
        let nanos = NANOS_PER_SECOND / per_second;
        if time.nanos >= NANOS_PER_SECOND || !time.nanos.is_multiple_of(nanos) {
            return None;
        }
        time.seconds.checked_mul(per_second.into())?.checked_add((time.nanos / nanos).into())
    }
}

/// The code of the coarsest unit that all times fit.
fn coarsest(records: &[Record]) -> (u8, Unit) {
    let fits = |unit: Unit| records.iter().all(|record| unit.ticks(record.time).is_some());
    (TIMES_SECONDS..=TIMES_NANOSECONDS)
        .filter_map(|code| Some((code, Unit::from_code(code)?)))
        .find(|(_, unit)| fits(*unit))
        .unwrap_or((TIMES_APART, Unit::Apart))
}

/// The column of times, and what the form says of it.
pub(super) fn encode(records: &[Record]) -> (u8, Vec<u8>) {
    let (code, unit) = coarsest(records);
    let mut column = Vec::with_capacity(records.len() * 2 + 8);
    let mut previous = 0;
    for record in records {
        match unit.ticks(record.time) {
            Some(ticks) => {
                put_varint(&mut column, zigzag(ticks.wrapping_sub(previous)));
                previous = ticks;
            }
            None => put_time(&mut column, &mut previous, record.time),
        }
    }
    (code << FORM_TIMES_SHIFT, column)
}

/// Reads a column of times.
pub(super) struct Times {
    unit: Unit,
    previous: i64,
}

impl Times {
    /// # Errors
    /// `Corrupt` for a form that names no unit.
    pub(super) fn of_form(form: u8) -> Result<Self> {
        let unit = Unit::from_code((form & FORM_TIMES) >> FORM_TIMES_SHIFT);
        let unit = unit.ok_or_else(|| corrupt("a batch has an unknown form"))?;
        Ok(Self { unit, previous: 0 })
    }

    /// # Errors
    /// `Corrupt` at the end of the bytes.
    pub(super) fn take(&mut self, cursor: &mut Cursor<'_>) -> Result<Timestamp> {
        let Unit::Ticks(per_second) = self.unit else {
            return take_time(cursor, &mut self.previous);
        };
        self.previous = self.previous.wrapping_add(cursor.signed()?);
        let within = self.previous.rem_euclid(per_second.into());
        let within = u32::try_from(within).map_err(|_| corrupt("a time is out of range"))?;
        Ok(Timestamp {
            seconds: self.previous.div_euclid(per_second.into()),
            nanos: within * (NANOS_PER_SECOND / per_second),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{NANOS_PER_SECOND, Unit, encode};
    use crate::environment::Timestamp;
    use crate::model::LineEnd;
    use crate::stream::record::{Record, RecordBatch};

    fn at(seconds: i64, nanos: u32) -> Record {
        Record {
            id: None,
            time: Timestamp { seconds, nanos },
            assigned: false,
            late: false,
            level: 0,
            payload: Vec::new(),
            metadata: Vec::new(),
            marker: None,
            end: LineEnd::Lf,
        }
    }

    #[test]
    fn times_take_the_coarsest_unit_that_loses_nothing() {
        let far = i64::MAX / i64::from(NANOS_PER_SECOND) + 1;
        for (records, code, bytes) in [
            (vec![at(-5, 0), at(60, 0), at(0, 0)], 1, 4),
            (vec![at(-1, 999_000_000), at(0, 16_000_000)], 2, 2),
            (vec![at(0, 0), at(0, 1_000)], 3, 2),
            (vec![at(0, 1), at(0, 18)], 4, 2),
            (vec![at(far, 1)], 0, 6),
            (vec![at(0, NANOS_PER_SECOND)], 0, 6),
            (vec![at(i64::MIN, 0), at(i64::MAX, 0)], 1, 11),
        ] {
            let (form, column) = encode(&records);
            assert_eq!((form >> 4, column.len()), (code, bytes), "{records:?}");
            let encoded = RecordBatch::encode(1, &records, &[]);
            let count = u32::try_from(records.len()).unwrap();
            let decoded = RecordBatch::decode(1, count, &[], &encoded.columns).unwrap();
            assert_eq!(decoded.records, records);
        }
    }

    #[test]
    fn an_unknown_unit_is_corrupt() {
        let mut columns = RecordBatch::encode(1, &[at(0, 0)], &[]).columns;
        columns[0] |= 0b0111_0000;
        assert!(RecordBatch::decode(1, 1, &[], &columns).is_err());
        assert_eq!(Unit::from_code(5), None);
    }
}
