//! State: what is folded from changes, and whether its indexes say the same.

use super::digest::DigestKey;
use super::indexes::{REMEDY, scan};
use super::report::Ledger;
use super::walk::{REMEDY_DATABASE, Walk};
use crate::codec::corrupt;
use crate::index::{Family, Index};
use crate::stream::{Record, SUBJECT_STATE, Shard, decode_changes};
use forgeone_db_engine::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a writer may seal the system database while it is walked.
const RESTARTS_MAX: u32 = 8;

/// Values by family and key. As large as the state itself: the topic directory is held in memory.
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
        let Some(mut walk) = Walk::start(shard, ledger).await? else { return Ok(None) };
        walk.check(key, ledger).await?;
        if walk.moved && restarts < RESTARTS_MAX {
            restarts += 1;
            ledger.report = before.clone();
            continue;
        }
        let whole = walk.holes.is_empty() && walk.manifest.is_some() && !walk.moved;
        let mut state = std::mem::take(&mut walk.state);
        let folded = walk.tail_state.iter().try_for_each(|payload| fold(&mut state, payload));
        if let Err(error) = &folded {
            ledger.add(walk.report(error, &walk.context.tables.commits, REMEDY_DATABASE));
        }
        let state = (whole && folded.is_ok()).then_some(state);
        return Ok(Some(SystemWalk { walk, state }));
    }
}

fn fold(state: &mut State, payload: &[u8]) -> Result<()> {
    for change in decode_changes(payload)? {
        match change.value {
            Some(value) => state.insert((change.family, change.key), value),
            None => state.remove(&(change.family, change.key)),
        };
    }
    Ok(())
}

impl Walk {
    /// Takes in a sealed change of state.
    pub(super) fn fold_sealed(&mut self, sequence: u64, record: &Record, ledger: &mut Ledger<'_>) {
        if let Err(error) = fold(&mut self.state, &record.payload) {
            let finding = self.report(&error, &self.layout().segments, REMEDY_DATABASE);
            ledger.add(finding.range(sequence, sequence));
        }
    }

    /// Compares an index of state with the fold of all changes.
    pub(super) async fn compare_state(
        &self,
        family: &Family,
        index: &Index,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        if self.moved || self.holes.iter().any(|hole| hole.subject == SUBJECT_STATE) {
            return Ok(());
        }
        let range = (family.id.0, Vec::new())..(family.id.0 + 1, Vec::new());
        let mut expected = self.state.range(range);
        let mut scan = scan(index);
        let mut pinned = self.pinned_of(family);
        loop {
            let found = match scan.next().await? {
                Some(entry) => Some((entry.key.to_vec(), entry.value.to_vec())),
                None => pinned.next(),
            };
            let wanted = expected.next().map(|((_, key), value)| (key.clone(), value.clone()));
            if found != wanted {
                let error = corrupt("an index of state differs from the changes that made it");
                ledger.add(self.report(&error, &family.table, REMEDY));
                return Ok(());
            }
            if wanted.is_none() {
                return Ok(());
            }
        }
    }
}
