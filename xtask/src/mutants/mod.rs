//! `cargo xtask mutants`: deliberate mistakes in the product, one at a time, to show that the tests
//! notice them.
//!
//! Everything is built once with `--cfg mutants`, in a target folder of its own; the environment
//! then chooses the mistake. First the tests that are to notice something run without a mistake:
//! were they failing anyway, they would prove nothing. Then each mistake runs them until one fails;
//! one that none of its own tests notices meets the wider suites, and failing that has survived.

mod run;
mod table;

use run::{Programs, Verdict, run};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use table::{MUTANTS, Mutant, Probe, WIDER};

/// Runs all mistakes, or the one called `name`. True if every one was caught.
pub(crate) fn check(root: &Path, name: Option<&str>) -> bool {
    let chosen: Vec<&Mutant> =
        MUTANTS.iter().filter(|mutant| name.is_none_or(|name| name == mutant.name)).collect();
    if chosen.is_empty() {
        println!("there is no such mutant; the names are in xtask/src/mutants/table.rs");
        return false;
    }
    if !names_agree(root) {
        return false;
    }
    let Some(programs) = Programs::build(root) else { return false };
    sound_without_mistakes(&programs, &chosen) && all_caught(&programs, &chosen)
}

/// Every mistake in the sources has a row in the table, and every row a mistake.
fn names_agree(root: &Path) -> bool {
    let in_sources = match table::names_in_sources(root) {
        Ok(names) => names,
        Err(error) => {
            println!("the sources cannot be read: {error}");
            return false;
        }
    };
    let in_table: BTreeSet<String> = MUTANTS.iter().map(|mutant| mutant.name.to_owned()).collect();
    let different: Vec<&String> = in_sources.symmetric_difference(&in_table).collect();
    if !different.is_empty() {
        println!("in the sources or in the table, but not in both: {different:?}");
    }
    different.is_empty()
}

fn sound_without_mistakes(programs: &Programs, chosen: &[&Mutant]) -> bool {
    let probes: BTreeSet<Probe> = chosen.iter().flat_map(|mutant| mutant.probes).copied().collect();
    println!("{} tests and suites without a mistake:", probes.len());
    let mut sound = true;
    for probe in probes {
        let verdict = run(programs, probe, None);
        if !matches!(verdict, Verdict::Passed) {
            println!("  {probe} fails without any mistake: {verdict:?}");
            sound = false;
        }
    }
    sound
}

fn all_caught(programs: &Programs, chosen: &[&Mutant]) -> bool {
    println!("| mistake | in the code | caught by | s |\n| --- | --- | --- | --- |");
    let mut survivors = Vec::new();
    let begun = now();
    for mutant in chosen {
        let started = now();
        let caught = catch(programs, mutant);
        let seconds = started().as_secs_f64();
        let by = caught.as_deref().unwrap_or("**nothing**");
        println!("| {} | `{}` | {by} | {seconds:.1} |", mutant.mistake, mutant.name);
        if caught.is_none() {
            survivors.push(mutant.name);
        }
    }
    let seconds = begun().as_secs();
    println!("{} mistakes, {} survived, {seconds} s", chosen.len(), survivors.len());
    for name in &survivors {
        println!("survived: {name}; replay: cargo xtask mutants {name}");
    }
    survivors.is_empty()
}

/// What notices the mistake, if anything does.
fn catch(programs: &Programs, mutant: &Mutant) -> Option<String> {
    for probe in mutant.probes {
        match run(programs, *probe, Some(mutant.name)) {
            Verdict::Passed => {}
            Verdict::Failed(test) => return Some(format!("`{test}`")),
            // It has ended without a mistake.
            Verdict::TimedOut => return Some(format!("`{probe}`, which does not end")),
        }
    }
    WIDER.iter().find_map(|probe| match run(programs, *probe, Some(mutant.name)) {
        Verdict::Failed(test) => Some(format!("`{test}` (none of its own tests)")),
        Verdict::Passed | Verdict::TimedOut => None,
    })
}

#[expect(clippy::disallowed_methods, reason = "how long a test takes is not simulated")]
fn now() -> impl Fn() -> Duration {
    let started = Instant::now();
    move || started.elapsed()
}
