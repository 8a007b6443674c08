//! Campaigns that try to lose, bend or break what a store holds. Each is a suite of numbered
//! cases: seed and number say everything about a case, so a failure is replayed with both, a
//! campaign goes on where it was stopped, and cases run on any number of threads.
//!
//! Absent on purpose: timing. A case passes or fails by what a store answers.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to a person")]

mod campaign;
mod disk;
mod life;
mod process;
mod random;
mod seeded;
mod specimen;
mod suites;

use campaign::Arguments;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use suites::differential::Differential;
use suites::histories::Histories;
use suites::kill::{Kill, KillArguments};

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
    /// No byte of a store's files can be bent without a right answer or an error.
    Bytes(suites::bytes::BytesArguments),
    /// Authentic bytes in the wrong place are noticed.
    Ciphertext(Arguments),
    /// After a power loss at any operation of the disk, what was acknowledged is there.
    Crash(Arguments),
    /// The same, with a second power loss while the store recovers from the first.
    DoubleCrash(Arguments),
    /// What was acknowledged survives `kill -9` at any moment.
    Kill(KillArguments),
    /// Every engine answers as a model of a few maps does.
    Differential(Arguments),
    /// Each call to the operating system that fails is told, and nothing is lost by it.
    Syscalls(Arguments),
    /// What threads saw of settings and subscriptions is explained by one order.
    Histories(Arguments),
    /// What the other suites kill.
    #[command(hide = true)]
    Worker(process::WorkerArguments),
    /// A store under every load at once takes no more memory than it may.
    Memory(Arguments),
    /// The process that `memory` measures.
    #[command(hide = true)]
    MemoryLoad(suites::memory::Load),
    /// A disk that fills up, over and over, loses nothing and needs no restart.
    FullDisk(Arguments),
    /// The process that keeps what `full-disk` was told.
    #[command(hide = true)]
    FullDiskOracle(suites::full_disk::OracleArguments),
    /// The process that `full-disk` has write.
    #[command(hide = true)]
    FullDiskWriter(suites::full_disk::WriterArguments),
    /// Every operation of the disk fails once in every way; no call breaks its word.
    Faults(Arguments),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().suite {
        Suites::Appends(arguments) => campaign::run(&suites::appends::Appends, &arguments),
        Suites::Bytes(arguments) => suites::bytes::run(arguments),
        Suites::Ciphertext(arguments) => suites::ciphertext::run(&arguments),
        Suites::Crash(arguments) => campaign::run(&suites::crash::Crash, &arguments),
        Suites::Faults(arguments) => campaign::run(&suites::faults::Faults, &arguments),
        Suites::DoubleCrash(arguments) => {
            campaign::run(&suites::crash::DoubleCrash::default(), &arguments)
        }
        Suites::Kill(KillArguments { campaign, directory, cli }) => {
            campaign::run(&Kill { directory, cli }, &campaign)
        }
        Suites::Differential(arguments) => campaign::run(&Differential, &arguments),
        Suites::Syscalls(arguments) => suites::syscalls::run(&arguments),
        Suites::Histories(arguments) => campaign::run(&Histories, &arguments),
        Suites::Worker(arguments) => return process::work(&arguments),
        Suites::Memory(arguments) => campaign::run(&suites::memory::Memory, &arguments),
        Suites::FullDisk(arguments) => campaign::run(&suites::full_disk::FullDisk, &arguments),
        Suites::FullDiskOracle(arguments) => {
            suites::full_disk::oracle(&arguments).map(|()| true).map_err(std::io::Error::other)
        }
        Suites::FullDiskWriter(arguments) => {
            suites::full_disk::write(&arguments).map(|()| true).map_err(std::io::Error::other)
        }
        Suites::MemoryLoad(arguments) => {
            suites::memory::load(&arguments).map(|()| true).map_err(std::io::Error::other)
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
