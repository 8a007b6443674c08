//! A check of redb's own pages, which redb makes only when it is asked to: a damaged one makes no
//! answer wrong, but may make a later write harmful.
//!
//! Absent on purpose: mending. The file is only read; what redb writes while it checks goes into
//! memory.

use super::failure::{self, guard};
use super::files::Files;
use super::header::{self, Header};
use super::overlay::Overlay;
use forgeone_db_engine::{DatabaseName, Error, ErrorKind, Result};
use redb::{Builder, ConcurrencyMode};

/// What redb may keep of the file.
const CACHE_BYTES: usize = 2 << 20;
/// How often a check is made while the file is written to.
const TRIES: u32 = 3;

/// Checks the file of a database; `None` if there is none, or if it was written to each time.
///
/// Pages that a commit has written stay as they are until the next commit changes the header. So
/// whatever is found counts only if the header is the same before and after.
///
/// # Errors
/// `Corrupt` when a page is damaged; as opening the file.
pub(super) fn check(files: &Files, database: &DatabaseName) -> Result<Option<()>> {
    for _ in 0..TRIES {
        let Some(before) = read_header(files, database)? else { return Ok(None) };
        let checked = check_once(files, database);
        if read_header(files, database)?.as_ref() == Some(&before) {
            return checked;
        }
    }
    Ok(None)
}

fn read_header(files: &Files, database: &DatabaseName) -> Result<Option<Header>> {
    let Some(file) = files.open_to_check(database)? else { return Ok(None) };
    let failed = |error| failure::from_io(error, "a database file cannot be read");
    header::read_any(&*file).map(Some).map_err(failed)
}

fn check_once(files: &Files, database: &DatabaseName) -> Result<Option<()>> {
    let Some(file) = files.open_to_check(database)? else { return Ok(None) };
    let overlay = Overlay::new(file)
        .map_err(|error| failure::from_io(error, "a database file cannot be read"))?;
    let opened = guard(|| {
        Builder::new()
            .set_concurrency_mode(ConcurrencyMode::SingleWriter)
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(overlay)
            .map(drop)
    });
    let damaged = |text: &str| {
        let what = "the engine's own pages are damaged: a write may lose more";
        Error::new(ErrorKind::Corrupt, what).with("engine", text)
    };
    match opened {
        Ok(Ok(())) => Ok(Some(())),
        Ok(Err(error)) => {
            let text = error.to_string();
            let error = failure::from_redb_read(error.into());
            Err(if error.kind() == ErrorKind::Corrupt { damaged(&text) } else { error })
        }
        Err(_) => Err(damaged("it gave up while it checked them")),
    }
}
