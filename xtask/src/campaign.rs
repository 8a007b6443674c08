//! `cargo xtask SUITE`: the suites of the test kit, each a program of its own that is built first.

use std::path::Path;

/// The suites of `forgeone-db-testkit`, and what each shows.
pub(crate) const SUITES: &[(&str, &str)] = &[
    ("appends", "concurrent appends are dense, in order, and found by whoever reads"),
    ("bytes", "no byte of a store's files can be bent without a right answer or an error"),
    ("ciphertext", "authentic bytes in the wrong place are noticed"),
    ("crash", "after a power loss at any operation of the disk, what was acknowledged is there"),
    ("double-crash", "the same, with a second power loss while the store recovers"),
    ("kill", "what was acknowledged survives kill -9 at any moment"),
    ("memory", "a store under every load at once takes no more memory than it may"),
    ("faults", "every operation of the disk fails once in every way, and no call breaks its word"),
    ("full-disk", "a disk that fills up, over and over, loses nothing and needs no restart"),
    ("differential", "every engine answers as a model of a few maps does"),
    ("histories", "what threads saw of settings and subscriptions is explained by one order"),
    (
        "syscalls",
        "each call to the system that fails is told, and nothing is lost by it; needs strace",
    ),
];

/// Whether `name` is a suite.
pub(crate) fn is_suite(name: &str) -> bool {
    SUITES.iter().any(|(suite, _)| *suite == name)
}

/// Runs a suite in the release profile, with the arguments that follow its name.
pub(crate) fn run(root: &Path, words: &[&str]) -> bool {
    let cli = ["build", "--release", "--locked", "--quiet", "--package", "forgeone-db-cli"];
    if words.contains(&"--cli") && !crate::ci::cargo(root, &cli, &[]) {
        return false;
    }
    let mut args =
        vec!["run", "--release", "--locked", "--quiet", "--package", "forgeone-db-testkit", "--"];
    args.extend(words);
    crate::ci::cargo(root, &args, &[])
}
