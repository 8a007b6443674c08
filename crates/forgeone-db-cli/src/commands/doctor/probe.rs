//! Whether the file system does what it is asked: syncs, renames and locks, tried on a file of its
//! own that is removed again.

use super::report::Report;
use crate::exit::{Exit, Failure};
use crate::output::Shown;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 11;
/// Longer than this is not tried, but for one round.
const TIME_MAX: Duration = Duration::from_secs(3);
const BLOCK: [u8; 4096] = [0x5a; 4096];
/// No medium that keeps its content without power is as fast.
const SUSPICIOUSLY_FAST: Duration = Duration::from_micros(15);
const SLOW: Duration = Duration::from_millis(50);

/// The file that is tried things on. Its name is one that a store ignores.
struct Probe {
    path: PathBuf,
    renamed: PathBuf,
}

impl Drop for Probe {
    fn drop(&mut self) {
        // One of the two is there; a leftover is in nobody's way.
        drop(fs::remove_file(&self.path));
        drop(fs::remove_file(&self.renamed));
    }
}

pub(super) fn run(report: &mut Report, base: &Path) -> Result<(), Failure> {
    let signals = Arc::new(Signals::default());
    let watching = Arc::clone(&signals);
    ctrlc::set_handler(move || watching.raise()).map_err(|error| {
        Failure::new(Exit::Failure, format!("signals cannot be handled: {error}")).hint("try again")
    })?;
    let probed = probe(report, base, &signals.interrupted);
    signals.over.store(true, Ordering::Release);
    if signals.interrupted.load(Ordering::Acquire) {
        return Err(Failure::new(Exit::Failure, "interrupted").hint("start again"));
    }
    probed
}

/// What an interruption does: while there is a file to remove it only raises a flag.
#[derive(Default)]
struct Signals {
    interrupted: AtomicBool,
    over: AtomicBool,
}

impl Signals {
    fn raise(&self) {
        self.interrupted.store(true, Ordering::Release);
        if self.over.load(Ordering::Acquire) {
            // Nothing is left to clean up.
            std::process::exit(Exit::Failure as i32);
        }
    }
}

fn probe(report: &mut Report, base: &Path, interrupted: &AtomicBool) -> Result<(), Failure> {
    let process = std::process::id();
    let probe = Probe {
        path: base.join(format!(".doctor-{process}.new")),
        renamed: base.join(format!(".doctor-{process}-renamed.new")),
    };
    let opened =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&probe.path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => {
            let detail = format!("no file can be made in {}: {error}", Shown(base));
            let remedy = "check who owns the directory, its mode and the disk";
            return report.fail("fsync", detail, remedy);
        }
    };
    locks(report, &probe, &file)?;
    match rounds(&mut file, &probe, base, interrupted) {
        Err(error) => report.fail(
            "fsync",
            format!("a file in {} cannot be written and synced: {error}", Shown(base)),
            "use another directory: a store cannot promise that anything lasts here",
        ),
        Ok(times) => latency(report, times),
    }
}

/// How long a commit of a store would wait for a write and its sync; then a rename and the sync of
/// the directory, as when a keyring is replaced.
fn rounds(
    file: &mut File,
    probe: &Probe,
    base: &Path,
    interrupted: &AtomicBool,
) -> io::Result<Vec<Duration>> {
    let directory = File::open(base)?;
    let mut times = Vec::with_capacity(ROUNDS);
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        times.push(start.elapsed());
        if begin.elapsed() > TIME_MAX || interrupted.load(Ordering::Acquire) {
            break;
        }
    }
    fs::rename(&probe.path, &probe.renamed)?;
    directory.sync_all()?;
    Ok(times)
}

fn latency(report: &mut Report, mut times: Vec<Duration>) -> Result<(), Failure> {
    const CHECK: &str = "fsync";
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let detail = format!(
        "{} syncs of 4 KiB, median {:.3} ms; rename and sync of the directory work",
        times.len(),
        median.as_secs_f64() * 1000.0
    );
    if median < SUSPICIOUSLY_FAST {
        let detail = format!("{detail}; so fast that the medium may not have been asked");
        report.warn(CHECK, detail, "make sure that this place survives a power cut")
    } else if median > SLOW {
        report.warn(
            CHECK,
            detail,
            "each commit waits as long: use a faster disk, or larger batches",
        )
    } else {
        report.ok(CHECK, detail)
    }
}

/// A lock must keep a second one out, and let it in afterwards.
fn locks(report: &mut Report, probe: &Probe, first: &File) -> Result<(), Failure> {
    const CHECK: &str = "locks";
    const REMEDY: &str = "use a local file system: here two writers could meet in one store";
    let tried = File::open(&probe.path).map(|second| {
        let kept_out =
            first.try_lock().is_ok() && matches!(second.try_lock(), Err(TryLockError::WouldBlock));
        kept_out && first.unlock().is_ok() && second.try_lock().is_ok()
    });
    match tried {
        Ok(true) => report.ok(CHECK, "a second lock is refused while the first is held"),
        Ok(false) => report.fail(CHECK, "file locks do not work", REMEDY),
        Err(error) => report.fail(CHECK, format!("file locks cannot be tried: {error}"), REMEDY),
    }
}
