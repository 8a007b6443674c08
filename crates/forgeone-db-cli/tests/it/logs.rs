//! Logs as people have them: odd bytes, odd ends, odd inputs. Without this, a file could come back
//! almost as it was, a pipe could keep what it was given to itself, and a hostile search could run
//! for ever. Everything goes through the real binary, and lines are compared byte for byte.

use crate::support::{Home, PATIENCE, Run, json, run};
use rustix::process::Signal;
use std::fs;
use std::io::{Seek as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const APPEND: [&str; 5] = ["--json", "logs", "append", "--topic", "t"];

fn append(home: &Home, args: &[&str], input: &[u8]) -> Run {
    let mut all = APPEND.to_vec();
    all.extend_from_slice(args);
    run(home.command(&all), input)
}

/// What `logs query --format raw` gives of a topic.
fn raw(home: &Home, topic: &str) -> Vec<u8> {
    let args = ["logs", "query", "--topic", topic, "--format", "raw"];
    let output = home.command(&args).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[track_caller]
fn assert_same(stored: &[u8], given: &[u8]) {
    let differ = stored.iter().zip(given).position(|(a, b)| a != b);
    assert!(stored == given, "{} and {} bytes, at {differ:?}", stored.len(), given.len());
}

fn acknowledged(out: &str) -> u64 {
    json(out).iter().map(|commit| commit["count"].as_u64().unwrap()).sum()
}

fn messages(home: &Home, args: &[&str]) -> Vec<String> {
    let mut all = vec!["logs", "query"];
    all.extend_from_slice(args);
    let text = |entry: &serde_json::Value| entry["message"].as_str().unwrap().to_owned();
    home.json(&all).iter().map(text).collect()
}

/// Opens and closes the store so that everything is sealed.
fn seal(home: &Home) {
    let key = forgeone_db::Key::raw([7; 32]);
    let options = forgeone_db::StoreOptions::new(home.store()).key(key);
    let store = forgeone_db::RedbManager::open(options).unwrap();
    store.seal().unwrap();
    store.close().unwrap();
}

#[test]
fn odd_lines_come_back_byte_for_byte() {
    let home = Home::new();
    let long = "x".repeat(10 << 20);
    let mut input = b"\n\r\n\r\r\n\0\0\na\0b\r\n\xff\xfe\n\xc3(\r\nplain\n\rin\rside\r\n".to_vec();
    input.extend_from_slice(long.as_bytes());
    input.extend_from_slice(b"\n\n\nhalf\r");
    assert_eq!(acknowledged(&append(&home, &[], &input).ok().out), 13);
    assert_same(&raw(&home, "t"), &input);
    seal(&home);
    assert_same(&raw(&home, "t"), &input);
    let entries = home.json(&["logs", "tail", "--topic", "t", "--after", "12"]);
    assert_eq!(entries[0]["line_end"], "none");
    assert_eq!(entries[0]["message"], "half\r");
    let text = home.run(&["logs", "tail", "--topic", "t", "--after", "3"], "").ok().out;
    let shown = text.lines().next().unwrap();
    assert!(shown.ends_with(" \\u{0}\\u{0}"), "{shown}");
}

#[test]
fn an_empty_input_and_one_without_a_line_end_are_inputs() {
    let home = Home::new();
    append(&home, &[], b"").ok().says("nothing was stored");
    assert_eq!(raw(&home, "t"), b"");
    append(&home, &[], b"x").ok().says("stored 1 log entries, up to line 1");
    append(&home, &[], b"\n").ok();
    assert_eq!(raw(&home, "t"), b"x\n");
    assert_eq!(home.json(&["logs", "tail", "--topic", "t"]).len(), 2);
}

/// Lines that differ in their last number.
fn numbered(text: &str, count: u32) -> String {
    let mut lines = String::new();
    for number in 0..count {
        lines += &format!("{text}{number}\n");
    }
    lines
}

/// The real log files that benchmarks use too, where they are.
fn loghub() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/loghub");
    let Some(entries) = fs::read_dir(folder).ok() else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        paths.filter(|p| p.extension().is_some_and(|e| e == "log")).collect();
    files.sort();
    files
}

#[test]
fn real_files_come_back_byte_for_byte_also_after_sealing() {
    let home = Home::new();
    let files = loghub();
    if files.is_empty() {
        eprintln!("not run on real files: loghub is not here");
    }
    let topics: Vec<String> = (0..files.len()).map(|number| format!("hub.{number}")).collect();
    for (file, topic) in files.iter().zip(&topics) {
        let file = file.to_str().unwrap();
        let run = home.run(&["logs", "append", "--topic", topic, file], "").ok();
        assert!(run.err.contains("read 2000 lines, "), "{}", run.err);
        assert!(run.err.contains("a time in 2000, "), "{file}: {}", run.err);
    }
    let check = || {
        for (file, topic) in files.iter().zip(&topics) {
            assert_same(&raw(&home, topic), &fs::read(file).unwrap());
        }
    };
    check();
    seal(&home);
    check();
}

#[test]
fn times_severities_and_formats_are_told_line_by_line() {
    let home = Home::new();
    let input = b"2026-03-01T10:00:00Z ERROR no disk\n\
        {\"ts\":\"2026-03-01T10:00:01Z\",\"level\":\"debug\",\"msg\":\"hello\"}\n\
        <11>Mar  1 10:00:02 host app[7]: syslog\n\
        no time at all\r\n\
        time=2026-03-01T10:00:03Z level=warn msg=\"slow\"\n";
    let run = append(&home, &["--year", "2026", "--severity", "notice"], input).ok();
    let run = run.says("read 5 lines, ").says("a time in 4, a severity in 4");
    let run = run.says("formats: ").says("none 1").says("json 1").says("logfmt 1");
    assert_eq!(acknowledged(&run.out), 5);
    let found = home.json(&["logs", "tail", "--topic", "t"]);
    let of = |field: &str| -> Vec<String> {
        found.iter().map(|entry| entry[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("severity"), ["error", "debug", "error", "info2", "warn"]);
    let times = of("timestamp");
    for (index, second) in [(0, "00"), (1, "01"), (2, "02"), (4, "03")] {
        assert_eq!(times[index], format!("2026-03-01T10:00:{second}Z"));
    }
    let arrival: chrono::DateTime<chrono::Utc> = times[3].parse().unwrap();
    assert!((chrono::Utc::now() - arrival).num_seconds().abs() < 60);
    assert_eq!(raw(&home, "t"), input);
    let out = home.run(&["logs", "query", "--severity", "error"], "").ok().out;
    let first = out.lines().next().unwrap();
    assert_eq!(
        first,
        "2026-03-01T10:00:00.000000Z error  t        1 2026-03-01T10:00:00Z ERROR no disk"
    );
    assert_eq!(out.lines().count(), 2);
}

#[test]
fn text_is_not_looked_at_and_a_zone_moves_times_that_name_none() {
    let home = Home::new();
    let line = b"2026-03-01 10:00:00 ERROR x\n";
    append(&home, &["--format", "text"], line).ok().says("a time in 0, a severity in 0");
    append(&home, &["--zone", "-02:30"], line).ok();
    let found = home.json(&["logs", "tail", "--topic", "t"]);
    assert_eq!(found[0]["severity"], "info");
    assert_eq!(found[1]["timestamp"], "2026-03-01T12:30:00Z");
}

#[test]
fn times_in_the_future_and_a_decade_late_are_found_and_order_is_not_lost() {
    let home = Home::new();
    let input = b"2026-03-01T10:00:00Z now\n2090-01-01T00:00:00Z future\n\
        2013-01-01T00:00:00Z late\n2026-03-01T10:00:01Z on\n";
    append(&home, &[], input).ok();
    seal(&home);
    assert_eq!(raw(&home, "t"), input);
    let words = |args: &[&str]| {
        let lines = messages(&home, args);
        lines.iter().map(|line| line[21..].to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words(&[]), "late now on future");
    assert_eq!(words(&["--from", "2027-01-01"]), "future");
    assert_eq!(words(&["--to", "2020-01-01", "--from", "2010-01-01"]), "late");
    assert_eq!(words(&["--reverse", "--limit", "2"]), "future on");
    let args = ["logs", "query", "--topic", "t", "--format", "raw", "--from", "2020-01-01"];
    let timed = home.run(&args, "").ok().out;
    assert_eq!(timed.lines().next().unwrap(), "2026-03-01T10:00:00Z now");
    assert_eq!(timed.lines().last().unwrap(), "2090-01-01T00:00:00Z future");
}

#[test]
fn searches_combine_text_expressions_metadata_severity_and_number() {
    let home = Home::new();
    let record = |message: &str, severity: &str, unit: &str| {
        format!(
            "{{\"message\":\"{message}\",\"severity\":\"{severity}\",\"metadata\":{{\"unit\":\"{unit}\"}}}}\n"
        )
    };
    let input = record("port 22 open", "info", "sshd")
        + &record("port 80 open", "warn", "nginx")
        + &record("Port 443 closed", "error", "nginx");
    append(&home, &["--format", "json"], input.as_bytes()).ok();
    assert_eq!(messages(&home, &["--contains", "port"]).len(), 2);
    assert_eq!(messages(&home, &["--contains", "port", "--contains", "80"]), ["port 80 open"]);
    assert_eq!(messages(&home, &["--regex", "(?i)^port \\d{3}"]), ["Port 443 closed"]);
    assert_eq!(messages(&home, &["--where", "unit=nginx", "--contains", "open"]), ["port 80 open"]);
    assert_eq!(messages(&home, &["--where", "unit=none"]), Vec::<String>::new());
    assert_eq!(messages(&home, &["--severity", "warn", "--topic", "t"]).len(), 2);
    assert_eq!(messages(&home, &["--after", "2", "--topic", "t"]), ["Port 443 closed"]);
    // Raw lines of one topic are filtered by the same conditions.
    let raw = ["logs", "query", "--topic", "t", "--format", "raw"];
    for (more, expected) in [
        (&["--regex", "(?i)^port \\d{3}"][..], "Port 443 closed\n"),
        (&["--where", "unit=nginx", "--contains", "open"], "port 80 open\n"),
        (&["--severity", "warn", "--limit", "1"], "port 80 open\n"),
        (&["--after", "2"], "Port 443 closed\n"),
    ] {
        let mut args = raw.to_vec();
        args.extend_from_slice(more);
        assert_eq!(home.run(&args, "").ok().out, expected, "{more:?}");
    }
}

#[test]
fn a_limited_search_goes_on_at_its_cursor() {
    let home = Home::new();
    let input =
        (0..10).fold(String::new(), |all, n| all + &format!("2026-03-01T10:00:0{n}Z n{n}\n"));
    append(&home, &[], input.as_bytes()).ok();
    for first in [
        &["logs", "query", "--limit", "4"][..],
        &["logs", "query", "--limit", "4", "--topic", "t", "--format", "raw"],
        &["logs", "query", "--limit", "4", "--reverse"],
    ] {
        let (mut lines, mut more) = (String::new(), Vec::<String>::new());
        loop {
            let mut args = first.to_vec();
            args.extend(more.iter().map(String::as_str));
            let run = home.run(&args, "").ok();
            lines += &run.out;
            let Some((_, next)) = run.err.trim().split_once("limit: ") else { break };
            more = next.split(' ').map(str::to_owned).collect();
        }
        let mut words: Vec<&str> =
            lines.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        if first.contains(&"--reverse") {
            words.reverse();
        }
        let all: Vec<String> = (0..10).map(|n| format!("n{n}")).collect();
        assert_eq!(words, all, "{first:?}");
    }
}

#[test]
fn an_expression_that_is_none_is_wrong_usage_and_a_hostile_one_ends_fast() {
    let home = Home::new();
    let line = format!("{}b\n", "a".repeat(1 << 20));
    append(&home, &[], line.repeat(4).as_bytes()).ok();
    for wrong in ["(", "[z-a]", "a{1000}{1000}{1000}", "(?<n"] {
        let found = home.run(&["logs", "query", "--regex", wrong], "").code(2);
        assert!(found.out.is_empty());
    }
    let start = Instant::now();
    for hostile in ["(a*)*$c", "(a|aa)+$x", "(.*)*(.*)*(.*)*c$", "(a?){50}a{50}$"] {
        home.run(&["logs", "query", "--regex", hostile], "").ok();
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn wrong_usage_is_told_before_anything_is_stored() {
    let home = Home::new();
    for args in [
        &["logs", "append"][..],
        &["logs", "append", "--format", "text"],
        &["logs", "append", "--topic", ""],
        &["logs", "append", "--topic", "t", "--severity", "loud"],
        &["logs", "append", "--topic", "t", "--zone", "Mars"],
        &["logs", "append", "--topic", "t", "--year", "0"],
        &["logs", "append", "--topic", "t", "--format", "text", "--year", "2020"],
        &["logs", "append", "--topic", "t", "--format", "json", "--marker", "m"],
        &["logs", "append", "--topic", "t", "."],
        &["logs", "query", "--where", "unit"],
        &["logs", "query", "--cursor", "none"],
        &["logs", "query", "--format", "csv"],
        &["--json", "logs", "query", "--format", "raw"],
        &["logs", "get", "no-uuid"],
        &["logs", "tail"],
    ] {
        let run = home.run(args, "x\n").code(2);
        assert!(run.out.is_empty(), "{args:?}: {}", run.out);
    }
    home.run(&["logs", "append", "--topic", "t", "absent"], "").code(3);
    assert_eq!(raw(&home, "t"), b"");
}

#[test]
fn entries_are_found_by_id_and_from_a_marker() {
    let home = Home::new();
    append(&home, &["--marker", "one"], b"a\nb\n").ok();
    append(&home, &["--marker", "two"], b"c\nd\n").ok();
    let from = |marker: &str| {
        let args = ["logs", "tail", "--topic", "t", "--marker", marker, "--format", "raw"];
        home.run(&args, "").ok().out
    };
    assert_eq!(from("two"), "c\nd\n");
    assert_eq!(from("one"), "a\nb\nc\nd\n");
    home.run(&["logs", "tail", "--topic", "t", "--marker", "x"], "").code(3);
    for entry in home.json(&["logs", "query"]) {
        let found = home.json(&["logs", "get", entry["id"].as_str().unwrap()]);
        assert_eq!(found, [entry]);
    }
    home.run(&["logs", "get", "00000000-0000-4000-8000-000000000000"], "").code(3);
}

#[test]
fn what_query_prints_can_be_fed_back_and_stored_elsewhere() {
    let home = Home::new();
    append(&home, &[], b"a\r\n\xff\0\n2026-03-01T10:00:00Z ERROR b\nend").ok();
    let printed = home.run(&["--json", "logs", "query"], "").ok().out;
    let again = append(&home, &["--format", "json"], printed.as_bytes()).ok();
    assert_eq!(acknowledged(&again.out), 0);
    assert_eq!(json(&again.out)[0]["duplicates"], 4);
    let other = Home::new();
    let feed = ["logs", "append", "--format", "json"];
    other.run(&feed, &printed).ok();
    assert_eq!(other.run(&["--json", "logs", "query"], "").ok().out.lines().count(), 4);
    assert_eq!(other.run(&["--json", "logs", "query"], "").ok().out.len(), printed.len());
    other.run(&feed, &printed).ok().says("4 were there before");
    let changed = printed.replacen("\"severity\":\"info\"", "\"severity\":\"warn\"", 1);
    home.run(&feed, &changed).code(8);
}

#[test]
fn the_longest_line_travels_as_a_record_too() {
    let home = Home::new();
    let mut line = vec![0; (16 << 20) - 1];
    line.push(0xff);
    line.push(b'\n');
    append(&home, &[], &line).ok();
    let printed = home.run(&["--json", "logs", "query"], "").ok().out;
    let again = append(&home, &["--format", "json"], printed.as_bytes()).ok();
    assert_eq!(json(&again.out)[0]["duplicates"], 1);
}

#[test]
fn a_line_that_is_no_record_is_named_and_those_before_it_are_stored() {
    let home = Home::new();
    for (line, why) in [
        ("nonsense", "not JSON"),
        ("{\"level\":\"info\",\"msg\":\"x\"}", "missing field `message`"),
        ("{\"message\":\"x\",\"topic\":\"u\"}", "another topic"),
        ("{\"message\":\"x\",\"raw\":\"ff\"}", "raw bytes"),
        ("{\"mess", "ends too early"),
    ] {
        let home = Home::new();
        let input = format!("{{\"message\":\"before\"}}\n\n{line}\n{{\"message\":\"behind\"}}\n");
        let run = append(&home, &["--format", "json"], input.as_bytes()).code(1);
        let run = run.says("line 3: ").says(why).says("stored 1 log entries, up to line 1");
        assert_eq!(acknowledged(&run.out), 1);
        assert_eq!(raw(&home, "t"), b"before\n");
    }
    home.run(&["logs", "append", "--format", "json"], "{\"message\":\"x\"}\n").code(1);
}

#[test]
fn a_line_beyond_the_limit_is_named_and_those_before_it_are_stored() {
    let home = Home::new();
    let largest = "x".repeat(16 << 20);
    let input = format!("short\n{largest}\nlast\n{largest}x\nbehind\n");
    let run = append(&home, &[], input.as_bytes()).code(1).says("line: 4").says("up to line 3");
    assert_eq!(acknowledged(&run.out), 3);
    assert_same(&raw(&home, "t"), format!("short\n{largest}\nlast\n").as_bytes());
    let endless = "x".repeat(40 << 20);
    append(&home, &[], endless.as_bytes()).code(1).says("line: 1").says("nothing was stored");
}

#[test]
fn a_pipe_that_stays_open_is_acknowledged_within_a_second() {
    let home = Home::new();
    let mut append = home.start(&APPEND);
    append.write("first\n");
    append.line();
    for number in 0..10 {
        let start = Instant::now();
        append.write("line\n");
        let line = append.line();
        assert!(line.contains(&format!("\"first_seq\":{}", number + 2)), "{line}");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    append.write("half");
    assert_eq!(append.line_within(Duration::from_millis(300)), None);
    append.write(" a line\n");
    append.line();
    assert_eq!(messages(&home, &["--contains", "half"]), ["half a line"]);
    append.write("the end");
    append.finish().ok().says("stored 13 log entries");
    assert!(raw(&home, "t").ends_with(b"line\nhalf a line\nthe end"));
}

#[test]
fn an_interrupted_append_stores_what_has_arrived_also_half_a_line() {
    for signal in [Signal::INT, Signal::TERM] {
        let home = Home::new();
        let mut append = home.start(&APPEND);
        append.write("whole\n");
        append.line();
        append.write("half");
        // Nothing tells when it has arrived, so it is given time.
        std::thread::sleep(Duration::from_millis(200));
        append.signal(signal);
        // Its input is still open: it must end by itself.
        assert_eq!(append.rest().len(), 1);
        assert!(append.child.wait().unwrap().success());
        assert_eq!(raw(&home, "t"), b"whole\nhalf");
    }
}

#[test]
fn an_interrupted_import_ends_at_a_line_and_can_be_resumed() {
    let home = Home::new();
    let input = numbered("2026-03-01T10:00:00Z line ", 400_000);
    fs::write(home.path("file"), &input).unwrap();
    let mut all = APPEND.to_vec();
    all.push("file");
    let append = home.start(&all);
    append.line();
    append.signal(Signal::INT);
    let run = append.finish().code(1).says("interrupted before the end of the file");
    let (_, line) = run.err.split_once("up to line ").unwrap();
    let line: usize = line.lines().next().unwrap().parse().unwrap();
    let stored = raw(&home, "t");
    let whole: String = input.split_inclusive('\n').take(line).collect();
    assert_same(&stored, whole.as_bytes());
    assert!(line < 400_000);
}

#[test]
fn a_file_that_grows_is_read_to_the_end_that_is_found() {
    let home = Home::new();
    let path = home.path("growing");
    let start = numbered("old ", 200_000);
    fs::write(&path, &start).unwrap();
    let mut all = APPEND.to_vec();
    all.push("growing");
    let append = home.start(&all);
    append.line();
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    for number in 0..100 {
        file.write_all(format!("new {number}\n").as_bytes()).unwrap();
    }
    append.finish().ok();
    let (stored, now) = (raw(&home, "t"), fs::read(&path).unwrap());
    assert!(stored.len() >= start.len());
    assert_same(&stored, &now[..stored.len()]);
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error_behind_what_was_read() {
    // A fifo cannot be cut and a file is read too fast to meet it halfway, so the file is standard
    // input, whose place is moved beyond its end: what a reader finds that has read more than there
    // is now.
    let home = Home::new();
    let path = home.path("cut");
    fs::write(&path, "short\n").unwrap();
    let mut file = fs::File::open(&path).unwrap();
    file.seek(std::io::SeekFrom::Start(100)).unwrap();
    let output = home.command(&APPEND).stdin(Stdio::from(file)).output().unwrap();
    let run = Run::from(output).code(1);
    run.says("standard input was cut to 6 bytes").says("come to byte 100");

    let input = numbered("line ", 2_000_000);
    fs::write(&path, &input).unwrap();
    let mut all = APPEND.to_vec();
    all.push("cut");
    let append = home.start(&all);
    append.line();
    fs::File::create(&path).unwrap().write_all(b"other\n").unwrap();
    let run = append.finish().code(1).says("cut was cut to ");
    let stored = raw(&home, "t");
    assert!(stored.len() < input.len());
    assert_same(&stored, &input.as_bytes()[..stored.len()]);
    assert!(run.err.contains("stored "), "{}", run.err);
}

#[test]
fn files_without_a_length_are_inputs_too() {
    let home = Home::new();
    home.run(&["logs", "append", "--topic", "version", "/proc/version"], "").ok();
    assert_same(&raw(&home, "version"), &fs::read("/proc/version").unwrap());
    let fifo = home.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let append = home.start(&["--json", "logs", "append", "--topic", "t", "fifo"]);
    let mut writer = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
    writer.write_all(b"one\n").unwrap();
    append.line();
    writer.write_all(b"two").unwrap();
    drop(writer);
    append.finish().ok();
    assert_eq!(raw(&home, "t"), b"one\ntwo");
}

#[test]
fn a_follower_sees_lines_as_they_are_stored() {
    let home = Home::new();
    append(&home, &[], b"old\n").ok();
    let follower = home.start(&["--json", "logs", "tail", "--topic", ">", "--follow"]);
    follower.line();
    let mut writer = home.start(&APPEND);
    for number in 0..5 {
        writer.write(&format!("new {number}\n"));
        let entry: serde_json::Value = serde_json::from_str(&follower.line()).unwrap();
        assert_eq!(entry["message"], format!("new {number}"));
    }
    writer.finish().ok();
    follower.signal(Signal::INT);
    follower.finish().ok();
}

#[test]
fn nobody_reading_the_output_is_no_failure() {
    let home = Home::new();
    append(&home, &[], "a line of a log\n".repeat(50_000).as_bytes()).ok();
    for args in [
        &["logs", "query"][..],
        &["logs", "query", "--topic", "t", "--format", "raw"],
        &["logs", "tail", "--topic", "t"],
        &["logs", "tail", "--topic", "t", "--follow"],
    ] {
        let mut command = home.command(args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert!(child.wait().unwrap().success(), "{args:?}");
    }
}

#[test]
fn much_input_is_stored_in_commits_of_bounded_size() {
    let home = Home::new();
    let bytes = |number: u32| [&number.to_le_bytes()[..], b"\xff\xfe\r\n"].concat();
    let input: Vec<u8> = (0..24_000).flat_map(bytes).collect();
    let run = append(&home, &[], &input).ok();
    for commit in json(&run.out) {
        assert!(commit["count"].as_u64().unwrap() <= 8_000);
    }
    assert_same(&raw(&home, "t"), &input);
}
