//! State: what is folded from changes, and whether its indexes say the same.

use super::digest::DigestKey;
use super::indexes::{REMEDY, scan};
use super::report::Ledger;
use super::walk::{REMEDY_DATABASE, Walk};
use crate::codec::corrupt;
use crate::index::{Family, Index};
use crate::stream::{
    FAMILY_METADATA, FAMILY_REMOVED_SETTINGS, FAMILY_SETTING_VERSIONS, FAMILY_SETTINGS, Layout,
    Record, SUBJECT_STATE, Shard, decode_changes,
};
use forgeone_db_engine::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a writer may seal the system database while it is walked.
const RESTARTS_MAX: u32 = 8;

/// Values by family and key, as far as [`remembered`]: every key of the state is held in memory.
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
        let layout = walk.layout();
        let folded =
            walk.tail_state.iter().try_for_each(|payload| fold(&mut state, layout, payload));
        if let Err(error) = &folded {
            ledger.add(walk.report(error, &walk.context.tables.commits, REMEDY_DATABASE));
        }
        let state = (whole && folded.is_ok()).then_some(state);
        return Ok(Some(SystemWalk { walk, state }));
    }
}

fn fold(state: &mut State, layout: &Layout, payload: &[u8]) -> Result<()> {
    for change in decode_changes(payload)? {
        // What no index is compared with would not be verified at all.
        layout.by_id(change.family)?;
        match change.value {
            Some(value) => {
                let value = remembered(change.family, value);
                state.insert((change.family, change.key), value)
            }
            None => state.remove(&(change.family, change.key)),
        };
    }
    Ok(())
}

/// What is remembered of a value: all of it where the directory is read from it, else no more than
/// a hash, so that large settings do not fill the memory.
fn remembered(family: u64, value: Vec<u8>) -> Vec<u8> {
    match family {
        FAMILY_SETTINGS | FAMILY_SETTING_VERSIONS | FAMILY_REMOVED_SETTINGS | FAMILY_METADATA
            if value.len() > blake3::OUT_LEN =>
        {
            blake3::hash(&value).as_bytes().to_vec()
        }
        _ => value,
    }
}

impl Walk {
    /// Takes in a sealed change of state.
    pub(super) fn fold_sealed(&mut self, sequence: u64, record: &Record, ledger: &mut Ledger<'_>) {
        let mut state = std::mem::take(&mut self.state);
        let folded = fold(&mut state, self.layout(), &record.payload);
        self.state = state;
        if let Err(error) = folded {
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
                Some(entry) => {
                    let value = remembered(family.id.0, entry.value.to_vec());
                    Some((entry.key.to_vec(), value))
                }
                None => pinned.next(),
            };
            let wanted = expected.next().map(|((_, key), value)| (key.clone(), value.clone()));
            if found != wanted {
                let error = corrupt("an index of state differs from the changes that made it");
                ledger.add(self.report(&error, &family.table, REMEDY).of_index(family.id));
                return Ok(());
            }
            if wanted.is_none() {
                return Ok(());
            }
        }
    }
}
