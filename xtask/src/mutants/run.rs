//! Building what the mistakes are in, and running one test or suite of it.

use super::now;
use super::table::{Probe, Program};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// A mistake may make a test wait for ever.
const PROBE_TIME_MAX: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Relative to the workspace, so that the ordinary build stays as it is.
const TARGET: &str = "target/mutants";

/// How a test or suite ended.
#[derive(Debug)]
pub(super) enum Verdict {
    Passed,
    /// The test that failed, or the whole suite.
    Failed(String),
    TimedOut,
}

/// Everything that was built, ready to run.
pub(super) struct Programs {
    root: PathBuf,
    built: Vec<(Program, PathBuf)>,
}

impl Programs {
    /// Builds the tests and suites with the mistakes in them: in one go, because each choice of
    /// packages has its own features and would build everything anew.
    pub(super) fn build(root: &Path) -> Option<Self> {
        let packages = ["forgeone-db-engine", "forgeone-db", "forgeone-db-cli"];
        let packages = packages.iter().chain(&["forgeone-db-testkit"]);
        let packages = packages.flat_map(|package| ["--package", package]);
        let args: Vec<&str> =
            ["test", "--no-run", "--message-format=json"].into_iter().chain(packages).collect();
        let output = cargo(root, &args)?;
        let mut built = Vec::new();
        for program in Program::ALL {
            let found = executable(&output, &format!("/{}", program.source()));
            if found.is_none() {
                println!("cargo did not name the program of {program:?}");
            }
            built.push((program, PathBuf::from(found?)));
        }
        let testkit = root.join(TARGET).join("debug/forgeone-db-testkit");
        built.push((Program::Testkit, testkit));
        let manifest = "interleavings/Cargo.toml";
        cargo(root, &["build", "--manifest-path", manifest, "--features", "loom"])?;
        let loom = root.join(TARGET).join("debug/forgeone-db-interleavings");
        built.push((Program::Loom, loom));
        Some(Self { root: root.to_owned(), built })
    }

    fn path(&self, program: Program) -> Option<&Path> {
        let mut built = self.built.iter();
        built.find(|(one, _)| *one == program).map(|(_, path)| path.as_path())
    }
}

/// Runs cargo with mistakes switched on; gives what it said.
fn cargo(root: &Path, args: &[&str]) -> Option<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    println!("$ RUSTFLAGS='--cfg mutants' cargo {} --target-dir {TARGET}", args.join(" "));
    let output = Command::new(cargo)
        .args(args)
        .args(["--locked", "--target-dir", TARGET])
        .env("RUSTFLAGS", "--cfg mutants")
        .current_dir(root)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            println!("{}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            println!("cargo could not be started: {error}");
            None
        }
    }
}

/// The test program that was made from `source`, in cargo's messages.
fn executable<'a>(output: &'a str, source: &str) -> Option<&'a str> {
    let source = format!("{source}\"");
    let is_own = |line: &&str| field(line, "src_path").is_some() && line.contains(&source);
    output.lines().filter(is_own).find_map(|line| field(line, "executable"))
}

/// A text in a message of cargo's. Paths here have nothing that JSON would escape.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
    rest.split('"').next()
}

/// Runs a test or suite, with a mistake or without.
pub(super) fn run(programs: &Programs, probe: Probe, mutant: Option<&str>) -> Verdict {
    let output = programs.root.join(TARGET).join("probe-output");
    match try_run(programs, probe, mutant, &output) {
        Ok(Some(status)) if status.success() => Verdict::Passed,
        Ok(Some(_)) => Verdict::Failed(failed_test(&output).unwrap_or_else(|| probe.to_string())),
        Ok(None) => Verdict::TimedOut,
        Err(error) => {
            println!("  {probe} could not be run: {error}");
            Verdict::Passed
        }
    }
}

/// `None` when it did not end in time.
fn try_run(
    programs: &Programs,
    probe: Probe,
    mutant: Option<&str>,
    output: &Path,
) -> io::Result<Option<ExitStatus>> {
    let path = programs.path(probe.program).ok_or(io::ErrorKind::NotFound)?;
    let said = File::create(output)?;
    let mut command = Command::new(path);
    command
        .args(probe.args())
        .current_dir(programs.root.join(probe.program.folder()))
        // A test may start children; they end with it.
        .process_group(0)
        // What a mistake makes fail is no case to keep.
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
        .stdin(Stdio::null())
        .stderr(said.try_clone()?)
        .stdout(said);
    if let Some(mutant) = mutant {
        command.env("FORGEONE_MUTANT", mutant);
    }
    let mut child = command.spawn()?;
    let elapsed = now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if elapsed() > PROBE_TIME_MAX {
            end_group(child.id());
            child.wait()?;
            return Ok(None);
        }
        pause();
    }
}

/// Ends the test's process group: the test and what it has started.
fn end_group(leader: u32) {
    let ended = Command::new("kill").args(["-KILL", "--", &format!("-{leader}")]).status();
    if let Err(error) = ended {
        println!("  a test that does not end could not be ended: {error}");
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for another process")]
fn pause() {
    std::thread::sleep(POLL_INTERVAL);
}

/// The first test that the output calls failed.
fn failed_test(output: &Path) -> Option<String> {
    let bytes = std::fs::read(output).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let mut failed = text.lines().filter_map(|line| line.strip_suffix(" ... FAILED"));
    failed.next()?.strip_prefix("test ").map(str::to_owned)
}
