//! What a verification counts and finds.

use super::ids::REMEDY_TWICE;
use crate::index::FamilyId;
use forgeone_db_engine::{Error, ErrorKind, Result, TableName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Findings kept in a report; more are only counted.
const FINDINGS_MAX: usize = 10_000;

/// What to do about damage in the engine's own pages.
pub(super) const REMEDY_PAGES: &str = "write nothing to it: a write may lose more; copy the directory aside, \
    then write a new store from it: forgeone-db salvage";
/// What to do about records that were lost before they were sealed.
pub(super) const REMEDY_LOST: &str = "all other records are unaffected, and what lies in their place is kept: restore them from a \
    backup, or write a new store without them: forgeone-db salvage";
/// What to do about damage that a repair would mend, were it not for other damage.
pub(crate) const REMEDY_SALVAGE: &str =
    "no repair mends it beside the other damage: write a new store from it: forgeone-db salvage";

/// How much a verification reads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum VerifyDepth {
    /// Keyring copies, heads, manifests, the newest commits, and what the databases have witnessed
    /// of each other: what opening reads.
    Quick,
    /// Also authenticates every unit of every segment and every page and filter of every index
    /// run, and compares indexes and topic directory with the records.
    #[default]
    Standard,
    /// Also looks up the id of every sealed record as a reader would.
    Deep,
}

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingSeverity {
    /// Worth knowing; nothing is wrong.
    Info,
    /// Nothing is lost yet, but a safeguard is.
    Warning,
    /// Something is damaged, missing or contradicts something else.
    Error,
}

/// One thing that a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it means.
    pub severity: FindingSeverity,
    /// The database, where it is about one.
    pub database: Option<String>,
    /// The table, where it is about one.
    pub table: Option<String>,
    /// The topic's name, where it is about one.
    pub topic: Option<String>,
    /// The first record concerned, included.
    pub from_seq: Option<u64>,
    /// The last record concerned, included.
    pub to_seq: Option<u64>,
    /// The number of the index concerned, where it is about one that follows from records that are
    /// there: `repair` builds it anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// What a verification did and found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VerifyReport {
    /// How much was read.
    pub depth: VerifyDepth,
    /// Databases that exist.
    pub databases: u64,
    /// Topics in the directory.
    pub topics: u64,
    /// Commit blocks opened.
    pub blocks: u64,
    /// Segments opened.
    pub segments: u64,
    /// Units of segments opened.
    pub units: u64,
    /// Records decoded, in blocks and units.
    pub records: u64,
    /// Index runs opened.
    pub runs: u64,
    /// Entries in them.
    pub index_entries: u64,
    /// Stored bytes authenticated.
    pub bytes: u64,
    /// Databases whose engine's own pages were checked.
    #[serde(default)]
    pub engine_checked: u64,
    /// Those of them whose engine's own pages are damaged: writing to one may lose what can still be
    /// read.
    #[serde(default)]
    pub pages_damaged: Vec<String>,
    /// Pieces that no manifest names: left by a crash, or being written at the moment.
    pub orphan_pieces: u64,
    /// What was found, at most 10,000.
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub findings_dropped: u64,
}

impl VerifyReport {
    /// Whether nothing is damaged, missing or contradictory.
    pub fn is_sound(&self) -> bool {
        self.errors().next().is_none() && self.findings_dropped == 0
    }

    /// Takes back what findings say of a repair where the engine's own pages are damaged: a repair
    /// writes.
    pub(super) fn heed_pages(&mut self) {
        if !self.pages_damaged.is_empty() {
            let mendable = self.findings.iter_mut().filter(|finding| finding.index.is_some());
            mendable.for_each(|finding| REMEDY_SALVAGE.clone_into(&mut finding.remedy));
        }
    }

    /// The findings that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == FindingSeverity::Error)
    }
}

/// How far a verification has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyProgress {
    /// The database that is read.
    pub database: String,
    /// Stored bytes authenticated so far, in all databases.
    pub bytes: u64,
    /// Stored bytes that sealed records and indexes had when the verification began, which is about
    /// how many there are to authenticate; 0 at depth `Quick`.
    pub bytes_total: u64,
    /// Stored bytes read once more so far, where memory is too short for all keys of state.
    pub bytes_again: u64,
    /// Records decoded so far.
    pub records: u64,
}

/// Is told from time to time how far a verification has come; an error ends it with that.
pub(crate) type OnProgress<'a> = &'a mut (dyn FnMut(&VerifyProgress) -> Result<()> + Send);

/// The report while it is written.
pub(super) struct Ledger<'a> {
    pub(super) report: VerifyReport,
    progress: VerifyProgress,
    on_progress: OnProgress<'a>,
    /// What the verification may hold of keys.
    pub(super) memory_bytes: usize,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(
        depth: VerifyDepth,
        memory_bytes: usize,
        on_progress: OnProgress<'a>,
    ) -> Self {
        let report = VerifyReport { depth, ..VerifyReport::default() };
        Self { report, progress: VerifyProgress::default(), on_progress, memory_bytes }
    }

    /// Begins with a database.
    pub(super) fn begin(&mut self, database: &str) {
        database.clone_into(&mut self.progress.database);
    }

    /// A database names so many bytes that are to be read.
    pub(super) const fn expect(&mut self, bytes: u64) {
        self.progress.bytes_total += bytes;
    }

    /// Counts stored bytes that were authenticated.
    ///
    /// # Errors
    /// Whatever the caller wants to end the verification with.
    pub(super) fn authenticated(&mut self, bytes: u64) -> Result<()> {
        self.report.bytes += bytes;
        self.progress.bytes = self.report.bytes;
        self.progress.records = self.report.records;
        (self.on_progress)(&self.progress)
    }

    /// Says that the verification goes on, in bytes that were authenticated before.
    ///
    /// # Errors
    /// As [`authenticated`](Self::authenticated).
    pub(super) fn read_again(&mut self, bytes: u64) -> Result<()> {
        self.progress.bytes_again += bytes;
        (self.on_progress)(&self.progress)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        } else {
            self.report.findings_dropped += 1;
        }
    }
}

impl Finding {
    pub(super) fn new(
        severity: FindingSeverity,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            database: None,
            table: None,
            topic: None,
            from_seq: None,
            to_seq: None,
            index: None,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn error(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(FindingSeverity::Error, what, remedy)
    }

    /// What an error of a read says, with the place that it names.
    pub(super) fn of(error: &Error, remedy: &str) -> Self {
        let text = |name: &str| error.get(name).map(str::to_owned);
        let number = |name: &str| error.get(name).and_then(|value| value.parse().ok());
        Self {
            database: text("database"),
            table: text("table"),
            topic: text("topic"),
            from_seq: number("from"),
            to_seq: number("to"),
            ..Self::error(error.to_string(), remedy)
        }
    }

    pub(super) fn in_database(mut self, database: &(impl fmt::Display + ?Sized)) -> Self {
        self.database = Some(format!("{database}"));
        self
    }

    pub(super) fn in_table(mut self, table: &TableName) -> Self {
        self.table = Some(table.to_string());
        self
    }

    pub(super) fn in_topic(mut self, topic: Option<String>) -> Self {
        self.topic = topic.or(self.topic);
        self
    }

    /// Whether it is about a record that is there twice, and so about nothing that is lost.
    pub(crate) fn is_twin(&self) -> bool {
        self.remedy == REMEDY_TWICE
    }

    /// Whether it is about records that were lost before they were sealed, and so about no index.
    pub(crate) fn is_set_aside(&self) -> bool {
        self.remedy == REMEDY_LOST
    }

    /// It is about an index, which can be built anew.
    pub(super) const fn of_index(mut self, family: FamilyId) -> Self {
        self.index = Some(family.0);
        self
    }

    pub(super) const fn range(mut self, from: u64, to: u64) -> Self {
        self.from_seq = Some(from);
        self.to_seq = Some(to);
        self
    }
}

/// Lets errors through that are about what is stored, and hands back those that end the
/// verification: a closed store, a medium that cannot be read at all for now.
pub(crate) fn contained<T>(result: Result<T>) -> Result<Result<T>> {
    match result {
        Err(error)
            if !matches!(
                error.kind(),
                ErrorKind::Corrupt
                    | ErrorKind::Denied
                    | ErrorKind::UpgradeRequired
                    | ErrorKind::WrongKey
                    | ErrorKind::NotFound
                    | ErrorKind::Internal
            ) =>
        {
            Err(error)
        }
        result => Ok(result),
    }
}
