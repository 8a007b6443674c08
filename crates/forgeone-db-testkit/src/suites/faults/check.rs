//! What must hold after a life with a fault.

use super::run::{Lived, Size};
use crate::disk::{Class, Fault, Repeat, SimDisk};
use crate::life::{Life, Model, Shown, Step};
use forgeone_db::{ErrorKind, Outcome, VerifyDepth};
use futures::executor::block_on;
use std::collections::BTreeSet;

/// Seeds of the openings afterwards.
const SEED: u64 = 1 << 33;

impl Lived {
    /// # Errors
    /// What does not hold.
    pub(super) fn check(mut self, fault: Fault) -> Result<(), String> {
        self.check_poison(fault)?;
        let models = self.possible();
        if let Some(life) = &self.life
            && fault.repeat == Repeat::Once
            && fault.class != Class::Read
        {
            // The store still answers, and shows nothing that may not be there.
            self.check_open_store(life, &models)?;
        }
        self.life = None;
        self.disk.repair();
        self.disk.drop_all_caches();
        let places = [("the disk", self.disk.image()), ("a power loss", self.disk.durable())];
        for (place, image) in places {
            reopen(&SimDisk::holding(image), &models, self.size)
                .map_err(|what| format!("reopened after {place}: {what}; {}", self.told()))?;
        }
        Ok(())
    }

    /// contract F1: one fault hurts one database; what it hurts takes no writes and says so.
    fn check_poison(&self, fault: Fault) -> Result<(), String> {
        let mut unknown = BTreeSet::new();
        let mut failed = BTreeSet::new();
        for call in &self.calls {
            if matches!(call.step, Step::Reopen) && call.result.is_ok() {
                // What was poisoned has been opened from disk.
                unknown.clear();
            }
            let Some(database) = &call.database else { continue };
            match &call.result {
                Ok(()) if unknown.contains(database) && !self.was_full(database) => {
                    return Err(format!("{database} took a write after one with unknown outcome"));
                }
                Ok(()) => {}
                Err(error) => {
                    if unknown.contains(database)
                        && !self.was_full(database)
                        && !matches!(error.kind(), ErrorKind::Closed(_))
                    {
                        return Err(format!("{database} is poisoned and says: {error}"));
                    }
                    if error.outcome() == Outcome::Unknown {
                        unknown.insert(database);
                    }
                    // A shredding that failed half way keeps its topic from taking more.
                    if error.message().contains("being shredded") {
                        continue;
                    }
                    // An append also asks the system database for its topic.
                    failed.insert(error.get("database").unwrap_or(database));
                }
            }
        }
        if fault.repeat == Repeat::Once && failed.len() > 1 && !self.is_closed() {
            return Err(format!("one fault hurt {failed:?}; {}", self.told()));
        }
        Ok(())
    }

    /// Whether the store was closed and could not be opened again.
    fn is_closed(&self) -> bool {
        self.calls.iter().any(|call| matches!(call.step, Step::Reopen) && call.result.is_err())
    }

    /// Whether a write to the database met a full disk, after which the store may help itself.
    fn was_full(&self, database: &str) -> bool {
        self.calls.iter().any(|call| {
            call.database.as_deref() == Some(database)
                && matches!(&call.result, Err(error) if error.kind() == ErrorKind::Full)
        })
    }

    /// What may be in the store: all that succeeded, nothing that was refused, and any of the rest.
    fn possible(&self) -> Vec<Model> {
        let mut models = vec![self.before.clone()];
        for call in &self.calls {
            let done = models.iter().map(|model| model.after(&call.step)).collect::<Vec<_>>();
            match &call.result {
                Ok(()) => models = done,
                Err(error) if error.outcome() == Outcome::Rejected && !is_long(&call.step) => {}
                Err(_) => {
                    let new = done.into_iter().filter(|model| !models.contains(model));
                    let new: Vec<_> = new.collect();
                    models.extend(new);
                }
            }
        }
        models
    }

    fn check_open_store(&self, life: &Life, models: &[Model]) -> Result<(), String> {
        match Shown::read(life.store()) {
            Ok(shown) if models.iter().any(|model| model.shown == shown) => Ok(()),
            Ok(shown) => Err(format!("the open store shows {shown:?}; {}", self.told())),
            Err(_) if self.is_closed() => Ok(()),
            Err(what) => Err(format!("in the open store {what}; {}", self.told())),
        }
    }

    /// The calls that failed, in words.
    fn told(&self) -> String {
        let calls = self.calls.iter().filter_map(|call| {
            let error = call.result.as_ref().err()?;
            Some(format!("{:?} ended {:?}: {error}", call.step, error.outcome()))
        });
        calls.collect::<Vec<_>>().join("; ")
    }
}

/// Steps of many commits, which the next opening goes on with.
fn is_long(step: &Step) -> bool {
    matches!(step, Step::Slot | Step::Wrapping | Step::Data | Step::Shred { .. })
}

fn reopen(disk: &SimDisk, models: &[Model], size: Size) -> Result<(), String> {
    let mut keys: Vec<u8> = models.iter().map(|model| model.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut refused = String::from("no key was tried");
    for key in keys {
        let life = match size.open(disk, key, SEED) {
            Ok(life) => life,
            Err(error) if error.kind() == ErrorKind::WrongKey => {
                refused = error.to_string();
                continue;
            }
            Err(error) => return Err(format!("opening failed: {error}")),
        };
        return check_reopened(&life, models);
    }
    Err(format!("no key opens the store: {refused}"))
}

fn check_reopened(life: &Life, models: &[Model]) -> Result<(), String> {
    let failed = |error: forgeone_db::Error| error.to_string();
    block_on(life.store().database().finish_key_changes()).map_err(failed)?;
    let shown = Shown::read(life.store())?;
    if !models.iter().any(|model| model.key == life.key() && model.shown == shown) {
        return Err(format!("the store shows {shown:?}"));
    }
    let report = life.store().verify(VerifyDepth::Standard, |_| ()).map_err(failed)?;
    if report.is_sound() { Ok(()) } else { Err(format!("verify found {:?}", report.findings)) }
}
