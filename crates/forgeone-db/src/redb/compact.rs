//! Giving free pages back to the file system.
//!
//! Absent on purpose: when it is worth while; that is decided above.

use super::directory::Patience;
use super::failure::{self, guard};
use super::files::{Files, Handle, Slot};
use forgeone_db_engine::{Error, ErrorKind, Outcome, Result};
use redb::{CompactionError, Database};
use std::time::Duration;

/// How long readers of other processes are waited for: each of their reads is short, but another may
/// have begun when one ends.
const READERS_WAIT: Duration = Duration::from_secs(2);
/// redb goes on by itself until a round moves nothing; more rounds than these would be for ever.
const ROUNDS_MAX: u32 = 8;

/// redb commits until nothing waits to be freed. In a damaged file something may wait for ever. A
/// round of redb moves up to a million pages and syncs about eight times.
const SYNCS_MAX: u32 = 2000;

/// Compacts the file of a database, if there is one. The caller holds the database's commits.
///
/// # Errors
/// `Unavailable` while others read. `Corrupt` where it does not come to an end: that and what redb
/// fails with poisons the database, as in a commit.
pub(super) fn compact(files: &Files, slot: &Slot) -> Result<()> {
    let Some(mut handle) = files.handle_exclusive(slot)? else { return Ok(()) };
    let Handle::Writer(database) = &mut *handle else {
        return Err(failure::not_recovered());
    };
    let mut patience = Patience::new(READERS_WAIT, files.timer());
    let failed = loop {
        let (compacted, endless) =
            slot.failures.with_syncs_max(SYNCS_MAX, || guard(|| compact_file(database)));
        match compacted {
            Ok(Ok(())) => return Ok(()),
            _ if endless => break endless_compaction(),
            Ok(Err(CompactionError::TransactionInProgress)) => {
                if !patience.pause() {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        "another process is reading the database; try again",
                    ));
                }
            }
            Ok(Err(error)) => break failure::from_redb(error.into()),
            Err(panicked) => break panicked.into_error(ErrorKind::Internal),
        }
    };
    slot.poison();
    Err(failed.with_outcome(Outcome::Unknown))
}

fn endless_compaction() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the compaction of a damaged file does not end; verify the store",
    )
}

fn compact_file(database: &mut Database) -> Result<(), CompactionError> {
    for _ in 0..ROUNDS_MAX {
        if !database.compact()? {
            break;
        }
    }
    Ok(())
}
