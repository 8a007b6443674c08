//! Campaigns that try to lose, bend or break what a store holds. Each is a suite of numbered
//! cases: seed and number say everything about a case, so a failure is replayed with both, a
//! campaign goes on where it was stopped, and cases run on any number of threads.
//!
//! Absent on purpose: timing. A case passes or fails by what a store answers.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to a person")]

mod campaign;
#[expect(unused, reason = "faults and bent images have no suite yet")]
mod disk;
mod life;
mod random;
mod suites;

use campaign::Arguments;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Tries to lose, bend or break what a store holds.
#[derive(Debug, Parser)]
#[command(name = "forgeone-db-testkit", version)]
struct Cli {
    #[command(subcommand)]
    suite: Suites,
}

/// The suites. A new one is a variant here, an arm in `main`, and a module in `suites`.
#[derive(Debug, Subcommand)]
enum Suites {
    /// Concurrent appends are dense, in order, and found by whoever reads.
    Appends(Arguments),
    /// After a power loss at any operation of the disk, what was acknowledged is there.
    Crash(Arguments),
    /// The same, with a second power loss while the store recovers from the first.
    DoubleCrash(Arguments),
    /// Every operation of the disk fails once in every way; no call breaks its word.
    Faults(Arguments),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().suite {
        Suites::Appends(arguments) => campaign::run(&suites::appends::Appends, &arguments),
        Suites::Crash(arguments) => campaign::run(&suites::crash::Crash, &arguments),
        Suites::Faults(arguments) => campaign::run(&suites::faults::Faults, &arguments),
        Suites::DoubleCrash(arguments) => {
            campaign::run(&suites::crash::DoubleCrash::default(), &arguments)
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
