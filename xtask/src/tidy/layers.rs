//! Which module of the library may import which.

use super::source::{after, code, word};
use super::tree::is_test;
use super::{Problems, Tree};

const LIBRARY: &str = "crates/forgeone-db/src/";

const L0: &[&str] = &["error", "model", "environment"];
const L1: &[&str] = &["codec", "crypto", "schema"];
const BASE: &[&str] = &["stream", "index", "log", "piece"];
const STORES: &[&str] = &["events", "logs", "blobs", "system", "indxdb"];
const L4: &[&str] = &["access", "audit", "integrity", "snapshot", "recovery", "metrics"];

/// Every module, lowest first, and what it may import beside itself.
const EDGES: &[(&str, &[&[&str]])] = &[
    ("error", &[]),
    ("model", &[&["error"]]),
    ("environment", &[&["error"]]),
    ("codec", &[L0]),
    ("crypto", &[L0, &["codec"]]),
    ("schema", &[L0, &["codec"]]),
    // An engine sees opaque bytes: the contract's crate and errors, nothing else.
    ("redb", &[&["error"]]),
    // A wrapper over the contract, as free of everything above it as an engine.
    ("pool", &[&["error", "environment"]]),
    ("piece", &[L0, L1]),
    ("index", &[L0, L1, &["piece"]]),
    // The manifest names runs.
    ("log", &[L0, L1, &["index", "piece"]]),
    ("stream", &[L0, L1, &["index", "log", "piece", "pool"]]),
    ("events", &[L0, L1, BASE]),
    ("logs", &[L0, L1, BASE]),
    ("blobs", &[L0, L1, BASE]),
    ("system", &[L0, L1, BASE]),
    ("indxdb", &[L0, L1, BASE]),
    ("audit", &[L0, L1, BASE, STORES]),
    // Every decision on access is audited.
    ("access", &[L0, L1, BASE, STORES, &["audit"]]),
    ("integrity", &[L0, L1, BASE, STORES]),
    ("snapshot", &[L0, L1, BASE, STORES]),
    // What was recovered is verified.
    ("recovery", &[L0, L1, BASE, STORES, &["integrity"]]),
    ("metrics", &[L0, L1, BASE, STORES]),
    // Where a store's files lie is an option.
    ("options", &[L0, L1, &["redb"]]),
    ("db", &[L0, L1, &["redb", "options", "pool"], BASE, STORES, L4]),
];

pub(super) fn check(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust() {
        let Some(inside) = file.path.strip_prefix(LIBRARY) else { continue };
        if inside == "lib.rs" || is_test(inside) {
            continue;
        }
        let parts: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
        let Some(module) = parts.first().copied() else { continue };
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == module) else {
            let message = format!("module `{module}` has no place in the table of layers");
            problems.add(file.path, None, message);
            continue;
        };
        let depth = parts.iter().filter(|part| **part != "mod").count();
        for (line, target) in imports(&code(file.text), depth) {
            if target == module || allowed.iter().any(|layer| layer.contains(&target.as_str())) {
                continue;
            }
            let message = if EDGES.iter().any(|(name, _)| *name == target) {
                format!("`{module}` may not import `{target}`")
            } else {
                format!("`crate::{target}` is no module: import it from the module it lies in")
            };
            problems.add(file.path, Some(line), message);
        }
    }
}

/// The first name of each path from the crate's root, with its line. `depth` is how many `super`
/// lead to the root.
fn imports(text: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, path) in after(text, "crate::") {
        found.extend(first_names(path).into_iter().map(|name| (line, name)));
    }
    let to_root = "super::".repeat(depth);
    for (line, path) in after(text, &to_root) {
        let modules = first_names(path).into_iter();
        // What else the root holds is reached through `super` from an inline module.
        let known = |name: &String| EDGES.iter().any(|(module, _)| module == name);
        found.extend(modules.filter(known).map(|name| (line, name)));
    }
    found
}

/// `a` of `a::b`, and `a` and `c` of `{a::b, c}`.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else {
        return Some(word(path))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .into_iter()
            .collect();
    };
    let mut names = Vec::new();
    let (mut depth, mut start) = (0_usize, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ if start && !letter.is_whitespace() => {
                names.push(word(group.get(at..).unwrap_or_default()).to_owned());
                start = false;
            }
            _ => {}
        }
    }
    names
}
