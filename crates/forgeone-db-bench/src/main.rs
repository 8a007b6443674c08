//! Measures ForgeOne DB beside other embedded stores, at equal durability, in alternating rounds.
//!
//! Every workload reads back what it wrote and compares it with what it meant to write, so that a
//! figure never stands for work that was not done. `--quick` does all that with small numbers and
//! says nothing about speed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints a report")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the real clock, and nothing here is simulated"
)]

mod args;
mod data;
mod lines;
mod machine;
mod measure;
mod report;
mod stores;
mod workloads;

use args::{Args, Workload};
use clap::Parser as _;
use report::Report;
use std::process::ExitCode;

/// Whatever goes wrong ends the run, with its text.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run(&Args::parse().settle()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: a requirement was missed; see the table of requirements");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; says whether all requirements held.
fn run(args: &Args) -> Result<bool> {
    std::fs::create_dir_all(&args.dir)?;
    if let Some(child) = &args.memory_child {
        workloads::memory::child(args, child)?;
        return Ok(true);
    }
    let mut report = Report::new(args)?;
    println!("seed {}, {}", args.seed, report.machine);
    for workload in args.workloads() {
        println!("\n== {}", workload.name());
        match workload {
            Workload::Single => workloads::single::run(args, &mut report)?,
            Workload::Batch => workloads::batch::run(args, &mut report)?,
            Workload::Read => workloads::read::run(args, &mut report)?,
            Workload::Loghub => workloads::loghub::run(args, &mut report)?,
            Workload::Logs => workloads::logs::run(args, &mut report)?,
            Workload::Search => workloads::search::run(args, &mut report)?,
            Workload::Memory => workloads::memory::run(args, &mut report)?,
            Workload::Settings => workloads::settings::run(args, &mut report)?,
            Workload::Verify => workloads::verify::run(args, &mut report)?,
        }
    }
    println!("\n{}", report.markdown());
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    if let Some(path) = &args.markdown {
        std::fs::write(path, report.document())?;
    }
    Ok(args.quick || report.holds())
}
