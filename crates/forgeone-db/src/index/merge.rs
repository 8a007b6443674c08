//! Merging runs into one.

use super::scan::Merged;
use super::{CachePolicy, Family, IndexContext, Run, RunRef, RunWriter};
use crate::codec::corrupt;
use crate::piece::PieceWriter;
use forgeone_db_engine::{Direction, Error, ErrorKind, KeyRange, Result};
use std::sync::Arc;

/// What a merge does with tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tombstones {
    /// Keeps them: there are older runs whose values they hide.
    Keep,
    /// Drops them: nothing is older than these runs.
    Drop,
}

/// Whether an entry stays in a merged run.
pub(crate) type Keeps<'a> = &'a (dyn Fn(&[u8], Option<&[u8]>) -> bool + Sync);

/// Merges runs that follow one another in age, newest first, into one with the entries that
/// `keeps` lets through. Memory is a few pages for each run, whatever their size. The runs stay as
/// they are.
///
/// # Errors
/// `Corrupt`, naming database, table and piece; as the engine's.
pub(crate) async fn merge(
    context: &IndexContext,
    family: &Family,
    runs: &[Arc<Run>],
    (tombstones, keeps): (Tombstones, Keeps<'_>),
    piece: &mut PieceWriter,
) -> Result<RunRef> {
    if runs.iter().any(|run| run.named().family != family.id) {
        return Err(Error::new(ErrorKind::Internal, "a merge was given runs of another family"));
    }
    let all = KeyRange::all();
    let mut merged = Merged::new(&[], runs, &all, Direction::Forward, CachePolicy::Bypass);
    let mut writer = RunWriter::begin(context, family, piece)?;
    while merged.next().await? {
        let value = merged.value();
        let hides = value.is_some() || tombstones == Tombstones::Keep;
        if hides && keeps(merged.key(), value) {
            writer.push(merged.key(), value).await?;
        }
    }
    let named: u64 = runs.iter().map(|run| run.named().entries).sum();
    if merged.run_entries() != named {
        return Err(corrupt("runs have another number of entries than they say")
            .with("database", &context.database)
            .with("table", &family.table));
    }
    writer.finish().await
}
