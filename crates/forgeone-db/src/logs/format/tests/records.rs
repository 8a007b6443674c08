//! JSON, logfmt and the journal's export format.

use super::{at, in_mode, options, read, say, table};
use crate::logs::format::{FormatMode, LineReader};
use crate::model::{LineEnd, Severity};
use forgeone_db_engine::ErrorKind;

#[test]
fn json_keys_of_many_loggers_are_read() {
    table(&[
        (
            r#"{"timestamp":"2024-05-06T07:08:09.1Z","level":"WARN"}"#,
            "json",
            "2024-05-06T07:08:09.100Z",
            "warn",
        ),
        (r#" {"time":1700000000123,"level":50} "#, "json", "2023-11-14T22:13:20.123Z", "error"),
        (
            r#"{"ts":1700000000.123456,"level":"dpanic"}"#,
            "json",
            "2023-11-14T22:13:20.123456Z",
            "-",
        ),
        (
            r#"{"@timestamp":"2024-05-06 07:08:09,5","log.level":"ERROR"}"#,
            "json",
            "2024-05-06T07:08:09.500Z",
            "error",
        ),
        (
            r#"{"__REALTIME_TIMESTAMP":"1700000000123456","PRIORITY":"3"}"#,
            "json",
            "2023-11-14T22:13:20.123456Z",
            "error",
        ),
        (
            r#"{"timeUnixNano":"1700000000123456789","severityNumber":14}"#,
            "json",
            "2023-11-14T22:13:20.123456789Z",
            "warn2",
        ),
        (r#"{"severityText":"FATAL","level":"info","severityNumber":99}"#, "json", "-", "fatal"),
        (
            r#"{"Time":"2024-05-06T07:08:09\u002b01:00","Level":"Information"}"#,
            "json",
            "2024-05-06T06:08:09Z",
            "info",
        ),
        (r#"{"time_local":"06/May/2024:07:08:09 +0000"}"#, "json", "2024-05-06T07:08:09Z", "-"),
        (
            r#"{"t":{"t":1},"ts":[1],"time":null,"level":{"x":"error"},"lvl":true}"#,
            "json",
            "-",
            "-",
        ),
        ("{}", "json", "-", "-"),
    ]);
}

#[test]
fn of_several_keys_the_same_one_counts_whatever_their_order() {
    let one = r#"{"time":"2024-01-01T00:00:00Z","timestamp":"2024-05-06T07:08:09Z","lvl":"info","level":"error"}"#;
    let other = r#"{"level":"error","lvl":"info","timestamp":"2024-05-06T07:08:09Z","time":"2024-01-01T00:00:00Z"}"#;
    assert_eq!(say(one), say(other));
    assert_eq!(say(one).1, "2024-05-06T07:08:09Z");
    let unreadable = r#"{"timestamp":"yesterday","time":"2024-01-01T00:00:00Z"}"#;
    assert_eq!(say(unreadable).1, "2024-01-01T00:00:00Z");
}

#[test]
fn numbers_that_are_no_moments_are_not_found() {
    for value in ["0", "-1", "17.5", "-1700000000", "1e300", "7258118400", "99999999999999999999"] {
        let said = say(&format!("{{\"ts\":{value}}}"));
        assert_eq!((said.0.as_str(), said.1.as_str()), ("json", "-"), "{value}");
    }
}

#[test]
fn what_is_not_quite_json_is_another_line() {
    for line in [r#"{"ts":1700000000"#, r#"{"ts":1700000000}x"#, "{ts:1700000000}", "{", "[1]"] {
        assert_eq!(say(line).0, "-", "{line}");
    }
    let deep = format!("{{\"x\":{}1{},\"ts\":1700000000}}", "[".repeat(99_999), "]".repeat(99_999));
    assert_eq!(say(&deep).1, "2023-11-14T22:13:20Z");
    let deep = format!("{{\"ts\":{}}}", "[".repeat(99_999));
    assert_eq!(say(&deep).0, "-");
}

#[test]
fn in_json_mode_another_line_is_an_error_that_names_it_and_stays() {
    let bad: [&[u8]; 6] = [b"text", b"", b"[1]", b"\"a secret\"", b"{\"a\":1", b"{\"a\":\"\xff\"}"];
    for bad in bad {
        let mut reader = LineReader::new(in_mode(FormatMode::Json));
        reader.push(b"{\"level\":\"warn\"}\r\n");
        reader.push(bad);
        reader.push(b"\n{}\n");
        assert_eq!(reader.next().unwrap().unwrap().severity, Some(Severity::Warn));
        for _ in 0..2 {
            let error = reader.next().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let text = error.to_string();
            assert!(!format!("{error:?}").contains("a secret"), "{error:?}");
            assert!(text.contains("line=2") || text.contains("line: 2"), "{text}");
        }
    }
}

#[test]
fn logfmt_is_read() {
    table(&[
        (
            r#"time="2024-05-06T07:08:09+02:00" level=warning msg="a \" level=x""#,
            "logfmt",
            "2024-05-06T05:08:09Z",
            "warn",
        ),
        (
            "ts=2024-05-06T07:08:09.5Z caller=a.go:7 lvl=dbug",
            "logfmt",
            "2024-05-06T07:08:09.500Z",
            "debug",
        ),
        ("ts=1700000000.5 level=info", "logfmt", "2023-11-14T22:13:20.500Z", "info"),
        ("at=error code=H12 path=/", "logfmt", "-", "error"),
        ("a=b c=d", "-", "-", "-"),
        ("level=\"error", "-", "-", "-"),
        ("msg=hello there level=error", "-", "-", "-"),
    ]);
}

fn journal() -> Vec<u8> {
    let mut bytes = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000123456\nMESSAGE\n".to_vec();
    bytes.extend_from_slice(&12u64.to_le_bytes());
    bytes.extend_from_slice(b"two\n\nPRIORIT\nPRIORITY=4\n\n");
    bytes
}

#[test]
fn a_record_of_the_journal_is_one_entry_with_its_bytes() {
    let mut input = b"first\n".to_vec();
    input.extend_from_slice(&journal());
    input.extend_from_slice(&journal());
    input.extend_from_slice(b"last\n");
    let entries = read(options(), &input);
    let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [1, 2, 10, 18]);
    let record = &entries[1];
    assert_eq!(record.line, journal().strip_suffix(b"\n").unwrap());
    assert_eq!((record.end, record.format), (LineEnd::Lf, Some("journald")));
    assert_eq!(record.timestamp, Some(at("2023-11-14T22:13:20.123456Z")));
    assert_eq!(record.severity, Some(Severity::Warn));
    assert_eq!(entries[3].line, b"last");
}

#[test]
fn a_record_ends_where_no_field_follows() {
    let input = b"__CURSOR=1\nA=b\nnot a field\n__CURSOR=2\nNAME\ntext that is no length\n";
    let lines: Vec<Vec<u8>> = read(options(), input).into_iter().map(|entry| entry.line).collect();
    let wanted: [&[u8]; 5] =
        [b"__CURSOR=1\nA=b", b"not a field", b"__CURSOR=2", b"NAME", b"text that is no length"];
    assert_eq!(lines, wanted);
}

#[test]
fn a_record_that_was_cut_off_is_one_entry() {
    let whole = journal();
    let cut = &whole[..whole.len() - 14];
    let entries = read(options(), cut);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].end, LineEnd::None);
    assert_eq!(entries[0].format, Some("journald"));
    assert_eq!(entries[0].line, cut);
}
