//! `salvage`: what is left of a damaged store, in a new one.

use crate::args::SalvageArgs;
use crate::exit::{Exit, Failure};
use crate::key_file::parent;
use crate::new_file::{Existing, NewFile};
use crate::output::{Escaped, Format, Output, Reader, Shown, say};
use crate::progress::Progress;
use crate::store::{Place, WAIT_SHORT};
use forgeone_db::{
    Database, Error, ErrorKind, Outcome, RedbManager, SalvageProgress, SalvageReport, SalvagedTopic,
};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const OTHER_MANIFEST: &str = "name a file that is not there yet with --manifest FILE";

pub(super) fn run(place: &Place, args: &SalvageArgs) -> Result<(), Failure> {
    // Without the slash at its end, if it has one: the manifest lies beside it.
    let out: PathBuf = args.out.components().collect();
    let source = place.read_options()?.lock_wait(place.wait(WAIT_SHORT));
    let target = source.clone().in_directory(&out);
    let (manifest, existing) = manifest(&out, args)?;
    // Before the work, so that a place that takes no file is found now.
    check_manifest(&manifest, existing, &[&place.directory, &out])?;
    let file = NewFile::create(&manifest, existing)?;
    let mut progress = Progress::bytes("salvaging", None);
    let mut shown = 0;
    let on_progress = move |at: &SalvageProgress| {
        progress.advance(at.bytes.saturating_sub(shown));
        shown = at.bytes;
    };
    let unwritten = Arc::new(Mutex::new(None));
    let (failed, path) = (Arc::clone(&unwritten), manifest.clone());
    let keep = move |report: &SalvageReport| {
        write(file, &path, &report.to_json()?).map_err(|failure| {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            Error::new(ErrorKind::Unavailable, "the manifest cannot be written")
        })
    };
    let report =
        RedbManager::salvage_and_keep(source, target, on_progress, keep).map_err(|error| {
            let unwritten = unwritten.lock().unwrap_or_else(PoisonError::into_inner).take();
            unwritten.unwrap_or_else(|| explain(place, error, &out))
        })?;
    show(place, &report, &manifest)?;
    if report.is_complete() {
        return Ok(());
    }
    Err(Failure::new(Exit::Corrupt, "not everything could be saved; what is lost is listed")
        .hint("look for what is lost in a backup; keep the damaged store as it is until then"))
}

/// Where the manifest goes, and what to do about one that is there. The one of a salvage that was cut
/// off between manifest and store is nobody's.
fn manifest(out: &Path, args: &SalvageArgs) -> Result<(PathBuf, Existing), Failure> {
    if let Some(path) = &args.manifest {
        return Ok((path.clone(), Existing::Keep));
    }
    let Some(name) = out.file_name() else {
        return Err(Failure::usage(format!("{} has no name for a manifest beside it", Shown(out)))
            .hint("name the manifest with --manifest FILE"));
    };
    let mut name = name.to_owned();
    name.push(".salvage.json");
    let unfinished = Database::is_unfinished_salvage(out);
    let existing = if unfinished { Existing::Replace } else { Existing::Keep };
    Ok((out.with_file_name(name), existing))
}

fn check_manifest(path: &Path, existing: Existing, stores: &[&Path]) -> Result<(), Failure> {
    let is_inside = |store: &&Path| match (parent(path).canonicalize(), store.canonicalize()) {
        (Ok(parent), Ok(store)) => parent.starts_with(store),
        _ => false,
    };
    if stores.iter().any(is_inside) {
        let what = format!("{} would lie in the directory of a store", Shown(path));
        return Err(Failure::usage(what).hint("name a file elsewhere with --manifest FILE"));
    }
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() && !found.is_symlink() => {
            let what = format!("{} is no regular file", Shown(path));
            Err(Failure::usage(what).hint(OTHER_MANIFEST))
        }
        Ok(_) if existing == Existing::Keep => Err(taken(path)),
        _ => Ok(()),
    }
}

fn taken(path: &Path) -> Failure {
    Failure::new(Exit::Conflict, format!("{} exists already", Shown(path))).hint(OTHER_MANIFEST)
}

/// Writes the manifest, before the new store becomes one: none is ever there without it.
fn write(file: NewFile, path: &Path, json: &[u8]) -> Result<(), Failure> {
    file.file()
        .write_all(json)
        .map_err(|error| Failure::io(format_args!("{} cannot be written", Shown(path)), &error))?;
    file.finish().map_err(|failure| match path.symlink_metadata() {
        Ok(_) => taken(path),
        Err(_) => failure,
    })
}

fn explain(place: &Place, error: Error, out: &Path) -> Failure {
    let (kind, unfinished) = (error.kind(), error.get("unfinished").is_some());
    let is_unknown = error.outcome() == Outcome::Unknown;
    let failure = place.explain(error);
    let again = format!("start it again with the same OUT, or remove {}", Shown(out));
    match kind {
        _ if is_unknown => {
            failure.hint("everything is written, but perhaps not for good: verify OUT")
        }
        ErrorKind::AlreadyExists => failure.hint("name a directory OUT that is not there yet"),
        ErrorKind::Full if unfinished => {
            failure.hint(format!("the new store is unfinished; free space, then {again}"))
        }
        _ if unfinished => failure.hint(format!("the new store is unfinished; {again}")),
        _ => failure,
    }
}

fn show(place: &Place, report: &SalvageReport, manifest: &Path) -> Result<(), Failure> {
    let mut output = place.output();
    if output.format() == Format::Json {
        output.json(report)?;
    } else {
        print(&mut output, report)?;
    }
    output.flush()?;
    say(format_args!("what was saved and lost stands in {}", Shown(manifest)));
    Ok(())
}

fn print(output: &mut Output, report: &SalvageReport) -> Result<(), Failure> {
    let topics = report.topics.iter().flat_map(lines);
    let damage = report
        .damage
        .iter()
        .map(|damage| format!("damage database={}: {}", damage.database, damage.what));
    for line in topics.chain(damage).chain(of_the_store(report)) {
        if output.line(Escaped(&line))? == Reader::Gone {
            return Ok(());
        }
    }
    let uncounted = match report.uncounted_topics() {
        0 => String::new(),
        1 => ", and 1 topic has lost more, or may have, that nobody can count".to_owned(),
        count => format!(", and {count} topics have lost more, or may have, that nobody can count"),
    };
    output.line(format_args!(
        "saved {} records of {} topics and {} changes of state; {} records are known to be lost{uncounted}",
        report.records,
        report.topics.len(),
        report.state_changes,
        report.records_lost
    ))?;
    Ok(())
}

/// What is lost of a topic, and which of its records have new numbers.
fn lines(topic: &SalvagedTopic) -> Vec<String> {
    let name = format!("{} {}", topic.kind, topic.topic);
    let lost = topic.lost.iter().map(|lost| format!("lost {name} seq={lost}: {}", lost.what));
    let moved = topic.kept.iter().filter(|kept| kept.new_from_seq != kept.from_seq).map(|kept| {
        let last = kept.new_from_seq + (kept.to_seq - kept.from_seq);
        let (from, to, first) = (kept.from_seq, kept.to_seq, kept.new_from_seq);
        format!("moved {name} seq={from}..{to}: now {first}..{last}")
    });
    lost.chain(moved).collect()
}

/// What is lost that is no topic's.
fn of_the_store(report: &SalvageReport) -> Vec<String> {
    let mut lines = Vec::new();
    if !report.state_is_whole {
        lines.push(match report.state_changes {
            0 => "lost state: all settings, flags and metadata".to_owned(),
            _ => "lost state: some settings, flags and metadata, or their history".to_owned(),
        });
    }
    if !report.ids_are_kept {
        lines.push("lost ids: log entries without an id of their own have new ones".to_owned());
    }
    if report.max_size_bytes.is_none() {
        lines.push("lost quota: the new store has no limit; set it with `quota`".to_owned());
    }
    lines
}
