//! `verify`: whether the store is what was written, and where it is not.

use super::key;
use crate::args::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Bytes, Escaped, Format, Output, Reader, say};
use crate::progress::Progress;
use crate::store::Place;
use forgeone_db::{
    Finding, FindingSeverity, PendingKeyChange, RedbManager, RepairPlan, VerifyDepth, VerifyReport,
};
use serde::Serialize;
use std::fmt;

/// The report, and what else is known of a sound store.
#[derive(Serialize)]
struct Verified<'a> {
    #[serde(flatten)]
    report: &'a VerifyReport,
    key_change: Option<&'a PendingKeyChange>,
}

pub(super) fn run(place: &Place, args: &VerifyArgs) -> Result<(), Failure> {
    let depth = match (args.quick, args.deep) {
        (true, _) => VerifyDepth::Quick,
        (_, true) => VerifyDepth::Deep,
        _ => VerifyDepth::Standard,
    };
    let options = place.read_options()?;
    let again = options.clone();
    let mut progress = Progress::bytes("verifying", None);
    let mut shown = 0;
    let report = RedbManager::verify_store(options, depth, |at| {
        progress.expect(at.bytes_total);
        progress.advance(at.bytes.saturating_sub(shown));
        shown = at.bytes;
    })
    .map_err(|error| place.explain(error))?;
    drop(progress);
    let key_change = report.is_sound().then(|| Place::key_change(again)).flatten();
    let mut output = place.output();
    if output.format() == Format::Json {
        output.json(&Verified { report: &report, key_change: key_change.as_ref() })?;
    } else {
        print(&mut output, &report)?;
    }
    output.flush()?;
    if let Some(change) = key_change {
        say(format_args!("{change} is under way or unfinished; {}", key::WHO_FINISHES));
    }
    if report.is_sound() {
        return Ok(());
    }
    Err(damaged(&report))
}

/// The failure of a damaged store, with the way that is open: a report that does not cover everything
/// does not know it.
pub(super) fn damaged(report: &VerifyReport) -> Failure {
    let errors = report.errors().count() as u64 + report.findings_dropped;
    let hint = if report.engine_checked < report.databases {
        "copy the directory aside as it is, and have everything checked: forgeone-db verify"
    } else if !report.pages_damaged.is_empty() {
        "write nothing to the store: copy the directory aside as it is, then save what is \
         authentic into a new one: forgeone-db salvage OUT"
    } else if RepairPlan::new(report).steps.is_empty() {
        "copy the directory aside as it is, then restore it from a backup, or save the rest: \
         forgeone-db salvage OUT"
    } else {
        "copy the directory aside as it is, and see what can be mended: forgeone-db repair"
    };
    Failure::new(Exit::Corrupt, format!("the store is damaged: {errors} findings")).hint(hint)
}

pub(super) fn print(output: &mut Output, report: &VerifyReport) -> Result<(), Failure> {
    for finding in &report.findings {
        if output.line(FindingLine(finding))? == Reader::Gone {
            return Ok(());
        }
    }
    if report.findings_dropped > 0 {
        output.line(format_args!("{} further findings", report.findings_dropped))?;
    }
    let summary = format!(
        "{} databases, {} topics, {} blocks, {} segments with {} units, {} records, {} index runs \
         with {} entries, {} authenticated",
        report.databases,
        report.topics,
        report.blocks,
        report.segments,
        report.units,
        report.records,
        report.runs,
        report.index_entries,
        Bytes(report.bytes)
    );
    if report.is_sound() {
        let sound = match report.depth {
            // Nobody is to take this for more than it is.
            VerifyDepth::Quick => "sound as far as opening reads, sealed records were not read",
            _ => "sound",
        };
        output.line(format_args!("{sound}: {summary}"))?;
    } else {
        say(format_args!("read {summary}"));
    }
    Ok(())
}

/// A finding as a line: how bad, where, what, and what to do.
struct FindingLine<'a>(&'a Finding);

impl fmt::Display for FindingLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = self.0;
        f.write_str(match finding.severity {
            FindingSeverity::Info => "info",
            FindingSeverity::Warning => "warning",
            FindingSeverity::Error => "damage",
        })?;
        for (name, value) in
            [("database", &finding.database), ("table", &finding.table), ("topic", &finding.topic)]
        {
            if let Some(value) = value {
                write!(f, " {name}={}", Escaped(value))?;
            }
        }
        if let (Some(from), Some(to)) = (finding.from_seq, finding.to_seq) {
            write!(f, " seq={from}..{to}")?;
        }
        write!(f, ": {}; {}", Escaped(&finding.what), Escaped(&finding.remedy))
    }
}
