//! Manual pages that a formatter stumbles over, or that miss a command, help nobody. Provoked by
//! rendering all of them and formatting them where a formatter is installed.

use crate::commands::COMMANDS;
use crate::support::{Home, json, run};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn every_command_has_a_page_with_its_exit_codes() {
    let home = Home::empty();
    let made = run(home.bare(&["--json", "man", "new/pages"]), b"").ok();
    for page in json(&made.out) {
        check(&home.path("").join(page["file"].as_str().unwrap()));
    }
    for command in COMMANDS {
        let name = ["forgeone-db"].iter().chain(command).copied().collect::<Vec<_>>().join("-");
        assert!(home.path(&format!("new/pages/{name}.1")).exists(), "{name}");
    }
    let files = fs::read_dir(home.path("new/pages")).unwrap().count();
    assert_eq!(files, json(&made.out).len());
}

fn check(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let name = path.display();
    assert!(text.is_ascii(), "{name}");
    for part in [".TH ", ".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH \"EXIT STATUS\""] {
        assert!(text.lines().any(|line| line.starts_with(part)), "{name} lacks {part}");
    }
    assert!(text.contains("\\fB0\\fR\ndone\n"), "{name}: {text}");
    // What begins with a dot or a quote is a request; there are no others than these.
    let known = ["TH", "SH", "PP", "TP", "br", "nf", "fi", "ie", "el", "RS", "RE", "IP", "\\\""];
    for line in text.lines().filter(|line| line.starts_with(['.', '\''])) {
        assert!(known.iter().any(|name| line[1..].starts_with(name)), "{name}: {line}");
    }
    let complaints = complaints(path);
    assert!(complaints.is_empty(), "{name}: {complaints}");
}

/// What the formatter does not understand, where there is one.
fn complaints(path: &Path) -> String {
    let formatted = Command::new("man").args(["--warnings", "-l"]).arg(path).output();
    let errors = formatted.map(|formatted| formatted.stderr).unwrap_or_default();
    String::from_utf8_lossy(&errors).trim().to_owned()
}

#[test]
fn without_a_directory_the_main_page_is_printed() {
    let home = Home::empty();
    let page = run(home.bare(&["man"]), b"").ok().out;
    assert!(page.contains(".TH forgeone") && page.contains("completions"), "{page}");
}

#[test]
fn pages_are_replaced_and_a_foreign_file_is_not() {
    let home = Home::empty();
    run(home.bare(&["man", "pages"]), b"").ok();
    let page = home.path("pages/forgeone-db.1");
    let first = fs::read(&page).unwrap();
    fs::write(&page, [&first[..200], b"older"].concat()).unwrap();
    run(home.bare(&["man", "pages"]), b"").ok();
    assert_eq!(fs::read(&page).unwrap(), first);
    let foreign = home.path("pages/forgeone-db-stats.1");
    fs::write(&foreign, "a letter").unwrap();
    fs::remove_file(&page).unwrap();
    run(home.bare(&["man", "pages"]), b"").code(8).says("forgeone-db-stats.1");
    assert_eq!(fs::read(&foreign).unwrap(), b"a letter");
    assert!(!page.exists());
    run(home.bare(&["man", "key"]), b"").code(1);
}
