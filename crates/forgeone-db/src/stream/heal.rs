//! A database that stopped because the disk was full goes on when there is room, without a restart.
//!
//! Absent on purpose: healing after any other failure. A medium that failed to write is trusted only
//! by a new opening of the store.

use super::committer::Writer;
use crate::log::BehindHead;
use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Outcome, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a database takes no writes, if it takes none.
#[derive(Debug, Default)]
pub(super) struct Poison(Mutex<Option<Cause>>);

#[derive(Debug)]
struct Cause {
    first: String,
    /// Whether there was no room, and nothing else was wrong.
    full: bool,
    /// Whether it is damaged, so that opening it anew does not help.
    damaged: bool,
}

impl Poison {
    fn lock(&self) -> MutexGuard<'_, Option<Cause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, error: &Error) {
        let full = match error.kind() {
            ErrorKind::Full => true,
            // It tells of the failure that poisoned the engine below, which comes here too.
            ErrorKind::Closed(ClosedReason::Poisoned) => return self.set_unless_known(error),
            _ => false,
        };
        let damaged = error.kind() == ErrorKind::Corrupt && error.outcome() == Outcome::Rejected;
        let mut cause = self.lock();
        match &mut *cause {
            Some(cause) => cause.full &= full,
            None => *cause = Some(Cause { first: error.to_string(), full, damaged }),
        }
    }

    /// The engine refuses writes, and nobody has said why yet.
    fn set_unless_known(&self, error: &Error) {
        let cause = || Cause { first: error.to_string(), full: true, damaged: false };
        self.lock().get_or_insert_with(cause);
    }

    pub(super) fn is_set(&self) -> bool {
        self.lock().is_some()
    }

    fn is_full(&self) -> bool {
        self.lock().as_ref().is_some_and(|cause| cause.full)
    }

    fn clear(&self) {
        *self.lock() = None;
    }

    pub(super) fn error(&self) -> Error {
        let cause = self.lock();
        let error = if cause.as_ref().is_some_and(|cause| cause.damaged) {
            let what = "the database is damaged and takes no writes; verify says more, and salvage \
                        writes a new store";
            Error::new(ErrorKind::Corrupt, what)
        } else {
            Error::new(
                ErrorKind::Closed(ClosedReason::Poisoned),
                "an earlier write failed, so this database takes no more; reopen the store",
            )
        };
        match &*cause {
            Some(cause) => error.with("cause", &cause.first),
            None => error,
        }
    }
}

impl Writer {
    /// # Errors
    /// `Closed(Poisoned)` where room would not help.
    pub(super) fn check_healable(&self) -> Result<()> {
        if self.is_poisoned() && !(self.poison_state().is_full() && self.shared().medium.is_some())
        {
            return Err(self.poisoned());
        }
        Ok(())
    }

    /// Poisons the database if nobody knows what became of a write; gives the error to tell. A write that
    /// came right behind one which met the end of the disk was refused for the same reason.
    pub(super) fn note_failure(&self, error: Error) -> Error {
        let refused = error.kind() == ErrorKind::Closed(ClosedReason::Poisoned);
        let error = if refused && self.has_met_the_end_unheard() {
            Error::new(ErrorKind::Full, "the disk is full; free space, then try again")
                .with_outcome(error.outcome())
                .with("database", &self.shard().context().database)
                .with_source(error)
        } else {
            error
        };
        if error.outcome() == Outcome::Unknown {
            self.poison(&error);
        }
        error
    }

    /// Whether the engine met the end of the disk in a call that this database's writer has not heard of.
    /// Poisons it then.
    fn has_met_the_end_unheard(&self) -> bool {
        let medium = self.shared().medium.as_ref();
        let met =
            medium.is_some_and(|medium| medium.has_met_the_end(&self.shard().context().database));
        if met {
            self.poison(&Error::new(ErrorKind::Full, "the database has met the end of the disk"));
        }
        met
    }

    /// Has the database take writes again if it stopped for want of room. It is opened anew from
    /// disk, and has to have everything that was acknowledged; what was of unknown outcome is there
    /// whole or not at all.
    ///
    /// # Errors
    /// `Closed(Poisoned)` where something else was the cause; `Full` while there is still no room;
    /// `Corrupt` when something acknowledged is missing, after which only a new opening helps.
    pub(crate) async fn heal(&self) -> Result<()> {
        if !self.is_poisoned() && !self.has_met_the_end_unheard() {
            return Ok(());
        }
        self.check_healable()?;
        let Some(medium) = self.shared().medium.clone() else { return Err(self.poisoned()) };
        self.shared().open_up_room().await?;
        // No pass may run, nor anything else be written, while the state is replaced.
        let mut sealing = self.seal_state().lock().await;
        let _rekeying = self.rekeying().lock().await;
        let context = self.shard().context();
        let opened_anew = async {
            medium.reopen(&context.database)?;
            let loaded = context.load(BehindHead::Nothing).await?;
            loaded.iter().try_for_each(|loaded| self.shard().check_losses(loaded))?;
            self.log().take_up(loaded.as_ref()).await?;
            Ok(loaded)
        };
        let loaded = opened_anew.await.map_err(|error: Error| {
            if error.kind() != ErrorKind::Full {
                self.poison(&error);
            }
            rejected(error)
        })?;
        let before = Arc::clone(&self.shard().state().manifest);
        match &loaded {
            Some(loaded) => {
                self.shard().reset(loaded)?;
                self.shared().record_head(&loaded.head);
                self.shared().raise_stamp(loaded.head.stamp);
            }
            None => self.shard().clear(),
        }
        if Arc::strong_count(&before) == 1 {
            sealing.sweep_again();
        }
        self.poison_state().clear();
        self.set_seal_error(None);
        self.note_memory();
        self.shared().commits.notify();
        Ok(())
    }
}

/// Nothing of the caller's was written yet.
fn rejected(error: Error) -> Error {
    error.with_outcome(Outcome::Rejected)
}
