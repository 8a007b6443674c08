//! Writing a run as a stream, with bounded memory.

use super::directory::{DirectoryBuilder, UnitKind, UnitRow};
use super::filter::{FILTER_SEED_BYTES, FilterBuilder, FilterSeed, RawFilter};
use super::page::PageBuilder;
use super::{
    DIRECTORY_UNIT, Family, FamilyId, IndexContext, KEY_BYTES_MAX, RUN, VALUE_BYTES_MAX, binding,
};
use crate::codec::{Compression, compress};
use crate::crypto::Lineage;
use crate::piece::{MemberWriter, PieceRef, PieceWriter};
use forgeone_db_engine::{Error, ErrorKind, Result};
use minicbor::{Decode, Encode};

/// Pages are written often and read often: the fastest level.
const PAGE_LEVEL: i32 = 1;

/// The name of a run, and what its directory must say. Kept in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RunRef {
    #[n(0)]
    pub(crate) family: FamilyId,
    #[n(1)]
    pub(crate) piece: PieceRef,
    /// Keys with a value or a tombstone.
    #[n(2)]
    pub(crate) entries: u64,
    /// Empty in a run without entries, as is `last_key`.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) first_key: Vec<u8>,
    #[cbor(n(4), with = "minicbor::bytes")]
    pub(crate) last_key: Vec<u8>,
    /// The number of the system key that it is sealed under.
    #[n(5)]
    pub(crate) key: u64,
    /// The boundary of the newest change of data keys that could not read it. It stays as it is, and
    /// so does its key.
    #[n(6)]
    pub(crate) quarantined: Option<u64>,
}

/// Writes one run. It holds a page, the hashes of one filter and the directory, whatever the size
/// of the run.
#[derive(Debug)]
pub(crate) struct RunWriter<'a> {
    family: FamilyId,
    lineage: Lineage,
    member: MemberWriter<'a>,
    page: PageBuilder,
    filter: FilterBuilder,
    directory: DirectoryBuilder,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    key: u64,
}

impl<'a> RunWriter<'a> {
    /// Starts a run of `family` as the next member of `piece`, in the table of the family.
    ///
    /// # Errors
    /// `Unavailable` when there is no randomness.
    pub(crate) fn begin(
        context: &IndexContext,
        family: &Family,
        piece: &'a mut PieceWriter,
    ) -> Result<Self> {
        let mut seed = FilterSeed([0; FILTER_SEED_BYTES]);
        context.environment.fill_random(&mut seed.0)?;
        let system = context.keys.system_key();
        Ok(Self {
            family: family.id,
            lineage: context.lineage,
            member: piece.begin(&system, RUN, &*context.environment)?,
            page: PageBuilder::default(),
            filter: FilterBuilder::new(family.filter, seed.clone()),
            directory: DirectoryBuilder::new(family.id, family.filter, seed),
            first_key: Vec::new(),
            last_key: Vec::new(),
            key: system.id().0,
        })
    }

    /// Adds an entry; `None` is a tombstone.
    ///
    /// # Errors
    /// `Invalid` for a key of more than 4 KiB or a value of more than 16 MiB; `Internal` unless
    /// keys ascend; as the engine's. After an error the run is lost.
    pub(crate) async fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if key.len() > KEY_BYTES_MAX || value.is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            return Err(Error::new(ErrorKind::Invalid, "an entry is too large for an index")
                .with("key_bytes", key.len())
                .with("key_bytes_max", KEY_BYTES_MAX)
                .with("value_bytes_max", VALUE_BYTES_MAX));
        }
        if self.directory.entries() == 0 {
            self.first_key = key.to_vec();
        } else if *key <= *self.last_key {
            return Err(Error::new(ErrorKind::Internal, "the keys of a run do not ascend"));
        }
        if !self.page.takes(key, value) {
            self.write_page().await?;
        }
        if let Some(full) = self.filter.push(key) {
            self.write_filter(full).await?;
        }
        self.page.push(key, value)?;
        self.directory.count(value);
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        Ok(())
    }

    /// Writes what is left and the directory.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) async fn finish(mut self) -> Result<RunRef> {
        if !self.page.is_empty() {
            self.write_page().await?;
        }
        if let Some(filter) = self.filter.take() {
            self.write_filter(filter).await?;
        }
        let entries = self.directory.entries();
        let directory = self.directory.finish(self.last_key.clone())?;
        let place = binding(self.lineage, self.family, DIRECTORY_UNIT, Compression::None);
        Ok(RunRef {
            family: self.family,
            piece: self.member.finish(directory, &place).await?,
            entries,
            first_key: self.first_key,
            last_key: self.last_key,
            key: self.key,
            quarantined: None,
        })
    }

    async fn write_page(&mut self) -> Result<()> {
        let page = self.page.take();
        let raw_len = page.bytes.len();
        let (compression, stored) = compress(page.bytes, PAGE_LEVEL)?;
        let row = self.write_unit(stored, compression, raw_len, page.entries).await?;
        self.directory.add(UnitKind::Page, &row, &page.first);
        Ok(())
    }

    async fn write_filter(&mut self, filter: RawFilter) -> Result<()> {
        let raw_len = filter.bytes.len();
        // Fingerprints are as good as random: not worth compressing.
        let row = self.write_unit(filter.bytes, Compression::None, raw_len, filter.keys).await?;
        self.directory.add(UnitKind::Filter, &row, &filter.first);
        Ok(())
    }

    async fn write_unit(
        &mut self,
        stored: Vec<u8>,
        compression: Compression,
        raw_len: usize,
        count: u32,
    ) -> Result<UnitRow> {
        let unit = self.directory.next_unit();
        let raw_len = u32::try_from(raw_len)
            .map_err(|_| Error::new(ErrorKind::Internal, "a unit of a run is too large"))?;
        let place = binding(self.lineage, self.family, unit, compression);
        let at = self.member.add_unit(&place, stored).await?;
        Ok(UnitRow { unit, at, compression, raw_len, count })
    }
}

/// Writes a memtable as a run.
///
/// # Errors
/// As [`RunWriter`]'s.
#[cfg(test)]
pub(crate) async fn write_run(
    context: &IndexContext,
    family: &Family,
    memtable: &super::Memtable,
    piece: &mut PieceWriter,
) -> Result<RunRef> {
    let mut run = RunWriter::begin(context, family, piece)?;
    for (key, value) in memtable.iter() {
        run.push(key, value.map(|value| &**value)).await?;
    }
    run.finish().await
}
