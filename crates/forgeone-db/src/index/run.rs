//! An opened run: lookups and ranges over authenticated pages.

mod audit;

pub(crate) use audit::AuditedRuns;

use super::directory::{Directory, UnitRow};
use super::filter::Filter;
use super::page::Page;
use super::{
    CachePolicy, DIRECTORY_UNIT, Family, IndexContext, RUN, RunCursor, RunRef, Slot, binding,
};
use crate::codec::{Compression, corrupt, decompress};
use crate::crypto::{KeyId, Lineage};
use crate::piece::{CacheKey, Member, UnitCache};
use forgeone_db_engine::{Direction, Error, ErrorKind, KeyRange, Result};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// An immutable sorted run. Holds its directory; pages and filters come through the cache.
pub(crate) struct Run {
    named: RunRef,
    lineage: Lineage,
    member: Member,
    directory: Directory,
    cache: Arc<UnitCache>,
    cache_key: CacheKey,
}

/// What a series of lookups keeps from one to the next: the filter and the page read last.
#[derive(Default)]
pub(super) struct Probe {
    filter: Option<(usize, Arc<Vec<u8>>)>,
    page: Option<(usize, Page)>,
}

impl Run {
    /// Opens a run that the manifest names.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece, when it is not the run that was named; as the
    /// engine's.
    pub(crate) async fn open(
        context: &IndexContext,
        family: &Family,
        named: &RunRef,
    ) -> Result<Self> {
        let reader = context.piece_reader(&family.table);
        let place = binding(context.lineage, family.id, DIRECTORY_UNIT, Compression::None);
        let system = context.keys.system_key_of(KeyId(named.key)).map_err(|error| {
            let error = error.with("database", &context.database).with("table", &family.table);
            error.with("piece", named.piece.piece)
        })?;
        let mut member = reader.open(&named.piece, &system, RUN, &place).await?;
        let directory = Directory::read(&member.take_directory(), named.piece.units_bytes)
            .map_err(|error| member.locate(error))?;
        let fits = named.family == family.id
            && directory.family == family.id
            && directory.entries == named.entries
            && directory.first_key() == named.first_key
            && directory.last_key == named.last_key;
        if !fits {
            return Err(member.locate(corrupt("a run is not the one that was named")));
        }
        Ok(Self {
            named: named.clone(),
            lineage: context.lineage,
            member,
            directory,
            cache: Arc::clone(&context.units),
            cache_key: CacheKey {
                database: context.database.clone(),
                table: family.table.clone(),
                piece: named.piece.piece,
            },
        })
    }

    /// The reference it was opened with.
    pub(crate) const fn named(&self) -> &RunRef {
        &self.named
    }

    #[cfg(test)]
    /// Tombstones among its entries.
    pub(crate) const fn tombstones(&self) -> u64 {
        self.directory.tombstones
    }

    /// What the run knows of `key`; `None` is certain too.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Slot>> {
        self.probe(&mut Probe::default(), key).await
    }

    /// [`get`](Self::get) for one of many keys; cheapest if they ascend.
    pub(super) async fn probe(&self, probe: &mut Probe, key: &[u8]) -> Result<Option<Slot>> {
        let outside = *key < *self.named.first_key || *key > *self.named.last_key;
        if outside || self.directory.entries == 0 {
            return Ok(None);
        }
        if let Some(filter_key) = self.directory.filter.of(key)
            && !self.filter_passes(probe, filter_key).await?
        {
            return Ok(None);
        }
        let fences = &self.directory.page_fences;
        let Some(index) = fences.partition_point(|fence| fence <= key).checked_sub(1) else {
            return Ok(None);
        };
        if probe.page.as_ref().is_none_or(|(present, _)| *present != index) {
            probe.page = Some((index, self.page(index).await?));
        }
        let Some((_, page)) = &probe.page else { return Ok(None) };
        page.get(key).map_err(|error| self.member.locate(error))
    }

    /// Whether any key that starts with `prefix` may be in the run; `false` is certain.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's.
    pub(crate) async fn may_contain(&self, prefix: &[u8]) -> Result<bool> {
        if self.directory.entries == 0 || *prefix > *self.named.last_key {
            return Ok(false);
        }
        let first = &*self.named.first_key;
        if first > prefix && !first.starts_with(prefix) {
            return Ok(false);
        }
        match self.directory.filter.of_prefix(prefix) {
            None => Ok(true),
            Some(filter_key) => self.filter_passes(&mut Probe::default(), filter_key).await,
        }
    }

    /// Walks the entries of a range, tombstones included.
    pub(crate) fn scan(
        self: &Arc<Self>,
        range: KeyRange,
        direction: Direction,
        policy: CachePolicy,
    ) -> RunCursor {
        RunCursor::new(Arc::clone(self), range, direction, policy)
    }

    /// Whether the filters alone let `key` pass.
    #[cfg(test)]
    pub(super) async fn filter_let_pass(&self, key: &[u8]) -> Result<bool> {
        let filter_key = self.directory.filter.of(key).unwrap_or(key);
        self.filter_passes(&mut Probe::default(), filter_key).await
    }

    async fn filter_passes(&self, probe: &mut Probe, filter_key: &[u8]) -> Result<bool> {
        let fences = &self.directory.filter_fences;
        let Some(index) = fences.partition_point(|fence| fence <= filter_key).checked_sub(1) else {
            return Ok(false);
        };
        if probe.filter.as_ref().is_none_or(|(present, _)| *present != index) {
            let row = self.row(&self.directory.filters, index)?;
            match self.unit(row).await {
                Ok(unit) => probe.filter = Some((index, unit)),
                // It only saves looking: without it the page itself is asked, and authenticated.
                Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        let Some((_, bytes)) = &probe.filter else { return Ok(true) };
        let filter = Filter::new(bytes).map_err(|error| self.member.locate(error))?;
        Ok(filter.may_contain(self.directory.filter_seed.hash(filter_key)))
    }

    fn row<'a>(&self, rows: &'a [UnitRow], index: usize) -> Result<&'a UnitRow> {
        rows.get(index).ok_or_else(|| {
            self.member.locate(Error::new(ErrorKind::Internal, "a run has no such unit"))
        })
    }

    /// A unit through the cache, decompressed.
    async fn unit(&self, row: &UnitRow) -> Result<Arc<Vec<u8>>> {
        let offset = self.named.piece.offset + row.at.offset;
        if let Some(bytes) = self.cache.get(&self.cache_key, offset) {
            return Ok(bytes);
        }
        let place = binding(self.lineage, self.named.family, row.unit, row.compression);
        let stored = self.member.read_unit(row.unit, &row.at, &place).await?;
        let bytes = self.raw(row, stored)?;
        self.keep(row, &bytes);
        Ok(bytes)
    }

    fn raw(&self, row: &UnitRow, stored: Vec<u8>) -> Result<Arc<Vec<u8>>> {
        decompress(row.compression, stored, row.raw_len as usize)
            .map(Arc::new)
            .map_err(|error| self.member.locate(error))
    }

    fn keep(&self, row: &UnitRow, bytes: &Arc<Vec<u8>>) {
        let offset = self.named.piece.offset + row.at.offset;
        self.cache.insert(&self.cache_key, offset, Arc::clone(bytes), bytes.capacity());
    }

    async fn page(&self, index: usize) -> Result<Page> {
        let row = self.row(&self.directory.pages, index)?;
        let bytes = self.unit(row).await?;
        self.parse(index, row, bytes)
    }

    fn parse(&self, index: usize, row: &UnitRow, bytes: Arc<Vec<u8>>) -> Result<Page> {
        Page::new(bytes)
            .and_then(|page| page.check(row.count, self.directory.page_fences.get(index)))
            .map_err(|error| self.member.locate(error))
    }

    /// The pages that a scan has to visit, as a range of page numbers.
    pub(super) fn pages_of(&self, range: &KeyRange) -> Range<usize> {
        let fences = &self.directory.page_fences;
        let start = fences.partition_point(|fence| fence <= &*range.start).saturating_sub(1);
        let end = match &range.end {
            None => self.directory.pages.len(),
            Some(end) => fences.partition_point(|fence| fence < &**end),
        };
        let empty = range.end.as_ref().is_some_and(|end| *end <= range.start);
        if empty || end <= start { 0..0 } else { start..end }
    }

    /// The first or last pages of `range`, at most `count`, that lie side by side.
    pub(super) fn side_by_side(
        &self,
        range: &Range<usize>,
        direction: Direction,
        count: usize,
    ) -> Range<usize> {
        let pages = self.directory.pages.get(range.clone()).unwrap_or_default();
        let touch = |a: &UnitRow, b: &UnitRow| a.unit.checked_add(1) == Some(b.unit);
        let mut together = usize::from(!pages.is_empty());
        match direction {
            Direction::Forward => {
                let pairs = pages.iter().zip(pages.iter().skip(1)).take(count.saturating_sub(1));
                together += pairs.take_while(|(a, b)| touch(a, b)).count();
                range.start..range.start + together
            }
            Direction::Reverse => {
                let pairs = pages.iter().rev().skip(1).zip(pages.iter().rev());
                let pairs = pairs.take(count.saturating_sub(1));
                together += pairs.take_while(|(a, b)| touch(a, b)).count();
                range.end - together..range.end
            }
        }
    }

    /// Reads pages that lie side by side.
    pub(super) async fn pages(
        &self,
        range: Range<usize>,
        policy: CachePolicy,
    ) -> Result<Vec<Page>> {
        if policy == CachePolicy::Fill && range.len() == 1 {
            return Ok(vec![self.page(range.start).await?]);
        }
        let rows = self.directory.pages.get(range.clone()).unwrap_or_default();
        let Some(first) = rows.first() else { return Ok(Vec::new()) };
        let place =
            |row: &UnitRow| binding(self.lineage, self.named.family, row.unit, row.compression);
        let units: Vec<_> = rows.iter().map(|row| (row.at, place(row))).collect();
        let stored = self.member.read_units(first.unit, &units).await?;
        let mut pages = Vec::with_capacity(rows.len());
        for ((index, row), stored) in range.zip(rows).zip(stored) {
            let bytes = self.raw(row, stored)?;
            if policy == CachePolicy::Fill {
                self.keep(row, &bytes);
            }
            pages.push(self.parse(index, row, bytes)?);
        }
        Ok(pages)
    }

    /// Says of an error which run it is about.
    pub(super) fn locate(&self, error: Error) -> Error {
        self.member.locate(error)
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("family", &self.named.family)
            .field("piece", &self.named.piece)
            .field("entries", &self.named.entries)
            .finish_non_exhaustive()
    }
}
