//! State: what is folded from changes, and whether its indexes say the same.

use super::Pins;
use super::digest::{Digest, DigestKey};
use super::indexes::REMEDY;
use super::moves::Moved;
use super::report::{Ledger, VerifyDepth, contained};
use super::walk::{Bounds, REMEDY_DATABASE, Walk};
use crate::codec::corrupt;
use crate::index::{Family, FamilyId};
use crate::stream::{
    Change, FAMILY_COUNTERS, FAMILY_TOPIC_NAMES, Layout, Record, SUBJECT_STATE, Segment, Shard,
    decode_changes,
};
use forgeone_db_engine::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a walk begins again with what a writer has replaced: the system database, or an index.
pub(super) const RESTARTS_MAX: u32 = 8;

/// Values of the directory and of counters by family and key: the names of all topics are held.
pub(super) type State = BTreeMap<(u64, Vec<u8>), Vec<u8>>;

/// The system database, walked.
pub(super) struct SystemWalk {
    pub(super) walk: Walk,
    /// Everything up to the head; none if a part of it could not be read.
    pub(super) state: Option<State>,
}

/// Walks the system database. A change of state hides the one before it, so a walk that a writer
/// overtook starts again.
pub(super) async fn check_system(
    shard: &Arc<Shard>,
    key: &DigestKey,
    ledger: &mut Ledger<'_>,
) -> Result<Option<SystemWalk>> {
    let before = ledger.report.clone();
    let mut restarts = 0;
    loop {
        let Some(mut walk) = Walk::start(shard, Pins::Walk, ledger).await? else { return Ok(None) };
        walk.check(key, ledger).await?;
        if walk.moved && restarts < RESTARTS_MAX {
            restarts += 1;
            ledger.report = before.clone();
            continue;
        }
        let whole = walk.holes.is_empty() && walk.manifest.is_some() && !walk.moved;
        let mut state = std::mem::take(&mut walk.state);
        let layout = walk.layout();
        let folded =
            walk.tail_state.iter().try_for_each(|payload| fold(&mut state, layout, payload));
        if let Err(error) = &folded {
            ledger.add(walk.report(error, &walk.context.tables.commits, REMEDY_DATABASE));
        }
        if walk.moved && ledger.report.depth > VerifyDepth::Quick {
            walk.tell_overtaken("what its changes come to", None, ledger);
        }
        let state = (whole && folded.is_ok()).then_some(state);
        return Ok(Some(SystemWalk { walk, state }));
    }
}

fn fold(state: &mut State, layout: &Layout, payload: &[u8]) -> Result<()> {
    decode(layout, payload)?.into_iter().for_each(|change| keep(state, change));
    Ok(())
}

fn decode(layout: &Layout, payload: &[u8]) -> Result<Vec<Change>> {
    let changes = decode_changes(payload)?;
    // What no index is compared with would not be verified at all.
    changes.iter().try_for_each(|change| layout.by_id(change.family).map(drop))?;
    Ok(changes)
}

/// Remembers what the directory is read from.
fn keep(state: &mut State, Change { family, key, value }: Change) {
    if ![FAMILY_TOPIC_NAMES, FAMILY_COUNTERS].contains(&family) {
        return;
    }
    match value {
        Some(value) => state.insert((family, key), value),
        None => state.remove(&(family, key)),
    };
}

impl Walk {
    /// Takes in a sealed change of state.
    pub(super) fn fold_sealed(
        &mut self,
        key: &DigestKey,
        (sequence, record): (u64, &Record),
        ledger: &mut Ledger<'_>,
    ) {
        match decode(self.layout(), &record.payload) {
            Ok(changes) => {
                self.fold_latest(key, &changes);
                changes.into_iter().for_each(|change| keep(&mut self.state, change));
            }
            Err(error) => {
                let finding = self.report(&error, &self.layout().segments, REMEDY_DATABASE);
                ledger.add(finding.range(sequence, sequence));
            }
        }
    }

    fn fold_latest(&mut self, key: &DigestKey, changes: &[Change]) {
        for Change { family, key: name, value } in changes {
            self.latest.change(key, FamilyId(*family), (name, value.as_deref()));
        }
    }

    /// Goes through the sealed changes again for the keys that there was no room for.
    pub(super) async fn fold_rest(
        &mut self,
        key: &DigestKey,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        while self.latest.finish_part() {
            let Some(bounds) = self.bounds_of(SUBJECT_STATE) else { return Ok(()) };
            if !self.has_whole_state() {
                return Ok(());
            }
            self.fold_again(key, bounds, ledger).await?;
        }
        Ok(())
    }

    async fn fold_again(
        &mut self,
        key: &DigestKey,
        bounds: Bounds,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let mut next = bounds.first;
        while next <= bounds.last {
            let Some((reference, _)) = self.segment_at(SUBJECT_STATE, next) else { return Ok(()) };
            let opened = self.open_segment(&reference).await;
            let folded = match contained(opened)? {
                Ok(segment) => contained(self.fold_segment(key, &segment, ledger).await)?,
                Err(error) => Err(error),
            };
            if let Err(error) = folded {
                // It was sound before: a writer has replaced it, or it is damaged by now.
                if self.has_moved().await? == Moved::No {
                    self.lose(SUBJECT_STATE, (next, reference.last), &error, ledger);
                }
                return Ok(());
            }
            next = reference.last + 1;
        }
        Ok(())
    }

    async fn fold_segment(
        &mut self,
        key: &DigestKey,
        segment: &Segment,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let mut index = 0;
        while index < segment.unit_count() {
            for batch in segment.units_from(index).await? {
                for record in &batch.records {
                    // What cannot be decoded was told when it was first met.
                    if let Ok(changes) = decode(self.layout(), &record.payload) {
                        self.fold_latest(key, &changes);
                    }
                }
                let bytes = segment.unit_span(index).map_or(0, |(_, _, bytes)| bytes);
                ledger.read_again(bytes)?;
                index += 1;
            }
        }
        Ok(())
    }

    /// Whether everything that was sealed of the state was read as it was when the walk began.
    pub(super) fn has_whole_state(&self) -> bool {
        !self.moved && !self.holes.iter().any(|hole| hole.subject == SUBJECT_STATE)
    }

    /// Compares an index of state with the fold of all changes.
    pub(super) fn compare_state(
        &self,
        family: &Family,
        (found, key): (Digest, &DigestKey),
        ledger: &mut Ledger<'_>,
    ) {
        if !self.has_whole_state() {
            return;
        }
        let mut found = found;
        for (name, value) in self.pinned_of(family) {
            found.add(key, family.id, (&name, &value));
        }
        if found != self.latest.digest(family.id) {
            let error = corrupt("an index of state differs from the changes that made it");
            ledger.add(self.report(&error, &family.table, REMEDY).of_index(family.id));
        }
    }
}
