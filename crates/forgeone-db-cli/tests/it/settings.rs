//! Settings, flags and facts as scripts use them. Without this, a compare-and-set that loses could
//! pass for one that won, a type could change by a typing error, and a watch could miss a change.
//! Provoked with the real binary, a second process that changes what is watched, and values that
//! are no JSON.

use crate::support::{Home, Running, json, run};
use rustix::process::Signal;
use serde_json::{Value, json as value};
use std::time::Duration;

fn set(home: &Home, key: &str, text: &str) {
    home.run(&["settings", "set", key, text], "").ok();
}

#[test]
fn a_setting_is_set_read_listed_and_removed_with_its_history() {
    let home = Home::new();
    let made = home.json(&["settings", "set", "mail/retries", "3"]);
    assert_eq!((&made[0]["key"], &made[0]["version"]), (&value!("mail/retries"), &value!(1)));
    assert!(made[0]["revision"].is_u64() && made[0]["updated_at"].is_string());
    let out = home.run(&["settings", "set", "mail/retries", "-5"], "").ok().out;
    assert_eq!(out, "mail/retries: version 2\n");
    assert_eq!(home.run(&["settings", "get", "mail/retries"], "").ok().out, "-5\n");
    let setting = &home.json(&["settings", "get", "mail/retries"])[0];
    assert_eq!((&setting["value"], &setting["version"]), (&value!(-5), &value!(2)));
    set(&home, "mail/from", "\"a b\"");
    set(&home, "other", "{\"b\": [1, 2.0], \"a\": null}");
    let keys = |args: &[&str]| {
        let listed = home.json(&[&["settings", "list"], args].concat());
        listed.iter().map(|one| one["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(&[]), ["mail/from", "mail/retries", "other"]);
    assert_eq!(keys(&["mail/"]), ["mail/from", "mail/retries"]);
    assert_eq!(keys(&["--after", "mail/from", "--limit", "1"]), ["mail/retries"]);
    let text = home.run(&["settings", "list", "other"], "").ok().out;
    let line = format!("     1 {:<24} {}\n", "other", r#"{"a":null,"b":[1,2.0]}"#);
    assert!(text.ends_with(&line), "{text}");

    let out = home.run(&["settings", "rm", "mail/retries"], "").ok().out;
    assert_eq!(out, "mail/retries: removed, version 3\n");
    home.run(&["settings", "get", "mail/retries"], "").code(3).says("settings list");
    home.run(&["settings", "rm", "mail/retries"], "").code(3).says("settings list");
    home.run(&["settings", "history", "never"], "").code(3);
    let history = home.json(&["settings", "history", "mail/retries"]);
    let values: Vec<&Value> = history.iter().map(|version| &version["value"]).collect();
    assert_eq!(values, [&Value::Null, &value!(-5), &value!(3)]);
    let text = home.run(&["settings", "history", "mail/retries"], "").ok().out;
    assert!(text.lines().next().unwrap().ends_with(" (removed)"), "{text}");
    let again = home.json(&["settings", "set", "mail/retries", "7"]);
    assert_eq!(again[0]["version"], 4);
}

#[test]
fn a_compare_and_set_that_loses_names_the_actual_version() {
    let home = Home::new();
    let attempt = |text: &str, version: &str| {
        home.run(&["settings", "set", "k", text, "--if-version", version], "")
    };
    attempt("1", "1").code(8).says("--if-version 0");
    attempt("1", "0").ok();
    attempt("2", "0").code(8).says("version: 1").says("--if-version 1");
    attempt("2", "1").ok();
    home.run(&["settings", "rm", "k", "--if-version", "1"], "").code(8).says("version: 2");
    assert_eq!(home.run(&["settings", "get", "k"], "").ok().out, "2\n");
    home.run(&["settings", "rm", "k", "--if-version", "2"], "").ok();
}

#[test]
fn another_type_is_refused_unless_it_is_meant() {
    let home = Home::new();
    set(&home, "k", "1");
    home.run(&["settings", "set", "k", "\"1\""], "").code(2).says("--retype");
    assert_eq!(home.run(&["settings", "get", "k"], "").ok().out, "1\n");
    home.run(&["settings", "set", "k", "\"1\"", "--retype"], "").ok();
    assert_eq!(home.run(&["settings", "get", "k"], "").ok().out, "\"1\"\n");
}

#[test]
fn a_value_is_one_json_value_from_the_argument_or_from_standard_input() {
    let home = Home::new();
    for text in ["text", "{", "1 2", ""] {
        let refused = home.run(&["settings", "set", "k", text], "").code(2);
        refused.says("no JSON").says("'\"text\"'");
    }
    home.run(&["settings", "set", "k", "-"], "{\n \"a\":").code(2).says("line 2");
    home.run(&["settings", "set", "k", "-"], "{\n \"a\": 1\n}\n").ok();
    assert_eq!(home.run(&["settings", "get", "k"], "").ok().out, "{\"a\":1}\n");
    let binary = run(home.command(&["settings", "set", "k", "-"]), b"\"\xff\"");
    binary.code(1).says("byte 2");
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    home.run(&["settings", "set", "large", "-"], &large).code(2).says("1 MiB");
    home.run(&["settings", "set", "", "1"], "").code(2);
    home.run(&["settings", "get", "a\nb"], "").code(2);
    assert_eq!(home.json(&["settings", "list"]).len(), 1);
}

#[test]
fn what_is_printed_for_people_cannot_move_a_terminal_and_is_still_json() {
    let home = Home::new();
    set(&home, "k", "\"a\u{202e}\u{7f}\\u001b[31m\"");
    let text = home.run(&["settings", "get", "k"], "").ok().out;
    assert!(text.is_ascii() && !text.contains('\u{7f}'), "{text}");
    assert_eq!(json(&text)[0], "a\u{202e}\u{7f}\u{1b}[31m");
}

/// Starts a watch and waits until it is at work.
fn watch(home: &Home, args: &[&str]) -> (Running, std::io::Lines<impl std::io::BufRead>) {
    let mut watch = home.start(&[&["--json", "settings", "watch"], args].concat());
    let told = std::io::BufReader::new(watch.child.stderr.take().unwrap());
    let mut told = std::io::BufRead::lines(told);
    assert!(told.next().unwrap().unwrap().starts_with("watching from revision "));
    (watch, told)
}

#[test]
fn a_watch_prints_each_change_of_another_process_until_it_is_interrupted() {
    let home = Home::new();
    set(&home, "mail/before", "1");
    let (watching, mut told) = watch(&home, &["mail/"]);
    let revision = {
        set(&home, "mail/a", "1");
        set(&home, "other", "1");
        home.run(&["settings", "rm", "mail/a"], "").ok();
        let first = &json(&watching.line())[0];
        let change = &first["changes"][0];
        assert_eq!((&change["key"], &change["value"]), (&value!("mail/a"), &value!(1)));
        let second = &json(&watching.line())[0];
        let change = &second["changes"][0];
        assert_eq!((&change["key"], &change["version"]), (&value!("mail/a"), &value!(2)));
        assert_eq!(change["value"], Value::Null);
        first["revision"].as_u64().unwrap()
    };
    assert_eq!(watching.line_within(Duration::from_millis(100)), None);
    watching.signal(Signal::INT);
    assert_eq!(watching.finish().code, 0);
    assert!(told.next().is_none());

    let (watching, _) = watch(&home, &["mail/", "--after", &revision.to_string()]);
    assert_eq!(json(&watching.line())[0]["changes"][0]["version"], 2);
    watching.signal(Signal::TERM);
    assert_eq!(watching.finish().code, 0);
    home.run(&["settings", "watch", "--after", "999999"], "").code(2).says("ahead");
}

#[test]
fn a_flag_is_switched_changed_and_evaluated() {
    let home = Home::new();
    let evaluate = |key: &str| home.run(&["flags", "eval", "f", "--key", key], "").ok().out;
    assert_eq!(evaluate("a"), "off - unknown\n");
    assert_eq!(home.run(&["flags", "on", "f"], "").ok().out, "f: on, version 1\n");
    assert_eq!(evaluate("a"), "on - on\n");
    let args = ["flags", "set", "f", "--percentage", "50", "--description", "half of them"];
    assert_eq!(home.run(&args, "").ok().out, "f: 50%, version 2\n");
    home.run(&["flags", "set", "f", "--variant", "blue=3", "--variant", "green=1"], "").ok();
    let shown = &home.json(&["flags", "show", "f"])[0];
    assert_eq!(shown["flag"]["percent"], 50.0);
    assert_eq!(shown["flag"]["description"], "half of them");
    assert_eq!(shown["flag"]["variants"][0], value!({"name": "blue", "weight": 3}));
    let keys: Vec<String> = (0..24).map(|number| format!("user-{number}")).collect();
    let (on, off): (Vec<_>, Vec<_>) =
        keys.iter().map(|key| evaluate(key)).partition(|answer| answer.starts_with("on "));
    assert!(on.len() > 4 && off.len() > 4, "{on:?} {off:?}");
    assert!(on.iter().all(|a| a == "on blue included\n" || a == "on green included\n"), "{on:?}");
    assert!(off.iter().all(|answer| answer == "off - excluded\n"), "{off:?}");
    assert_eq!(
        home.json(&["flags", "eval", "f", "--key", "user-1"])[0]["on"],
        evaluate("user-1").starts_with("on ")
    );
    let listed = home.run(&["flags", "list"], "").ok().out;
    assert!(listed.contains(" 50% ") && listed.contains("blue=3,green=1"), "{listed}");
    assert!(listed.ends_with(" half of them\n"), "{listed}");
    assert_eq!(home.run(&["flags", "off", "f"], "").ok().out, "f: off, version 4\n");
    assert_eq!(evaluate("user-1"), "off - off\n");
    let text = home.run(&["flags", "show", "f"], "").ok().out;
    assert!(text.contains("state          off\nvariants       blue=3,green=1\n"), "{text}");
    assert_eq!(home.run(&["flags", "rm", "f"], "").ok().out, "f: removed, version 5\n");
    for args in [&["flags", "rm", "f"][..], &["flags", "show", "f"]] {
        home.run(args, "").code(3).says("flags list");
    }
}

#[test]
fn what_is_no_flag_is_refused_or_shown_as_malformed_and_can_be_replaced() {
    let home = Home::new();
    for args in [
        &["flags", "set", "f"][..],
        &["flags", "set", "f", "--percentage", "101"],
        &["flags", "set", "f", "--percentage", "many"],
        &["flags", "set", "f", "--variant", "blue"],
        &["flags", "set", "f", "--variant", "=1"],
        &["flags", "set", "f", "--variant", "blue=0"],
        &["flags", "on", ""],
        &["flags", "eval", "f"],
    ] {
        assert!(home.run(args, "").code(2).out.is_empty(), "{args:?}");
    }
    assert!(home.json(&["flags", "list"]).is_empty());
    set(&home, "flags/f", "17");
    assert!(home.run(&["flags", "list"], "").ok().out.contains(" malformed "));
    home.run(&["flags", "show", "f"], "").ok();
    let out = home.run(&["flags", "eval", "f", "--key", "a"], "").ok().out;
    assert_eq!(out, "off - malformed\n");
    home.run(&["flags", "on", "f"], "").code(2);
    let out = home.run(&["flags", "set", "f", "--percentage", "100"], "").ok().out;
    assert_eq!(out, "f: 100%, version 2\n");
}

#[test]
fn texts_about_the_store_are_kept() {
    let home = Home::new();
    let out = home.run(&["metadata", "set", "owner", "team a"], "").ok().out;
    assert_eq!(out, "owner: set\n");
    home.run(&["metadata", "set", "runbook", "-"], "one\ntwo\n").ok();
    assert_eq!(home.run(&["metadata", "get", "owner"], "").ok().out, "team a\n");
    assert_eq!(home.run(&["metadata", "get", "runbook"], "").ok().out, "one\\ntwo\n");
    assert_eq!(home.json(&["metadata", "get", "runbook"])[0]["text"], "one\ntwo");
    assert_eq!(home.json(&["metadata", "list"]).len(), 2);
    assert_eq!(home.json(&["metadata", "list", "own"])[0]["name"], "owner");
    home.run(&["metadata", "rm", "owner"], "").ok();
    for args in [&["metadata", "rm", "owner"][..], &["metadata", "get", "owner"]] {
        home.run(args, "").code(3).says("metadata list");
    }
    home.run(&["metadata", "set", "", "x"], "").code(2);
    home.run(&["metadata", "set", "large", "-"], &"x".repeat(65_537)).code(2);
}

#[test]
fn a_writer_at_work_keeps_changes_out_and_lets_readers_in() {
    let home = Home::new();
    set(&home, "k", "1");
    let mut append = home.start(&["--json", "events", "append", "--topic", "t"]);
    append.write("{\"payload\":\"x\"}\n");
    append.line();
    home.run(&["--wait", "0", "settings", "set", "k", "2"], "").code(6);
    assert_eq!(home.run(&["settings", "get", "k"], "").ok().out, "1\n");
    append.finish().ok();
    home.run(&["settings", "set", "k", "2"], "").ok();
}
