//! Figures, and how they are told.

use crate::args::Args;
use crate::data::payload_ratio;
use crate::measure::{median, spread};
use crate::{Result, machine};
use serde::Serialize;

/// One figure of one engine, a value for each round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    /// Engine and version.
    pub(crate) engine: String,
    /// What was measured, with sizes.
    pub(crate) what: String,
    /// How many records.
    pub(crate) n: u64,
    pub(crate) durability: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
    pub(crate) median: f64,
}

/// Something that has to hold, and whether it did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Requirement {
    pub(crate) what: String,
    pub(crate) required: String,
    pub(crate) measured: String,
    pub(crate) holds: bool,
}

/// Everything that one run found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    date: String,
    seed: u64,
    rounds: usize,
    quick: bool,
    command: String,
    payload_ratio: f64,
    rows: Vec<Row>,
    requirements: Vec<Requirement>,
    notes: Vec<String>,
}

/// Every write was on the medium before the call returned.
pub(crate) const SYNC: &str = "fsync before return";
/// Nothing was written.
pub(crate) const READ: &str = "read";

impl Report {
    pub(crate) fn new(args: &Args) -> Result<Self> {
        let command = command(std::env::args().skip(1));
        Ok(Self {
            machine: machine::describe(&args.dir),
            date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
            seed: args.seed,
            rounds: args.rounds,
            quick: args.quick,
            command: format!("cargo run --release -p forgeone-db-bench -- {command}"),
            payload_ratio: payload_ratio(args.seed)?,
            rows: Vec::new(),
            requirements: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Adds a figure.
    pub(crate) fn row(&mut self, mut row: Row) {
        row.median = median(&row.values);
        println!("{}", line(&row));
        self.rows.push(row);
    }

    pub(crate) fn require(&mut self, requirement: Requirement) {
        println!("{}: {} ({})", requirement.what, requirement.measured, requirement.required);
        self.requirements.push(requirement);
    }

    pub(crate) fn note(&mut self, note: String) {
        println!("{note}");
        self.notes.push(note);
    }

    pub(crate) fn holds(&self) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds)
    }

    /// The tables.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::from(
            "| workload | engine | what | N | durability | unit | median | least to most |\n\
             |---|---|---|--:|---|---|--:|---|\n",
        );
        for row in &self.rows {
            out.push_str(&line(row));
            out.push('\n');
        }
        if !self.requirements.is_empty() {
            out.push_str("\n| requirement | required | measured | holds |\n|---|---|---|---|\n");
        }
        for requirement in &self.requirements {
            let Requirement { what, required, measured, holds } = requirement;
            let holds = if *holds { "yes" } else { "**no**" };
            out.push_str(&["|", what, "|", required, "|", measured, "|", holds, "|\n"].join(" "));
        }
        if !self.notes.is_empty() {
            out.push('\n');
        }
        for note in &self.notes {
            out.push_str(&["- ", note, "\n"].concat());
        }
        out
    }

    /// The whole page.
    pub(crate) fn document(&self) -> String {
        let quick = if self.quick {
            "**A quick run: it shows that the harness works, and its figures mean nothing.**\n\n"
        } else {
            ""
        };
        format!(
            "# Benchmarks\n\n\
             Written by the benchmark itself; do not edit.\n\n{quick}\
             - Machine: {}. It is shared and noisy: trust ratios within this page, not figures, and\n  \
               compare nothing across pages.\n\
             - Date: {}. Command: `{}`\n\
             - Seed {}; median of {} rounds, in which the engines take turns.\n\
             - Records have payloads of 250 bytes that zstd-1 compresses {:.2} times (1,000 together),\n  \
               random v4 ids, 16 topics, and times a millisecond apart.\n\
             - Every engine syncs before a write returns. ForgeOne DB encrypts unless a row says plain;\n  \
               the others do not encrypt and do not verify what they read.\n\
             - Its clock stops only when no sealing is owed; key derivation is not in any figure.\n\
             - Log lines are real ones, over and over with other digits at the ends of their numbers, where they\n  \
               are there (`--loghub DIR`), else made ones that compress less.\n\
             - After each write workload everything is read back and compared: count, a sum over all\n  \
               fields, and a sample by id. A difference ends the run.\n\n{}",
            self.machine,
            self.date,
            self.command.trim(),
            self.seed,
            self.rounds,
            self.payload_ratio,
            self.markdown()
        )
    }
}

/// The arguments without those that name a place on this machine.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut kept: Vec<String> = Vec::new();
    let mut skip = false;
    for argument in arguments {
        let place = ["--dir", "--loghub", "--json", "--markdown"]
            .iter()
            .any(|name| argument == *name || argument.starts_with(&format!("{name}=")));
        if !skip && !place {
            kept.push(argument.clone());
        }
        skip = place && !argument.contains('=');
    }
    kept.join(" ")
}

fn line(row: &Row) -> String {
    let (least, most) = spread(&row.values);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} to {} |",
        row.workload,
        row.engine,
        row.what,
        grouped(row.n),
        row.durability,
        row.unit,
        number(row.median),
        number(least),
        number(most)
    )
}

/// A number as people read it.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 100.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "figures are positive and far below 2^63"
        )]
        let whole = value.round() as u64;
        grouped(whole)
    } else {
        format!("{value:.2}")
    }
}

/// With commas between thousands.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
