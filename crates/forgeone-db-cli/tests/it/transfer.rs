//! Exports and imports. Without this, a record could be lost or changed on its way to another
//! store, a broken export could be stored in part, and a repetition could store things twice.
//! Provoked with every odd record there is, exports that are cut off and bent at every byte, a
//! process that is killed while it imports, and ids that are taken.

use crate::support::{Home, Run, json, records, run};
use forgeone_db::{
    EventMessage, EventPriority, Flag, FlagState, Key, LineEnd, NewLogEntry, OpenMode, RedbManager,
    SetOptions, Severity, StoreOptions,
};
use serde_json::{Value, json as value};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

fn open(home: &Home) -> RedbManager {
    let options = StoreOptions::new(home.store()).key(Key::raw([7; 32])).mode(OpenMode::Open);
    RedbManager::open(options).unwrap()
}

fn event(topic: &str, number: u32, payload: &str) -> EventMessage {
    EventMessage {
        id: uuid::Uuid::from_u128(u128::from(number) << 64 | 0x8000_0000_0000_0001),
        topic: topic.to_owned(),
        timestamp: chrono::DateTime::from_timestamp(i64::from(number), number).unwrap(),
        priority: EventPriority::Normal,
        payload: payload.to_owned(),
        metadata: HashMap::new(),
        checkpoint_marker: None,
    }
}

fn log(topic: &str, line: &[u8]) -> NewLogEntry {
    let time = chrono::DateTime::from_timestamp(1_700_000_000, 5).unwrap();
    NewLogEntry::new(topic, time, Severity::Warn, line)
}

/// A store with every odd thing there can be in one.
fn odd_store() -> Home {
    let home = Home::new();
    let store = open(&home);
    let mut events = vec![
        event("a", 1, "\0\u{1f}\u{7f}\u{2028}\"\\ \u{10ffff}"),
        event("a", 2, ""),
        event("a", 3, "{\"json\": [1, 2]}\r\n"),
    ];
    events[1].metadata =
        HashMap::from([("k\n".to_owned(), "\0".to_owned()), (String::new(), "\"".to_owned())]);
    events[1].priority = EventPriority::Critical;
    events[2].checkpoint_marker = Some("marker \u{e9}".to_owned());
    // Late, and before the common calendar.
    events[2].timestamp = "-0044-03-15T12:00:00.000000001Z".parse().unwrap();
    store.store_events(&events).unwrap();
    let many = (0..2_500).map(|number| event("b.many", number, &format!("event {number}")));
    store.store_events(&many.collect::<Vec<_>>()).unwrap();
    // One id in two topics, and a topic of both kinds.
    store.store_event(&event("b > * odd", 1, "same id")).unwrap();
    store.store_event(&event("both", 1, "an event")).unwrap();
    let mut logs = vec![
        log("both", b"a line"),
        log("both", b"\xff\xfe not UTF-8 \0 \xc3"),
        log("both", "\u{fffd} is UTF-8".as_bytes()),
        log("both", b""),
    ];
    logs[0].line_end = LineEnd::CrLf;
    logs[1].metadata = HashMap::from([("unit".to_owned(), "cron".to_owned())]);
    logs[2].checkpoint_marker = Some("m".to_owned());
    logs[2].id = Some(uuid::Uuid::from_u128(77));
    logs[3].line_end = LineEnd::None;
    logs[3].id = Some(uuid::Uuid::nil());
    store.store_logs(logs).unwrap();
    for topic in ["sys.a", "sys.b"] {
        let lines = (0..40).map(|number| log(topic, format!("line {number}").as_bytes()));
        store.store_logs(lines.collect()).unwrap();
    }
    block(store.events().create_topic("empty"));
    block(store.logs().create_topic("empty"));
    state(&store);
    store.close().unwrap();
    home
}

fn state(store: &RedbManager) {
    let deepest = (0..127).fold(value!(1), |value, _| value!([value]));
    let large = value!("x".repeat((1 << 20) - 2));
    for (key, value) in [
        ("a", value!(null)),
        ("b", value!({"z": [1, 1.0, -0.5, u64::MAX, i64::MIN, 1e300], "": "\0\u{2028}"})),
        ("deep", deepest),
        ("large", large.clone()),
        ("large2", large),
        ("removed", value!(1)),
    ] {
        store.set_setting(key, &value, SetOptions::default()).unwrap();
    }
    store.set_setting("b", &value!({}), SetOptions::default()).unwrap();
    store.set_setting("b", &value!({"a": 1.0}), SetOptions::default()).unwrap();
    store.remove_setting("removed", None).unwrap();
    store.set_flag("f", &Flag::new(FlagState::Percentage { percent: 12.5 })).unwrap();
    store.set_metadata("owner", "team \0 \"a\"\n").unwrap();
    store.set_metadata("empty", "").unwrap();
}

fn block<T>(work: impl Future<Output = forgeone_db::Result<T>>) {
    futures::executor::block_on(work).unwrap();
}

/// Exports to a file and gives its path and text.
fn export(home: &Home, args: &[&str]) -> (PathBuf, String) {
    let path = home.path("export");
    let all = [&["export", "--force"], args, &[path.to_str().unwrap()]].concat();
    home.run(&all, "").ok().says("not encrypted");
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

fn import(home: &Home, args: &[&str]) -> Run {
    home.run(&[&["--json", "import"], args].concat(), "")
}

/// The lines between the first and the last, without what only one store can know: its versions and
/// times of state.
fn content(export: &str) -> Vec<Value> {
    let lines: Vec<&str> = export.lines().collect();
    lines[1..lines.len() - 1].iter().map(|line| without_history(line)).collect()
}

fn without_history(line: &str) -> Value {
    // Deeper than a document may be.
    let mut fields: serde_json::Map<String, Value> = match line.find("[[[[[[[[[[[[") {
        Some(at) => {
            let end = line.rfind(']').unwrap() + 1;
            let text = format!("{}\"deep {}\"{}", &line[..at], &line[at..end], &line[end..]);
            serde_json::from_str(&text).unwrap()
        }
        None => serde_json::from_str(line).unwrap(),
    };
    if ["setting", "metadata"].contains(&fields["kind"].as_str().unwrap()) {
        fields.remove("version");
        fields.remove("updated_at").unwrap();
    }
    fields.into()
}

/// An export that is right about itself, whatever its lines say.
fn seal(lines: &[String]) -> String {
    let mut counts =
        HashMap::from(["topic", "event", "log", "setting", "metadata"].map(|kind| (kind, 0)));
    for line in &lines[1..] {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(count) = line["kind"].as_str().and_then(|kind| counts.get_mut(kind)) {
            *count += 1;
        }
    }
    let body = lines.iter().fold(String::new(), |body, line| body + line + "\n");
    let footer = value!({
        "end": true,
        "counts": {
            "topics": counts["topic"], "events": counts["event"], "logs": counts["log"],
            "settings": counts["setting"], "metadata": counts["metadata"],
        },
        "blake3": blake3::hash(body.as_bytes()).to_hex().to_string(),
    });
    format!("{body}{footer}\n")
}

fn header() -> String {
    let store = uuid::Uuid::from_u128(1);
    value!({"forgeone_db_export": 1, "store": store, "created_at": "2026-03-01T12:00:00Z"})
        .to_string()
}

fn event_line(number: u32, payload: &str) -> String {
    let mut line = serde_json::to_value(event("t", number, payload)).unwrap();
    line["seq"] = number.into();
    line["kind"] = "event".into();
    line.to_string()
}

#[test]
fn a_store_survives_export_and_import_record_by_record() {
    let home = odd_store();
    let (path, exported) = export(&home, &[]);
    let other = Home::new();
    let told = &json(&import(&other, &[path.to_str().unwrap()]).ok().out)[0];
    assert_eq!(told["events"], value!({"imported": 2505, "present": 0, "conflicts": 0}));
    assert_eq!(told["logs"]["imported"], 84);
    assert_eq!(told["settings"]["imported"], 6);
    assert_eq!(told["metadata"]["imported"], 2);
    assert_eq!(told["topics"]["imported"], 9);
    let (_, again) = export(&other, &[]);
    let (one, two) = (content(&exported), content(&again));
    assert_eq!(one.len(), 9 + 2505 + 84 + 6 + 2);
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one, two);
    }
    assert_eq!(one.len(), two.len());
    other.run(&["verify", "--deep"], "").ok();
    assert_eq!(
        other.json(&["flags", "eval", "f", "--key", "k"]),
        home.json(&["flags", "eval", "f", "--key", "k"])
    );
    // The library sees the bytes that were logged.
    let entry = open(&other).get_log_at("both", 2).unwrap().entry;
    assert_eq!(entry.line(), b"\xff\xfe not UTF-8 \0 \xc3");
    assert_eq!(open(&other).get_log_at("both", 1).unwrap().entry.line_end, LineEnd::CrLf);
    assert_eq!(open(&other).get_log_at("both", 4).unwrap().entry.line_end, LineEnd::None);
}

#[test]
fn a_repeated_import_and_one_into_the_same_store_change_nothing() {
    let home = odd_store();
    let (path, exported) = export(&home, &[]);
    let check = |home: &Home, before: &str| {
        let told = &json(&import(home, &[path.to_str().unwrap()]).ok().out)[0];
        for kind in ["topics", "events", "logs", "settings", "metadata"] {
            assert_eq!(
                (&told[kind]["imported"], &told[kind]["conflicts"]),
                (&0.into(), &0.into()),
                "{kind}"
            );
            assert!(told[kind]["present"].as_u64().unwrap() > 0, "{kind}");
        }
        let (_, after) = export(home, &[]);
        let inner = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        let (mut before, mut after) = (inner(before), inner(&after));
        // The last line has a hash of the first one, too.
        assert!(before.pop().is_some() && after.pop().is_some());
        assert!(before == after, "something has changed");
    };
    check(&home, &exported);
    let other = Home::new();
    import(&other, &[path.to_str().unwrap()]).ok();
    let copy = other.run(&["export"], "").ok().out;
    check(&other, &copy);
    let text = other.run(&["import", path.to_str().unwrap()], "").ok().out;
    assert!(
        text.contains(
            "events            0 imported,       2505 were there before,      0 conflicts\n"
        ),
        "{text}"
    );
}

#[test]
fn an_export_of_topics_and_kinds_has_those_only() {
    let home = odd_store();
    let kinds = |args: &[&str]| {
        let out = home.run(&[&["export"], args].concat(), "").ok().out;
        let mut kinds: Vec<String> = Vec::new();
        for line in content(&out) {
            let topic = line["topic"].as_str().unwrap_or_default();
            let kind = format!("{} {topic}", line["kind"].as_str().unwrap());
            if kinds.last() != Some(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join("|")
    };
    assert_eq!(kinds(&["--topic", "both"]), "topic both|event both|log both");
    assert_eq!(kinds(&["--topic", "both", "--kind", "logs"]), "topic both|log both");
    assert_eq!(
        kinds(&["--topic", "sys.*", "--topic", "a", "--kind", "logs", "--kind", "events"]),
        "topic a|topic sys.a|topic sys.b|event a|log sys.a|log sys.b"
    );
    assert_eq!(kinds(&["--kind", "settings"]), "setting ");
    assert_eq!(kinds(&["--kind", "metadata", "--topic", "a"]), "metadata ");
    assert_eq!(kinds(&["--topic", "absent"]), "");
    home.run(&["export", "--kind", "blobs"], "").code(2);
    home.run(&["export", "--topic", ">.x"], "").code(2);
    home.run(&["export", "--force"], "").code(2);

    let (path, _) = export(&home, &[]);
    let other = Home::new();
    let told =
        import(&other, &["--topic", "sys.*", "--topic", "empty", path.to_str().unwrap()]).ok();
    let told = &json(&told.out)[0];
    assert_eq!((&told["topics"]["imported"], &told["logs"]["imported"]), (&4.into(), &80.into()));
    assert_eq!(
        (&told["events"]["imported"], &told["settings"]["imported"]),
        (&0.into(), &0.into())
    );
    assert!(other.json(&["settings", "list"]).is_empty());
}

#[test]
fn an_export_file_is_private_whole_and_replaces_nothing() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 10)).ok();
    let told = &home.json(&["export", "new.ndjson"])[0];
    assert_eq!((&told["file"], &told["counts"]["events"]), (&"new.ndjson".into(), &10.into()));
    let path = home.path("new.ndjson");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&path).unwrap();
    home.run(&["export", "new.ndjson"], "").code(8).says("--force");
    assert_eq!(fs::read(&path).unwrap(), before);
    home.run(&["events", "append", "--topic", "t"], &records("s", 1)).ok();
    let text = home.run(&["export", "--force", "new.ndjson"], "").ok().out;
    assert!(text.starts_with("new.ndjson: 1 topics, 11 events, 0 logs, "), "{text}");
    assert_ne!(fs::read(&path).unwrap(), before);
    home.run(&["export", "absent/new"], "").code(3);
    home.run(&["export", "--force", "store"], "").code(2).says("no regular file");
    home.run(&["export", "--force", "/dev/null"], "").code(2);
    home.run(&["export", ".."], "").code(2);
    // Nothing is left of what failed.
    assert_eq!(fs::read_dir(home.path("")).unwrap().count(), 3);
    // To standard output it is the same.
    let out = home.run(&["export", "-"], "").ok().says("not encrypted").out;
    assert_eq!(content(&out), content(&fs::read_to_string(&path).unwrap()));
}

#[test]
fn an_export_that_is_interrupted_leaves_no_file() {
    let home = Home::new();
    let store = open(&home);
    for round in 0..40 {
        let events = (0..1_000).map(|number| event("t", round * 1_000 + number, "payload"));
        store.store_events(&events.collect::<Vec<_>>()).unwrap();
    }
    store.close().unwrap();
    let mut interrupted = 0;
    for delay in [1, 10, 20, 30, 40, 60, 80, 100] {
        let export = home.start(&["export", "new"]);
        std::thread::sleep(Duration::from_millis(delay));
        export.signal(rustix::process::Signal::INT);
        let ended = export.finish().code;
        assert_eq!(home.path("new").exists(), ended == 0, "{ended}");
        interrupted += u32::from(ended == 1);
        drop(fs::remove_file(home.path("new")));
        assert_eq!(fs::read_dir(home.path("")).unwrap().count(), 2, "after {delay} ms");
    }
    assert!(interrupted > 0, "every export was done, or had not begun");
}

#[test]
fn whoever_stops_reading_an_export_ends_it() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], &records("r", 20_000)).ok();
    let mut export = home.start(&["export"]);
    assert!(export.line().starts_with("{\"forgeone_db_export\":1,"));
    drop(export.stdin.take());
    assert_eq!(export.finish().code, 0);
    let shell = "\"$1\" export | head -n 2 | wc -l; echo \"${PIPESTATUS[0]}\"";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", shell, "bash", env!("CARGO_BIN_EXE_forgeone-db")]);
    command.env("FORGEONE_DB_DIR", home.store()).env("FORGEONE_DB_KEY_FILE", home.key());
    assert_eq!(run(command, b"").ok().out, "2\n0\n");
}

#[test]
fn what_is_no_whole_export_is_refused_with_the_number_of_the_line() {
    let home = Home::new();
    let before = content(&home.run(&["export"], "").ok().out);
    let good = [header(), event_line(1, "one"), event_line(2, "two")];
    let with = |number: usize, line: &str| {
        let mut lines = good.to_vec();
        lines[number] = line.to_owned();
        seal(&lines)
    };
    let whole = seal(&good);
    let lines: Vec<&str> = whole.lines().collect();
    let cases = [
        (String::new(), 1, "line 1: the input is no export"),
        ("{\"payload\":\"x\"}\n".to_owned(), 1, "line 1: the input is no export"),
        ("\u{7f}ELF".to_owned(), 1, "line 1: the input is no export"),
        (with(0, &header().replace("export\":1", "export\":0")), 1, "no export"),
        (with(0, &header().replace("export\":1", "export\":2")), 10, "version 2"),
        (with(1, "{\"kind\":"), 1, "line 2: the JSON ends too early"),
        (with(1, "no JSON"), 1, "line 2: not JSON at column"),
        (with(1, ""), 1, "line 2: "),
        (with(1, "{}"), 1, "line 2: the line has no kind"),
        (with(1, "{\"kind\":\"blob\"}"), 1, "line 2: the line is of a kind"),
        (with(2, "{\"kind\":\"event\",\"seq\":1}"), 1, "line 3: missing field"),
        (with(2, &event_line(2, "x").replace("\"t\"", "\"\"")), 1, "line 3: a topic name has"),
        (with(2, &event_line(1, "other")), 1, "line 3: the line is out of order"),
        (
            with(
                2,
                "{\"kind\":\"setting\",\"key\":\"\",\"value\":1,\"version\":1,\"updated_at\":\"2026-03-01T12:00:00Z\"}",
            ),
            1,
            "line 3: a setting's key",
        ),
        (format!("{}\n{}\n", lines[0], lines[1]), 1, "line 3: the export was cut off"),
        (format!("{}\n", lines[..3].join("\n")), 1, "line 4: the export was cut off"),
        (whole.replace("\"one\"", "\"two\""), 1, "line 4: the export was changed"),
        (whole.replace("\"events\":2", "\"events\":3"), 1, "line 4: the export has other counts"),
        (
            format!("{}\n{}\n{}\n", lines[0], lines[1], lines[3]),
            1,
            "line 3: the export has other counts",
        ),
        (format!("{whole}\n"), 1, "line 5: something follows"),
        (whole.repeat(2), 1, "line 5: something follows"),
    ];
    for (text, code, says) in cases {
        fs::write(home.path("broken"), &text).unwrap();
        for args in [
            &["import", "broken"][..],
            &["import", "--check", "broken"],
            &["import", "--dry-run", "broken"],
        ] {
            let refused = home.run(args, "").code(code).says(says);
            assert!(refused.out.is_empty(), "{}", refused.out);
        }
    }
    let huge = fs::File::create(home.path("broken")).unwrap();
    std::io::Write::write_all(&mut &huge, format!("{}\n", header()).as_bytes()).unwrap();
    huge.set_len(140 << 20).unwrap();
    home.run(&["import", "broken"], "").code(1).says("line 2: the line has more than");
    home.run(&["import", "absent"], "").code(3);
    home.run(&["import", "store"], "").code(2).says("is a directory");
    home.run(&["import", "--on-conflict", "maybe", "broken"], "").code(2);
    home.run(&["import", "--check", "--dry-run", "broken"], "").code(2);
    assert_eq!(content(&home.run(&["export"], "").ok().out), before);
    fs::write(home.path("whole"), whole).unwrap();
    let text = run(home.bare(&["import", "--check", "whole"]), b"").ok().out;
    assert_eq!(text, "whole and unchanged: 0 topics, 2 events, 0 logs, 0 settings, 0 metadata\n");
}

#[test]
fn an_export_that_is_cut_off_anywhere_or_bent_anywhere_is_refused() {
    let home = Home::new();
    home.run(&["events", "append", "--topic", "t"], "{\"payload\":\"hello\"}\n").ok();
    home.run(&["settings", "set", "k", "[1]"], "").ok();
    let whole = home.run(&["export"], "").ok().out.into_bytes();
    let check = |bytes: &[u8]| {
        fs::write(home.path("bent"), bytes).unwrap();
        run(home.bare(&["import", "--check", "bent"]), b"").code
    };
    assert_eq!(check(&whole), 0);
    for length in 0..whole.len() {
        assert_eq!(check(&whole[..length]), 1, "cut off at {length}");
    }
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 1 << (at % 8);
        assert!([1, 10].contains(&check(&bent)), "bent at {at}");
    }
}

#[test]
fn a_broken_file_is_stored_not_at_all_and_a_broken_pipe_up_to_the_broken_line() {
    let mut lines = vec![header()];
    lines.extend((1..=2_500).map(|number| event_line(number, "x")));
    lines.push("broken".to_owned());
    let text = seal(&lines);
    let home = Home::new();
    fs::write(home.path("broken"), &text).unwrap();
    home.run(&["import", "broken"], "").code(1).says("line 2502");
    let mut from_file = home.command(&["import"]);
    from_file.stdin(fs::File::open(home.path("broken")).unwrap());
    assert_eq!(from_file.output().unwrap().status.code(), Some(1));
    assert!(home.json(&["topics", "list"]).is_empty());
    let piped = home.run(&["import"], &text).code(1).says("line 2502");
    piped.says("the input is no file").says("imported 2000 before");
    assert_eq!(home.json(&["topics", "list"])[0]["count"], 2_000);
}

#[test]
fn a_conflict_is_named_and_nothing_behind_it_is_stored_unless_it_is_to_be_skipped() {
    let mut lines = vec![header()];
    lines.extend((1..=1_500).map(|number| event_line(number, "x")));
    let home = Home::new();
    fs::write(home.path("export"), seal(&lines)).unwrap();
    let store = open(&home);
    store.store_event(&event("t", 700, "other")).unwrap();
    store.store_event(&event("t", 1_200, "other")).unwrap();
    store.store_event(&event("t", 3, "x")).unwrap();
    store.close().unwrap();
    let id = event("t", 700, "").id.to_string();
    home.run(&["import", "--dry-run", "export"], "").code(8).says("line 701").says(&id);
    home.run(&["import", "export"], "").code(8).says("line 701").says(&id).says("imported 698 ");
    let numbers = || home.json(&["topics", "describe", "t"])[0]["count"].as_u64().unwrap();
    assert_eq!(numbers(), 3 + 698);
    let skip = ["--json", "import", "--on-conflict", "skip", "export"];
    let told = home.run(&[&skip[..], &["--dry-run"]].concat(), "").ok().says("line 1201").out;
    let expected = value!({"imported": 799, "present": 699, "conflicts": 2});
    assert_eq!(json(&told)[0]["events"], expected);
    assert_eq!(numbers(), 3 + 698);
    let told = home.run(&skip, "").ok().says("line 701").says("line 1201").out;
    assert_eq!(json(&told)[0]["events"], expected);
    assert_eq!(numbers(), 1_500);
    assert_eq!(home.json(&["events", "get", &id])[0]["payload"], "other");
}

#[test]
fn a_dry_run_says_what_would_be_imported_and_changes_nothing() {
    let home = odd_store();
    let (path, _) = export(&home, &[]);
    let other = Home::new();
    other.run(&["settings", "set", "a", "null"], "").ok();
    let dry = ["--json", "import", "--dry-run", path.to_str().unwrap()];
    let told = other.run(&dry, "").ok().out;
    assert!(other.json(&["topics", "list"]).is_empty());
    let real = import(&other, &[path.to_str().unwrap()]).ok().out;
    assert_eq!(json(&told)[0]["settings"]["present"], 1);
    let mut told = json(&told).remove(0);
    told["dry_run"] = false.into();
    assert_eq!(told, json(&real)[0]);
}

#[test]
fn an_import_that_is_killed_is_completed_by_the_next_one() {
    let home = Home::new();
    let store = open(&home);
    for round in 0..20 {
        let topic = format!("t{}", round % 3);
        let events = (0..1_000).map(|number| event(&topic, round * 1_000 + number, "some payload"));
        store.store_events(&events.collect::<Vec<_>>()).unwrap();
        let lines = (0..1_000).map(|number| log(&topic, format!("line {number}").as_bytes()));
        store.store_logs(lines.collect()).unwrap();
    }
    state(&store);
    store.close().unwrap();
    let (path, exported) = export(&home, &[]);
    let other = Home::new();
    let mut kills = 0;
    for delay in [120, 160, 200, 240, 280, 320, 360] {
        let mut import = other.start(&["import", path.to_str().unwrap()]);
        std::thread::sleep(Duration::from_millis(delay));
        kills += u32::from(import.child.try_wait().unwrap().is_none());
        import.child.kill().unwrap();
        import.child.wait().unwrap();
    }
    assert!(kills > 0, "every import was done before it was killed");
    import(&other, &[path.to_str().unwrap()]).ok();
    let (_, again) = export(&other, &[]);
    assert!(content(&exported) == content(&again), "what was imported is not what was exported");
    other.run(&["verify"], "").ok();
}

#[test]
fn an_export_beside_a_writer_has_a_dense_beginning_of_each_topic() {
    let home = Home::new();
    let mut append = home.start(&["--json", "events", "append", "--topic", "t", "--text"]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (append, stop) = (&mut append, &stop);
        scope.spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                append.write(&"line\n".repeat(100));
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        std::thread::sleep(Duration::from_millis(200));
        for _ in 0..5 {
            let exported = content(&home.run(&["export"], "").ok().out);
            let last = exported[0]["last_seq"].as_u64().unwrap();
            let numbers: Vec<u64> =
                exported[1..].iter().map(|line| line["seq"].as_u64().unwrap()).collect();
            assert!(numbers.iter().copied().eq(1..=last), "{} of {last}", numbers.len());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    append.finish().ok();
}

#[test]
fn the_largest_record_survives() {
    let home = Home::new();
    let store = open(&home);
    // The longest line there can be: escaped in the message, and once more as raw bytes.
    let mut line = vec![1; 16 << 20];
    line[7] = 0xff;
    store.store_log(log("t", &line)).unwrap();
    store.close().unwrap();
    let (path, exported) = export(&home, &[]);
    let other = Home::new();
    import(&other, &[path.to_str().unwrap()]).ok();
    let (_, again) = export(&other, &[]);
    assert!(content(&exported) == content(&again));
}

#[test]
fn both_commands_need_a_store_and_its_key() {
    let home = Home::empty();
    fs::write(home.path("export"), seal(&[header()])).unwrap();
    for args in [&["export"][..], &["import", "export"], &["import", "--dry-run", "export"]] {
        home.run(args, "").code(3).says("init");
    }
    home.run(&["init"], "").ok();
    for args in [&["export"][..], &["import", "export"]] {
        let mut no_key = vec!["--dir", "store"];
        no_key.extend_from_slice(args);
        run(home.bare(&no_key), b"").code(4);
    }
    let mut append = home.start(&["--json", "events", "append", "--topic", "t"]);
    append.write("{\"payload\":\"x\"}\n");
    append.line();
    home.run(&["--wait", "0", "import", "export"], "").code(6);
    append.finish().ok();
    home.run(&["import", "export"], "").ok();
}
