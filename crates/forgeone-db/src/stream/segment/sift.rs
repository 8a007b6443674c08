//! Looking through records for those that a search wants, without decoding the others.

use super::{READ_AHEAD_UNITS, Segment, SegmentCache, TimeBounds, UnitEntry};
use crate::stream::query::RecordFilter;
use crate::stream::record::RecordBatch;
use forgeone_db_engine::{ErrorKind, Result};
use std::sync::Arc;

/// Units that a search looks through at a time when none of the last ones had what it wants.
const SIFT_UNITS_MAX: usize = 64;

/// What a search wants of records, besides place and time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) level_min: u8,
    pub(crate) filter: Option<&'a dyn RecordFilter>,
    pub(crate) ahead: Ahead,
}

/// How many units a search looks through at a time: the more, the longer nothing was found. Units lie
/// close together, so that a few of them are less than the engine reads for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ahead(usize);

impl Default for Ahead {
    fn default() -> Self {
        Self(READ_AHEAD_UNITS)
    }
}

impl Ahead {
    /// The next number, after units were looked through.
    pub(crate) fn after(self, sifted: &[Sifted]) -> Self {
        let found = sifted.iter().any(|sifted| matches!(sifted, Sifted::Records(_)));
        if found { Self::default() } else { Self((self.0 * 2).min(SIFT_UNITS_MAX)) }
    }
}

/// What a search finds of records that lie together.
#[derive(Debug, Clone)]
pub(crate) enum Sifted {
    /// Some of them may be wanted.
    Records(Arc<RecordBatch>),
    /// None of them is.
    Passed { first: u64, last: u64, bounds: TimeBounds },
}

impl Sifted {
    /// Whether the record of this number is among them.
    pub(crate) fn has(&self, sequence: u64) -> bool {
        match self {
            Self::Records(batch) => batch.has(sequence),
            Self::Passed { first, last, .. } => (*first..=*last).contains(&sequence),
        }
    }
}

impl UnitEntry {
    fn passed(&self) -> Sifted {
        Sifted::Passed { first: self.first, last: self.last(), bounds: self.bounds() }
    }

    /// Whether the directory rules out every record of the unit.
    fn is_below(&self, level_min: u8) -> bool {
        self.levels.checked_shr(level_min.into()).unwrap_or(0) == 0
    }

    fn sift(&self, stored: Vec<u8>, filter: Option<&dyn RecordFilter>) -> Result<Sifted> {
        let (ids, columns) = self.unpack(stored)?;
        if filter.is_some_and(|filter| !filter.may_match(&columns)) {
            return Ok(self.passed());
        }
        let batch = RecordBatch::decode(self.first, self.count, &ids, &columns)?;
        Ok(Sifted::Records(Arc::new(batch)))
    }
}

impl Segment {
    /// Looks through unit `index` and some of those that follow it, or precede it when not
    /// `forward`, in that order. Units that the directory rules out are not read; what is read goes
    /// past the cache, which a long search would only flush.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range, when it is unit `index` that is damaged.
    pub(crate) async fn sift(
        &self,
        cache: &SegmentCache,
        (index, forward): (usize, bool),
        wanted: Wanted<'_>,
    ) -> Result<Vec<Sifted>> {
        let entry = self.entry(index)?;
        let mut near = self.near(index, forward);
        if entry.is_below(wanted.level_min) {
            near = Box::new(near.take_while(|unit| unit.is_below(wanted.level_min)));
            return Ok(near.take(SIFT_UNITS_MAX).map(UnitEntry::passed).collect());
        }
        if let Some(batch) = cache.units.get(&self.place, self.cache_offset(entry)) {
            return Ok(vec![Sifted::Records(batch)]);
        }
        let count = near.take_while(|unit| !unit.is_below(wanted.level_min));
        let count = count.take(wanted.ahead.0).count();
        let start = if forward { index } else { (index + 1).saturating_sub(count) };
        let mut units = match self.read_stored(start, count).await {
            // One of the others may be damaged; this one is wanted.
            Err(error) if error.kind() == ErrorKind::Corrupt => self.read_stored(index, 1).await?,
            units => units?,
        };
        if !forward {
            units.reverse();
        }
        let mut sifted = Vec::with_capacity(units.len());
        let mut records = 0;
        for (unit, stored) in units {
            // What is decoded stays in memory until it is asked for.
            if records == READ_AHEAD_UNITS {
                break;
            }
            match unit.sift(stored, wanted.filter) {
                Ok(found) => {
                    records += usize::from(matches!(found, Sifted::Records(_)));
                    sifted.push(found);
                }
                // Said when that unit is wanted itself.
                Err(_) if !sifted.is_empty() => break,
                Err(error) => return Err(self.locate(error, unit.first, unit.last())),
            }
        }
        Ok(sifted)
    }

    /// Unit `index` and those that follow it, or precede it when not `forward`.
    fn near(
        &self,
        index: usize,
        forward: bool,
    ) -> Box<dyn Iterator<Item = &UnitEntry> + Send + '_> {
        let (before, behind) = (self.units.get(..=index), self.units.get(index..));
        if forward {
            Box::new(behind.unwrap_or_default().iter())
        } else {
            Box::new(before.unwrap_or_default().iter().rev())
        }
    }
}
