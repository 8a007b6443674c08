//! What real-looking lines say, and that no bytes are lost whatever they are.

mod lines;
mod reader;
mod records;
mod times;

use super::{FormatMode, FormatOptions, LineReader, ParsedLine};
use chrono::{DateTime, Utc};

/// The moment of RFC 3339 text.
fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn options() -> FormatOptions {
    FormatOptions::new(at("2026-03-10T12:00:00Z"))
}

fn in_mode(mode: FormatMode) -> FormatOptions {
    FormatOptions { mode, ..options() }
}

/// All entries of an input that arrives at once.
fn read(options: FormatOptions, input: &[u8]) -> Vec<ParsedLine> {
    let mut reader = LineReader::new(options);
    reader.push(input);
    let mut entries = Vec::new();
    while let Some(entry) = reader.finish().unwrap() {
        entries.push(entry);
    }
    entries
}

/// What one line says: format, time, severity.
fn say(line: &str) -> (String, String, String) {
    say_with(options(), line)
}

fn say_with(options: FormatOptions, line: &str) -> (String, String, String) {
    let entries = read(options, line.as_bytes());
    let [entry] = entries.as_slice() else { panic!("{line:?} is one entry") };
    let time = entry.timestamp.map(|time| time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string());
    let none = || "-".to_owned();
    (
        entry.format.map_or_else(none, str::to_owned),
        time.unwrap_or_else(none),
        entry.severity.map_or_else(none, |severity| severity.to_string()),
    )
}

/// A table of lines and what each says.
fn table(rows: &[(&str, &str, &str, &str)]) {
    for (line, format, time, severity) in rows {
        let said = say(line);
        let said = (said.0.as_str(), said.1.as_str(), said.2.as_str());
        assert_eq!(said, (*format, *time, *severity), "{line:?}");
    }
}
