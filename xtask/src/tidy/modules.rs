//! How files and modules are laid out, and that engines are tested as engines.

use super::source::{after, code, has_word, word};
use super::tree::is_test;
use super::{Problems, Tree};
use std::collections::BTreeSet;

const LINES_MAX: usize = 600;

pub(super) fn file_size(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust().filter(|file| !is_test(file.path)) {
        let lines = file.text.lines().count();
        if lines > LINES_MAX {
            let message = format!("has {lines} lines, more than {LINES_MAX}: split it");
            problems.add(file.path, None, message);
        }
    }
}

pub(super) fn file_heads(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust() {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if matches!(name, "mod.rs" | "lib.rs" | "main.rs") && !file.text.starts_with("//!") {
            problems.add(file.path, Some(1), "does not start with `//!` and what it is for");
        }
    }
}

/// Every engine is named in a test file that runs the conformance suite. An `impl` inside a macro
/// (`Engine for $type`) names no type and is not looked at.
pub(super) fn conformance(tree: &Tree, problems: &mut Problems) {
    let suites: Vec<&str> = tree
        .rust()
        .filter(|file| is_test(file.path) && code(file.text).contains("conformance"))
        .map(|file| file.text)
        .collect();
    for file in tree.rust().filter(|file| !is_test(file.path)) {
        for (line, name) in after(&code(file.text), "Engine for ") {
            let name = word(name);
            if !name.is_empty() && !suites.iter().any(|suite| has_word(suite, name)) {
                let message = format!("no test file runs the conformance suite on `{name}`");
                problems.add(file.path, Some(line), message);
            }
        }
    }
}

pub(super) fn reachable(tree: &Tree, problems: &mut Problems) {
    let packages: Vec<&str> =
        tree.files().filter_map(|file| file.path.strip_suffix("Cargo.toml")).collect();
    let mut waiting: Vec<&str> =
        tree.rust().map(|file| file.path).filter(|path| is_root(path, &packages)).collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !reached.insert(path) {
            continue;
        }
        let text = tree.get(path).unwrap_or_default();
        let folder = module_folder(path, is_root(path, &packages));
        let mut declared: Vec<String> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]"))
            .map(|named| {
                path.rsplit_once('/').map_or(String::new(), |(own, _)| format!("{own}/{named}"))
            })
            .collect();
        for (_, rest) in after(&code(text), "mod ") {
            let name = word(rest);
            if !rest.get(name.len()..).is_some_and(|end| end.starts_with(';')) {
                continue;
            }
            declared.push(format!("{folder}{name}.rs"));
            declared.push(format!("{folder}{name}/mod.rs"));
        }
        let files = tree.rust().map(|file| file.path);
        waiting.extend(files.filter(|file| declared.iter().any(|wanted| wanted == file)));
    }
    for file in tree.rust().filter(|file| !reached.contains(file.path)) {
        problems.add(file.path, None, "is in no module: no `mod` declares it, so it never runs");
    }
}

/// Where the modules that a file declares lie.
fn module_folder(path: &str, root: bool) -> String {
    match path.rsplit_once('/') {
        Some((folder, "mod.rs")) => format!("{folder}/"),
        Some((folder, _)) if root => format!("{folder}/"),
        _ => format!("{}/", path.trim_end_matches(".rs")),
    }
}

/// Whether cargo itself finds the file.
fn is_root(path: &str, packages: &[&str]) -> bool {
    let inside = packages.iter().filter_map(|package| path.strip_prefix(package));
    let parts: Vec<&str> =
        inside.min_by_key(|inside| inside.len()).unwrap_or_default().split('/').collect();
    matches!(
        parts.as_slice(),
        ["build.rs"]
            | ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["tests" | "benches" | "examples" | "fuzz_targets", _]
            | ["tests" | "benches" | "examples", _, "main.rs"]
            | ["src", "bin", _, "main.rs"]
    )
}
