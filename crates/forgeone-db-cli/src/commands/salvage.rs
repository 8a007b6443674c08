//! `salvage`: what is left of a damaged store, in a new one.

use crate::args::SalvageArgs;
use crate::exit::{Exit, Failure};
use crate::new_file::{Existing, NewFile};
use crate::output::{Escaped, Format, Output, Reader, Shown, say};
use crate::progress::Progress;
use crate::store::Place;
use forgeone_db::{RedbManager, SalvageReport};
use std::io::Write as _;
use std::path::PathBuf;

pub(super) fn run(place: &Place, args: &SalvageArgs) -> Result<(), Failure> {
    let source = place.read_options()?;
    let target = source.clone().in_directory(&args.out);
    let manifest = args.manifest.clone().unwrap_or_else(|| beside(&args.out));
    let file = NewFile::create(&manifest, Existing::Keep)?;
    let mut progress = Progress::bytes("salvaging", None);
    let mut shown = 0;
    let report = RedbManager::salvage(source, target, move |at| {
        progress.advance(at.bytes.saturating_sub(shown));
        shown = at.bytes;
    })
    .map_err(|error| place.explain(error))?;
    let json = report.to_json()?;
    file.file().write_all(&json).map_err(|error| {
        Failure::io(format_args!("{} cannot be written", Shown(&manifest)), &error)
    })?;
    file.finish()?;
    let mut output = place.output();
    if output.format() == Format::Json {
        output.json(&report)?;
    } else {
        print(&mut output, &report)?;
    }
    output.flush()?;
    say(format_args!("what was saved and lost stands in {}", Shown(&manifest)));
    if report.is_complete() {
        return Ok(());
    }
    Err(Failure::new(Exit::Corrupt, "not everything could be saved; what is lost is listed")
        .hint("look for what is lost in a backup; keep the damaged store as it is until then"))
}

/// The name of the manifest, beside the new store.
fn beside(out: &std::path::Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".salvage.json");
    name.into()
}

fn print(output: &mut Output, report: &SalvageReport) -> Result<(), Failure> {
    for topic in &report.topics {
        for lost in &topic.lost {
            let line = format!("lost {} {} seq={lost}: {}", topic.kind, topic.topic, lost.what);
            if output.line(Escaped(&line))? == Reader::Gone {
                return Ok(());
            }
        }
    }
    for damage in &report.damage {
        output.line(Escaped(&format!("damage database={}: {}", damage.database, damage.what)))?;
    }
    output.line(format_args!(
        "saved {} records of {} topics and {} changes of state; {} records are known to be lost",
        report.records,
        report.topics.len(),
        report.state_changes,
        report.records_lost
    ))?;
    Ok(())
}
