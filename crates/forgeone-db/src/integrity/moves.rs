//! What to do when a writer has replaced what a walk was about to read.
//!
//! A writer in another process keeps nothing for a walk. The walk then goes on in what replaced it.
//! Where that is replaced again and again, the walk leaves it out and says so: a writer that moves on
//! is no damage. What is still named after it could not be read is.

use super::report::{Finding, FindingSeverity, Ledger, contained};
use super::walk::{Walk, pinned_head};
use crate::index::RunRef;
use crate::log::{Manifest, SegmentRef};
use forgeone_db_engine::{Result, TableName};
use std::sync::Arc;

/// How often a writer may replace what is read before any of it is: each time costs a read of head
/// and manifest.
const MOVES_MAX: u32 = 64;

const REMEDY: &str = "none needed: run verify again when the writer is quieter";

/// Whether a writer has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// It has not: what cannot be read is damaged.
    No,
    /// It has, and what replaced it can be read now.
    On,
    /// It does all the time.
    TooOften,
}

impl Walk {
    /// Whether there is another try.
    pub(super) const fn count_move(&mut self) -> bool {
        self.moves += 1;
        self.moves <= MOVES_MAX
    }

    /// Whether a writer has installed another manifest since; then the walk goes on in that one.
    pub(super) async fn has_moved(&mut self) -> Result<Moved> {
        let found = contained(pinned_head(&self.context, &self.shard).await)?;
        let Ok(Some((head, pin))) = found else { return Ok(Moved::No) };
        let present = self.manifest.as_ref().map_or(0, |manifest| manifest.number);
        if head.manifest == present || head.number < self.head.number {
            return Ok(Moved::No);
        }
        if !self.count_move() {
            // What was gathered until now is not of one moment.
            self.moved = true;
            return Ok(Moved::TooOften);
        }
        if let Ok(manifest) = contained(self.context.load_manifest(&head).await)? {
            self.introduce(&manifest);
            self.manifest = Some(Arc::new(manifest));
            self.hold(pin);
            self.moved = true;
            return Ok(Moved::On);
        }
        // Replaced again; or damaged, and then what is missing stays missing.
        let again = contained(self.context.load_head().await)?;
        let replaced = matches!(again, Ok(Some((now, _))) if now.manifest != head.manifest);
        Ok(if replaced { Moved::On } else { Moved::No })
    }

    /// Whether a segment is still part of the database, after it could not be read. Pieces that are
    /// dropped do not come back, so it was there and is damaged.
    pub(super) async fn has_segment(&self, reference: &SegmentRef) -> Result<bool> {
        let named = |manifest: &Manifest| {
            manifest.segments.iter().any(|one| one.piece.piece == reference.piece.piece)
        };
        Ok(self.newest_manifest().await?.is_some_and(|manifest| named(&manifest)))
    }

    /// As [`has_segment`](Self::has_segment), of a run.
    pub(super) async fn has_run(&self, reference: &RunRef) -> Result<bool> {
        let is_it = |run: &RunRef| {
            run.family == reference.family && run.piece.piece == reference.piece.piece
        };
        let manifest = self.newest_manifest().await?;
        Ok(manifest.is_some_and(|manifest| manifest.runs.iter().any(is_it)))
    }

    /// The manifest on disk; none where it is replaced before it is read, or is damaged.
    pub(super) async fn newest_manifest(&self) -> Result<Option<Manifest>> {
        for _ in 0..MOVES_MAX {
            let Ok(Some((head, _))) = contained(self.context.load_head().await)? else { break };
            if let Ok(manifest) = contained(self.context.load_manifest(&head).await)? {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }

    /// Says that something was left out.
    pub(super) fn tell_overtaken(
        &self,
        what: &str,
        table: Option<&TableName>,
        ledger: &mut Ledger<'_>,
    ) {
        ledger.add(self.overtaken(what, table));
    }

    pub(super) fn overtaken(&self, what: &str, table: Option<&TableName>) -> Finding {
        let what = format!("not compared, because a writer kept replacing it: {what}");
        let finding = Finding::new(FindingSeverity::Info, what, REMEDY);
        let finding = finding.in_database(&self.context.database);
        match table {
            Some(table) => finding.in_table(table),
            None => finding,
        }
    }
}
