//! What the machine is, without names, and what a process takes of it.

use crate::Result;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// Cores, memory and file system.
pub(crate) fn describe(dir: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal:");
    let gib = (memory + (512 << 10)) >> 20;
    format!("{cores} cores, {gib} GiB of memory, {}, {}", file_system(dir), std::env::consts::ARCH)
}

/// The type of the file system that `dir` lies on.
fn file_system(dir: &Path) -> String {
    let Ok(dir) = dir.canonicalize() else { return "an unknown file system".into() };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut best = (0, "an unknown file system");
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        if let (Some(point), Some(kind)) = (words.next(), words.next())
            && dir.starts_with(point)
            && point.len() >= best.0
        {
            best = (point.len(), kind);
        }
    }
    best.1.to_owned()
}

/// A number of KiB from a file of the kernel's; 0 if it is not there.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// The most memory that this process has had resident so far, in bytes.
pub(crate) fn peak_memory() -> u64 {
    field(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmHWM:") << 10
}

/// The memory that this process has resident, in bytes.
pub(crate) fn memory() -> u64 {
    field(&fs::read_to_string("/proc/self/status").unwrap_or_default(), "VmRSS:") << 10
}

/// The time that all threads of this process have had on a core so far, to about 10 ms.
pub(crate) fn cpu_time() -> Duration {
    /// Ticks a second: the same on every Linux that this runs on.
    const TICKS: u64 = 100;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses, which may hold blanks.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let spent = after.split_whitespace().skip(11).take(2);
    let ticks: u64 = spent.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// What all files below a directory take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// Bytes allocated.
    pub(crate) allocated: u64,
    /// Lengths, one after another.
    pub(crate) length: u64,
}

impl Size {
    pub(crate) fn of(dir: &Path) -> Result<Self> {
        let mut sum = Self::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let size = if metadata.is_dir() {
                Self::of(&entry.path())?
            } else {
                Self { allocated: metadata.blocks() * 512, length: metadata.len() }
            };
            sum.allocated += size.allocated;
            sum.length += size.length;
        }
        Ok(sum)
    }
}
