//! Small runs of the suites that start processes: without them a suite that has rotted is noticed
//! by a long campaign only.

#![expect(clippy::unwrap_used, reason = "tests, helpers included")]

use std::process::Command;

/// Runs a suite; it must pass. Gives what it printed.
fn run(words: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_forgeone-db-testkit");
    let output = Command::new(program).args(words).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out
}

#[test]
fn twenty_kills_lose_nothing() {
    let out = run(&["kill", "--size", "1", "--seed", "7", "--jobs", "1"]);
    assert!(out.contains("1 cases") && out.contains("0 failed"), "{out}");
}

#[test]
fn a_few_plans_and_a_few_shapes_are_answered_alike_by_all_engines() {
    let out = run(&["differential", "--size", "3000", "--seed", "7"]);
    assert!(out.contains("0 failed"), "{out}");
}

#[test]
fn a_few_histories_are_explained() {
    let out = run(&["histories", "--size", "1000", "--seed", "7"]);
    assert!(out.contains("0 failed"), "{out}");
}

/// A store that takes more memory than it was given is killed by the system one day, with everything
/// around it: every kind of work at once, at a tenth of the default.
#[test]
fn a_store_under_every_load_at_once_stays_within_its_memory() {
    run(&["memory", "--case", "0"]);
}

/// A disk that fills up must not need a restart, nor cost what was acknowledged: twenty rounds on one of
/// 2 MiB, to the last byte.
#[test]
fn a_disk_of_two_mib_fills_up_twenty_times_and_loses_nothing() {
    let out = run(&["full-disk", "--case", "0"]);
    assert!(out.contains("passed"), "{out}");
}
