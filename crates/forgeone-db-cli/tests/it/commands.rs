//! Every command, every exit code that a single process can meet, and what is printed where.

use crate::support::{Home, contents, json, records, run, write_key};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

pub(crate) const COMMANDS: [&[&str]; 52] = [
    &[],
    &["init"],
    &["tour"],
    &["events"],
    &["events", "append"],
    &["events", "get"],
    &["events", "query"],
    &["events", "tail"],
    &["logs"],
    &["logs", "append"],
    &["logs", "get"],
    &["logs", "query"],
    &["logs", "tail"],
    &["topics", "list"],
    &["topics", "describe"],
    &["settings"],
    &["settings", "get"],
    &["settings", "set"],
    &["settings", "list"],
    &["settings", "rm"],
    &["settings", "history"],
    &["settings", "watch"],
    &["flags"],
    &["flags", "list"],
    &["flags", "on"],
    &["flags", "off"],
    &["flags", "set"],
    &["flags", "show"],
    &["flags", "eval"],
    &["flags", "rm"],
    &["metadata"],
    &["metadata", "get"],
    &["metadata", "set"],
    &["metadata", "list"],
    &["metadata", "rm"],
    &["key", "list"],
    &["key", "add"],
    &["key", "remove"],
    &["export"],
    &["import"],
    &["topics", "shred"],
    &["key", "rotate"],
    &["verify"],
    &["scrub"],
    &["repair"],
    &["salvage"],
    &["stats"],
    &["compact"],
    &["doctor"],
    &["quota"],
    &["man"],
    &["completions"],
];

#[test]
fn the_help_of_every_command_lists_exit_codes() {
    let home = Home::empty();
    for command in COMMANDS {
        let mut args = command.to_vec();
        args.push("--help");
        let help = run(home.bare(&args), b"").ok().out;
        assert!(help.contains("Exit codes:\n   0  done\n"), "{command:?}: {help}");
        assert!(help.is_ascii(), "{command:?}");
    }
}

#[test]
fn a_command_line_that_is_none_is_wrong_usage() {
    let home = Home::new();
    for args in [
        &["frobnicate"][..],
        &[],
        &["events", "get", "no-uuid"],
        &["events", "query", "--from", "yesterday"],
        &["events", "query", "--priority", "urgent"],
        &["events", "query", "--topic", ">.x"],
        &["events", "tail"],
        &["events", "tail", "--topic", "t", "--after", "1", "--marker", "m"],
        &["events", "append", "--text"],
        &["events", "append", "--topic", ""],
        &["init", "--shards", "0"],
        &["init", "--shards", "1025"],
        &["init", "--no-encryption", "--generate-key", "x"],
    ] {
        let run = home.run(args, "").code(2);
        assert!(run.out.is_empty(), "{args:?}: {}", run.out);
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(home.bare(&["completions", shell]), b"").ok().out;
        assert!(script.contains("forgeone-db") && script.contains("append"), "{shell}");
    }
    run(home.bare(&["completions", "tcl"]), b"").code(2);
}

#[test]
fn init_makes_a_store_once_and_says_that_a_lost_key_is_lost_data() {
    let home = Home::empty();
    let made = home.run(&["--json", "init", "--shards", "3", "--max-size-gb", "2"], "").ok();
    let made = made.says("a lost key is lost data");
    let made = &json(&made.out)[0];
    assert_eq!(made["shard_count"], 3);
    assert_eq!(made["max_size_bytes"], 2u64 << 30);
    assert_eq!(made["encrypted"], true);
    home.run(&["init"], "").code(8);
    let store = &home.json(&["stats"])[0]["store"];
    let names = store["databases"].as_array().unwrap().iter().map(|one| &one["database"]);
    let shards = names.filter(|name| name.as_str().unwrap().starts_with("events_shard_"));
    assert_eq!(shards.count(), 3);
    assert_eq!(store["max_size_bytes"], 2u64 << 30);
}

#[test]
fn init_needs_a_decision_about_the_key() {
    let home = Home::empty();
    run(home.bare(&["--dir", "s", "init"]), b"").code(4).says("--generate-key");
    assert!(!home.path("s").exists());
    run(home.bare(&["--dir", "s", "init", "--no-encryption"]), b"").ok().says("not encrypted");
    run(home.bare(&["--dir", "s", "stats"]), b"").ok();
    home.run(&["init", "--no-encryption"], "").code(2);
    assert!(!home.store().exists());
}

#[test]
fn a_generated_key_is_private_is_never_written_over_and_opens_the_store() {
    let home = Home::empty();
    let init = |dir, key| run(home.bare(&["--dir", dir, "init", "--generate-key", key]), b"");
    init("s", "new.key").ok();
    let before = fs::read(home.path("new.key")).unwrap();
    let mode = fs::metadata(home.path("new.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    run(home.bare(&["--dir", "s", "--key-file", "new.key", "stats"]), b"").ok();
    init("t", "new.key").code(8);
    assert!(!home.path("t").exists());
    init("s", "other.key").code(8);
    assert!(!home.path("other.key").exists());
    init("u", "u/key").code(2);
    assert!(!home.path("u").exists());
    assert_eq!(fs::read(home.path("new.key")).unwrap(), before);
}

#[test]
fn a_directory_with_other_content_is_left_alone() {
    let home = Home::empty();
    fs::create_dir(home.store()).unwrap();
    fs::write(home.store().join("letter"), "dear").unwrap();
    home.run(&["init"], "").code(8);
    for args in [&["stats"][..], &["events", "query"], &["key", "list"], &["events", "append"]] {
        home.run(args, "").code(3);
    }
    assert_eq!(contents(&home.store()).len(), 1);
}

#[test]
fn without_a_store_there_is_nothing_to_find() {
    let home = Home::empty();
    for args in [&["stats"][..], &["events", "query"], &["topics", "list"], &["key", "list"]] {
        home.run(args, "").code(3).says("init");
    }
    assert!(!home.store().exists());
}

#[test]
fn a_wrong_key_and_a_missing_one_change_nothing() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 3)).ok();
    write_key(&home.path("wrong"), 8);
    fs::write(home.path("none"), "not a key").unwrap();
    let before = contents(&home.store());
    for args in [
        &["stats"][..],
        &["events", "query"],
        &["events", "append", "--topic", "t"],
        &["topics", "list"],
        &["key", "list"],
        &["key", "remove", "0"],
        &["init"],
    ] {
        let mut with_key = vec!["--key-file", "wrong"];
        with_key.extend_from_slice(args);
        home.run(&with_key, "").code(4);
        with_key[1] = "none";
        home.run(&with_key, "").code(4);
        with_key[1] = "absent";
        home.run(&with_key, "").code(4);
        let mut no_key = vec!["--dir", "store"];
        no_key.extend_from_slice(args);
        run(home.bare(&no_key), b"").code(4).says("FORGEONE_DB_KEY");
        let mut passphrase = home.bare(&no_key);
        passphrase.env("FORGEONE_DB_KEY", "guess");
        run(passphrase, b"").code(4);
    }
    assert_eq!(contents(&home.store()), before);
}

#[test]
fn a_key_where_none_is_needed_is_wrong_usage() {
    let home = Home::empty();
    run(home.bare(&["--dir", "store", "init", "--no-encryption"]), b"").ok();
    home.run(&["stats"], "").code(2).says("not encrypted");
    home.run(&["events", "append", "--topic", "t"], "{}").code(2).says("not encrypted");
    run(home.bare(&["--dir", "store", "key", "list"]), b"").ok().says("not encrypted");
}

#[test]
fn a_passphrase_from_the_environment_opens_a_store() {
    let home = Home::empty();
    let with = |args: &[&str], passphrase: &str| {
        let mut command = home.bare(args);
        command.env("FORGEONE_DB_KEY", passphrase).env("FORGEONE_DB_DIR", home.store());
        run(command, b"")
    };
    with(&["init"], "correct horse").ok();
    with(&["stats"], "correct horse").ok();
    with(&["stats"], "battery staple").code(4);
}

#[test]
fn keys_are_added_and_removed_down_to_the_last() {
    let home = Home::new();
    home.run(&["key", "add", "--generate-key", "second", "--label", "spare"], "").ok();
    let keys = home.json(&["key", "list"]);
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[1]["label"], "spare");
    assert_eq!(keys[0]["opened"], true);
    home.run(&["--key-file", "second", "stats"], "").ok();
    home.run(&["key", "add"], "").code(2).says("--new-key-file");
    home.run(&["key", "remove", "5"], "").code(3);
    home.run(&["key", "remove", "0"], "").ok().says("the key in use");
    home.run(&["stats"], "").code(4);
    home.run(&["--key-file", "second", "key", "remove", "1"], "").code(8);
    home.run(&["--key-file", "second", "key", "add", "--new-key-file", "key"], "").ok();
    home.run(&["stats"], "").ok();
}

#[test]
fn events_are_found_by_id_topic_time_priority_and_number() {
    let home = Home::new();
    let id = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let input = format!(
        r#"{{"topic":"a.x","payload":"one","timestamp":"2026-03-01T10:00:00Z","priority":"low"}}
{{"topic":"a.y","payload":"two\nlines","timestamp":"2026-03-01T11:00:00Z","id":"{id}","metadata":{{"k":"v"}}}}
{{"topic":"a.x","payload":"three","timestamp":"2026-03-02T00:00:00Z","priority":"critical","checkpoint_marker":"m"}}
"#
    );
    home.run(&["events", "append"], &input).ok();
    let payloads = |args: &[&str]| {
        let events = home.json(args);
        let text = |event: &serde_json::Value| event["payload"].as_str().unwrap().to_owned();
        events.iter().map(text).collect::<Vec<_>>().join("|")
    };
    let query = |args: &[&str]| {
        let mut all = vec!["events", "query"];
        all.extend_from_slice(args);
        payloads(&all)
    };
    assert_eq!(query(&[]), "one|two\nlines|three");
    assert_eq!(query(&["--reverse", "--limit", "2"]), "three|two\nlines");
    assert_eq!(query(&["--topic", "a.*", "--priority", "normal"]), "two\nlines|three");
    assert_eq!(query(&["--topic", "a.x", "--after", "1"]), "three");
    assert_eq!(query(&["--from", "2026-03-01T11:00:00Z", "--to", "2026-03-02"]), "two\nlines");
    assert_eq!(query(&["--from", "2026-03-01", "--to", "2026-03-01T12:00:00+01:00"]), "one");
    assert_eq!(query(&["--topic", "b"]), "");
    assert_eq!(payloads(&["events", "tail", "--topic", "a.x"]), "one|three");
    assert_eq!(payloads(&["events", "tail", "--topic", "a.x", "--marker", "m"]), "three");
    assert_eq!(payloads(&["events", "tail", "--topic", "a.x", "--after", "1"]), "three");
    home.run(&["events", "tail", "--topic", "a.x", "--marker", "x"], "").code(3);
    let found = home.json(&["events", "get", id]);
    assert_eq!((&found[0]["seq"], &found[0]["metadata"]["k"]), (&1.into(), &"v".into()));
    let line = home.run(&["events", "get", id], "").ok().out;
    assert_eq!(
        line,
        format!("2026-03-01T11:00:00.000000Z        1 a.y normal   {id} two\\nlines\n")
    );
    home.run(&["events", "get", "00000000-0000-4000-8000-000000000000"], "").code(3);
}

#[test]
fn what_query_prints_can_be_stored_elsewhere() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 10)).ok();
    let printed = home.run(&["--json", "events", "query"], "").ok().out;
    let other = Home::new();
    other.run(&["events", "append"], &printed).ok();
    assert_eq!(other.run(&["--json", "events", "query"], "").ok().out, printed);
}

#[test]
fn topics_are_listed_and_described() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 3)).ok();
    home.run(&["events", "append", "--topic", "u v"], &records("r", 1)).ok();
    let topics = home.json(&["topics", "list"]);
    let names: Vec<&str> = topics.iter().map(|topic| topic["topic"].as_str().unwrap()).collect();
    assert_eq!(names, ["t", "u v"]);
    assert_eq!(home.json(&["topics", "describe", "t"])[0]["count"], 3);
    assert!(home.run(&["topics", "describe", "t"], "").ok().out.contains("events         3\n"));
    home.run(&["topics", "describe", "x"], "").code(3);
    let stats = home.json(&["stats"]);
    assert_eq!(stats.len(), 3);
    assert!(home.run(&["stats"], "").ok().out.contains("events_shard_1"));
}

#[test]
fn events_and_logs_may_share_the_name_of_a_topic() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "both"], &records("r", 3)).ok();
    home.run(&["logs", "append", "--topic", "both"], "a\nb\n").ok();
    home.run(&["logs", "append", "--topic", "lines"], "c\n").ok();
    let names = |args: &[&str]| {
        let topics = home.json(args);
        let name = |topic: &serde_json::Value| {
            format!("{} {} {}", topic["topic"], topic["kind"], topic["count"]).replace('"', "")
        };
        topics.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&["topics", "list"]), ["both events 3", "both logs 2", "lines logs 1"]);
    assert_eq!(names(&["topics", "list", "--kind", "logs"]), ["both logs 2", "lines logs 1"]);
    assert_eq!(names(&["topics", "describe", "both"]), ["both events 3", "both logs 2"]);
    assert_eq!(names(&["topics", "describe", "both", "--kind", "logs"]), ["both logs 2"]);
    let text = home.run(&["topics", "describe", "both"], "").ok().out;
    assert!(text.contains("events         3\n") && text.contains("logs           2\n"), "{text}");
    home.run(&["topics", "describe", "lines", "--kind", "events"], "").code(3);
    home.run(&["topics", "list", "--kind", "blobs"], "").code(2);
    let stats = home.json(&["stats"]);
    let kinds: Vec<_> = stats[1..].iter().map(|line| line["topic"]["kind"].as_str()).collect();
    assert_eq!(kinds, [Some("events"), Some("logs"), Some("logs")]);
    let text = home.run(&["stats"], "").ok().out;
    assert!(text.contains("logs_shard_1") && text.contains(" logs "), "{text}");
}

#[test]
fn damage_is_told_from_a_wrong_key() {
    let home = Home::new();
    for name in ["keyring.0", "keyring.1"] {
        fs::write(home.store().join(name), [7; 100]).unwrap();
    }
    home.run(&["stats"], "").code(5);
    let home = Home::new();
    fs::remove_file(home.store().join("system.redb")).unwrap();
    home.run(&["stats"], "").code(5);
    home.run(&["events", "append", "--topic", "t"], "").code(5);
}

#[test]
fn verify_finds_nothing_in_a_sound_store_and_names_what_is_damaged() {
    let home = Home::new();
    home.run(&["verify"], "").ok();
    home.run(&["events", "append", "--topic", "t"], &records("r", 2_000)).ok();
    for args in [&["verify"][..], &["verify", "--quick"], &["verify", "--deep"]] {
        let before = home.run(&["--json", "events", "query"], "").ok().out;
        assert!(home.run(args, "").ok().out.starts_with("sound"));
        assert_eq!(home.run(&["--json", "events", "query"], "").ok().out, before);
    }
    assert!(home.json(&["verify"])[0]["records"].as_u64().unwrap() >= 2_000);
    home.run(&["verify", "--quick", "--deep"], "").code(2);
    for name in ["events_shard_0.redb", "events_shard_1.redb"] {
        let path = home.store().join(name);
        if let Ok(mut bytes) = fs::read(&path) {
            let middle = 5_000..bytes.len();
            bytes[middle].iter_mut().step_by(1_000).for_each(|byte| *byte ^= 1);
            fs::write(&path, bytes).unwrap();
        }
    }
    let found = home.run(&["verify"], "").code(5);
    assert!(found.out.contains("damage"), "{}", found.out);
    let report = &json(&home.run(&["--json", "verify"], "").code(5).out)[0];
    for finding in report["findings"].as_array().unwrap() {
        for name in ["severity", "database", "table", "topic", "from_seq", "to_seq"] {
            assert!(finding.get(name).is_some(), "{name}: {finding}");
        }
        assert!(!finding["what"].as_str().unwrap().is_empty());
        assert!(!finding["remedy"].as_str().unwrap().is_empty());
    }
    let scrubbed = home.run(&["scrub", "--once", "--rate", "0"], "").code(5);
    assert!(scrubbed.out.contains("damage"), "{}", scrubbed.out);
}

/// Damage in the engine's own pages is what a write makes worse: `repair` says what `verify` says, sends
/// people to the salvage, and with or without --yes leaves every byte as it was.
#[test]
fn repair_writes_to_no_store_with_damaged_pages_and_to_none_that_is_sound() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 300)).ok();
    let before = contents(&home.store());
    assert_eq!(home.run(&["repair", "--yes"], "").ok().out, "sound: nothing to repair\n");
    assert!(contents(&home.store()) == before, "a sound store is not written to");
    let number = (0..2).find(|n| home.store().join(format!("events_shard_{n}.redb")).exists());
    let mut damaged = 0;
    for name in [format!("events_shard_{}.redb", number.unwrap()), "system.redb".to_owned()] {
        let path = home.store().join(&name);
        let sound = fs::read(&path).unwrap();
        for page in 1..sound.len() / 4096 {
            let mut bytes = sound.clone();
            bytes[page * 4096..][..4096].fill(0);
            fs::write(&path, &bytes).unwrap();
            let before = contents(&home.store());
            let verified = home.run(&["verify"], "");
            if verified.code == 0 {
                home.run(&["repair"], "").ok();
                continue;
            }
            damaged += 1;
            let told = verified.code(5).says("forgeone-db salvage OUT");
            assert!(!format!("{}{}", told.out, told.err).contains("db repair"), "{}", told.err);
            for args in [&["repair"][..], &["repair", "--yes"]] {
                let refused = home.run(args, "").code(5).says("forgeone-db salvage OUT");
                let name = format!("cannot mend {}: ", name.strip_suffix(".redb").unwrap());
                assert!(refused.out.contains(&name), "{}", refused.out);
            }
            assert!(contents(&home.store()) == before, "{name}, page {page}: written to");
        }
        fs::write(&path, &sound).unwrap();
    }
    assert!(damaged > 5, "{damaged}");
}

#[test]
fn stats_tells_what_is_out_of_use_and_still_all_the_rest() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 10)).ok();
    for number in 0..4 {
        let path = home.store().join(format!("events_shard_{number}.redb"));
        if let Ok(mut bytes) = fs::read(&path) {
            bytes[4096..].fill(0xff);
            fs::write(&path, bytes).unwrap();
        }
    }
    let stats = home.run(&["stats"], "").code(5);
    assert!(stats.out.contains("out of use because they are damaged: "), "{}", stats.out);
    let stats = json(&home.run(&["--json", "stats"], "").code(5).out);
    assert!(stats[0]["store"]["quarantined_databases"].as_u64() >= Some(1), "{stats:?}");
    assert_eq!(stats[0]["store"]["quarantined_topics"], 1);
}

#[test]
fn scrub_goes_round_after_round_within_its_rate_until_it_is_interrupted() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 500)).ok();
    let once = home.run(&["scrub", "--once", "--rate", "1GB"], "").ok();
    assert!(once.out.starts_with("sound: "), "{}", once.out);
    let report = &home.json(&["scrub", "--once"])[0];
    assert_eq!(report["depth"], "standard");
    for rate in ["fast", "20XB", "-1", "99999999999GB"] {
        home.run(&["scrub", "--once", "--rate", rate], "").code(2);
    }
    let scrub = home.start(&["--json", "scrub", "--rate", "0", "--pause", "0"]);
    for _ in 0..3 {
        assert!(scrub.line().contains("\"findings\":[]"));
    }
    scrub.signal(rustix::process::Signal::INT);
    scrub.finish().ok();
}

#[test]
fn a_store_without_permission_is_denied() {
    let home = Home::new();
    // Root may read everything.
    if rustix::process::geteuid().is_root() {
        eprintln!("not run: root is never denied");
        return;
    }
    fs::set_permissions(home.store(), fs::Permissions::from_mode(0o000)).unwrap();
    home.run(&["stats"], "").code(11);
    fs::set_permissions(home.store(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_limit_of_a_store_is_shown_and_changed() {
    let home = Home::new();
    assert_eq!(home.json(&["quota"])[0]["max_size_bytes"], 0);
    assert!(home.run(&["quota"], "").ok().out.starts_with("no limit, "));
    assert_eq!(home.json(&["quota", "3"])[0]["max_size_bytes"], 3u64 << 30);
    assert_eq!(home.json(&["stats"])[0]["store"]["max_size_bytes"], 3u64 << 30);
    assert!(home.run(&["quota", "0"], "").ok().out.starts_with("no limit, "));
    for wrong in ["-1", "much", "1073741825"] {
        home.run(&["quota", wrong], "").code(2);
    }
    run(home.bare(&["--dir", "absent", "quota"]), b"").code(3);
}

#[test]
fn a_compacted_store_is_smaller_and_holds_the_same() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 100)).ok();
    // So many that the sealer has rewritten some, and left free space where they were.
    let lines: Vec<String> = (0..150_000).map(|number| format!("line number {number}\n")).collect();
    let lines = lines.concat();
    home.run(&["logs", "append", "--topic", "t"], &lines).ok();
    let before = home.json(&["events", "query"]);
    let report = home.json(&["compact"]).remove(0);
    let bytes = |name: &str| report[name].as_u64().unwrap();
    assert!(bytes("after_bytes") < bytes("before_bytes"), "{report}");
    assert_eq!(report["databases"][0]["database"], "system");
    assert_eq!(home.json(&["events", "query"]), before);
    let raw = home.run(&["logs", "query", "--topic", "t", "--format", "raw"], "").ok().out;
    assert!(raw == lines, "the lines are others");
    home.run(&["verify"], "").ok();
    let again = home.run(&["compact"], "").ok().out;
    assert!(again.starts_with("database "), "{again}");
    assert!(again.lines().last().unwrap().starts_with("all "), "{again}");
    run(home.bare(&["--dir", "absent", "compact"]), b"").code(3);
    let mut writer = home.start(&["--json", "events", "append", "--topic", "t"]);
    writer.write(&records("late", 1));
    writer.line();
    home.run(&["--wait", "0", "compact"], "").code(6);
    writer.finish().ok();
}

#[test]
fn a_full_store_is_given_room() {
    let home = Home::new();
    let options = forgeone_db::StoreOptions::new(home.store()).key(forgeone_db::Key::raw([7; 32]));
    let manager = forgeone_db::RedbManager::open(options).unwrap();
    manager.set_max_size_bytes(1).unwrap();
    manager.close().unwrap();
    let append = ["events", "append", "--topic", "t"];
    home.run(&append, &records("r", 1)).code(7).says("forgeone-db quota N");
    home.run(&["quota"], "").ok().says("reached its limit");
    home.run(&["quota", "1"], "").ok();
    home.run(&append, &records("r", 1)).ok();
}
