//! The command line of ForgeOne DB.
//!
//! Data goes to standard output, everything else to standard error. What each exit code means is
//! in `exit`, and in the `--help` of every command.

#![expect(
    clippy::disallowed_methods,
    reason = "a program lives in the real world: its clock, its threads, its environment variables"
)]

mod args;
mod commands;
mod exit;
mod hints;
mod input;
mod output;
mod progress;
mod store;
mod time;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::run(args) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
