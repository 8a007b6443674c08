//! What the system gives a process: files, memory, clocks.

use super::report::Report;
use crate::exit::Failure;
use crate::output::{Bytes, Shown};
use crate::time::moment;
use chrono::Datelike as _;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// The least that a file of a store needs to grow to.
const FILE_BYTES_MIN: u64 = 64 << 20;
/// Enough for the probe.
const PROBE_BYTES: u64 = 1 << 20;
/// Files of one database: its own, and one while it is made or read by another handle.
const FILES_EACH: u64 = 2;
/// Files of a process besides: directory, lock, key, small files, pipes.
const FILES_BESIDE: u64 = 32;
/// Databases of a new store: the system's, and four of each kind.
const DATABASES_USUAL: u64 = 9;
/// What deriving a key from a passphrase takes, and the caches beside it.
const MEMORY_KEY_BYTES: u64 = 64 << 20;
const MEMORY_COMFORT_BYTES: u64 = 256 << 20;
/// How far a clock may jump before it is worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);
const FUTURE_TOLERANCE: Duration = Duration::from_mins(2);

/// Whether the limit on a file's size leaves room for the probe. The system ends whoever exceeds
/// it, without a word.
pub(super) fn file_size(report: &mut Report) -> Result<bool, Failure> {
    const CHECK: &str = "file_size";
    const REMEDY: &str = "run: ulimit -f unlimited, or LimitFSIZE=infinity for a service";
    match getrlimit(Resource::Fsize).current {
        None => report.ok(CHECK, "files may grow without a limit").map(|()| true),
        Some(bytes) => {
            let detail = format!(
                "a file may have {} at most; the system ends whoever writes more",
                Bytes(bytes)
            );
            if bytes < FILE_BYTES_MIN {
                report.fail(CHECK, detail, REMEDY)?;
            } else {
                report.warn(CHECK, detail, REMEDY)?;
            }
            Ok(bytes >= PROBE_BYTES)
        }
    }
}

/// `inherited` is the limit that this process was started with, before it forbade itself core files.
pub(super) fn core_files(report: &mut Report, inherited: Option<u64>) -> Result<(), Failure> {
    const CHECK: &str = "core_files";
    if inherited == Some(0) {
        return report.ok(CHECK, "no core files are written");
    }
    report.info(
        CHECK,
        "programs may leave core files, in which keys could lie; this one does not: for a program \
         with the library in it, run: ulimit -c 0",
    )
}

/// `databases` is how many the store has, if that is known.
pub(super) fn open_files(report: &mut Report, databases: Option<u64>) -> Result<(), Failure> {
    const CHECK: &str = "open_files";
    let databases = databases.unwrap_or(DATABASES_USUAL);
    let needed = databases.saturating_mul(FILES_EACH).saturating_add(FILES_BESIDE);
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => report.fail(
            CHECK,
            format!("{limit} open files are allowed, and {databases} databases need {needed}"),
            format!("run: ulimit -n {needed}, or LimitNOFILE={needed} for a service"),
        ),
        Some(limit) => report.ok(CHECK, format!("{limit} allowed, {needed} needed")),
        None => report.ok(CHECK, format!("no limit, {needed} needed")),
    }
}

pub(super) fn memory(report: &mut Report) -> Result<(), Failure> {
    const CHECK: &str = "memory";
    let Some(bytes) = available_memory() else {
        return report.info(CHECK, "the system does not tell how much is available");
    };
    let detail =
        format!("{} available; a passphrase takes {}", Bytes(bytes), Bytes(MEMORY_KEY_BYTES));
    match bytes {
        0..MEMORY_KEY_BYTES => report.fail(CHECK, detail, "free memory, or use a raw key"),
        MEMORY_KEY_BYTES..MEMORY_COMFORT_BYTES => report.warn(CHECK, detail, "free memory"),
        _ => report.ok(CHECK, detail),
    }
}

/// What the machine has left, or the control group if that is less.
fn available_memory() -> Option<u64> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
    });
    let group = number("/sys/fs/cgroup/memory.max")
        .map(|limit| limit.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    machine.into_iter().chain(group).min()
}

/// Both clocks at one moment.
pub(super) struct Clocks {
    wall: SystemTime,
    steady: Instant,
}

impl Clocks {
    pub(super) fn now() -> Self {
        Self { wall: SystemTime::now(), steady: Instant::now() }
    }

    /// Whether the clock shows a plausible time, went as the steady one did since, and is not
    /// behind what the store's files say.
    pub(super) fn check(&self, report: &mut Report, directory: &Path) -> Result<(), Failure> {
        const CHECK: &str = "clock";
        const REMEDY: &str = "set the clock, and keep it set over the network";
        let now = SystemTime::now();
        let shown = moment(now);
        let detail = format!("it is {}", shown.format("%FT%TZ"));
        if !(2025..2100).contains(&shown.year()) {
            return report.fail(CHECK, detail, REMEDY);
        }
        let steady = self.steady.elapsed();
        let wall = now.duration_since(self.wall).unwrap_or_default();
        if wall.abs_diff(steady) > CLOCK_TOLERANCE {
            return report.warn(CHECK, format!("{detail}, and it jumped meanwhile"), REMEDY);
        }
        match newest(directory) {
            Some((newest, path)) if newest > now.checked_add(FUTURE_TOLERANCE).unwrap_or(now) => {
                let ahead = moment(newest).format("%FT%TZ");
                let detail = format!("{detail}, and {} is of {ahead}", Shown(&path));
                report.warn(CHECK, detail, "set the clock: events would be older than those stored")
            }
            _ => report.ok(CHECK, detail),
        }
    }
}

/// The file in the store that was written last.
fn newest(directory: &Path) -> Option<(SystemTime, std::path::PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).max()
}
