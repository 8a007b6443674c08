//! What a verification asks of a segment beyond what readers do.

use super::{READ_AHEAD_UNITS, RecordBatch, Segment, TimeBounds, UnitEntry, locate, pair};
use crate::codec::corrupt;
use crate::environment::Timestamp;
use forgeone_db_engine::Result;

impl Segment {
    /// The sequence numbers of unit `index`, and its stored bytes.
    pub(crate) fn unit_span(&self, index: usize) -> Option<(u64, u64, u64)> {
        let unit = self.units.get(index)?;
        Some((unit.first, unit.last(), unit.unit.len.into()))
    }

    /// Records of unit `index` and of some that follow it, read with one call and past the cache.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range of the segment, when any of them is damaged.
    pub(crate) async fn units_from(&self, index: usize) -> Result<Vec<RecordBatch>> {
        let end = (index + READ_AHEAD_UNITS).min(self.units.len());
        let entries = self.units.get(index..end).unwrap_or_default();
        let read = async {
            let places = entries
                .iter()
                .map(|unit| Ok((unit.unit, unit.binding(self.lineage, self.reference.subject)?)))
                .collect::<Result<Vec<_>>>()?;
            let counter = u32::try_from(index).map_err(|_| corrupt("too many units"))?;
            let opened = self.member.read_units(counter, &places).await?;
            entries.iter().zip(opened).map(|(unit, stored)| unit.decode(stored)).collect()
        };
        let read: Result<Vec<RecordBatch>> = read.await;
        read.map_err(|error| locate(error, &self.reference))
    }

    /// Checks what the directory says of unit `index` against its records. `before` is the topic's
    /// greatest time up to the segment, and whether lost records may have had a greater one: until a
    /// record is on time again, others may be late for that.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range of the unit, when a search would be led astray.
    pub(crate) fn check_unit(
        &self,
        index: usize,
        batch: &RecordBatch,
        (before, behind_loss): (Timestamp, bool),
    ) -> Result<()> {
        let Some(unit) = self.units.get(index) else { return Ok(()) };
        let earlier = || self.units.iter().take(index);
        let behind_loss = behind_loss && earlier().all(|unit| unit.on_time_min.is_none());
        let previous = index.checked_sub(1).and_then(|previous| self.units.get(previous));
        let before = previous.map_or(before, |previous| previous.bounds().max);
        unit.check(batch, (before, behind_loss)).map_err(|what| {
            corrupt(what)
                .with("topic id", self.reference.subject)
                .with("from", unit.first)
                .with("to", unit.last())
        })
    }

    /// Checks what the manifest says of the segment against its directory.
    ///
    /// # Errors
    /// `Corrupt`, naming topic and range.
    pub(crate) fn check_reference(&self) -> Result<()> {
        let reference = &self.reference;
        let max = self.units.last().map(|unit| unit.bounds().max);
        let on_time_min = self.units.iter().find_map(|unit| unit.on_time_min);
        if max == Some(reference.time_max()) && on_time_min == reference.on_time_min {
            Ok(())
        } else {
            Err(locate(corrupt("a manifest has other times than its segment"), reference))
        }
    }
}

impl UnitEntry {
    fn check(
        &self,
        batch: &RecordBatch,
        (before, behind_loss): (Timestamp, bool),
    ) -> Result<(), &'static str> {
        if batch.records.len() != self.count as usize {
            return Err("a unit has another number of records than its directory says");
        }
        let mut bounds = TimeBounds::before(before);
        let mut levels = 0;
        for record in &batch.records {
            let may_be_late = behind_loss && bounds.on_time_min.is_none();
            if record.late != (record.time < bounds.max) && !(record.late && may_be_late) {
                return Err("a record is wrongly marked as late or on time");
            }
            bounds.add(record);
            levels |= 1 << (record.level & 31);
        }
        if pair(bounds.max) != self.time_max
            || bounds.on_time_min.map(pair) != self.on_time_min
            || levels != self.levels
        {
            return Err("a unit's times or levels are not what its directory says");
        }
        let ordered = batch.commits.iter().zip(batch.commits.iter().skip(1));
        let covered = batch.commits.first().is_some_and(|commit| commit.first <= batch.first);
        if !covered || !ordered.into_iter().all(|(a, b)| a.first < b.first && a.stamp < b.stamp) {
            return Err("the commits of a unit are out of order");
        }
        Ok(())
    }
}
