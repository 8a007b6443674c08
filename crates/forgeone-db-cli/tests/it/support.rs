//! Stores in temporary directories, and the binary run on them.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Generous: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with a key file, in which stores are made.
pub(crate) struct Home {
    directory: TempDir,
}

/// A finished run.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    /// A directory without a store.
    pub(crate) fn empty() -> Self {
        let home = Self { directory: TempDir::new().unwrap() };
        write_key(&home.key(), 7);
        home
    }

    /// A directory with an encrypted store.
    pub(crate) fn new() -> Self {
        let home = Self::empty();
        home.run(&["init", "--shards", "2"], "").ok();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.path("key")
    }

    /// The binary with nothing in its environment, no directory and no key.
    pub(crate) fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forgeone-db"));
        for variable in
            ["FORGEONE_DB_DIR", "FORGEONE_DB_KEY", "FORGEONE_DB_KEY_FILE", "FORGEONE_DB_MEMORY_MAX"]
        {
            command.env_remove(variable);
        }
        command.args(args).current_dir(self.directory.path());
        command
    }

    /// The binary on this store, with its key.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(args);
        command.env("FORGEONE_DB_DIR", self.store()).env("FORGEONE_DB_KEY_FILE", self.key());
        command
    }

    pub(crate) fn run(&self, args: &[&str], input: &str) -> Run {
        run(self.command(args), input.as_bytes())
    }

    /// The lines of JSON that a command prints.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<serde_json::Value> {
        let mut all = vec!["--json"];
        all.extend_from_slice(args);
        json(&self.run(&all, "").ok().out)
    }

    /// Starts the binary on this store with pipes on all sides.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::new(self.command(args))
    }
}

pub(crate) fn json(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn write_key(path: &Path, byte: u8) {
    let hex = format!("{byte:02x}").repeat(32);
    fs::write(path, format!("forgeone-db key file v1 raw\n{hex}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn run(mut command: Command, input: &[u8]) -> Run {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that ends early reads no further.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.into()
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.code(0)
    }

    /// Checks the code, and that a failure has one line and a hint.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "out: {}\nerr: {}", self.out, self.err);
        if code != 0 && code != 2 {
            let last: Vec<&str> = self.err.lines().rev().take(2).collect();
            assert!(last[0].starts_with("hint: "), "{}", self.err);
            assert!(last[1].starts_with("error: "), "{}", self.err);
        }
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "expected {text:?} in: {}", self.err);
        self
    }
}

/// A program at work.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn new(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let lines = lines_of(child.stdout.take().unwrap());
        Self { child, stdin, lines }
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The next line of output.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line of output")
    }

    /// A line, if there is one at once or soon.
    pub(crate) fn line_within(&self, wait: Duration) -> Option<String> {
        self.lines.recv_timeout(wait).ok()
    }

    /// All lines until the program closes its output.
    pub(crate) fn rest(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Closes its input and waits for it.
    pub(crate) fn finish(mut self) -> Run {
        drop(self.stdin.take());
        let out = self.rest().iter().fold(String::new(), |out, line| out + line + "\n");
        let output = self.child.wait_with_output().unwrap();
        Run { out, ..output.into() }
    }
}

fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Name and content of every file below a directory.
pub(crate) fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        files.push((path.clone(), fs::read(&path).unwrap()));
    }
    files.sort();
    files
}

/// `count` records of NDJSON with the payloads `prefix0`, `prefix1` ...
pub(crate) fn records(prefix: &str, count: usize) -> String {
    (0..count).fold(String::new(), |text, number| {
        text + &format!("{{\"payload\":\"{prefix}{number}\"}}\n")
    })
}
