//! Running the cases of a suite: in parallel, with progress, from a saved state on, and with the
//! command that replays a failure.

mod isolated;

use crate::random::Random;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often progress is printed and the state is saved.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// After so many failures a campaign stops: more of the same say nothing new.
const FAILURES_MAX: usize = 5;

/// After so many cases a campaign must have come across everything that it is there for.
const CASES_COVERING: u64 = 48;

/// What a case counted, by name: images, operations, faults that hit.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// A suite of numbered cases.
pub(crate) trait Suite: Sync {
    /// The subcommand that runs it.
    fn name(&self) -> &'static str;

    /// What a case makes and is measured in, in the plural: one of the names that cases count.
    /// `--size` is compared with its sum.
    fn measure(&self) -> &'static str;

    /// How many cases there are; none where there is no end to them.
    fn cases(&self) -> Option<u64> {
        None
    }

    /// Whether cases run in processes of their own, so that one which aborts, hangs or takes all
    /// memory is a failure with a number, and not the end of the campaign.
    fn is_isolated(&self) -> bool {
        false
    }

    /// What a campaign must have counted at least once if it did as much as it was asked to.
    fn must_count(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// What a campaign of at least so many must have counted, each at least once: a suite that
    /// does not come to where it looks for mistakes finds none.
    fn reaches(&self) -> (u64, &'static [&'static str]) {
        (0, &[])
    }

    /// Runs one case, which `random` determines.
    ///
    /// # Errors
    /// What was wrong, in words that can be understood without the code.
    fn case(&self, number: u64, random: Random) -> Result<Counts, String>;
}

/// What every suite is started with.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How much to do, in what the suite measures itself in
    #[arg(long, default_value_t = 100)]
    size: u64,
    /// Chooses the cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs this one case alone
    #[arg(long, value_name = "NUMBER")]
    case: Option<u64>,
    /// Cases at once; one for each core by default
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Stops after so many minutes, whatever was done
    #[arg(long)]
    minutes: Option<u64>,
    /// Keeps what was done in this file, and goes on from there
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Runs the cases whose numbers come on standard input
    #[arg(long, hide = true)]
    serve: bool,
    /// What processes of isolated cases are told besides
    #[arg(skip)]
    told: Vec<OsString>,
}

impl Arguments {
    /// What chooses the cases.
    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Tells the processes of isolated cases one argument more.
    pub(crate) fn tell(&mut self, argument: impl Into<OsString>) {
        self.told.push(argument.into());
    }
}

/// What has been done of a campaign.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    suite: String,
    seed: u64,
    /// The first case that has not been begun.
    next: u64,
    /// Cases that were begun and not ended when the state was saved.
    open: Vec<u64>,
    seconds: u64,
    counts: BTreeMap<String, u64>,
    failures: Vec<(u64, String)>,
}

/// Runs a campaign, or one case of it. False if a case failed.
///
/// # Errors
/// The state file cannot be read or written, or belongs to another campaign.
pub(crate) fn run(suite: &impl Suite, arguments: &Arguments) -> io::Result<bool> {
    if arguments.serve {
        return isolated::serve(suite, arguments.seed).map(|()| true);
    }
    if let Some(number) = arguments.case {
        return Ok(replay(suite, arguments.seed, number));
    }
    let campaign = Campaign::begin(suite, arguments)?;
    let jobs = arguments.jobs.or_else(|| std::thread::available_parallelism().ok());
    std::thread::scope(|scope| {
        for _ in 0..jobs.map_or(1, NonZeroUsize::get) {
            scope.spawn(|| campaign.work());
        }
    });
    campaign.end()
}

fn replay(suite: &impl Suite, seed: u64, number: u64) -> bool {
    match run_case(suite, seed, number) {
        Ok(counts) => {
            println!("{}: case {number} of seed {seed} passed {counts:?}", suite.name());
            true
        }
        Err(what) => {
            println!("{}: case {number} of seed {seed} FAILED: {what}", suite.name());
            false
        }
    }
}

fn run_case(suite: &impl Suite, seed: u64, number: u64) -> Result<Counts, String> {
    let case = AssertUnwindSafe(|| suite.case(number, Random::of_case(seed, number)));
    catch_unwind(case).unwrap_or_else(|panic| Err(format!("a panic: {}", text(&*panic))))
}

fn named(counts: Counts) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

struct Campaign<'a, S> {
    suite: &'a S,
    arguments: &'a Arguments,
    started: Instant,
    progress: Mutex<Progress>,
}

struct Progress {
    state: State,
    /// What `state.seconds` was at the start.
    seconds_before: u64,
    open: Vec<u64>,
    reported: Instant,
    error: Option<io::Error>,
}

impl<'a, S: Suite> Campaign<'a, S> {
    fn begin(suite: &'a S, arguments: &'a Arguments) -> io::Result<Self> {
        let fresh =
            || State { suite: suite.name().into(), seed: arguments.seed, ..State::default() };
        let state = match &arguments.state {
            Some(path) => load(path)?.unwrap_or_else(fresh),
            None => fresh(),
        };
        if state.suite != suite.name() || state.seed != arguments.seed {
            return Err(io::Error::other(format!(
                "the state is one of suite {} with seed {}; name another file with --state",
                state.suite, state.seed
            )));
        }
        let started = now();
        let progress = Progress {
            seconds_before: state.seconds,
            state,
            open: Vec::new(),
            reported: started,
            error: None,
        };
        Ok(Self { suite, arguments, started, progress: Mutex::new(progress) })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut worker = None;
        while let Some(number) = self.take() {
            let result = if self.suite.is_isolated() {
                isolated::run(&mut worker, &self.arguments.told, number)
            } else {
                run_case(self.suite, self.arguments.seed, number).map(named)
            };
            self.record(number, result);
        }
    }

    /// The next case to run; none when the campaign is over.
    fn take(&self) -> Option<u64> {
        let mut progress = self.progress();
        let limit = self.arguments.minutes.map(|minutes| Duration::from_secs(minutes * 60));
        let late = limit.is_some_and(|limit| self.started.elapsed() >= limit);
        let failed = progress.state.failures.len() >= FAILURES_MAX || progress.error.is_some();
        if late || failed || self.measured(&progress.state) >= self.arguments.size {
            return None;
        }
        let number = progress.state.open.pop().or_else(|| {
            let number = progress.state.next;
            progress.state.next += 1;
            self.suite.cases().is_none_or(|cases| number < cases).then_some(number)
        })?;
        progress.open.push(number);
        Some(number)
    }

    fn record(&self, number: u64, result: Result<BTreeMap<String, u64>, String>) {
        let mut progress = self.progress();
        progress.open.retain(|open| *open != number);
        *progress.state.counts.entry("cases".into()).or_default() += 1;
        match result {
            Ok(counts) => {
                for (name, count) in counts {
                    *progress.state.counts.entry(name).or_default() += count;
                }
            }
            Err(what) => {
                let (name, seed) = (self.suite.name(), self.arguments.seed);
                eprintln!("{name}: case {number} FAILED: {what}");
                eprintln!("  replay: cargo xtask {name} --seed {seed} --case {number}");
                progress.state.failures.push((number, what));
            }
        }
        if progress.reported.elapsed() >= REPORT_INTERVAL {
            progress.reported = now();
            eprintln!("{}: {}", self.suite.name(), summary(&progress.state));
            self.save(&mut progress);
        }
    }

    fn measured(&self, state: &State) -> u64 {
        state.counts.get(self.suite.measure()).copied().unwrap_or(0)
    }

    fn save(&self, progress: &mut Progress) {
        let elapsed = self.started.elapsed().as_secs();
        progress.state.seconds = progress.seconds_before + elapsed;
        let Some(path) = &self.arguments.state else { return };
        // A case that is running would be left out by a campaign that goes on from here.
        let mut open = progress.state.open.clone();
        open.extend(&progress.open);
        let saved = State {
            open,
            counts: progress.state.counts.clone(),
            failures: progress.state.failures.clone(),
            suite: progress.state.suite.clone(),
            ..progress.state
        };
        if let Err(error) = store(path, &saved) {
            progress.error = Some(error);
        }
    }

    fn is_covered(&self, state: &State) -> bool {
        let (from, names) = self.suite.reaches();
        let missed = |name: &&&str| state.counts.get(**name).is_none_or(|count| *count == 0);
        let missed: Vec<_> = names.iter().filter(missed).collect();
        let is_covered = self.measured(state) < from || missed.is_empty();
        if !is_covered {
            println!("{}: FAILED: never reached: {missed:?}", self.suite.name());
        }
        is_covered
    }

    fn end(self) -> io::Result<bool> {
        let mut progress = self.progress();
        self.save(&mut progress);
        println!(
            "{}, seed {}: {}",
            self.suite.name(),
            self.arguments.seed,
            summary(&progress.state)
        );
        if let Some(error) = progress.error.take() {
            return Err(error);
        }
        let missing = self.missing(&progress.state);
        if !missing.is_empty() {
            eprintln!("{}: this never happened: {}", self.suite.name(), missing.join(", "));
        }
        let covered = missing.is_empty() && self.is_covered(&progress.state);
        Ok(progress.state.failures.is_empty() && covered)
    }

    /// What a campaign of this size must have come across, and did not.
    fn missing(&self, state: &State) -> Vec<&'static str> {
        let mut missing = self.suite.must_count();
        let small = state.counts.get("cases").copied().unwrap_or(0) < CASES_COVERING;
        missing.retain(|name| !small && state.counts.get(*name).is_none_or(|count| *count == 0));
        missing
    }
}

fn summary(state: &State) -> String {
    let counts: Vec<String> =
        state.counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    format!("{}; {} failed; {} s", counts.join(", "), state.failures.len(), state.seconds)
}

fn load(path: &Path) -> io::Result<Option<State>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A campaign that is killed while it saves keeps the state before.
fn store(path: &Path, state: &State) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, serde_json::to_vec_pretty(state)?)?;
    fs::rename(&temporary, path)
}

#[expect(clippy::disallowed_methods, reason = "how long a campaign takes is not simulated")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
