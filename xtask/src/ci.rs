//! `cargo xtask ci`: every check but the plain tests, each step with its duration.

use crate::tidy::{self, Tree};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What to do once a step has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// End there.
    Stop,
    /// Run the other steps too.
    KeepGoing,
}

/// One cargo command.
struct Step {
    name: &'static str,
    args: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
}

const BEFORE_TIDY: &[Step] = &[
    Step { name: "formatting", args: &["fmt", "--all", "--check"], env: &[] },
    Step {
        name: "clippy",
        args: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        env: &[],
    },
];

const AFTER_TIDY: &[Step] = &[
    Step {
        name: "documentation",
        args: &["doc", "--workspace", "--no-deps", "--locked"],
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    // Not advisories: their database lives elsewhere and would be fetched.
    Step {
        name: "dependencies",
        args: &["deny", "--locked", "check", "bans", "licenses", "sources"],
        env: &[],
    },
];

/// The longer suites: add one as a line. Each says in its name what it proves, prints the seed of
/// a failure, and ends within a few minutes on two cores.
const LONGER_SUITES: &[Step] = &[
    Step {
        name: "records survive the JSON round trip, 2,000 cases",
        args: &["test", "--package", "forgeone-db", "--lib", "--locked", "model::tests::json"],
        env: &[("PROPTEST_CASES", "2000")],
    },
    Step {
        name: "a store does what a few maps do, 80 random lives",
        args: &["test", "--package", "forgeone-db", "--test", "it", "--locked", "model::"],
        env: &[("FORGEONE_MODEL_RUNS", "80")],
    },
    Step {
        name: "a search finds what looking at every line finds, 300 random lives",
        args: &["test", "--package", "forgeone-db", "--test", "it", "--locked", "a_search_finds"],
        env: &[("FORGEONE_MODEL_RUNS", "300")],
    },
    Step {
        name: "a change of keys may be killed at any moment, 40 kills of each kind",
        args: &["test", "--package", "forgeone-db", "--test", "it", "--locked", "rotation_crash"],
        env: &[("FORGEONE_DB_KILLS", "40")],
    },
    Step {
        name: "example first_store",
        args: &["run", "--package", "forgeone-db", "--locked", "--example", "first_store"],
        env: &[],
    },
    Step {
        name: "example typed_events",
        args: &["run", "--package", "forgeone-db", "--locked", "--example", "typed_events"],
        env: &[],
    },
    Step {
        name: "example follow",
        args: &["run", "--package", "forgeone-db", "--locked", "--example", "follow"],
        env: &[],
    },
    Step {
        name: "example find",
        args: &["run", "--package", "forgeone-db", "--locked", "--example", "find"],
        env: &[],
    },
    Step {
        name: "example own_logs",
        args: &["run", "--package", "forgeone-db-tracing", "--locked", "--example", "own_logs"],
        env: &[],
    },
    Step {
        name: "the benchmarks run and read back what they wrote",
        args: &["run", "--release", "--package", "forgeone-db-bench", "--locked", "--", "--quick"],
        env: &[],
    },
];

/// The suites of the test kit and what runs beside it, each as `cargo xtask` takes it. The sizes are
/// for every change; the campaigns that `docs/reliability.md` reports are the same with larger ones.
const CAMPAIGNS: &[&[&str]] = &[
    &["crash", "--size", "60000"],
    &["double-crash", "--size", "20000"],
    &["faults", "--size", "23000"],
    &["bytes", "--size", "1000000", "--step", "8"],
    &["ciphertext", "--size", "20000"],
    &["kill", "--size", "200"],
    &["kill", "--cli", "--size", "100"],
    &["differential", "--size", "1000000"],
    &["histories", "--size", "20000"],
    &["syscalls", "--size", "150"],
    &["full-disk", "--size", "100"],
    &["memory", "--size", "1"],
    &["loom"],
    &["shuttle", "--size", "10000"],
    &["mutants"],
    &["fuzz", "--seconds", "30"],
];

/// Runs every step. True if all passed.
pub(crate) fn run(root: &Path, after_failure: AfterFailure) -> bool {
    let mut report = Report { lines: Vec::new(), failed: 0, after_failure };
    let completed = all_steps(root, &mut report);
    println!("\n==> summary");
    for line in &report.lines {
        println!("{line}");
    }
    if completed.is_none() {
        println!("stopped at the first failure; --keep-going runs the other steps too");
    }
    report.failed == 0
}

/// `None` when stopped before the last step.
fn all_steps(root: &Path, report: &mut Report) -> Option<()> {
    for step in BEFORE_TIDY {
        report.step(step.name, || cargo(root, step.args, step.env))?;
    }
    for package in packages_with_default_features(root) {
        let args = ["clippy", "--package", &package, "--all-targets", "--no-default-features"];
        let args: Vec<&str> =
            args.into_iter().chain(["--locked", "--", "-D", "warnings"]).collect();
        let name = format!("clippy, {package} without default features");
        report.step(&name, || cargo(root, &args, &[]))?;
    }
    report.step("tidy", || tidy::run(root))?;
    for step in AFTER_TIDY.iter().chain(LONGER_SUITES) {
        report.step(step.name, || cargo(root, step.args, step.env))?;
    }
    for words in CAMPAIGNS {
        report.step(&words.join(" "), || crate::run(root, words).unwrap_or(false))?;
    }
    Some(())
}

struct Report {
    lines: Vec<String>,
    failed: usize,
    after_failure: AfterFailure,
}

impl Report {
    /// Runs one step. `None` when the run is to stop.
    fn step(&mut self, name: &str, work: impl FnOnce() -> bool) -> Option<()> {
        println!("\n==> {name}");
        let started = now();
        let passed = work();
        let verdict = if passed { "ok    " } else { "FAILED" };
        let line = format!("{verdict} {:>7.1} s  {name}", started().as_secs_f64());
        println!("{line}");
        self.lines.push(line);
        self.failed += usize::from(!passed);
        (passed || self.after_failure == AfterFailure::KeepGoing).then_some(())
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a step takes is not simulated")]
fn now() -> impl Fn() -> Duration {
    let started = Instant::now();
    move || started.elapsed()
}

pub(crate) fn cargo(root: &Path, args: &[&str], env: &[(&str, &str)]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    println!("$ cargo {}", args.join(" "));
    match Command::new(cargo).args(args).envs(env.iter().copied()).current_dir(root).status() {
        Ok(status) => status.success(),
        Err(error) => {
            println!("cargo could not be started: {error}");
            false
        }
    }
}

/// Only a package with default features is another program without them.
fn packages_with_default_features(root: &Path) -> Vec<String> {
    let Ok(tree) = Tree::load(root) else { return Vec::new() };
    let manifests = tree.files().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests
        .filter(|file| {
            let features = tidy::toml_section(file.text, "[features]");
            features.into_iter().any(|line| line.starts_with("default ="))
        })
        .filter_map(|file| file.path.rsplit('/').nth(1).map(str::to_owned))
        .collect()
}
