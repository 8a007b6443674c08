//! Errors of the operating system, from outside: `strace` makes one call of a worker fail, once or
//! from then on, for each kind of call that touches the store and each place of it in the run. Runs
//! take turns among the kinds; of each kind, however few they are, they spread over all its places.
//!
//! Whatever fails, the worker ends by itself, without a panic and without hanging; what it had
//! acknowledged is there afterwards, what it had refused is not, and the store verifies (contract
//! O1, D1, D3, F1, F2, F4, C1). `strace` counts the calls of each thread by itself, so one fault
//! may hit several threads, each at its own call of that number.

use crate::campaign::{self, Arguments, Counts, Suite};
use crate::process::{Child, Depth, Errand, Oracle, Tolerance, check, options};
use crate::random::Random;
use forgeone_db::{OpenMode, RedbManager};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The calls that touch the store, and how many of each a busy thread of the worker makes in a run, as
/// `strace` counted them: the places where a fault is put.
static CALLS: [Call; 9] = [
    Call { name: "pwrite64", failed: "pwrite64 failed", places: 400 },
    Call { name: "fdatasync", failed: "fdatasync failed", places: 120 },
    Call { name: "fsync", failed: "fsync failed", places: 7 },
    Call { name: "ftruncate", failed: "ftruncate failed", places: 25 },
    Call { name: "fallocate", failed: "fallocate failed", places: 3 },
    Call { name: "openat", failed: "openat failed", places: 30 },
    Call { name: "rename", failed: "rename failed", places: 7 },
    Call { name: "unlink", failed: "unlink failed", places: 7 },
    Call { name: "pread64", failed: "pread64 failed", places: 80 },
];
const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EDQUOT"];
/// Whether the store is there already, and so what is hit first: its making or its opening.
const STORES: [Before; 2] = [Before::Made, Before::Nothing];
const LASTING: [Lasts; 2] = [Lasts::Once, Lasts::ForEver];
/// How long a worker may take: far more than without faults.
const PATIENCE: Duration = Duration::from_mins(1);

/// Files of a store with two shards, which faults are confined to.
const FILES: [&str; 10] = [
    "lock",
    "closed",
    "reserve",
    "keyring.0",
    "keyring.1",
    "system.redb",
    "events_shard_0.redb",
    "events_shard_1.redb",
    "logs_shard_0.redb",
    "logs_shard_1.redb",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Made,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    Once,
    ForEver,
}

#[derive(Debug)]
struct Call {
    name: &'static str,
    /// What a run is counted as in which it failed.
    failed: &'static str,
    places: u64,
}

impl Call {
    /// In how many ways it can fail: each error, once or for ever, in either store, at each place.
    const fn faults(&self) -> u64 {
        self.places * (LASTING.len() * STORES.len() * ERRORS.len()) as u64
    }
}

/// Runs the suite.
///
/// # Errors
/// As a campaign.
pub(crate) fn run(arguments: &Arguments) -> io::Result<bool> {
    let all: u64 = CALLS.iter().map(Call::faults).sum();
    eprintln!("syscalls: {all} faults of {} calls to choose from", CALLS.len());
    campaign::run(&Syscalls, arguments)
}

/// See the module.
#[derive(Debug)]
struct Syscalls;

/// What fails in a case.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static Call,
    error: &'static str,
    lasts: Lasts,
    before: Before,
    /// The how manieth call of a thread fails.
    place: u64,
    /// Whether a case with a lower number had the same.
    is_again: bool,
}

impl Fault {
    fn of(number: u64) -> Option<Self> {
        let calls = CALLS.len() as u64;
        let call = CALLS.get(index(number % calls))?;
        let turn = number / calls;
        let mut rest = spread(turn, call.faults());
        let mut digit = |base: u64| {
            let digit = rest % base;
            rest /= base;
            index(digit)
        };
        Some(Self {
            call,
            lasts: *LASTING.get(digit(LASTING.len() as u64))?,
            before: *STORES.get(digit(STORES.len() as u64))?,
            error: ERRORS.get(digit(ERRORS.len() as u64))?,
            place: rest + 1,
            is_again: turn >= call.faults(),
        })
    }

    fn runner(self, store: &Path, log: &Path) -> Vec<OsString> {
        let more = if self.lasts == Lasts::ForEver { "+" } else { "" };
        let inject =
            format!("inject={}:error={}:when={}{more}", self.call.name, self.error, self.place);
        let mut words: Vec<OsString> = ["strace", "-f", "-qq", "-o"].map(OsString::from).into();
        words.push(log.into());
        words.extend(["-e".into(), format!("trace={}", self.call.name).into()]);
        words.extend(["-e".into(), inject.into(), "-P".into(), store.into()]);
        for file in FILES {
            for name in [file.to_owned(), format!("{file}.new")] {
                words.extend(["-P".into(), store.join(name).into()]);
            }
        }
        words
    }
}

fn index(digit: u64) -> usize {
    usize::try_from(digit).unwrap_or_default()
}

/// The numbers below `end`, each once in `end` turns, in steps of about the golden section: however
/// few turns there are, what they hit lies evenly.
fn spread(turn: u64, end: u64) -> u64 {
    let divides_both = |by: u64, step: u64| step.is_multiple_of(by) && end.is_multiple_of(by);
    let is_coprime = |step: &u64| !(2..=*step).any(|by| divides_both(by, *step));
    let step = (end * 618 / 1000..end).find(is_coprime).unwrap_or(1);
    turn % end * step % end
}

impl Suite for Syscalls {
    fn name(&self) -> &'static str {
        "syscalls"
    }

    fn measure(&self) -> &'static str {
        "runs"
    }

    fn reaches(&self) -> (u64, Vec<&'static str>) {
        let calls = CALLS.iter().map(|call| call.failed);
        (1_000, calls.chain(["refused", "acked writes"]).collect())
    }

    fn case(&self, number: u64, random: Random) -> Result<Counts, String> {
        let fault = Fault::of(number).ok_or("there is no such fault")?;
        run_with(fault, random).map_err(|what| format!("{fault:?}: {what}"))
    }
}

fn run_with(fault: Fault, mut random: Random) -> Result<Counts, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let store = directory.path().join("store");
    let log = directory.path().join("log");
    let mut oracle = Oracle::new(random.next());
    if fault.before == Before::Made {
        worker(&mut oracle, &store, 1, &[])?;
    }
    worker(&mut oracle, &store, 2, &fault.runner(&store, &log))?;
    let traced = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
    let hits = traced.matches("(INJECTED)").count() as u64;
    // It was not said whether the store was ever complete: whoever opens it takes up its making.
    let opened = RedbManager::open(options(&store).mode(OpenMode::OpenOrCreate));
    let opened = opened.map_err(|error| format!("the store does not open: {error:?}"))?;
    oracle.opened_by_parent();
    check(&mut oracle, &opened, Depth::All)?;
    opened.close().map_err(|error| format!("the store does not close: {error}"))?;
    // And it goes on.
    worker(&mut oracle, &store, 3, &[])?;
    let opened = RedbManager::open(options(&store).mode(OpenMode::Read));
    let opened = opened.map_err(|error| format!("the store does not open again: {error:?}"))?;
    check(&mut oracle, &opened, Depth::Verified)?;
    let mut counts = Counts::from([
        ("runs", 1),
        ("calls that failed", hits),
        ("acked writes", oracle.acked),
        ("unknown found whole", oracle.unknown_present),
        ("unknown not found", oracle.unknown_absent),
        ("refused", oracle.rejected),
    ]);
    counts.insert("different faults", u64::from(!fault.is_again));
    if hits > 0 {
        counts.insert(fault.call.failed, 1);
    } else {
        counts.insert("faults behind the last call", 1);
    }
    Ok(counts)
}

/// One worker from beginning to end. With a runner it may fail, but must say so and end.
fn worker(
    oracle: &mut Oracle,
    store: &Path,
    cycle: u32,
    runner: &[OsString],
) -> Result<(), String> {
    let errand =
        Errand { store, seed: oracle.seed(), cycle, threads: 2, operations: 40, again: Vec::new() };
    let child = Child::start(&errand, runner).map_err(|error| {
        format!("{error}; if strace is missing, install it: apt-get install strace")
    })?;
    let ended = child.wait(PATIENCE).map_err(|error| error.to_string())?;
    let tolerance = if runner.is_empty() { Tolerance::Kills } else { Tolerance::Faults };
    oracle.hear(cycle, &ended, tolerance)?;
    match ended.status.map(|status| status.code()) {
        None => Err("the worker hung, and was killed".to_owned()),
        Some(Some(0)) => Ok(()),
        Some(Some(1)) if tolerance == Tolerance::Faults => Ok(()),
        Some(other) => Err(format!("a worker ended with {other:?}: {}", ended.errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::{CALLS, Call, Fault, spread};
    use std::collections::BTreeSet;

    #[test]
    fn every_fault_has_its_turn_once() {
        let most = CALLS.iter().map(Call::faults).max().unwrap_or(0) * CALLS.len() as u64;
        let first = (0..most).filter_map(Fault::of).filter(|fault| !fault.is_again);
        let faults: BTreeSet<String> = first.clone().map(|fault| format!("{fault:?}")).collect();
        let all: u64 = CALLS.iter().map(Call::faults).sum();
        assert_eq!(faults.len() as u64, all);
        assert_eq!(first.count() as u64, all);
    }

    #[test]
    fn a_few_turns_lie_evenly() {
        for call in &CALLS {
            let mut hit: Vec<u64> = (0..12).map(|turn| spread(turn, call.faults())).collect();
            hit.sort_unstable();
            let ends = hit.iter().skip(1).copied().chain([call.faults()]);
            let widest = hit.iter().zip(ends).map(|(from, to)| to - from).max();
            assert!(widest < Some(call.faults() / 4), "{}: {hit:?}", call.name);
        }
    }
}
