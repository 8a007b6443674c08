//! `compact`: free space back to the disk.

use crate::exit::Failure;
use crate::output::{Bytes, Format, Output};
use crate::progress::Progress;
use crate::store::{Place, WAIT_SHORT};
use forgeone_db::CompactReport;

pub(super) fn run(place: &Place) -> Result<(), Failure> {
    let manager = place.write(WAIT_SHORT)?;
    let mut progress = Progress::bytes("compacting", Some(manager.stats()?.allocated_bytes));
    let mut shown = 0;
    let report = manager.compact(|at| {
        progress.advance(at.bytes_done.saturating_sub(shown));
        shown = at.bytes_done;
    });
    drop(progress);
    let closed = manager.close();
    let report = report?;
    closed?;
    let mut output = place.output();
    if output.format() == Format::Json {
        output.json(&report)?;
    } else {
        print(&mut output, &report)?;
    }
    output.flush()?;
    Ok(())
}

fn print(output: &mut Output, report: &CompactReport) -> Result<(), Failure> {
    output.line(format_args!("{:<18} {:>10} {:>10}", "database", "before", "after"))?;
    for database in &report.databases {
        output.line(format_args!(
            "{:<18} {:>10} {:>10}",
            database.database,
            Bytes(database.before_bytes),
            Bytes(database.after_bytes)
        ))?;
    }
    output.line(format_args!(
        "{:<18} {:>10} {:>10}",
        "all",
        Bytes(report.before_bytes),
        Bytes(report.after_bytes)
    ))?;
    Ok(())
}
