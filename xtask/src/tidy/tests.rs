//! A rule that finds nothing protects nothing: each is shown a small tree that breaks it and the
//! same tree put right. On this repository's own files they run as `cargo xtask tidy`.

use super::source::code;
use super::{Problems, RULES, Tree};

/// What the rule finds in a tree of these files.
fn found(rule: &str, files: &[(&str, &str)]) -> Vec<String> {
    let rule = RULES.iter().find(|known| known.name == rule).expect("the rule exists");
    let mut problems = Problems::default();
    (rule.check)(&Tree::of(files), &mut problems);
    problems.0
}

fn passes(rule: &str, files: &[(&str, &str)]) {
    assert_eq!(found(rule, files), Vec::<String>::new(), "{files:?}");
}

/// The rule finds exactly one problem, and its message has these parts.
fn fails(rule: &str, files: &[(&str, &str)], parts: &[&str]) {
    let found = found(rule, files);
    assert_eq!(found.len(), 1, "{found:?} in {files:?}");
    for part in parts {
        assert!(found[0].contains(part), "{:?} lacks {part:?}", found[0]);
    }
}

#[test]
fn comments_and_literals_are_blanked_and_code_is_not() {
    let text = "a // \"x\n/* b /* c */ d */ e \"f\\\"g\" h 'i' '\\'' j<'k> r#\"l\"m\"# n b\"o\" p";
    let kept: String = code(text).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(kept, "a e h j<'k> n b p");
    assert_eq!(code(text).matches('\n').count(), 1);
}

#[test]
fn layers_point_down_only() {
    let path = "crates/forgeone-db/src/codec/mod.rs";
    passes("layers", &[(path, "use crate::model::A;\nuse crate::codec::b;")]);
    passes("layers", &[(path, "// use crate::db::A;\nconst A: &str = \"crate::db\";")]);
    fails(
        "layers",
        &[(path, "\nuse crate::events::A;")],
        &[":2:", "`codec` may not import `events`"],
    );
    fails("layers", &[(path, "fn f() { crate::db::open() }")], &["`codec` may not import `db`"]);
    fails("layers", &[(path, "use crate::Database;")], &["`crate::Database` is no module"]);
    fails("layers", &[(path, "use super::db::A;")], &["`codec` may not import `db`"]);
    let inner = "crates/forgeone-db/src/codec/varint.rs";
    passes("layers", &[(inner, "use super::db::A;")]);
    fails("layers", &[(inner, "use super::super::db::A;")], &["may not import `db`"]);
}

#[test]
fn layers_see_every_name_of_a_group() {
    let path = "crates/forgeone-db/src/redb/mod.rs";
    let group = "use crate::{\n    error::{A, db},\n    redb::B, log::C,\n};";
    fails("layers", &[(path, group)], &[":1:", "`redb` may not import `log`"]);
}

#[test]
fn an_engine_imports_errors_only_and_no_store_names_an_engine() {
    let redb = "crates/forgeone-db/src/redb/mod.rs";
    passes("layers", &[(redb, "use crate::error::Error;\nuse forgeone_db_engine::Engine;")]);
    fails("layers", &[(redb, "use crate::environment::Clock;")], &["`redb` may not"]);
    let events = "crates/forgeone-db/src/events/mod.rs";
    fails("layers", &[(events, "use crate::redb::RedbEngine;")], &["`events` may not"]);
}

#[test]
fn a_module_without_a_layer_is_refused_and_tests_are_free() {
    let new = "crates/forgeone-db/src/magic/mod.rs";
    fails("layers", &[(new, "")], &["module `magic` has no place"]);
    passes("layers", &[("crates/forgeone-db/src/codec/tests.rs", "use crate::db::A;")]);
    passes("layers", &[("crates/forgeone-db/src/lib.rs", "pub use crate::db::A;")]);
}

#[test]
fn every_member_takes_the_workspace_lints() {
    passes("lints", &[("crates/a/Cargo.toml", "[package]\n[lints]\nworkspace = true\n")]);
    fails("lints", &[("crates/a/Cargo.toml", "[package]\nworkspace = true\n")], &["crates/a"]);
    fails("lints", &[("xtask/Cargo.toml", "[lints]\n[x]\nworkspace = true")], &["xtask"]);
}

#[test]
fn exactly_one_default_member_has_a_binary() {
    let workspace = "[workspace]\ndefault-members = [\n  \"crates/a\",\n  \"crates/b\"\n]\n[x]\n";
    let root = ("Cargo.toml", workspace);
    let (a, b) = (("crates/a/Cargo.toml", ""), ("crates/b/Cargo.toml", "[[bin]]"));
    passes("one-binary", &[root, a]);
    passes("one-binary", &[root, a, b]);
    let main = ("crates/a/src/main.rs", "");
    fails("one-binary", &[root, a, b, main], &["exactly one", "crates/a", "crates/b"]);
    let other = [("crates/c/Cargo.toml", ""), ("crates/c/src/main.rs", "")];
    fails("one-binary", &[root, a, other[0], other[1]], &["not []"]);
}

#[test]
fn every_engine_runs_the_conformance_suite() {
    let engine = ("crates/a/src/m/mod.rs", "impl<E: Engine> Engine for Metered<E> {}");
    let suite = ("crates/a/src/m/tests.rs", "conformance::run(Metered::new)");
    passes("conformance", &[engine, suite]);
    passes("conformance", &[("crates/a/src/p.rs", "impl<T> Engine for $pointer<T> {}")]);
    fails("conformance", &[engine], &["`Metered`"]);
    let no_suite = ("crates/a/src/m/tests.rs", "// conformance\nMetered::new()");
    fails("conformance", &[engine, no_suite], &["`Metered`"]);
    let other = ("crates/a/src/m/tests.rs", "conformance::run(MeteredElsewhere::new)");
    fails("conformance", &[engine, other], &["`Metered`"]);
}

#[test]
fn files_have_600_lines_and_tests_may_have_more() {
    let (long, longer) = ("x\n".repeat(600), "x\n".repeat(601));
    passes("file-size", &[("a.rs", &long), ("a/tests.rs", &longer), ("tests/a.rs", &longer)]);
    fails("file-size", &[("a.rs", &longer)], &["a.rs", "601"]);
}

#[test]
fn every_file_is_in_a_module() {
    let package = ("crates/a/Cargo.toml", "");
    let lib = ("crates/a/src/lib.rs", "pub mod b;\n#[cfg(test)]\nmod tests;");
    let b = ("crates/a/src/b/mod.rs", "mod c;");
    let c = ("crates/a/src/b/c.rs", "mod d;");
    let d = ("crates/a/src/b/c/d.rs", "");
    let tests = ("crates/a/src/tests.rs", "");
    let it = ("crates/a/tests/it/main.rs", "mod e;");
    let e = ("crates/a/tests/it/e.rs", "");
    let all = [package, lib, b, c, d, tests, it, e];
    passes("reachable", &all);
    for (index, declaration) in [(2, ""), (3, "// mod d;"), (6, "\"mod e;\"")] {
        let mut files = all.to_vec();
        files[index].1 = declaration;
        assert!(!found("reachable", &files).is_empty(), "{declaration:?} in {}", files[index].0);
    }
    let named = ("crates/a/src/b/d.rs", "#[cfg(test)]\n#[path = \"d_tests.rs\"]\nmod tests;");
    let by_path = [package, lib, ("crates/a/src/b/mod.rs", "mod d;"), named, tests];
    let apart = ("crates/a/src/b/d_tests.rs", "");
    passes("reachable", &[by_path.as_slice(), &[apart]].concat());
    let forgotten = [package, lib, b, c, d, tests, it, e, ("crates/a/tests/it/f.rs", "")];
    fails("reachable", &forgotten, &["tests/it/f.rs"]);
}

#[test]
fn modules_say_what_they_are_for() {
    passes("file-heads", &[("a/mod.rs", "//! A.\n"), ("a/b.rs", "")]);
    fails("file-heads", &[("a/mod.rs", "use b;\n//! A.\n")], &["a/mod.rs"]);
}

const KINDS: (&str, &str) = (
    "crates/forgeone-db-engine/src/error/mod.rs",
    "pub enum ErrorKind {\n    /// A.\n    Lost,\n    Closed(Why),\n}\npub enum Why {\n    Late,\n}\n",
);

#[test]
fn every_error_kind_has_one_row() {
    let doc = |text: &'static str| [KINDS, ("docs/errors.md", text)];
    passes("error-table", &doc("| `Lost` | x |\n| `Closed(Late)` | x |\n"));
    fails("error-table", &doc("| `Lost` | x |\n"), &["0 rows for `Closed(Late)`"]);
    let twice = "| `Lost` |\n| `Lost` |\n| `Closed(Late)` |\n";
    fails("error-table", &doc(twice), &["2 rows for `Lost`"]);
    let stale = "| `Lost` |\n| `Gone` |\n| `Closed(Late)` |\n";
    fails("error-table", &doc(stale), &["`Gone`"]);
    fails("error-table", &[KINDS], &["docs/errors.md", "missing"]);
    let renamed = (KINDS.0, "pub enum Kind {}");
    fails("error-table", &[renamed], &["no `enum ErrorKind`"]);
}

#[test]
fn every_constant_on_disk_is_in_the_format() {
    let path = "crates/a/src/b.rs";
    let code = (path, "pub(crate) const MAGIC: u8 = 1; // on-disk\n");
    passes("format-table", &[(path, "pub(crate) const MAGIC: u8 = 1;\n")]);
    passes("format-table", &[code, ("docs/format.md", "`MAGIC` is 1")]);
    passes("format-table", &[code, ("docs/format-keyring.md", "`MAGIC`")]);
    fails(
        "format-table",
        &[code, ("docs/format.md", "`MAGICAL`")],
        &["`MAGIC`", "no docs/format*.md names it"],
    );
    fails("format-table", &[code], &[":1:", "docs/format.md does not exist"]);
    fails("format-table", &[(path, "\nlet x = 1; // on-disk")], &[":2:", "no constant"]);
}

#[test]
fn a_promise_names_tests_that_exist() {
    let code = ("crates/a/src/b.rs", "#[test]\nfn it_is_so() {}\n");
    let row = |tests: &str| format!("| D1 | a promise | {tests} |\n");
    passes("proofs", &[code, ("docs/reliability.md", &row("`it_is_so`, suite `crash`"))]);
    let gone = row("`it_is_so`, `it_was_so`");
    fails("proofs", &[code, ("docs/reliability.md", &gone)], &[":1:", "`it_was_so`"]);
}

#[test]
fn sources_are_ascii_and_name_no_registry() {
    passes("ascii", &[("a.rs", "\"\\u{e9}\"")]);
    fails("ascii", &[("a.md", "a\nb\u{e9}")], &["a.md:2:", "U+00E9"]);
    let host = ["https://static.crates", ".io"].concat();
    fails("registries", &[("ci/run", &host)], &["ci/run:1:"]);
    let source =
        ["source = \"registry+https://github.com/rust-lang/crates", ".io-index\""].concat();
    passes("registries", &[("Cargo.lock", &source)]);
    fails(
        "registries",
        &[("Cargo.lock", "source = \"sparse+https://mirror/\"")],
        &["Cargo.lock:1:"],
    );
}

#[test]
fn every_rule_is_explained() {
    let names: Vec<String> = RULES.iter().map(|rule| format!("`{}`", rule.name)).collect();
    let all = names.join(
        "
",
    );
    passes("explained", &[("STYLE.md", &all)]);
    fails("explained", &[("STYLE.md", &all.replace("`layers`", ""))], &["`layers`"]);
}
