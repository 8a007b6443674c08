//! The project's own tasks, run as `cargo xtask <task>`.
//!
//! Absent on purpose: dependencies, so that building the tasks costs nothing, and anything that
//! `cargo` does by itself.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to a person")]

mod campaign;
mod ci;
mod fuzz;
mod interleavings;
mod mutants;
mod nonces;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const TASKS: &str = "\
Usage: cargo xtask TASK

Tasks:
  ci [--keep-going]   everything but `cargo test --workspace`: formatting, clippy, tidy, docs,
                      dependencies, longer suites; stops at the first failure
  tidy                the rules that STYLE.md explains and no other tool checks
  fuzz [TARGET ...] [--seconds N | --runs N] [--jobs N] | fuzz --seeds
                      feeds every decoder, whole stores and a model with inputs of chance
  loom | shuttle [--size N]
                      every interleaving of few threads, or many of more, of the hand-over
                      between callers and the committer
  nonces [--size N]   no salt is drawn twice in so many seals, and no key stream used twice
  mutants [NAME]      makes mistakes in the product, one at a time: every one must fail a test

Campaigns, each with --size, --seed, --case, --jobs, --minutes, --state FILE; see SUITE --help:
";
const EXIT_CODES: &str = "
Exit codes: 0 ok, 1 something failed, 2 usage
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&root(), &words) {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprint!("{}", help());
            ExitCode::from(2)
        }
    }
}

/// Runs a task. True if it passed; none if there is no such task.
fn run(root: &Path, words: &[&str]) -> Option<bool> {
    Some(match words {
        ["ci"] => ci::run(root, ci::AfterFailure::Stop),
        ["ci", "--keep-going"] => ci::run(root, ci::AfterFailure::KeepGoing),
        ["tidy"] => tidy::run(root),
        ["fuzz", rest @ ..] => fuzz::run(root, rest),
        [checker @ ("loom" | "shuttle"), rest @ ..] => interleavings::run(root, checker, rest),
        ["nonces", rest @ ..] => nonces::run(root, rest),
        ["mutants"] => mutants::check(root, None),
        ["mutants", name] => mutants::check(root, Some(name)),
        [suite, ..] if campaign::is_suite(suite) => campaign::run(root, words),
        ["help" | "--help" | "-h"] => {
            print!("{}", help());
            true
        }
        _ => return None,
    })
}

fn help() -> String {
    let suites = campaign::SUITES.iter().map(|(name, what)| format!("  {name:<19} {what}\n"));
    TASKS.to_owned() + &suites.collect::<String>() + EXIT_CODES
}

/// The workspace: the folder above this crate. As cargo says now and not as it was when this was
/// built: working copies that share a build folder share this program.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}
