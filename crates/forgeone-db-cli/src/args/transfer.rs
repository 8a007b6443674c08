//! Arguments of `export` and `import`.

use clap::{Args, ValueEnum};
use forgeone_db::TopicPattern;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Only these topics of events and logs; may be given several times
    #[arg(long = "topic", value_name = "PATTERN")]
    pub(crate) topics: Vec<TopicPattern>,
    /// Only this kind; may be given several times [default: all, with --topic events and logs]
    #[arg(long = "kind", value_name = "KIND")]
    pub(crate) kinds: Vec<ExportKind>,
    /// Replace FILE if it exists
    #[arg(long, requires = "file")]
    pub(crate) force: bool,
    /// Where to; - or nothing for standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// What there is to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportKind {
    Events,
    Logs,
    Settings,
    Metadata,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Check the export, and stop: needs no store
    #[arg(long, conflicts_with_all = ["dry_run", "topics", "on_conflict"])]
    pub(crate) check: bool,
    /// Say what would be imported, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only events and logs of these topics; may be given several times
    #[arg(long = "topic", value_name = "PATTERN")]
    pub(crate) topics: Vec<TopicPattern>,
    /// What to do about a record whose id is taken by other content: stop, or go on without it
    #[arg(long, value_name = "fail|skip", default_value = "fail", hide_possible_values = true)]
    pub(crate) on_conflict: OnConflict,
    /// Where from; - or nothing for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// What to do about a record whose id is taken by other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnConflict {
    Fail,
    Skip,
}
