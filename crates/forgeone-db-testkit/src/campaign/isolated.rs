//! Cases in a process of their own: this program, started again with `--serve`, which takes
//! numbers on standard input, a line each, and answers with a line of JSON.

use super::{Suite, named, run_case};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// A case that takes longer hangs. One of a damaged table of redb's may read 256 MiB of zeros for each of
/// a thousand answers, which takes a minute on a quiet machine.
const CASE_SECONDS_MAX: u64 = 600;
/// Memory that a worker may have used at its worst.
const PEAK_KIB_MAX: u64 = 512 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    result: Result<BTreeMap<String, u64>, String>,
    /// The most memory that the process has ever had resident.
    peak_kib: u64,
}

/// Answers until standard input ends.
pub(super) fn serve(suite: &impl Suite, seed: u64) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let number = line?.parse().map_err(io::Error::other)?;
        let result = run_case(suite, seed, number).map(named);
        let mut answer = serde_json::to_vec(&Answer { result, peak_kib: peak_kib() })?;
        answer.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&answer)?;
        out.flush()?;
    }
    Ok(())
}

/// 0 where the system does not tell.
pub(crate) fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A process that runs cases.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    answers: Receiver<String>,
}

/// Runs a case in the worker, which is started if there is none.
pub(super) fn run(
    worker: &mut Option<Worker>,
    told: &[OsString],
    number: u64,
) -> Result<BTreeMap<String, u64>, String> {
    let result = match worker {
        Some(worker) => worker.run(number),
        None => match Worker::start(told) {
            Ok(started) => worker.insert(started).run(number),
            Err(error) => return Err(format!("no worker could be started: {error}")),
        },
    };
    match result {
        Ok(answer) if answer.peak_kib > PEAK_KIB_MAX => {
            drop(worker.take());
            Err(format!("the process has used {} MiB", answer.peak_kib >> 10))
        }
        Ok(answer) => answer.result,
        Err(lost) => {
            drop(worker.take());
            Err(lost)
        }
    }
}

impl Worker {
    fn start(told: &[OsString]) -> io::Result<Self> {
        // Panics that are caught are no news here; a replay shows them.
        let mut child = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg("--serve")
            .args(told)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (sender, answers) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::Builder::new().name("answers".to_owned()).spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            })?;
        }
        Ok(Self { child, answers })
    }

    /// # Errors
    /// How the process was lost.
    fn run(&mut self, number: u64) -> Result<Answer, String> {
        let asked = self.child.stdin.as_mut().map(|stdin| writeln!(stdin, "{number}"));
        if !matches!(asked, Some(Ok(()))) {
            return Err(self.ended());
        }
        match self.answers.recv_timeout(Duration::from_secs(CASE_SECONDS_MAX)) {
            Ok(line) => serde_json::from_str(&line).map_err(|error| error.to_string()),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("it hangs: no answer after {CASE_SECONDS_MAX} s"))
            }
        }
    }

    fn ended(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => format!("the process ended: {status}"),
            Err(error) => format!("the process is lost: {error}"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may hang, and then does not end by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
