//! `cargo xtask nonces`: the audit of salts and key streams over as many seals as are asked for.

use std::path::Path;

/// Salts and keys that are drawn.
const SIZE: &str = "1000000";

/// Runs the audit; `words` may say over how many seals.
pub(crate) fn run(root: &Path, words: &[&str]) -> bool {
    let size = match words {
        [] => SIZE,
        ["--size", size] if size.parse::<u64>().is_ok() => size,
        _ => {
            eprintln!("Usage: cargo xtask nonces [--size N]");
            return false;
        }
    };
    let args = ["test", "--release", "--locked", "--quiet", "--package", "forgeone-db"];
    let rest = ["--test", "it", "nonces", "--", "--nocapture"];
    let args: Vec<&str> = args.into_iter().chain(rest).collect();
    crate::ci::cargo(root, &args, &[("FORGEONE_DB_SEALS", size)])
}
