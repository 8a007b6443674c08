//! `doctor`: whether a store can live where it is or is to be, and in what state it is.
//!
//! Absent on purpose: repair, and reading of records, which is `verify`. Nothing of a store is
//! changed, and a store that a crash left stays as it is.

mod ground;
mod key;
mod probe;
mod process;
mod report;
mod store;

use crate::exit::Failure;
use crate::store::Place;
use report::Report;
use std::path::{Path, PathBuf};

pub(super) fn run(place: &Place, core_bytes: Option<u64>) -> Result<(), Failure> {
    let clocks = process::Clocks::now();
    let mut report = Report::new(place);
    let base = base(&place.directory);
    // First: a limit on files that is too low would end the program at the probe.
    let files_may_grow = process::file_size(&mut report)?;
    process::core_files(&mut report, core_bytes)?;
    process::memory(&mut report)?;
    ground::filesystem(&mut report, &base)?;
    ground::space(&mut report, &base)?;
    if files_may_grow {
        probe::run(&mut report, &base)?;
    }
    ground::permissions(&mut report, &place.directory)?;
    clocks.check(&mut report, &place.directory)?;
    let key = key::check(&mut report, place)?;
    let databases = store::check(&mut report, place, key)?;
    process::open_files(&mut report, databases)?;
    report.end(place.is_strict())
}

/// The directory itself, or the nearest one above it that is there.
fn base(directory: &Path) -> PathBuf {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let there = absolute.ancestors().find(|ancestor| ancestor.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}
