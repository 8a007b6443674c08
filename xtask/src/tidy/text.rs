//! What no file may contain.

use super::tree::has_extension;
use super::{Problems, Tree};

/// Hosts of package registries: what is fetched from where is the machine's business. In halves,
/// so that this file passes.
const REGISTRIES: &[(&str, &str)] = &[("crates", "io"), ("npmjs", "org"), ("pypi", "org")];
/// The one source that a lock file may name.
const LOCK_SOURCE: &str = "registry+https://github.com/rust-lang/crates";

pub(super) fn ascii(tree: &Tree, problems: &mut Problems) {
    for file in tree.files() {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(letter) = line.chars().find(|letter| !letter.is_ascii()) {
                let message = format!("has U+{:04X}: sources are ASCII", u32::from(letter));
                problems.add(file.path, Some(index + 1), message);
            }
        }
    }
}

pub(super) fn registries(tree: &Tree, problems: &mut Problems) {
    for file in tree.files() {
        for (index, line) in file.text.lines().enumerate() {
            let bad = if has_extension(file.path, "lock") {
                line.starts_with("source =") && !line.contains(LOCK_SOURCE)
            } else {
                REGISTRIES.iter().any(|(name, end)| line.contains(&format!("{name}.{end}")))
            };
            if bad {
                problems.add(file.path, Some(index + 1), "names the host of a package registry");
            }
        }
    }
}
