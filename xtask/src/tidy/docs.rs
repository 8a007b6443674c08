//! That documents and code name the same things.

use super::source::{after, code, has_word, word};
use super::tree::has_extension;
use super::{EXPLAINED_IN, Problems, RULES, Tree};

const ERRORS: &str = "crates/forgeone-db-engine/src/error/mod.rs";
const ERRORS_DOC: &str = "docs/errors.md";
/// Every promise, and the tests that show it.
const PROMISES_DOC: &str = "docs/reliability.md";
/// The format is drawn in `docs/format.md` and its parts `docs/format-<part>.md`.
const FORMAT_DOC: &str = "docs/format";
const ON_DISK: &str = "// on-disk";

/// Each kind of error has one row, and each row a kind.
pub(super) fn error_table(tree: &Tree, problems: &mut Problems) {
    let Some(text) = tree.get(ERRORS) else { return };
    let text = code(text);
    let kinds = variants(&text, "ErrorKind");
    if kinds.is_empty() {
        problems.add(ERRORS, None, "has no `enum ErrorKind` that tidy can read");
        return;
    }
    let wanted: Vec<String> = kinds
        .iter()
        .flat_map(|kind| match kind.split_once('(') {
            None => vec![kind.clone()],
            Some((kind, reason)) => variants(&text, reason.trim_end_matches(')'))
                .into_iter()
                .map(|reason| format!("{kind}({reason})"))
                .collect(),
        })
        .collect();
    let Some(doc) = tree.get(ERRORS_DOC) else {
        problems.add(ERRORS_DOC, None, "is missing: it has a row for each kind of error");
        return;
    };
    let rows: Vec<&str> = doc
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name))
        .collect();
    for kind in &wanted {
        match rows.iter().filter(|row| *row == kind).count() {
            1 => {}
            count => {
                let message = format!("has {count} rows for `{kind}` and not one");
                problems.add(ERRORS_DOC, None, message);
            }
        }
    }
    for row in rows.iter().filter(|row| !wanted.iter().any(|kind| kind == *row)) {
        problems.add(ERRORS_DOC, None, format!("has a row for `{row}`, which is no kind of error"));
    }
}

/// The variants of an enum, with what they hold: `Plain`, `Holding(Type)`.
fn variants(text: &str, name: &str) -> Vec<String> {
    let header = format!("enum {name} {{");
    let body = after(text, &header).next().map(|(_, body)| body).unwrap_or_default();
    let body = body.split("\n}").next().unwrap_or_default();
    let lines = body.lines().map(|line| line.trim().trim_end_matches(','));
    lines
        .filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .map(str::to_owned)
        .collect()
}

/// Each constant that is marked as written to disk is named in the format's document.
pub(super) fn format_table(tree: &Tree, problems: &mut Problems) {
    let drawn: Vec<&str> = tree
        .files()
        .filter(|file| file.path.starts_with(FORMAT_DOC) && has_extension(file.path, "md"))
        .map(|file| file.text)
        .collect();
    let ours = tree.rust().filter(|file| file.path.starts_with("crates/"));
    for file in ours {
        for (index, line) in file.text.lines().enumerate() {
            if !line.trim_end().ends_with(ON_DISK) {
                continue;
            }
            let line_number = Some(index + 1);
            let name = after(line, "const ").next().map(|(_, rest)| word(rest)).unwrap_or_default();
            if name.is_empty() {
                problems.add(file.path, line_number, "marks no constant as on-disk");
            } else if drawn.is_empty() {
                let message = format!("`{name}` is on disk, and {FORMAT_DOC}.md does not exist");
                problems.add(file.path, line_number, message);
            } else if !drawn.iter().any(|doc| has_word(doc, name)) {
                let message = format!("`{name}` is on disk, and no {FORMAT_DOC}*.md names it");
                problems.add(file.path, line_number, message);
            }
        }
    }
}

/// Each test that the document of promises names is one, and so is each suite.
pub(super) fn proofs(tree: &Tree, problems: &mut Problems) {
    let Some(text) = tree.get(PROMISES_DOC) else { return };
    let rows = text.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
    for (index, line) in rows {
        let Some((_, shown_by)) = line.trim_end_matches(" |").rsplit_once(" | ") else { continue };
        for name in shown_by.split('`').skip(1).step_by(2) {
            let is_test =
                name.contains('_') && name.chars().all(|c| c == '_' || c.is_alphanumeric());
            let header = format!("fn {name}(");
            if is_test && !tree.rust().any(|file| file.text.contains(&header)) {
                let message = format!("names `{name}`, and there is no such test");
                problems.add(PROMISES_DOC, Some(index + 1), message);
            }
        }
    }
}

/// Each rule of tidy is explained.
pub(super) fn explained(tree: &Tree, problems: &mut Problems) {
    let text = tree.get(EXPLAINED_IN).unwrap_or_default();
    for rule in RULES {
        if !text.contains(&format!("`{}`", rule.name)) {
            problems.add(EXPLAINED_IN, None, format!("does not explain the rule `{}`", rule.name));
        }
    }
}
