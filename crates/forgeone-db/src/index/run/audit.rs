//! What a verification asks of a run beyond what readers do.

use super::{CachePolicy, Filter, Run};
use crate::codec::corrupt;
use forgeone_db_engine::{Direction, KeyRange, Result};
use std::sync::Arc;

impl Run {
    /// Reads every page and every filter past the cache, and checks that entries ascend, are as
    /// many as the directory says, and that no filter rules out a key that is there.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's.
    pub(crate) async fn audit(self: &Arc<Self>) -> Result<()> {
        let damaged = |what| self.member.locate(corrupt(what));
        let mut cursor = self.scan(KeyRange::all(), Direction::Forward, CachePolicy::Bypass);
        let mut before: Option<Vec<u8>> = None;
        let (mut tombstones, mut filter) = (0u64, None);
        while cursor.next().await? {
            let key = cursor.key();
            if before.as_ref().is_some_and(|before| **before >= *key) {
                return Err(damaged("the keys of a run do not ascend"));
            }
            tombstones += u64::from(cursor.value().is_none());
            self.audit_filter(&mut filter, key).await?;
            let kept = before.get_or_insert_default();
            kept.clear();
            kept.extend_from_slice(key);
        }
        let directory = &self.directory;
        if before.unwrap_or_default() != directory.last_key
            || cursor.entries() != directory.entries
            || tombstones != directory.tombstones
        {
            return Err(damaged("a run has other entries than its directory says"));
        }
        Ok(())
    }

    /// Checks that the filter that answers for `key` lets it pass. `present` is the filter read
    /// last.
    async fn audit_filter(
        &self,
        present: &mut Option<(usize, Arc<Vec<u8>>)>,
        key: &[u8],
    ) -> Result<()> {
        let damaged = |what| self.member.locate(corrupt(what));
        let Some(filter_key) = self.directory.filter.of(key) else { return Ok(()) };
        let fences = &self.directory.filter_fences;
        let index = fences
            .partition_point(|fence| fence <= filter_key)
            .checked_sub(1)
            .ok_or_else(|| damaged("no filter answers for a key that is there"))?;
        if present.as_ref().is_none_or(|(present, _)| *present != index) {
            let row = self.row(&self.directory.filters, index)?;
            let place = super::binding(self.lineage, self.named.family, row.unit, row.compression);
            let stored = self.member.read_unit(row.unit, &row.at, &place).await?;
            *present = Some((index, self.raw(row, stored)?));
        }
        let Some((_, bytes)) = present else { return Ok(()) };
        let filter = Filter::new(bytes).map_err(|error| self.member.locate(error))?;
        if filter.may_contain(self.directory.filter_seed.hash(filter_key)) {
            Ok(())
        } else {
            Err(damaged("a filter rules out a key that is there"))
        }
    }
}
