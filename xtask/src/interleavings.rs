//! `cargo xtask loom` and `cargo xtask shuttle`: the hand-over between callers and the committer
//! under a model checker. They are a workspace of their own in `interleavings/`.

use std::path::Path;

/// Schedules of each case, where the checker does not try all.
const SIZE: &str = "10000";

/// Runs every case under `checker`, with so many schedules of each as `words` say.
pub(crate) fn run(root: &Path, checker: &str, words: &[&str]) -> bool {
    let size = match words {
        [] => SIZE,
        ["--size", size] if size.parse::<u64>().is_ok() => size,
        _ => {
            eprintln!("Usage: cargo xtask loom | cargo xtask shuttle [--size N]");
            return false;
        }
    };
    let manifest = "interleavings/Cargo.toml";
    let args = ["run", "--locked", "--quiet", "--manifest-path", manifest, "--target-dir"];
    let rest = ["target/interleavings", "--features", checker, "--", size];
    let args: Vec<&str> = args.into_iter().chain(rest).collect();
    crate::ci::cargo(root, &args, &[])
}
