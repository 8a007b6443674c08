//! Small runs of the suites that start processes: without them a suite that has rotted is noticed
//! by a long campaign only.

#![expect(clippy::unwrap_used, reason = "tests, helpers included")]

mod memory;

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
