//! Lines of each format, written for this test, and lines that only look like one.

use super::{say, table};
use crate::logs::format::level;
use crate::model::Severity;

#[test]
fn iso_times_are_read_in_all_their_spellings() {
    table(&[
        ("2024-05-06T07:08:09Z ok", "iso8601", "2024-05-06T07:08:09Z", "-"),
        ("2024-05-06 07:08:09,123 - INFO  [x] - y", "iso8601", "2024-05-06T07:08:09.123Z", "info"),
        (
            "2024-05-06 07:08:09.123456789123 WARN x",
            "iso8601",
            "2024-05-06T07:08:09.123456789Z",
            "warn",
        ),
        ("2024-05-06T07:08:09.5+02:00 x", "iso8601", "2024-05-06T05:08:09.500Z", "-"),
        ("2024-05-06T07:08:09-0730", "iso8601", "2024-05-06T14:38:09Z", "-"),
        ("2024-05-06 07:08:09+01 x", "iso8601", "2024-05-06T06:08:09Z", "-"),
        ("2024-05-06 07:08:09 +0200 x", "iso8601", "2024-05-06T05:08:09Z", "-"),
        ("2024-05-06 07:08:09 UTC [42] LOG:  ready", "iso8601", "2024-05-06T07:08:09Z", "info"),
        ("2024-05-06 07:08:09 UTC [42] a@b ERROR:  no", "iso8601", "2024-05-06T07:08:09Z", "error"),
        ("2024-05-06 07:08 x", "iso8601", "2024-05-06T07:08:00Z", "-"),
        ("2024-05-06 07:08:09:123 ERROR x", "iso8601", "2024-05-06T07:08:09.123Z", "error"),
        ("20240506T070809.25Z x", "iso8601", "2024-05-06T07:08:09.250Z", "-"),
        ("[2024-05-06T07:08:09Z INFO  app] x", "iso8601", "2024-05-06T07:08:09Z", "info"),
        ("\u{feff}2024-05-06 07:08:09 x", "iso8601", "2024-05-06T07:08:09Z", "-"),
        ("2024/05/06 07:08:09 [crit] 7#0: *1 x", "slash-date", "2024-05-06T07:08:09Z", "error2"),
        (
            "06-May-2024 07:08:09.123 SEVERE [main] x",
            "day-month-year",
            "2024-05-06T07:08:09.123Z",
            "error",
        ),
        ("[06-May-2024 07:08:09 UTC] PHP x", "day-month-year", "2024-05-06T07:08:09Z", "-"),
    ]);
}

#[test]
fn a_level_is_read_where_the_usual_formats_have_it() {
    table(&[
        (
            "2024-05-06 07:08:09, Info                  CBS    x",
            "iso8601",
            "2024-05-06T07:08:09Z",
            "info",
        ),
        (
            "2024-05-06 07:08:09,1 - a.b - CRITICAL - x",
            "iso8601",
            "2024-05-06T07:08:09.100Z",
            "error2",
        ),
        (
            "2024-05-06 07:08:09.1 | DEBUG    | a:b:3 - x",
            "iso8601",
            "2024-05-06T07:08:09.100Z",
            "debug",
        ),
        (
            "2024-05-06 07:08:09.1 [main] ERROR c.e.App - x",
            "iso8601",
            "2024-05-06T07:08:09.100Z",
            "error",
        ),
        (
            "2024-05-06T07:08:09.1Z  WARN 7 --- [main] x : y",
            "iso8601",
            "2024-05-06T07:08:09.100Z",
            "warn",
        ),
        ("2024-05-06 07:08:09.1 +02:00 [WRN] x", "iso8601", "2024-05-06T05:08:09.100Z", "warn"),
        ("2024-05-06T07:08:09Z\tinfo\ta.go:7\tx", "iso8601", "2024-05-06T07:08:09Z", "info"),
        ("2024-05-06T07:08:09Z error: x", "iso8601", "2024-05-06T07:08:09Z", "error"),
        (
            "2024-05-06 07:08:09.123  100  200 E Tag: x",
            "iso8601",
            "2024-05-06T07:08:09.123Z",
            "error",
        ),
        (
            "[2024-05-06 07:08:09,1: WARNING/MainProcess] x",
            "iso8601",
            "2024-05-06T07:08:09.100Z",
            "warn",
        ),
        ("[2024-05-06 07:08:09 +0000] [7] [INFO] x", "iso8601", "2024-05-06T07:08:09Z", "info"),
        (
            "[2024-05-06T07:08:09.1+0000] {a.py:1} ERROR - x",
            "iso8601",
            "2024-05-06T07:08:09.100Z",
            "error",
        ),
        ("[2024-05-06 07:08:09] local.ERROR: x", "iso8601", "2024-05-06T07:08:09Z", "error"),
        ("E, [2024-05-06T07:08:09.5 #7] ERROR -- : x", "ruby", "2024-05-06T07:08:09.500Z", "error"),
        ("WARNING:root:x", "level-first", "-", "warn"),
        ("[INFO] x", "level-first", "-", "info"),
        ("INFO 2024-05-06 07:08:09,123 a x", "level-first", "2024-05-06T07:08:09.123Z", "info"),
        ("[ERROR] 2024-05-06 07:08:09 x", "level-first", "2024-05-06T07:08:09Z", "error"),
    ]);
}

#[test]
fn a_word_in_the_text_is_no_level() {
    table(&[
        ("2024-05-06 07:08:09 Error while reading", "iso8601", "2024-05-06T07:08:09Z", "-"),
        ("2024-05-06 07:08:09 the ERROR is old", "iso8601", "2024-05-06T07:08:09Z", "-"),
        ("2024-05-06 07:08:09 ERROR_CODE is 7", "iso8601", "2024-05-06T07:08:09Z", "-"),
        ("2024-05-06 07:08:09 [config] x", "iso8601", "2024-05-06T07:08:09Z", "-"),
        ("2024-05-06 07:08:09 [no error] x", "iso8601", "2024-05-06T07:08:09Z", "-"),
        ("May  6 07:08:09 host app[1]: ERROR x", "syslog", "2025-05-06T07:08:09Z", "-"),
        ("an ERROR occurred", "-", "-", "-"),
        ("ERROR occurred", "-", "-", "-"),
        ("Error: x", "-", "-", "-"),
        ("a=b some text level=error", "-", "-", "-"),
    ]);
}

#[test]
fn what_only_looks_like_a_time_is_not_found() {
    table(&[
        ("2024-13-06 07:08:09 ERROR x", "iso8601", "-", "error"),
        ("2023-02-29 07:08:09 x", "iso8601", "-", "-"),
        ("2024-05-06 24:00:00 x", "iso8601", "-", "-"),
        ("2024-05-06 07:08:61 x", "iso8601", "-", "-"),
        ("2024-05-06 07:08:09 CEST x", "iso8601", "-", "-"),
        ("2024-05-06 07:08:09 PM x", "iso8601", "-", "-"),
        ("2024-05-06T07:08:09+24:00 x", "iso8601", "-", "-"),
        ("2024-05-06 x", "-", "-", "-"),
        ("2024-05-06T07:08:09abc", "-", "-", "-"),
        ("2024-05-06 07:08:0", "-", "-", "-"),
        ("12024-05-06 07:08:09", "-", "-", "-"),
        (" 2024-05-06 07:08:09 x", "-", "-", "-"),
        ("7258118400 x", "-", "-", "-"),
        ("0123456789 x", "-", "-", "-"),
        ("123456789 x", "-", "-", "-"),
        ("12345678901234567890 x", "-", "-", "-"),
        ("17/06/09 20:10:40 x", "-", "-", "-"),
        ("[05.06 07:08:09] x", "-", "-", "-"),
        ("[30.12 07:08:09] x.exe - y", "proxifier", "-", "-"),
        ("Maybe 6 07:08:09 x", "-", "-", "-"),
    ]);
}

#[test]
fn a_leap_second_is_the_last_nanosecond_of_its_minute() {
    let leap = "2016-12-31T23:59:60.5Z x";
    assert_eq!(say(leap).1, "2016-12-31T23:59:59.999999999Z");
}

#[test]
fn numbers_since_1970_are_told_by_their_digits() {
    table(&[
        ("1700000000 x", "epoch", "2023-11-14T22:13:20Z", "-"),
        ("1700000000.25 ERROR x", "epoch", "2023-11-14T22:13:20.250Z", "error"),
        ("1700000000123,x", "epoch", "2023-11-14T22:13:20.123Z", "-"),
        ("1700000000123456 x", "epoch", "2023-11-14T22:13:20.123456Z", "-"),
        ("1700000000123456789", "epoch", "2023-11-14T22:13:20.123456789Z", "-"),
        ("[1700000000] x", "epoch", "2023-11-14T22:13:20Z", "-"),
        ("1700000000x", "-", "-", "-"),
        ("1700000000. x", "-", "-", "-"),
    ]);
}

#[test]
fn syslog_is_read_in_both_standards() {
    table(&[
        ("<34>May  6 07:08:09 host su: x", "rfc3164", "2025-05-06T07:08:09Z", "error2"),
        ("<13>May 06 2024 07:08:09 host x", "rfc3164", "2024-05-06T07:08:09Z", "info2"),
        ("<6>2024-05-06T07:08:09.1+02:00 host x", "rfc3164", "2024-05-06T05:08:09.100Z", "info"),
        ("<6>[    1.5] kernel", "rfc3164", "-", "info"),
        ("<0>x", "rfc3164", "-", "fatal"),
        ("<191>x", "rfc3164", "-", "debug"),
        ("<192>x", "-", "-", "-"),
        ("<007>x", "-", "-", "-"),
        ("<b>x", "-", "-", "-"),
        (
            "<165>1 2024-05-06T07:08:09.003Z h a - - - x",
            "rfc5424",
            "2024-05-06T07:08:09.003Z",
            "info2",
        ),
        ("<165>1 - h a - - - x", "rfc5424", "-", "info2"),
        ("May 6 07:08:09 h local@h x", "syslog", "2025-05-06T07:08:09Z", "-"),
        ("May  6 07:08:09.25 CET: %SYS-5-X: y", "syslog", "-", "-"),
        ("May  6 07:08:09 CET x", "syslog", "2025-05-06T07:08:09Z", "-"),
    ]);
}

#[test]
fn web_servers_are_read() {
    let access = |status: &str| {
        format!(
            "::1 - bob smith [06/May/2024:07:08:09 +0200] \"GET /\\\" 500 HTTP/1.1\" {status} 7 \"-\""
        )
    };
    for (status, severity) in [
        ("200", "info"),
        ("304", "info"),
        ("404", "warn"),
        ("503", "error"),
        ("000", "-"),
        ("-", "-"),
    ] {
        let said = say(&access(status));
        assert_eq!(said.0, "access");
        assert_eq!(said.1, "2024-05-06T05:08:09Z");
        assert_eq!(said.2, severity, "{status}");
    }
    table(&[
        (
            "www:80 10.0.0.1 - - [06/May/2024:07:08:09 +0000] \"-\" 408 0",
            "access",
            "2024-05-06T07:08:09Z",
            "warn",
        ),
        ("10.0.0.1 - - [06/May/2024:07:08:09 +0000] x", "access", "2024-05-06T07:08:09Z", "-"),
        ("10.0.0.1 [06/May/2024:07:08:09 +0000] x", "-", "-", "-"),
        ("[Mon May 06 07:08:09 2024] [error] x", "apache-error", "2024-05-06T07:08:09Z", "error"),
        (
            "[Mon May 06 07:08:09.25 2024] [core:notice] [pid 7] x",
            "apache-error",
            "2024-05-06T07:08:09.250Z",
            "info2",
        ),
        ("Mon May  6 07:08:09 2024 x", "ctime", "2024-05-06T07:08:09Z", "-"),
        ("Mon May  6 07:08:09 UTC 2024 x", "ctime", "2024-05-06T07:08:09Z", "-"),
    ]);
}

#[test]
fn systems_with_a_format_of_their_own_are_read() {
    table(&[
        ("05-06 07:08:09.123  1702  2395 D Tag: x", "logcat", "2025-05-06T07:08:09.123Z", "debug"),
        ("05-06 07:08:09.123 W/Tag( 1702): x", "logcat", "2025-05-06T07:08:09.123Z", "warn"),
        ("05-06 07:08:09.123 x", "-", "-", "-"),
        ("24/05/06 07:08:09 WARN a.B: x", "spark", "2024-05-06T07:08:09Z", "warn"),
        ("99/05/06 07:08:09 INFO a.B: x", "spark", "1999-05-06T07:08:09Z", "info"),
        ("240506 070809 143 INFO a$B: x", "hdfs", "2024-05-06T07:08:09Z", "info"),
        ("20240506-7:8:9:12|Tag|1|x", "healthapp", "2024-05-06T07:08:09.012Z", "-"),
        ("[05.06 07:08:09] a.exe - h:80 x", "proxifier", "2025-05-06T07:08:09Z", "-"),
        ("7 node-1 fan error 1700000000 1 x", "hpc", "2023-11-14T22:13:20Z", "-"),
        ("7 node-1 fan error 1700000000 -1", "hpc", "2023-11-14T22:13:20Z", "-"),
        (
            "- 1700000000 2023.11.14 R0 2023-11-14-14.13.20.250000 R0 RAS KERNEL FATAL x",
            "bgl",
            "2023-11-14T22:13:20.250Z",
            "fatal",
        ),
        (
            "APPSEV 1700000000 2023.11.14 R0 2023-11-14-14.13.20.25 R0 x",
            "thunderbird",
            "2023-11-14T22:13:20Z",
            "-",
        ),
        (
            "- 1700000000 2023.11.14 R0 2023-11-14-14.13.21.250000 R0 NULL X SEVERE y",
            "bgl",
            "2023-11-14T22:13:20Z",
            "error",
        ),
        (
            "- 1700000000 2023.11.14 d Nov 14 14:13:20 d/d crond: x",
            "thunderbird",
            "2023-11-14T22:13:20Z",
            "-",
        ),
        ("I0506 07:08:09.123456   12 a.go:7] x", "klog", "2025-05-06T07:08:09.123456Z", "info"),
        ("E20240506 07:08:09.1 12 a.go:7] x", "klog", "2024-05-06T07:08:09.100Z", "error"),
        ("I0506 07:08:09 x", "-", "-", "-"),
        (
            "nova-api.log.1 2024-05-06 07:08:09.123 7 INFO n.a [-] x",
            "file-iso8601",
            "2024-05-06T07:08:09.123Z",
            "info",
        ),
    ]);
}

#[test]
fn every_name_and_number_of_a_severity_means_what_the_model_says() {
    for severity in Severity::ALL {
        assert_eq!(level::of_word(severity.as_str().as_bytes()), Some(severity));
    }
    let names = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
    for (number, name) in (0..).zip(names) {
        assert_eq!(level::of_syslog(number), name.parse().ok());
        assert_eq!(level::of_word(name.as_bytes()), name.parse().ok());
    }
    assert_eq!(level::of_syslog(8), None);
    for name in ["information", "informational", "critical", "emergency"] {
        assert_eq!(level::of_word(name.as_bytes()), name.parse().ok());
    }
    assert_eq!(level::of_word(b"a word that is far too long"), None);
}
