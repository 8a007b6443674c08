//! The test kit as it is started: a suite runs, and what is no suite is wrong usage. Without this, a
//! campaign that does nothing would pass.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::process::{Command, Output};

fn testkit(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_forgeone-db-testkit")).args(args).output().unwrap()
}

#[test]
fn a_suite_runs_until_it_has_done_what_was_asked_for() {
    let output = testkit(&["appends", "--size", "20", "--jobs", "1"]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("events") && said.contains("0 failed"), "{said}");
}

#[test]
fn what_is_no_suite_is_wrong_usage() {
    assert_eq!(testkit(&["no-such-suite"]).status.code(), Some(2));
}
