//! Starting a worker, listening to it, and ending it.

use super::report::Line;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a worker is sent to do.
#[derive(Debug)]
pub(crate) struct Errand<'a> {
    pub(crate) store: &'a Path,
    pub(crate) seed: u64,
    pub(crate) cycle: u32,
    pub(crate) threads: u32,
    /// Of each thread.
    pub(crate) operations: u32,
    /// Operations of earlier workers to do again.
    pub(crate) again: Vec<String>,
}

/// A worker at work.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    lines: Receiver<Line>,
    heard: Vec<Line>,
    errors: Option<JoinHandle<String>>,
}

/// A worker that is no more.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(super) lines: Vec<Line>,
    /// What it said on standard error.
    pub(crate) errors: String,
    /// None if it took too long and was killed.
    pub(crate) status: Option<ExitStatus>,
}

impl Errand<'_> {
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["worker".into(), "--store".into()];
        arguments.push(self.store.into());
        let numbers = [
            ("--seed", self.seed),
            ("--cycle", self.cycle.into()),
            ("--threads", self.threads.into()),
            ("--operations", self.operations.into()),
        ];
        for (name, number) in numbers {
            arguments.extend([name.into(), number.to_string().into()]);
        }
        if !self.again.is_empty() {
            arguments.extend(["--again".into(), self.again.join(",").into()]);
        }
        arguments
    }
}

impl Child {
    /// Starts a worker: this very program, run by `runner` if one is named.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(errand: &Errand<'_>, runner: &[OsString]) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut words = runner.iter().cloned().chain([program.into()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(errand.arguments());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn()?;
        let (sender, lines) = channel();
        let output = process.stdout.take();
        // Listening may not wait for whoever asks, or a full pipe would slow the worker down.
        std::thread::Builder::new().name("listen".into()).spawn(move || {
            let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
            for line in lines.map_while(Result::ok).filter_map(|line| line.parse().ok()) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        })?;
        let errors = process.stderr.take();
        let errors = std::thread::Builder::new().name("errors".into()).spawn(move || {
            let mut bytes = Vec::new();
            errors.into_iter().for_each(|mut errors| drop(errors.read_to_end(&mut bytes)));
            String::from_utf8_lossy(&bytes).into_owned()
        })?;
        Ok(Self { process, lines, heard: Vec::new(), errors: Some(errors) })
    }

    /// Listens for `time`, or until `enough` of a line. False if the worker ended before.
    pub(super) fn listen(&mut self, time: Duration, enough: impl Fn(&Line) -> bool) -> bool {
        let until = now() + time;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(now())) {
                Ok(line) => {
                    let found = enough(&line);
                    self.heard.push(line);
                    if found {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Waits until the store is open, at most for `patience`.
    pub(crate) fn opened(&mut self, patience: Duration) -> bool {
        self.listen(patience, |line| matches!(line, Line::Opened | Line::Failed(_)))
    }

    /// Waits until the store is about to be closed.
    pub(crate) fn closing(&mut self, patience: Duration) -> bool {
        self.listen(patience, |line| matches!(line, Line::Closing | Line::Failed(_)))
    }

    /// Listens for `time`. False if the worker ended before.
    pub(crate) fn pass(&mut self, time: Duration) -> bool {
        self.listen(time, |_| false)
    }

    /// Kills it as `kill -9` does.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn kill(mut self) -> io::Result<Ended> {
        self.process.kill()?;
        self.end()
    }

    /// Waits until it ends by itself; kills it if that takes too long.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn wait(mut self, patience: Duration) -> io::Result<Ended> {
        if self.pass(patience) {
            self.process.kill()?;
            return self.end().map(|ended| Ended { status: None, ..ended });
        }
        self.end()
    }

    fn end(mut self) -> io::Result<Ended> {
        let status = self.process.wait()?;
        // What is left in the pipe was said before the end.
        self.heard.extend(self.lines.iter());
        let errors = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        Ok(Ended { lines: self.heard, errors, status: Some(status) })
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a process may run is not simulated")]
fn now() -> Instant {
    Instant::now()
}
