//! `cargo xtask tidy`: the project's rules that no other tool checks.
//!
//! A rule is a function from the [`Tree`] of files to its problems, so that its tests need no
//! files. Absent on purpose: a parser. Rules read text with comments and literals blanked out,
//! which is enough because `cargo fmt` has been there first.

mod docs;
mod layers;
mod manifests;
mod modules;
mod source;
mod text;
mod tree;

pub(crate) use manifests::section as toml_section;
pub(crate) use tree::Tree;

use std::path::Path;

/// Where every rule is explained, under its name.
const EXPLAINED_IN: &str = "STYLE.md";

/// One rule.
struct Rule {
    name: &'static str,
    check: fn(&Tree, &mut Problems),
}

const RULES: &[Rule] = &[
    Rule { name: "layers", check: layers::check },
    Rule { name: "lints", check: manifests::lints },
    Rule { name: "one-binary", check: manifests::one_binary },
    Rule { name: "conformance", check: modules::conformance },
    Rule { name: "file-size", check: modules::file_size },
    Rule { name: "reachable", check: modules::reachable },
    Rule { name: "file-heads", check: modules::file_heads },
    Rule { name: "error-table", check: docs::error_table },
    Rule { name: "format-table", check: docs::format_table },
    Rule { name: "proofs", check: docs::proofs },
    Rule { name: "ascii", check: text::ascii },
    Rule { name: "registries", check: text::registries },
    Rule { name: "explained", check: docs::explained },
];

/// What a rule found: where, and what is wrong.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, path: &str, line: Option<usize>, message: impl AsRef<str>) {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        self.0.push(format!("{path}{line}: {}", message.as_ref()));
    }
}

/// Checks all rules and prints what is wrong. True if nothing is.
pub(crate) fn run(root: &Path) -> bool {
    let tree = match Tree::load(root) {
        Ok(tree) => tree,
        Err(error) => {
            println!("tidy cannot read the files under {}: {error}", root.display());
            return false;
        }
    };
    let mut count = 0;
    for rule in RULES {
        let mut problems = Problems::default();
        (rule.check)(&tree, &mut problems);
        count += problems.0.len();
        for problem in problems.0 {
            println!("{problem}\n    rule `{}`, explained in {EXPLAINED_IN}", rule.name);
        }
    }
    println!("tidy: {} rules, {} files, {count} problems", RULES.len(), tree.files().count());
    count == 0
}

#[cfg(test)]
mod tests;
