//! Errors of the operating system, from outside: `strace` makes one call of a worker fail, once or
//! from then on, for each call that touches the store and each place of it in the run.
//!
//! Whatever fails, the worker ends by itself, without a panic and without hanging; what it had
//! acknowledged is there afterwards, what it had refused is not, and the store verifies (contract
//! O1, D1, D3, F1, F2, F4, C1). `strace` counts the calls of each thread by itself, so one fault
//! may hit several threads, each at its own call of that number.

use crate::campaign::{Counts, Suite};
use crate::process::{Child, Depth, Errand, Oracle, Tolerance, check, options};
use crate::random::Random;
use forgeone_db::{OpenMode, RedbManager};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

const CALLS: [&str; 9] =
    ["pwrite64", "fdatasync", "fsync", "write", "ftruncate", "openat", "rename", "read", "pread64"];
const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EDQUOT"];
/// Whether the store is there already, and so what is hit first: its making or its opening.
const STORES: [Before; 2] = [Before::Made, Before::Nothing];
const LASTING: [Lasts; 2] = [Lasts::Once, Lasts::ForEver];
/// How long a worker may take: far more than without faults.
const PATIENCE: Duration = Duration::from_mins(1);

/// Files of a store with two shards, which faults are confined to.
const FILES: [&str; 9] = [
    "lock",
    "closed",
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

/// See the module.
#[derive(Debug)]
pub(crate) struct Syscalls;

/// What fails in a case.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: &'static str,
    error: &'static str,
    lasts: Lasts,
    before: Before,
    /// The how manieth call of a thread fails.
    number: u64,
}

impl Fault {
    /// All faults, by number: each kind of fault at one call, then at another ...
    fn of(number: u64) -> Self {
        let mut rest = number;
        let mut digit = |base: usize| {
            let digit = rest % base as u64;
            rest /= base as u64;
            usize::try_from(digit).unwrap_or(0)
        };
        Self {
            call: CALLS.get(digit(CALLS.len())).copied().unwrap_or("fsync"),
            lasts: LASTING.get(digit(LASTING.len())).copied().unwrap_or(Lasts::Once),
            before: STORES.get(digit(STORES.len())).copied().unwrap_or(Before::Made),
            error: ERRORS.get(digit(ERRORS.len())).copied().unwrap_or("EIO"),
            number: place(rest),
        }
    }

    fn runner(self, store: &Path, log: &Path) -> Vec<OsString> {
        let more = if self.lasts == Lasts::ForEver { "+" } else { "" };
        let inject =
            format!("inject={}:error={}:when={}{more}", self.call, self.error, self.number);
        let mut words: Vec<OsString> = ["strace", "-f", "-qq", "-o"].map(OsString::from).into();
        words.push(log.into());
        words.extend(["-e".into(), format!("trace={}", self.call).into()]);
        words.extend(["-e".into(), inject.into(), "-P".into(), store.into()]);
        for file in FILES {
            for name in [file.to_owned(), format!("{file}.new")] {
                words.extend(["-P".into(), store.join(name).into()]);
            }
        }
        words
    }
}

/// Calls in an order that does not stay in the opening for long: 1, 18, 35, 52, 9 ... up to 60, each
/// once, and then as many more.
fn place(turn: u64) -> u64 {
    turn / 60 * 60 + turn * 17 % 60 + 1
}

impl Suite for Syscalls {
    fn name(&self) -> &'static str {
        "syscalls"
    }

    fn measure(&self) -> &'static str {
        "runs"
    }

    fn reaches(&self) -> (u64, Vec<&'static str>) {
        let names = vec![
            "pwrite64 failed",
            "fdatasync failed",
            "fsync failed",
            "write failed",
            "ftruncate failed",
            "openat failed",
            "rename failed",
            "read failed",
            "pread64 failed",
            "refused",
            "acked writes",
        ];
        (1_000, names)
    }

    fn case(&self, number: u64, random: Random) -> Result<Counts, String> {
        let fault = Fault::of(number);
        run(fault, random).map_err(|what| format!("{fault:?}: {what}"))
    }
}

fn run(fault: Fault, mut random: Random) -> Result<Counts, String> {
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
    if hits > 0 {
        counts.insert(failed(fault.call), 1);
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

fn failed(call: &str) -> &'static str {
    match call {
        "pwrite64" => "pwrite64 failed",
        "fdatasync" => "fdatasync failed",
        "fsync" => "fsync failed",
        "write" => "write failed",
        "ftruncate" => "ftruncate failed",
        "openat" => "openat failed",
        "rename" => "rename failed",
        "read" => "read failed",
        _ => "pread64 failed",
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, place};
    use std::collections::BTreeSet;

    #[test]
    fn each_call_gets_its_turn_and_each_fault_its_number() {
        let places: BTreeSet<u64> = (0..120).map(place).collect();
        assert!(places.into_iter().eq(1..=120));
        let faults: BTreeSet<String> =
            (0..108 * 60).map(|number| format!("{:?}", Fault::of(number))).collect();
        assert_eq!(faults.len(), 108 * 60);
    }
}
