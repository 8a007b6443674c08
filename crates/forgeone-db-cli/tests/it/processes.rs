//! Several processes on one store: writers, readers, followers, signals and closed pipes.

use crate::support::{Home, PATIENCE, Running, records};
use rustix::process::Signal;
use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

const APPEND: [&str; 5] = ["--json", "events", "append", "--topic", "t"];

fn started(home: &Home) -> Running {
    let mut append = home.start(&APPEND);
    append.write(&records("r", 1));
    append.line();
    append
}

#[test]
fn a_second_writer_finds_the_store_in_use() {
    let home = Home::new();
    let first = started(&home);
    home.run(&APPEND, &records("s", 1)).code(6);
    let start = Instant::now();
    home.run(&["--wait", "1", "key", "remove", "3"], "").code(6);
    assert!(start.elapsed() >= Duration::from_secs(1));
    first.finish().ok();
    home.run(&APPEND, &records("s", 1)).ok();
}

#[test]
fn a_writer_waits_for_another_to_go() {
    let home = Home::new();
    let first = started(&home);
    let mut waiting = vec!["--wait", "30"];
    waiting.extend_from_slice(&APPEND);
    let mut second = home.start(&waiting);
    second.write(&records("s", 1));
    assert_eq!(second.line_within(Duration::from_millis(300)), None);
    first.finish().ok();
    assert!(second.line().contains("\"first_seq\":2"));
    second.finish().ok();
}

#[test]
fn readers_work_beside_a_writer_and_see_what_it_acknowledged() {
    let home = Home::new();
    let mut writer = started(&home);
    for round in 0..10 {
        writer.write(&records("r", 100));
        let mut stored = 0;
        while stored < 100 {
            let commit: serde_json::Value = serde_json::from_str(&writer.line()).unwrap();
            stored += commit["count"].as_u64().unwrap();
        }
        let readers: Vec<Running> =
            [&["--json", "events", "query"][..], &["--json", "events", "tail", "--topic", ">"]]
                .iter()
                .map(|args| home.start(args))
                .collect();
        for reader in readers {
            let run = reader.finish().ok();
            assert_eq!(run.out.lines().count(), 1 + 100 * (round + 1));
        }
        home.run(&["stats"], "").ok();
    }
    writer.finish().ok();
}

#[test]
fn a_follower_sees_what_another_process_appends() {
    let home = Home::new();
    home.run(&APPEND, &records("old", 3)).ok();
    let follower = home.start(&["--json", "events", "tail", "--topic", ">", "--follow"]);
    for _ in 0..3 {
        follower.line();
    }
    let mut writer = home.start(&APPEND);
    for number in 0..20 {
        writer.write(&format!("{{\"payload\":\"new{number}\"}}\n"));
        writer.line();
        let event: serde_json::Value = serde_json::from_str(&follower.line()).unwrap();
        assert_eq!(
            (&event["payload"], &event["seq"]),
            (&format!("new{number}").into(), &(number + 4).into())
        );
    }
    writer.finish().ok();
    home.run(&APPEND, &records("later", 1)).ok();
    assert!(follower.line().contains("later0"));
    follower.signal(Signal::INT);
    follower.finish().ok();
}

#[test]
fn an_interrupted_append_stores_what_has_arrived_and_ends_well() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = Home::new();
        let mut append = started(&home);
        append.write(&records("r", 50));
        // Acknowledged as soon as it has arrived; only then is it certain that it has.
        let mut stored = 0;
        while stored < 50 {
            let commit: serde_json::Value = serde_json::from_str(&append.line()).unwrap();
            stored += commit["count"].as_u64().unwrap();
        }
        append.write("{\"payload\":\"hal");
        append.signal(signal);
        // Its input is still open: it must end by itself.
        assert!(append.rest().is_empty());
        let status = append.child.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(home.json(&["topics", "describe", "t"])[0]["count"], 51);
    }
}

#[test]
fn an_append_interrupted_while_input_floods_in_tells_all_it_stored() {
    let home = Home::new();
    let mut append = started(&home);
    let mut stdin = append.stdin.take().unwrap();
    let flood = std::thread::spawn(move || {
        let input = records("r", 1000);
        while std::io::Write::write_all(&mut stdin, input.as_bytes()).is_ok() {}
    });
    let mut told = 1;
    for _ in 0..5 {
        told += count(&append.line());
    }
    append.signal(Signal::INT);
    told += append.rest().iter().map(|line| count(line)).sum::<u64>();
    assert_eq!(append.child.wait().unwrap().code(), Some(0));
    flood.join().unwrap();
    assert_eq!(home.json(&["topics", "describe", "t"])[0]["count"], told);
}

fn count(line: &str) -> u64 {
    let commit: serde_json::Value = serde_json::from_str(line).unwrap();
    commit["count"].as_u64().unwrap()
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let home = Home::new();
    home.run(&APPEND, &records("r", 30_000)).ok();
    for args in [
        &["--json", "events", "query"][..],
        &["--json", "events", "tail", "--topic", "t"],
        &["--json", "events", "tail", "--topic", "t", "--follow"],
        &["events", "query", "--reverse"],
    ] {
        let mut command = home.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn an_append_whose_acknowledgements_nobody_reads_goes_on() {
    let home = Home::new();
    let mut command = home.command(&APPEND);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, records("r", 20_000).as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("stored 20000 events"), "{err}");
    assert_eq!(home.json(&["topics", "describe", "t"])[0]["count"], 20_000);
}

#[test]
fn readers_recover_a_store_that_a_killed_writer_left() {
    let home = Home::new();
    let mut writer = started(&home);
    writer.child.kill().unwrap();
    writer.child.wait().unwrap();
    let reader = home.start(&["--json", "events", "query"]);
    let start = Instant::now();
    assert_eq!(reader.finish().ok().out.lines().count(), 1);
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_full_standard_output_does_not_make_append_tell_a_wrong_line() {
    let home = Home::new();
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        println!("skipped: this system has no /dev/full");
        return;
    };
    let mut child = home
        .command(&APPEND)
        .stdin(Stdio::piped())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The command may end before it has read everything.
    drop(std::io::Write::write_all(&mut stdin, records("r", 30_000).as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{err}");
    let count = home.json(&["topics", "describe", "t"])[0]["count"].as_u64().unwrap();
    assert!(err.contains(&format!("stored {count} events, up to line {count}")), "{err}");
}
