//! Kills at any moment. Without this, an acknowledgement could be a hope: here a parent reads the
//! acknowledgements, kills the writer, and looks for every record that it was told of, in its place
//! and unchanged. What is there beyond must be what was sent, in order. Events and logs alike.
//!
//! `FORGEONE_DB_KILLS` sets how often; 40 without it, 200 in the long run.

use crate::support::{Home, Running};
use forgeone_db::{Key, OpenMode, RedbManager, StartFrom, StoreOptions, TopicPattern};
use std::time::Duration;

/// Records of a round that are sent at most.
const RECORDS: usize = 200_000;

fn kills() -> u32 {
    std::env::var("FORGEONE_DB_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

fn payload(round: u32, number: usize) -> String {
    format!("round {round} record {number}")
}

/// Sends records of a round until the writer is gone.
fn flood(append: &mut Running, round: u32) -> std::thread::JoinHandle<()> {
    let mut stdin = append.stdin.take().unwrap();
    std::thread::spawn(move || {
        let mut number = 0;
        while number < RECORDS {
            let mut text = String::new();
            for _ in 0..50 {
                text += &payload(round, number);
                text.push('\n');
                number += 1;
            }
            if std::io::Write::write_all(&mut stdin, text.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// What is appended, and how it is read back.
struct Subject {
    append: &'static [&'static str],
    /// Numbers and texts behind a number.
    read: fn(&RedbManager, u64) -> Vec<(u64, String)>,
}

const EVENTS: Subject = Subject {
    append: &["--json", "events", "append", "--text", "--topic", "t"],
    read: |store, after| {
        let events = store.replay(&topics(), StartFrom::After(after)).unwrap();
        events.map(Result::unwrap).map(|event| (event.seq, event.event.payload)).collect()
    },
};

const LOGS: Subject = Subject {
    append: &["--json", "logs", "append", "--topic", "t"],
    read: |store, after| {
        let entries = store.replay_logs(&topics(), StartFrom::After(after)).unwrap();
        entries.map(Result::unwrap).map(|entry| (entry.seq, entry.entry.message)).collect()
    },
};

fn topics() -> TopicPattern {
    TopicPattern::new("t").unwrap()
}

#[test]
fn what_was_acknowledged_survives_every_kill_unchanged_and_in_order() {
    kill_and_check(&EVENTS, kills());
}

#[test]
fn lines_that_were_acknowledged_survive_every_kill_unchanged_and_in_order() {
    kill_and_check(&LOGS, kills());
}

fn kill_and_check(subject: &Subject, kills: u32) {
    let home = Home::new();
    // What must be there: in each round a prefix of what was sent.
    let mut known: u64 = 0;
    let mut prefixes: Vec<u64> = Vec::new();
    for round in 0..kills {
        let mut append = home.start(subject.append);
        let sender = flood(&mut append, round);
        let mut acknowledged = last_of(&append.line());
        let delay = 1 + u64::from(round) * 59 / u64::from(kills.max(2) - 1);
        std::thread::sleep(Duration::from_millis(delay));
        append.child.kill().unwrap();
        append.child.wait().unwrap();
        // What is left in the pipe was acknowledged before the kill.
        for line in append.rest().iter().filter(|line| line.ends_with('}')) {
            acknowledged = last_of(line);
        }
        sender.join().unwrap();
        let found = check(&home, subject, (known, round));
        assert!(
            found >= acknowledged,
            "round {round}: acknowledged up to {acknowledged}, found up to {found}"
        );
        prefixes.push(found - known);
        known = found;
    }
    check_all(&home, subject, &prefixes);
}

fn last_of(line: &str) -> u64 {
    let commit: serde_json::Value = serde_json::from_str(line).unwrap();
    commit["last_seq"].as_u64().unwrap()
}

fn open(home: &Home) -> RedbManager {
    let options = StoreOptions::new(home.store()).key(Key::raw([7; 32])).mode(OpenMode::Read);
    RedbManager::open(options).unwrap()
}

/// Checks the round's records, and gives the number of the last.
fn check(home: &Home, subject: &Subject, (known, round): (u64, u32)) -> u64 {
    let mut last = known;
    for (number, (seq, text)) in (subject.read)(&open(home), known).into_iter().enumerate() {
        assert_eq!(seq, last + 1);
        assert_eq!(text, payload(round, number));
        last = seq;
    }
    last
}

fn check_all(home: &Home, subject: &Subject, prefixes: &[u64]) {
    let mut records = (subject.read)(&open(home), 0).into_iter();
    for (round, prefix) in (0..).zip(prefixes) {
        for number in 0..usize::try_from(*prefix).unwrap() {
            assert_eq!(records.next().unwrap().1, payload(round, number));
        }
    }
    assert!(records.next().is_none());
}

#[test]
fn an_init_killed_at_any_moment_is_taken_up_again() {
    for delay in 0..24u64 {
        let home = Home::empty();
        let mut init = home.start(&["init", "--shards", "2"]);
        std::thread::sleep(Duration::from_micros(delay * 700));
        init.child.kill().unwrap();
        init.child.wait().unwrap();
        let again = home.run(&["init", "--shards", "2"], "");
        // It may have been done already.
        assert!([0, 8].contains(&again.code), "after {delay}: {}", again.err);
        home.run(&["events", "append", "--topic", "t"], "{\"payload\":\"x\"}\n").ok();
        assert_eq!(home.json(&["events", "query"]).len(), 1);
    }
}
