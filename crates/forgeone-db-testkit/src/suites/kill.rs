//! `kill -9` at any moment: while a store is made, opened, recovered, worked with and closed.
//!
//! A case is one store and a number of workers on it, one after the other, each killed. What was
//! acknowledged is there: unchanged, in order, once, across all later kills (contract O1, O2, D1,
//! D2, S1, S2, S3, S5, C1, C3). When a worker dies is up to the machine; everything else about a
//! case is determined by its seed and number.
//!
//! With `--cli` the workers are processes of the command line: see [`cli`].

mod cli;

use crate::campaign::{Arguments, Counts, Suite};
use crate::process::{Child, Depth, Ended, Errand, Oracle, Tolerance, check, options};
use crate::random::Random;
use clap::Args;
use forgeone_db::{OpenMode, RedbManager};
use std::path::PathBuf;
use std::time::Duration;

/// Workers of one store.
const CYCLES: u32 = 20;
/// How long a worker may take to open or close before that counts as hanging.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the suite is started with.
#[derive(Debug, Args)]
pub(crate) struct KillArguments {
    #[command(flatten)]
    pub(crate) campaign: Arguments,
    /// Makes the stores in this directory, which should be on a real disk
    #[arg(long)]
    pub(crate) directory: Option<PathBuf>,
    /// Kills the command line, which lies beside this program, in place of a worker
    #[arg(long)]
    pub(crate) cli: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Kill {
    pub(crate) directory: Option<PathBuf>,
    pub(crate) cli: bool,
}

/// When a worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// So long after its start: most of the time while it opens or recovers.
    Opening(Duration),
    /// So long after the store was open.
    Working(Duration),
    /// So long after it began to close.
    Closing(Duration),
    /// Not at all.
    Never,
}

impl Suite for Kill {
    fn name(&self) -> &'static str {
        if self.cli { "kill --cli" } else { "kill" }
    }

    fn measure(&self) -> &'static str {
        "kills"
    }

    fn reaches(&self) -> (u64, Vec<&'static str>) {
        if self.cli {
            return (100, cli::reaches());
        }
        (
            100,
            vec![
                "acked writes",
                "kills while opening",
                "kills while closing",
                "kills while working",
                "clean closes",
                "unknown found whole",
                "unknown not found",
                "done again",
                "seen by a reader",
                "refused",
                "chores",
            ],
        )
    }

    fn case(&self, _: u64, mut random: Random) -> Result<Counts, String> {
        let directory = match &self.directory {
            Some(parent) => tempfile::Builder::new().prefix("kill-").tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        let directory = directory.map_err(|error| error.to_string())?;
        if self.cli {
            return cli::case(directory.path(), &mut random);
        }
        let store = directory.path().join("store");
        let mut case = Case { oracle: Oracle::new(random.next()), counts: Counts::new(), store };
        for cycle in 1..=CYCLES {
            case.cycle(cycle, &mut random).map_err(|what| format!("worker {cycle}: {what}"))?;
        }
        case.look(OpenMode::Open, Depth::All)?;
        Ok(case.end())
    }
}

struct Case {
    oracle: Oracle,
    counts: Counts,
    store: PathBuf,
}

impl Case {
    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn cycle(&mut self, cycle: u32, random: &mut Random) -> Result<(), String> {
        let moment = moment(random);
        let ended = self.worker(cycle, moment, random)?;
        self.oracle.hear(cycle, &ended, Tolerance::Kills)?;
        // Not after each worker: the next one must recover, too, and is killed while it does.
        if random.below(2) == 0 {
            let mode = if random.below(3) == 0 { OpenMode::Open } else { OpenMode::Read };
            let depth = if random.below(6) == 0 { Depth::Verified } else { Depth::New };
            self.look(mode, depth)?;
        }
        Ok(())
    }

    fn worker(&mut self, cycle: u32, moment: Moment, random: &mut Random) -> Result<Ended, String> {
        let ends = matches!(moment, Moment::Closing(_) | Moment::Never);
        let again = self.oracle.again(random);
        let errand = Errand {
            store: &self.store,
            seed: self.oracle.seed(),
            cycle,
            threads: 1 + u32::try_from(random.below(8)).unwrap_or(0),
            operations: if ends {
                1 + u32::try_from(random.below(60)).unwrap_or(0)
            } else {
                u32::MAX
            },
            again,
        };
        let mut child = Child::start(&errand, &[]).map_err(|error| error.to_string())?;
        let (time, where_to) = match moment {
            Moment::Opening(time) => {
                self.count("kills while opening");
                (time, true)
            }
            Moment::Working(time) => {
                self.count("kills while working");
                (time, child.opened(PATIENCE))
            }
            Moment::Closing(time) => {
                self.count("kills while closing");
                (time, child.closing(PATIENCE))
            }
            Moment::Never => {
                self.count("clean closes");
                let ended = child.wait(PATIENCE).map_err(|error| error.to_string())?;
                if ended.status.is_none_or(|status| !status.success()) {
                    return Err(format!(
                        "a worker ended with {:?}: {}",
                        ended.status, ended.errors
                    ));
                }
                return Ok(ended);
            }
        };
        let alive = where_to && child.pass(time);
        if !alive && !ends {
            let ended = child.kill().map_err(|error| error.to_string())?;
            return Err(format!("a worker died by itself: {ended:?}"));
        }
        self.count("kills");
        child.kill().map_err(|error| error.to_string())
    }

    fn look(&mut self, mode: OpenMode, depth: Depth) -> Result<(), String> {
        // Killed before anybody had it open, it may be half made: creating it again takes that up.
        let mode = if self.oracle.never_opened() { OpenMode::OpenOrCreate } else { mode };
        let store = RedbManager::open(options(&self.store).mode(mode));
        let store = store.map_err(|error| format!("the store does not open: {error:?}"))?;
        let recovered = store.database().recoveries();
        *self.counts.entry("recovered files").or_default() += recovered.len() as u64;
        *self.counts.entry("commits rolled back").or_default() +=
            recovered.iter().map(|one| one.rolled_back_txns).sum::<u64>();
        if mode != OpenMode::Read {
            self.oracle.opened_by_parent();
        }
        check(&mut self.oracle, &store, depth)?;
        self.count("checks");
        store.close().map_err(|error| format!("the store does not close: {error}"))
    }

    fn end(mut self) -> Counts {
        let oracle = &self.oracle;
        self.counts.extend([
            ("acked writes", oracle.acked),
            ("unknown found whole", oracle.unknown_present),
            ("unknown not found", oracle.unknown_absent),
            ("done again", oracle.repeated),
            ("seen by a reader", oracle.seen_count),
            ("refused", oracle.rejected),
            ("chores", oracle.chores),
        ]);
        self.counts
    }
}

fn moment(random: &mut Random) -> Moment {
    let micros = |below: u64| Duration::from_micros(below);
    match random.below(20) {
        0..=3 => Moment::Opening(micros(500 + random.below(25_000))),
        4..=6 => Moment::Closing(micros(random.below(8_000))),
        7 => Moment::Never,
        _ => Moment::Working(micros(5_000 + random.below(495_000))),
    }
}
