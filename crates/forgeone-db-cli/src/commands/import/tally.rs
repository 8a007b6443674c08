//! What has become of the records of an import.

use crate::args::OnConflict;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Output, say};
use serde::Serialize;
use std::fmt;
use uuid::Uuid;

/// Conflicts that are told one by one.
const CONFLICTS_TOLD_MAX: u64 = 20;

/// What has become of one kind of record.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Count {
    pub(super) imported: u64,
    /// They were there before.
    pub(super) present: u64,
    pub(super) conflicts: u64,
}

/// What has become of all records so far.
#[derive(Debug, Serialize)]
pub(super) struct Tally {
    dry_run: bool,
    #[serde(skip)]
    on_conflict: OnConflict,
    pub(super) topics: Count,
    pub(super) events: Count,
    pub(super) logs: Count,
    pub(super) settings: Count,
    pub(super) metadata: Count,
}

impl Tally {
    pub(super) fn new(on_conflict: OnConflict, dry_run: bool) -> Self {
        Self {
            dry_run,
            on_conflict,
            topics: Count::default(),
            events: Count::default(),
            logs: Count::default(),
            settings: Count::default(),
            metadata: Count::default(),
        }
    }

    const fn each(&self) -> [(&'static str, Count); 5] {
        [
            ("topics", self.topics),
            ("events", self.events),
            ("logs", self.logs),
            ("settings", self.settings),
            ("metadata", self.metadata),
        ]
    }

    /// Ends the import over a record whose id is taken by other content, or goes on without it.
    pub(super) fn conflict(&self, line: u64, id: Uuid, topic: &str) -> Result<(), Failure> {
        let what = format!("line {line}: the id {id} is taken by other content in topic {topic}");
        if self.on_conflict == OnConflict::Fail {
            return Err(Failure::new(Exit::Conflict, what)
                .hint("--on-conflict skip leaves such records out and imports the others"));
        }
        let told: u64 = self.each().iter().map(|(_, count)| count.conflicts).sum();
        match told {
            0..CONFLICTS_TOLD_MAX => say(format_args!("{what}: left out")),
            CONFLICTS_TOLD_MAX => say("further conflicts are counted only"),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        if output.format() == Format::Json {
            output.json(self)?;
        } else {
            let imported = if self.dry_run { "to import" } else { "imported" };
            for (name, count) in self.each() {
                output.line(format_args!(
                    "{name:<8} {:>10} {imported}, {:>10} were there before, {:>6} conflicts",
                    count.imported, count.present, count.conflicts
                ))?;
            }
        }
        output.flush()?;
        Ok(())
    }
}

/// What a failure says about what was done before it.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            return f.write_str("nothing was imported: this is a dry run");
        }
        let sum = |one: fn(&Count) -> u64| self.each().iter().map(|(_, count)| one(count)).sum();
        let (imported, present): (u64, u64) = (sum(|c| c.imported), sum(|c| c.present));
        write!(f, "imported {imported} before that, {present} were there already")
    }
}
