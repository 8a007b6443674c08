//! The key: where it comes from, and who else can read it.

use super::report::Report;
use crate::exit::Failure;
use crate::key_file::load_key_file;
use crate::output::{Shown, quoted};
use crate::store::Place;
use forgeone_db::Key;
use forgeone_db::redb::{DirectoryState, StoreDirectory};
use std::path::Path;

const CHECK: &str = "key_file";

/// The key that arguments or environment name, if it can be read. Nobody is asked for one.
pub(super) fn check(report: &mut Report, place: &Place) -> Result<Option<Key>, Failure> {
    let Some(path) = place.named_key_file() else {
        let key = match place.named_key() {
            Ok(key) => key,
            Err(failure) => {
                report.fail(CHECK, failure.message(), "give a key file with --key-file")?;
                return Ok(None);
            }
        };
        let detail = match key {
            None => "no key is named, so nothing that needs one is checked",
            Some(_) => {
                "the passphrase is in the environment, where processes of this user can read it"
            }
        };
        report.info(CHECK, detail)?;
        return Ok(key);
    };
    if !path.exists() && !is_store(&place.directory) {
        let detail = format!("{} is not there yet; init --generate-key makes one", Shown(&path));
        report.info(CHECK, detail)?;
        return Ok(None);
    }
    let (key, exposures) = match load_key_file(&path) {
        Ok(loaded) => loaded,
        Err(failure) => {
            report.fail(
                CHECK,
                failure.message(),
                "name the key file of this store with --key-file",
            )?;
            return Ok(None);
        }
    };
    let inside = lies_in(&path, &place.directory);
    for exposure in &exposures {
        report.warn(CHECK, &exposure.what, format!("run: {}", exposure.remedy))?;
    }
    if inside {
        let detail = format!("{} lies inside the store that it opens", Shown(&path));
        let word = quoted(&path.to_string_lossy());
        report.warn(CHECK, detail, format!("move it: mv {word} DIR, and copy it elsewhere"))?;
    }
    if exposures.is_empty() && !inside {
        report.ok(CHECK, format!("{} is its user's alone", Shown(&path)))?;
    }
    Ok(Some(key))
}

fn is_store(directory: &Path) -> bool {
    matches!(StoreDirectory::inspect(directory), Ok(DirectoryState::Store))
}

/// Whether a file lies below a directory, whatever links lead there.
fn lies_in(file: &Path, directory: &Path) -> bool {
    let real = |path: &Path| path.canonicalize();
    matches!((real(file), real(directory)), (Ok(file), Ok(directory)) if file.starts_with(&directory))
}
