//! What `events append` does with its input: what is committed when, what is told, and what is
//! left of a run that goes wrong.

use crate::support::{Home, json, records, run};
use std::fs;
use std::time::{Duration, Instant};

#[test]
fn a_commit_is_acknowledged_with_its_numbers() {
    let home = Home::new();
    let out = home.run(&["--json", "events", "append", "--topic", "t"], &records("r", 10)).ok().out;
    assert_eq!(out, "{\"topic\":\"t\",\"first_seq\":1,\"last_seq\":10,\"count\":10}\n");
    let out = home.run(&["events", "append", "--topic", "t"], &records("s", 2)).ok().out;
    assert_eq!(out, "t: stored 2, numbers 11 to 12\n");
}

#[test]
fn commits_of_much_input_have_eight_thousand_records_at_most() {
    let home = Home::new();
    let run = home.run(&["--json", "events", "append", "--topic", "t"], &records("r", 20_000)).ok();
    let commits = json(&run.out);
    let mut next = 1;
    for commit in &commits {
        assert_eq!(commit["first_seq"], next);
        let count = commit["count"].as_u64().unwrap();
        assert!(count <= 8_000);
        next += count;
    }
    assert_eq!(next, 20_001);
}

#[test]
fn the_same_ids_again_are_duplicates_and_other_content_is_a_conflict() {
    let home = Home::new();
    let record = |number: u8, payload: &str| {
        format!(
            "{{\"id\":\"67e55044-10b1-426f-9247-bb680e5fe0{number:02}\",\"payload\":\"{payload}\"}}\n"
        )
    };
    let append = ["--json", "events", "append", "--topic", "t"];
    home.run(&append, &(record(1, "a") + &record(2, "b"))).ok();
    let again = home.run(&append, &(record(2, "b") + &record(3, "c"))).ok().out;
    assert_eq!(
        again,
        "{\"topic\":\"t\",\"first_seq\":3,\"last_seq\":3,\"count\":1,\"duplicates\":1}\n"
    );
    let again = home.run(&append, &record(2, "b")).ok().out;
    assert_eq!(
        again,
        "{\"topic\":\"t\",\"first_seq\":2,\"last_seq\":2,\"count\":0,\"duplicates\":1}\n"
    );
    let conflict = home.run(&append, &(record(4, "d") + &record(1, "other"))).code(8);
    assert!(conflict.out.is_empty());
    assert_eq!(home.json(&["topics", "describe", "t"])[0]["last_seq"], 3);
}

#[test]
fn a_malformed_line_is_named_and_earlier_commits_stay() {
    let home = Home::new();
    let mut append = home.start(&["--json", "events", "append", "--topic", "t"]);
    append.write(&records("r", 5));
    append.line();
    append.write(&(records("lost", 3) + "{\"payload\":\n" + &records("behind", 3)));
    let run = append.finish().code(1).says("line 9: ").says("stored 5 events, up to line 5");
    assert!(run.out.is_empty());
    let payloads = home.run(&["events", "query"], "").ok().out;
    assert_eq!(payloads.lines().count(), 5);
    assert!(!payloads.contains("lost"));
}

#[test]
fn every_kind_of_bad_line_is_refused_with_its_number() {
    let home = Home::new();
    for (line, why) in [
        ("nonsense", "not JSON"),
        ("{}", "missing field `payload`"),
        (r#"{"payload":7}"#, "expected a string"),
        (r#"{"payload":"x","topic":"u"}"#, "another topic"),
        (r#"{"payload":"x","priority":"urgent"}"#, "`critical`"),
        (r#"{"payload":"x"} {"payload":"y"}"#, "trailing"),
    ] {
        let input = format!("\n \n{line}\n");
        home.run(&["events", "append", "--topic", "t"], &input).code(1).says("line 3: ").says(why);
    }
    home.run(&["events", "append"], &records("r", 1)).code(1).says("names no topic");
    let bytes = run(home.command(&["events", "append", "--text", "--topic", "t"]), b"a\n\xff\n");
    bytes.code(1).says("line 2: not UTF-8");
    assert!(home.json(&["topics", "list"]).is_empty());
}

#[test]
fn text_keeps_every_byte_but_the_line_feed() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t", "--text"], "a\r\n\n  b\u{e9}\t").ok();
    let events = home.json(&["events", "tail", "--topic", "t"]);
    let payloads: Vec<&str> = events.iter().map(|e| e["payload"].as_str().unwrap()).collect();
    assert_eq!(payloads, ["a\r", "", "  b\u{e9}\t"]);
}

#[test]
fn records_are_read_from_a_file() {
    let home = Home::new();
    fs::write(home.path("input"), records("r", 100)).unwrap();
    home.run(&["events", "append", "--topic", "t", "input"], "").ok();
    assert_eq!(home.json(&["topics", "describe", "t"])[0]["count"], 100);
    home.run(&["events", "append", "--topic", "t", "absent"], "").code(3);
    home.run(&["events", "append", "--topic", "t", "."], "").code(2);
    home.run(&["events", "append", "--topic", "t", "-"], &records("s", 1)).ok();
    assert_eq!(home.json(&["topics", "describe", "t"])[0]["count"], 101);
}

#[test]
fn records_of_many_topics_come_with_one_acknowledgement_each() {
    let home = Home::new();
    let input = (0..50).fold(String::new(), |text, number| {
        text + &format!("{{\"topic\":\"t{}\",\"payload\":\"{number}\"}}\n", number % 10)
    });
    let run = home.run(&["--json", "events", "append"], &input).ok();
    let commits = json(&run.out);
    assert_eq!(commits.iter().map(|commit| commit["count"].as_u64().unwrap()).sum::<u64>(), 50);
    assert_eq!(home.json(&["topics", "list"]).len(), 10);
}

#[test]
fn a_pipe_that_stays_open_is_acknowledged_soon() {
    let home = Home::new();
    let mut append = home.start(&["--json", "events", "append", "--topic", "t"]);
    append.write(&records("first", 1));
    append.line();
    for number in 0..10 {
        let start = Instant::now();
        append.write(&records("r", 1));
        let line = append.line();
        assert!(line.contains(&format!("\"first_seq\":{}", number + 2)), "{line}");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    append.finish().ok();
}

#[test]
fn half_a_line_waits_for_its_end() {
    let home = Home::new();
    let mut append = home.start(&["--json", "events", "append", "--topic", "t"]);
    append.write("{\"payload\":");
    assert_eq!(append.line_within(Duration::from_millis(200)), None);
    append.write("\"x\"}\n");
    append.line();
    append.finish().ok();
}

#[test]
fn long_lines_are_stored_up_to_the_limit_and_refused_beyond() {
    let home = Home::new();
    let largest = "x".repeat(16 << 20);
    let text = ["events", "append", "--topic", "t", "--text"];
    home.run(&text, &format!("{largest}\n{largest}\n{largest}\n")).ok();
    assert_eq!(home.json(&["topics", "describe", "t"])[0]["count"], 3);
    home.run(&text, &format!("short\n{largest}x\n")).code(1).says("line 2: ");
    let ndjson = ["events", "append", "--topic", "u"];
    home.run(&ndjson, &format!("{{\"payload\":\"{largest}\"}}\n")).ok();
    home.run(&ndjson, &format!("{{\"payload\":\"{largest}x\"}}\n")).code(1).says("line 1: ");
    let endless = "x".repeat(40 << 20);
    home.run(&ndjson, &endless).code(1).says("line 1: the line has more than");
}

#[test]
fn a_full_store_refuses_more_and_keeps_what_it_has() {
    let home = Home::new();
    let options = forgeone_db::StoreOptions::new(home.path("small"))
        .mode(forgeone_db::OpenMode::Create)
        .key(forgeone_db::Key::raw([7; 32]))
        .max_size_bytes(4 << 20);
    forgeone_db::RedbManager::open(options).unwrap().close().unwrap();
    let noise = |seed: u64| {
        let mut state = seed | 1;
        (0..40_000).fold(String::new(), |text, _| {
            let mut payload = String::new();
            for _ in 0..8 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                payload += &format!("{state:016x}");
            }
            text + &payload + "\n"
        })
    };
    let append = ["--dir", "small", "--json", "events", "append", "--text", "--topic", "t"];
    let run = home.run(&append, &noise(99)).code(7).says("stored ");
    let stored: u64 = json(&run.out).iter().map(|commit| commit["count"].as_u64().unwrap()).sum();
    let topic = &home.json(&["--dir", "small", "topics", "list"])[0];
    assert_eq!(topic["count"], stored);
    assert!(stored > 0 && stored < 40_000);
}
