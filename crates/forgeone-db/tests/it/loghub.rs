//! Without this, recognition could be right about invented lines and wrong about real ones.
//!
//! The files of the loghub collection (16 systems, 2,000 lines each) are read, and what was found
//! in each is compared with numbers that were computed from the same files in another way, one
//! regular expression for each. The lines are not part of this repository: the folder is
//! `FORGEONE_LOGHUB_DIR`, or `../shared/data/loghub` beside the workspace, and where it is absent
//! the test says so and passes.

use chrono::{DateTime, SecondsFormat, Utc};
use forgeone_db::logs::format::{FormatOptions, LineReader, ParsedLine};
use forgeone_db::model::LineEnd;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// When the lines are taken to arrive: decides the year of the five files that name none.
const NOW: &str = "2018-01-01T00:00:00Z";
const LINES: usize = 2000;

/// What one file holds. Every line of every file has a time.
struct Row {
    file: &'static str,
    format: &'static str,
    first: &'static str,
    last: &'static str,
    /// Lines of each severity, by name; lines without one are not counted.
    severities: &'static [(&'static str, usize)],
    /// Lines that end with CR LF, with LF, and with nothing.
    ends: [usize; 3],
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { file: "Android", format: "logcat", first: "2017-03-17T16:13:38.811Z", last: "2017-03-17T16:16:09.141Z", severities: &[("debug", 650), ("error", 3), ("info", 920), ("trace", 257), ("warn", 170)], ends: [1999, 0, 1] },
    Row { file: "Apache", format: "apache-error", first: "2005-12-04T04:47:44Z", last: "2005-12-05T19:15:57Z", severities: &[("error", 595), ("info2", 1405)], ends: [1999, 0, 1] },
    Row { file: "BGL", format: "bgl", first: "2005-06-03T22:42:50.675872Z", last: "2006-01-03T15:13:09.127918Z", severities: &[("error", 48), ("fatal", 347), ("info", 1597), ("warn", 8)], ends: [1999, 0, 1] },
    Row { file: "HDFS", format: "hdfs", first: "2008-11-09T20:36:15Z", last: "2008-11-11T10:20:17Z", severities: &[("info", 1920), ("warn", 80)], ends: [2000, 0, 0] },
    Row { file: "HPC", format: "hpc", first: "2004-02-26T14:12:22Z", last: "2005-12-15T18:25:39Z", severities: &[], ends: [2000, 0, 0] },
    Row { file: "Hadoop", format: "iso8601", first: "2015-10-18T18:01:47.978Z", last: "2015-10-18T18:10:55.202Z", severities: &[("error", 150), ("fatal", 2), ("info", 1040), ("warn", 808)], ends: [1999, 0, 1] },
    Row { file: "HealthApp", format: "healthapp", first: "2017-12-23T22:15:29.606Z", last: "2017-12-24T01:02:35.789Z", severities: &[], ends: [1999, 0, 1] },
    Row { file: "Linux", format: "syslog", first: "2017-06-14T15:16:01Z", last: "2017-07-27T14:42:00Z", severities: &[], ends: [1999, 0, 1] },
    Row { file: "Mac", format: "syslog", first: "2017-07-01T09:00:55Z", last: "2017-07-08T08:10:46Z", severities: &[], ends: [1999, 0, 1] },
    Row { file: "OpenSSH", format: "syslog", first: "2017-12-10T06:55:46Z", last: "2017-12-10T11:04:45Z", severities: &[], ends: [1999, 0, 1] },
    Row { file: "OpenStack", format: "file-iso8601", first: "2017-05-16T00:00:00.008Z", last: "2017-05-16T00:14:47.687Z", severities: &[("info", 1969), ("warn", 31)], ends: [1999, 0, 1] },
    Row { file: "Proxifier", format: "proxifier", first: "2017-10-30T16:49:06Z", last: "2017-07-27T10:23:42Z", severities: &[], ends: [0, 1999, 1] },
    Row { file: "Spark", format: "spark", first: "2017-06-09T20:10:40Z", last: "2017-06-09T20:11:11Z", severities: &[("info", 2000)], ends: [2000, 0, 0] },
    Row { file: "Thunderbird", format: "thunderbird", first: "2005-11-09T20:01:01Z", last: "2005-11-09T20:15:32Z", severities: &[], ends: [1999, 0, 1] },
    Row { file: "Windows", format: "iso8601", first: "2016-09-28T04:30:30Z", last: "2016-09-29T02:04:40Z", severities: &[("info", 2000)], ends: [1999, 0, 1] },
    Row { file: "Zookeeper", format: "iso8601", first: "2015-07-29T17:41:44.747Z", last: "2015-08-10T18:12:34.004Z", severities: &[("error", 13), ("info", 669), ("warn", 1318)], ends: [1999, 0, 1] },
];

fn folder() -> PathBuf {
    std::env::var_os("FORGEONE_LOGHUB_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/loghub"),
        PathBuf::from,
    )
}

/// The entries of a file that arrives in pieces of `piece` bytes.
fn read(bytes: &[u8], piece: usize) -> Vec<ParsedLine> {
    let mut reader = LineReader::new(FormatOptions::new(NOW.parse().unwrap()));
    let mut entries = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        while let Some(entry) = reader.next().unwrap() {
            entries.push(entry);
        }
    }
    while let Some(entry) = reader.finish().unwrap() {
        entries.push(entry);
    }
    entries
}

fn check(row: &Row, bytes: &[u8]) {
    let entries = read(bytes, 64 * 1024);
    let file = row.file;
    let back: Vec<u8> =
        entries.iter().flat_map(|entry| [&entry.line, entry.end.as_bytes()].concat()).collect();
    assert!(back == bytes, "{file}: other bytes came back");
    assert_eq!(read(bytes, 7), entries, "{file}");

    assert_eq!(entries.len(), LINES, "{file}");
    assert!(entries.iter().all(|entry| entry.format == Some(row.format)), "{file}");
    let times: Vec<DateTime<Utc>> = entries.iter().filter_map(|entry| entry.timestamp).collect();
    assert_eq!(times.len(), LINES, "{file}");
    let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    assert_eq!(written(times[0]), row.first, "{file}");
    assert_eq!(written(times[LINES - 1]), row.last, "{file}");

    let mut severities = BTreeMap::new();
    for severity in entries.iter().filter_map(|entry| entry.severity) {
        *severities.entry(severity.as_str()).or_insert(0) += 1;
    }
    assert_eq!(severities.into_iter().collect::<Vec<_>>(), row.severities, "{file}");
    let ends = [LineEnd::CrLf, LineEnd::Lf, LineEnd::None]
        .map(|end| entries.iter().filter(|entry| entry.end == end).count());
    assert_eq!(ends, row.ends, "{file}");
}

#[test]
fn real_lines_of_sixteen_systems_say_when_and_how_severe() {
    let folder = folder();
    if !folder.is_dir() {
        println!("there is no folder {}: real lines were not read", folder.display());
        return;
    }
    for row in TABLE {
        let path = folder.join(format!("{}_2k.log", row.file));
        check(row, &std::fs::read(&path).unwrap());
    }
}
