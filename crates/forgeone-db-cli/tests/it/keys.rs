//! Changes of keys from the command line. Without these tests a script could lose a store to a
//! rotation that was killed, keep a key that it believes replaced, or destroy a topic by accident.

use crate::support::{Home, contents, json, records, run, write_key};
use std::fs;
use std::path::Path;
use std::time::Duration;

const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

/// A store with events and logs, sealed and not.
fn filled() -> Home {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 2_000)).ok();
    let known = format!("{{\"payload\":\"known\",\"id\":\"{ID}\",\"metadata\":{{\"k\":\"v\"}}}}\n");
    home.run(&["events", "append", "--topic", "both"], &known).ok();
    home.run(&["logs", "append", "--topic", "both"], "one\r\ntwo\nthree").ok();
    home
}

/// Everything that can be read, as text.
fn everything(home: &Home) -> String {
    let events = home.run(&["--json", "events", "query"], "").ok().out;
    events + &home.run(&["--json", "logs", "query"], "").ok().out
}

fn sound(home: &Home) {
    assert!(home.run(&["verify", "--deep"], "").ok().out.starts_with("sound: "));
}

#[test]
fn each_kind_of_rotation_keeps_everything_and_says_what_it_did() {
    let home = filled();
    let before = everything(&home);
    for (args, rotated) in [
        (&["key", "rotate", "--wrapping"][..], &["wrapping"][..]),
        (&["key", "rotate", "--data"], &["data"]),
        (&["key", "rotate"], &["wrapping", "data"]),
        (&["key", "rotate", "--resume"], &[]),
    ] {
        let done = &home.json(args)[0];
        assert_eq!(done["rotated"], serde_json::json!(rotated), "{args:?}");
        assert_eq!(done["finished"], serde_json::Value::Null);
        let with_data = rotated.contains(&"data");
        assert_eq!(done["bytes"].as_u64().unwrap() > 0, with_data, "{done}");
        assert_eq!(everything(&home), before, "{args:?}");
        sound(&home);
    }
    let text = home.run(&["key", "rotate"], "").ok();
    assert!(text.out.starts_with("replaced the wrapping key and the data keys: "), "{}", text.out);
    text.says("copies of the store from before");
    assert!(home.run(&["key", "rotate", "--resume"], "").ok().out.contains("nothing to finish"));
    assert_eq!(home.json(&["stats"])[0]["store"]["key_change"], serde_json::Value::Null);
    for wrong in [
        &["key", "rotate", "--wrapping", "--data"][..],
        &["key", "rotate", "--slot", "0", "--data"],
        &["key", "rotate", "--generate-key", "x"],
        &["key", "rotate", "--slot", "0"],
    ] {
        home.run(wrong, "").code(2);
    }
    assert!(!home.path("x").exists());
    write_key(&home.path("wrong"), 9);
    home.run(&["--key-file", "wrong", "key", "rotate"], "").code(4);
}

#[test]
fn a_store_without_encryption_has_nothing_to_rotate_or_shred() {
    let home = Home::empty();
    let plain = |args: &[&str]| run(home.bare(&[&["--dir", "store"], args].concat()), b"{}\n");
    plain(&["init", "--no-encryption"]).ok();
    plain(&["events", "append", "--topic", "t", "--text"]).ok();
    plain(&["key", "rotate"]).code(2).says("not encrypted");
    plain(&["key", "rotate", "--slot", "0", "--generate-key", "x"]).code(3);
    plain(&["topics", "shred", "t", "--yes"]).code(1).says("not encrypted");
    assert!(!home.path("x").exists());
    assert_eq!(plain(&["events", "query"]).ok().out.lines().count(), 1);
}

#[test]
fn a_replaced_key_opens_nothing_and_the_new_one_does() {
    let home = filled();
    let before = everything(&home);
    home.run(&["key", "add", "--generate-key", "spare", "--label", "spare"], "").ok();
    let rotate = |more: &[&str]| home.run(&[&["key", "rotate", "--slot"], more].concat(), "");
    // None of these changes anything or leaves a file.
    let keyrings = contents(&home.store());
    rotate(&["5", "--generate-key", "new"]).code(3).says("no key has the number 5");
    rotate(&["0", "--new-key-file", "key"]).code(8).says("already as key 0");
    rotate(&["0", "--new-key-file", "spare"]).code(8).says("already as key 1");
    rotate(&["0", "--new-key-file", "absent"]).code(4);
    rotate(&["0", "--generate-key", "spare"]).code(8).says("never written over");
    assert!(!home.path("new").exists());
    assert_eq!(contents(&home.store()), keyrings);

    rotate(&["0", "--generate-key", "new"]).ok().says("the key in use");
    home.run(&["stats"], "").code(4);
    home.run(&["key", "list"], "").code(4);
    home.run(&["events", "append", "--topic", "t"], "{}").code(4);
    for key in ["new", "spare"] {
        home.run(&["--key-file", key, "events", "get", ID], "").ok();
    }
    // The other one, by a passphrase that is in force from then on.
    write_key(&home.path("third"), 3);
    let third = ["--key-file", "new", "key", "rotate", "--slot", "1", "--new-key-file", "third"];
    let done = home.run(&third, "").ok();
    assert!(!done.err.contains("the key in use"), "{}", done.err);
    home.run(&["--key-file", "spare", "stats"], "").code(4);
    let keys = home.run(&["--json", "--key-file", "third", "key", "list"], "").ok().out;
    assert_eq!(json(&keys)[1]["label"], "spare");
    fs::copy(home.path("new"), home.key()).unwrap();
    assert_eq!(everything(&home), before);
    sound(&home);
}

#[test]
fn a_rotation_waits_for_another_writer_and_gives_up() {
    let home = filled();
    let mut writer = home.start(&["--json", "events", "append", "--topic", "t"]);
    writer.write(&records("w", 1));
    writer.line();
    for args in [
        &["--wait", "0", "key", "rotate"][..],
        &["--wait", "0", "key", "rotate", "--slot", "0", "--generate-key", "new"],
        &["--wait", "0", "topics", "shred", "t", "--yes"],
    ] {
        home.run(args, "").code(6);
    }
    assert!(!home.path("new").exists());
    writer.finish().ok();
}

#[test]
fn a_reader_goes_on_while_keys_are_replaced() {
    let home = filled();
    let follower = home.start(&["--json", "events", "tail", "--topic", "t", "--follow"]);
    for _ in 0..2_000 {
        follower.line();
    }
    for _ in 0..2 {
        home.run(&["key", "rotate"], "").ok();
        home.run(&["events", "append", "--topic", "t"], "{\"payload\":\"later\"}\n").ok();
        assert!(follower.line().contains("later"));
    }
    follower.signal(rustix::process::Signal::INT);
    follower.finish().ok();
}

/// How long a rotation lives before it is killed, in milliseconds: it takes some hundred.
const DELAYS: [u64; 12] = [5, 10, 20, 30, 40, 60, 80, 100, 130, 170, 220, 300];

#[test]
fn a_rotation_killed_at_any_moment_is_finished_by_the_next() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records(&"r".repeat(200), 10_000)).ok();
    home.run(&["logs", "append", "--topic", "l"], &"a line\r\n".repeat(5_000)).ok();
    let before = everything(&home);
    let mut cut_short = 0;
    for delay in DELAYS {
        let mut rotation = home.start(&["key", "rotate", "--data"]);
        std::thread::sleep(Duration::from_millis(delay));
        rotation.child.kill().unwrap();
        rotation.child.wait().unwrap();
        // Readers find everything, and are told.
        assert_eq!(everything(&home), before, "after {delay} ms");
        let unfinished = !home.json(&["stats"])[0]["store"]["key_change"].is_null();
        let list = home.run(&["key", "list"], "").ok();
        let verify = home.run(&["verify"], "").ok();
        for told in [list.err, verify.err] {
            assert_eq!(told.contains("key rotate --resume"), unfinished, "{told}");
        }
        let next = ["key", "rotate", if delay % 20 == 0 { "--resume" } else { "--data" }];
        let done = home.json(&next);
        assert_eq!(!done[0]["finished"].is_null(), unfinished, "after {delay} ms: {done:?}");
        cut_short += u32::from(unfinished);
        assert_eq!(everything(&home), before, "after {delay} ms");
        let stats = home.json(&["stats"]);
        assert!(stats[0]["store"]["key_change"].is_null());
    }
    sound(&home);
    println!("{cut_short} of {} rotations were cut short", DELAYS.len());
    assert!(cut_short > 0);
}

/// Whether a file of the store holds this text; what is encrypted never does.
fn holds(directory: &Path, text: &str) -> bool {
    let files = contents(directory);
    files.iter().any(|(_, bytes)| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
}

#[test]
fn a_topic_is_shredded_only_with_consent_and_only_once() {
    let home = filled();
    let before = everything(&home);
    let shred = |more: &[&str]| home.run(&[&["topics", "shred"], more].concat(), "");
    shred(&["both"]).code(2).says("--kind");
    shred(&["both", "--yes"]).code(2).says("--kind");
    shred(&["nobody", "--yes"]).code(3);
    shred(&["t", "--kind", "logs", "--yes"]).code(3);
    let plan = shred(&["t"]).code(2).says("--yes");
    assert!(plan.out.starts_with("would shred 2000 records of events topic t, 1 to 2000"));
    assert_eq!(everything(&home), before, "nothing was destroyed");
    assert!(!holds(&home.store(), "known"));

    let done = home.run(&["--json", "topics", "shred", "both", "--kind", "events", "--yes"], "");
    let done = done.ok().says("cannot be recovered").says("not covered: the topic's name");
    let done = &json(&done.out)[0];
    assert_eq!((&done["shredded"], &done["last_seq"]), (&true.into(), &1.into()));
    assert_eq!((&done["kind"], &done["count"]), (&"events".into(), &1.into()));
    home.run(&["events", "get", ID], "").code(3);
    let described = &home.json(&["topics", "describe", "both", "--kind", "events"])[0];
    assert_eq!((&described["first_seq"], &described["count"]), (&2.into(), &0.into()));
    assert_eq!(home.json(&["logs", "query", "--topic", "both"]).len(), 3);
    sound(&home);

    // Again: there is nothing left, with and without consent, until something comes.
    for more in [&["both", "--kind", "events", "--yes"][..], &["both", "--kind", "events"]] {
        assert!(shred(more).ok().out.starts_with("nothing left to shred"));
    }
    home.run(&["events", "append", "--topic", "both"], "{\"payload\":\"new\"}\n").ok();
    assert_eq!(home.json(&["events", "query", "--topic", "both"])[0]["seq"], 2);
    let plan = shred(&["both", "--kind", "events"]).code(2);
    assert!(plan.out.contains("1 records of events topic both, 2 to 2"), "{}", plan.out);
    let again = shred(&["both", "--kind", "events", "--yes"]).ok();
    assert!(again.out.starts_with("shredded 1 records"), "{}", again.out);
    sound(&home);
}

#[test]
fn a_tail_tells_of_the_gap_once_and_goes_on() {
    let home = filled();
    home.run(&["topics", "shred", "t", "--yes"], "").ok();
    home.run(&["topics", "shred", "both", "--kind", "logs", "--yes"], "").ok();
    home.run(&["events", "append", "--topic", "t"], &records("new", 2)).ok();
    home.run(&["logs", "append", "--topic", "both"], "new\n").ok();
    for (tail, gap, left) in [
        (&["--json", "events", "tail", "--topic", "t", "--after", "0"][..], "gap: 1 to 2000 of", 2),
        (&["--json", "logs", "tail", "--topic", "both", "--after", "1"], "gap: 2 to 3 of", 1),
    ] {
        let told = home.run(tail, "").ok();
        assert_eq!(told.err.matches("gap: ").count(), 1, "{}", told.err);
        assert!(told.err.starts_with(gap) && told.err.contains("were shredded"), "{}", told.err);
        assert_eq!(told.out.lines().count(), left);
        let follow = home.start(&[tail, &["--follow"]].concat());
        for _ in 0..left {
            follow.line();
        }
        follow.signal(rustix::process::Signal::INT);
        assert_eq!(follow.finish().ok().err.matches("gap: ").count(), 1);
    }
    assert_eq!(home.json(&["events", "query", "--topic", "t"]).len(), 2);
    let left = home.json(&["logs", "query", "--topic", "both"]);
    assert_eq!((left.len(), &left[0]["seq"]), (1, &4.into()));
    for after in [&[][..], &["--after", "1"]] {
        let raw = [&["logs", "query", "--topic", "both", "--format", "raw"], after].concat();
        assert_eq!(home.run(&raw, "").ok().out, "new\n");
    }
}
