//! The command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measures ForgeOne DB beside other embedded stores, at equal durability, in alternating rounds.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// What to run; everything if nothing is named.
    workloads: Vec<Workload>,
    /// Small numbers: checks that everything runs and reads back equal. Its figures mean nothing.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Rounds of each engine in turn; medians are taken over them.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Seed of ids, payloads and samples.
    #[arg(long, default_value_t = 20_261_122)]
    pub(crate) seed: u64,
    /// Where stores are made, and removed afterwards. It should not be memory.
    #[arg(long, default_value = "target/bench")]
    pub(crate) dir: PathBuf,
    /// Shards of the stores.
    #[arg(long, default_value_t = 4)]
    pub(crate) shards: u32,
    /// Producers of `single`.
    #[arg(long, default_value_t = 64)]
    pub(crate) producers: usize,
    /// Seconds that each engine has in a round of `single`.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Events of `batch` and `read`.
    #[arg(long, default_value_t = 300_000)]
    pub(crate) events: usize,
    /// Events of `memory`.
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) memory_events: usize,
    /// Lines of `logs`.
    #[arg(long, default_value_t = 800_000)]
    pub(crate) log_lines: usize,
    /// Lines of `search`.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) search_lines: usize,
    /// Events of `verify`.
    #[arg(long, default_value_t = 3_000_000)]
    pub(crate) verify_events: usize,
    /// Log lines of `verify`.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) verify_lines: usize,
    /// Keys of `settings` and of `verify`.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) settings: usize,
    /// Folder of log files for `loghub`, `logs`, `search` and `verify`.
    #[arg(long, default_value = "../shared/data/loghub")]
    pub(crate) loghub: PathBuf,
    /// Writes all figures to this file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Writes the report to this file.
    #[arg(long)]
    pub(crate) markdown: Option<PathBuf>,
    /// The store of the process that `memory` starts.
    #[arg(long, hide = true)]
    pub(crate) memory_child: Option<PathBuf>,
}

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// Many producers, one event a call.
    Single,
    /// 1,000 events a call, one producer.
    Batch,
    /// Scans, gets by id and time ranges.
    Read,
    /// Real log lines: bytes on disk.
    Loghub,
    /// Log lines, 8,000 a commit, beside appending them to a file.
    Logs,
    /// Searches in log lines, beside grep over the same text in a file.
    Search,
    /// Memory of a long ingest, and how long opening takes afterwards.
    Memory,
    /// Very many settings: loading, pages, single ones.
    Settings,
    /// Verification of sealed events and log lines, at each depth.
    Verify,
}

impl Workload {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Batch => "batch",
            Self::Read => "read",
            Self::Loghub => "loghub",
            Self::Logs => "logs",
            Self::Search => "search",
            Self::Memory => "memory",
            Self::Settings => "settings",
            Self::Verify => "verify",
        }
    }
}

impl Args {
    /// Applies `--quick`.
    pub(crate) fn settle(mut self) -> Self {
        if self.quick {
            self.rounds = self.rounds.min(2);
            self.seconds = self.seconds.min(0.5);
            self.events = self.events.min(20_000);
            self.log_lines = self.log_lines.min(40_000);
            self.search_lines = self.search_lines.min(40_000);
            self.memory_events = self.memory_events.min(200_000);
            self.settings = self.settings.min(20_000);
            self.verify_events = self.verify_events.min(20_000);
            self.verify_lines = self.verify_lines.min(20_000);
        }
        self.rounds = self.rounds.max(1);
        self
    }

    pub(crate) fn workloads(&self) -> Vec<Workload> {
        if self.workloads.is_empty() {
            Workload::value_variants().to_vec()
        } else {
            self.workloads.clone()
        }
    }
}
