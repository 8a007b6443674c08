//! The project's own tasks, run as `cargo xtask <task>`.
//!
//! Absent on purpose: dependencies, so that building the tasks costs nothing, and anything that
//! `cargo` does by itself.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to a person")]

mod ci;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask TASK

Tasks:
  ci [--keep-going]   everything but `cargo test --workspace`: formatting, clippy, tidy, docs,
                      dependencies, longer suites; stops at the first failure
  tidy                the rules that STYLE.md explains and no other tool checks

Exit codes: 0 ok, 1 something failed, 2 usage
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let passed = match words.as_slice() {
        ["ci"] => ci::run(&root(), ci::AfterFailure::Stop),
        ["ci", "--keep-going"] => ci::run(&root(), ci::AfterFailure::KeepGoing),
        ["tidy"] => tidy::run(&root()),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            true
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The workspace: the folder above this crate. As cargo says now and not as it was when this was
/// built: working copies that share a build folder share this program.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}
