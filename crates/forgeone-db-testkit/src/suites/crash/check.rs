//! Opens the store after a power loss and compares it with what must be there.

use super::explore::Crashed;
use super::record::{Expected, Recording};
use crate::disk::SimDisk;
use crate::life::{Life, Model, Shown, Step, TOPICS};
use forgeone_db::{ErrorKind, VerifyDepth};
use futures::executor::block_on;
use std::collections::BTreeSet;

/// Numbers of events that no life has: what shows that a store still works.
const PROBE: u64 = 1 << 40;
/// What is appended after a recovery that is explored.
pub(super) const AFTER_RECOVERY: u64 = PROBE + 1;

impl Recording {
    /// # Errors
    /// What is wrong with the store.
    pub(super) fn check(&self, crashed: &Crashed) -> Result<(), String> {
        let expected = self.expected(crashed.done);
        let disk = SimDisk::holding(crashed.image.clone());
        let seed = 1 << 32 | crashed.done as u64;
        let checked = expected.open(&disk, seed).and_then(|(life, model)| {
            if crashed.thorough { check_closely(life, &model) } else { Ok(()) }
        });
        checked.map_err(|what| format!("during or after {}: {what}", expected.call))
    }
}

impl Expected<'_> {
    /// Opens the store and finds out which of the possible things is there.
    ///
    /// # Errors
    /// None of them is, or the store does not open.
    pub(super) fn open(&self, disk: &SimDisk, seed: u64) -> Result<(Life, Model), String> {
        let life = self.open_with_its_key(disk, seed)?;
        if life.store().database().found_key_change().is_some() {
            block_on(life.store().database().finish_key_changes())
                .map_err(|error| format!("a change of keys is not finished: {error}"))?;
        }
        let shown = Shown::read(life.store())?;
        let found =
            self.models.iter().find(|model| life.key() == model.key && model.shown == shown);
        match found {
            Some(model) => Ok((life, Model::clone(model))),
            None => Err(format!(
                "the store shows {shown:?} with key {}; expected one of {:?}",
                life.key(),
                self.models.iter().map(|model| (&model.shown, model.key)).collect::<Vec<_>>()
            )),
        }
    }

    /// contract K4: the old or the new key, never neither and never both.
    fn open_with_its_key(&self, disk: &SimDisk, seed: u64) -> Result<Life, String> {
        let keys: BTreeSet<u8> = self.models.iter().map(|model| model.key).collect();
        let mut opened = None;
        for key in keys {
            let life = if self.creating {
                Life::create(disk, self.shards, seed)
            } else {
                Life::open(disk, key, seed)
            };
            match life {
                Ok(_) if opened.is_some() => return Err("two keys open the store".into()),
                Ok(life) => opened = Some(life),
                Err(error) if error.kind() == ErrorKind::WrongKey => {}
                // The other key, which was tried before the lock, would open it too.
                Err(error) if opened.is_some() => {
                    return Err(format!("two keys open the store; the second one: {error}"));
                }
                Err(error) => return Err(format!("opening failed: {error}")),
            }
        }
        opened.ok_or_else(|| "no key opens the store".to_owned())
    }
}

/// The store works, is sound, and is the same after it was closed.
fn check_closely(mut life: Life, model: &Model) -> Result<(), String> {
    let failed = |error| format!("after the recovery: {error}");
    let step = Step::event(TOPICS[0], PROBE);
    life.step(&step).map_err(failed)?;
    let report = life.store().verify(VerifyDepth::Standard, |_| ()).map_err(failed)?;
    if !report.is_sound() {
        return Err(format!("verify found {:?}", report.findings));
    }
    life.step(&Step::Reopen).map_err(failed)?;
    let shown = Shown::read(life.store())?;
    if shown == model.after(&step).shown {
        Ok(())
    } else {
        Err(format!("after an append and a clean close the store shows {shown:?}"))
    }
}
