//! The tour must get through whatever files it meets, and its report must be true.

use crate::support::{Home, json, run};
use std::fs;
use std::process::Command;

#[test]
fn a_tour_stores_and_finds_every_line_of_odd_files() {
    let home = Home::empty();
    let files = home.path("files");
    fs::create_dir_all(files.join("folder")).unwrap();
    fs::write(files.join("plain.log"), b"one\ntwo\r\n\xff\nthree").unwrap();
    fs::write(files.join("empty.log"), "").unwrap();
    fs::write(files.join("messages"), "2026-03-01 10:00:00 ERROR disk full\n\n".repeat(10))
        .unwrap();
    fs::write(files.join("lines.json"), "{\"ts\":\"2026-03-01T10:00:00Z\"}\n".repeat(10)).unwrap();
    let long = format!("2026-03-01 10:00:00 short\n{}\n", "z".repeat((16 << 20) + 1));
    fs::write(files.join("long.log"), long).unwrap();
    fs::write(files.join("binary"), b"\xff\xfe\n\0\n\xc3\x28\n").unwrap();
    fs::write(files.join("huge"), format!("{}\nshort\n", "x".repeat((16 << 20) + 1))).unwrap();
    fs::write(files.join("large"), format!("{}\n", "y".repeat(16 << 20))).unwrap();
    fs::write(files.join("name with 'quotes'"), "line\n".repeat(20_000)).unwrap();
    let run = run(home.bare(&["--json", "--dir", "the tour", "tour", "files"]), b"").ok();
    let report = &json(&run.out)[0];
    assert_eq!(report["events"], 3 + 1 + 1 + 20_000 + 10);
    assert_eq!(report["log_entries"], 4 + 20 + 1);
    assert_eq!(report["read"]["lines_not_utf8"], 2);
    assert_eq!(report["read"]["lines_too_long"], 2);
    assert_eq!(report["read"]["files"], 9);
    assert_eq!(report["topics"], 5 + 3);
    let logs = &report["read"]["logs"];
    assert_eq!((&logs["files"], &logs["with_time"]), (&4.into(), &11.into()));
    assert_eq!(logs["severities"], serde_json::json!({"info": 15, "error": 10}));
    assert_eq!(logs["formats"]["iso8601"], 11);
    let state = &report["state"];
    assert_eq!(
        (&state["history"][0]["value"], &state["history"][1]["value"]),
        (&5.into(), &3.into())
    );
    assert!(state["lost"].as_str().unwrap().contains("version: 2"), "{state}");
    assert_eq!((&state["keys"], state["some"].as_array().unwrap().len()), (&1_000.into(), 4));
    let search = &report["search"];
    assert_eq!((&search["text"], &search["found"]), (&"ERROR".into(), &10.into()));
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() == 10 && checks.iter().all(|check| check["ok"] == true), "{checks:?}");
}

#[test]
fn what_the_report_says_to_try_next_works() {
    let home = Home::empty();
    fs::write(home.path("a.log"), "line\n".repeat(30)).unwrap();
    fs::write(home.path("b.txt"), "line\n".repeat(20)).unwrap();
    let tour = ["--dir", "it's here", "tour", "a.log", "b.txt"];
    let report = run(home.bare(&tour), b"").ok().out;
    assert!(report.contains("  ok     every log file came back byte for byte\n"), "{report}");
    let commands: Vec<&str> =
        report.lines().skip_while(|line| *line != "Try next").skip(1).collect();
    assert!(commands.len() >= 6, "{report}");
    let script = format!("set -e\n{}\n", commands.join("\n"));
    let shell = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    let out = String::from_utf8_lossy(&shell.stdout);
    assert!(out.contains("tour.a_log") && out.contains("tour.b_txt"), "{out}");
    assert!(out.contains("demo: stored 1"), "{out}");
    let eval = "on - included\n";
    assert!(out.contains(eval) != out.contains("off - excluded\n"), "{out}");
}

#[test]
fn a_tour_takes_a_directory_of_its_own_and_no_other() {
    let home = Home::empty();
    fs::write(home.path("a.log"), "line\n").unwrap();
    run(home.bare(&["tour", "a.log"]), b"").ok();
    run(home.bare(&["--dir", "s", "tour", "a.log"]), b"").ok();
    run(home.bare(&["--dir", "s", "tour", "a.log"]), b"").code(8);
    run(home.bare(&["tour", "absent.log"]), b"").code(3);
}

#[test]
fn without_a_path_a_tour_takes_the_history_or_the_files_at_hand() {
    let home = Home::empty();
    let work = home.path("work");
    fs::create_dir(&work).unwrap();
    let tour = || {
        let mut command = home.bare(&["--json", "tour"]);
        command.current_dir(&work).env("GIT_CEILING_DIRECTORIES", home.path(""));
        run(command, b"")
    };
    tour().code(2);
    fs::write(work.join("a.log"), "one\ntwo\n").unwrap();
    fs::write(work.join("b.txt"), "three\n").unwrap();
    let report = &json(&tour().ok().out)[0];
    assert_eq!((&report["log_entries"], &report["events"]), (&2.into(), &1.into()));
    let git = |args: &[&str]| {
        let status = Command::new("git").args(args).current_dir(&work).status();
        assert!(status.unwrap().success(), "{args:?}");
    };
    git(&["init", "--quiet"]);
    for subject in ["first", "second", "third"] {
        let identity = ["-c", "user.name=A", "-c", "user.email=a@b.example"];
        git(&[&identity[..], &["commit", "--quiet", "--allow-empty", "-m", subject]].concat());
    }
    let report = &json(&tour().ok().out)[0];
    assert_eq!(report["events"], 3);
    assert_eq!(report["source"], "commits of the git history");
}
