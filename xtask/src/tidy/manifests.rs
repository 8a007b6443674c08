//! What every member's manifest says.

use super::{Problems, Tree};

/// The lines of one section of a TOML file.
pub(crate) fn section<'a>(text: &'a str, header: &str) -> Vec<&'a str> {
    let lines = text.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    lines.take_while(|line| !line.starts_with('[')).collect()
}

pub(super) fn lints(tree: &Tree, problems: &mut Problems) {
    for file in tree.files().filter(|file| file.path.ends_with("/Cargo.toml")) {
        if !section(file.text, "[lints]").contains(&"workspace = true") {
            problems.add(file.path, None, "lacks `[lints] workspace = true`");
        }
    }
}

/// The values of a list of strings in the root's `[workspace]`.
fn list(tree: &Tree, key: &str) -> Vec<String> {
    let root = tree.get("Cargo.toml").unwrap_or_default();
    let workspace = section_with_lists(root);
    let Some((_, values)) = workspace.split_once(&format!("\n{key} = [")) else {
        return Vec::new();
    };
    let values = values.split(']').next().unwrap_or_default();
    values.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The text of `[workspace]`, whose lists may span lines.
fn section_with_lists(text: &str) -> &str {
    let start = text.split_once("[workspace]").map_or("", |(_, rest)| rest);
    start.split("\n[").next().unwrap_or_default()
}

pub(super) fn one_binary(tree: &Tree, problems: &mut Problems) {
    let has_binary = |member: &str| {
        let manifest = tree.get(&format!("{member}/Cargo.toml")).unwrap_or_default();
        tree.get(&format!("{member}/src/main.rs")).is_some()
            || manifest.contains("[[bin]]")
            || tree.files().any(|file| file.path.starts_with(&format!("{member}/src/bin/")))
    };
    let defaults = list(tree, "default-members");
    let binaries: Vec<&String> = defaults.iter().filter(|member| has_binary(member)).collect();
    let crates = tree.files().filter_map(|file| file.path.strip_suffix("/Cargo.toml"));
    let any = crates.filter(|member| member.starts_with("crates/")).any(has_binary);
    if binaries.len() > 1 || (any && binaries.is_empty()) {
        let message = format!(
            "exactly one of `default-members` has a binary, for `cargo run`, not {binaries:?}"
        );
        problems.add("Cargo.toml", None, message);
    }
}
