//! Log lines: those of real files where they are there, else made ones that compress like them.

use crate::Result;
use crate::data::start;
use chrono::{DateTime, TimeDelta, Utc};
use forgeone_db::logs::format::{FormatOptions, LineReader, ParsedLine};
use forgeone_db::{LogEntry, NewLogEntry, Severity};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the times of entries come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// One after the other, 17 ms apart: when lines arrive.
    Arrival,
    /// What the lines say, and the time before where they say nothing.
    Found,
}

/// Lines by topic, in order, and how many bytes they were as text.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    pub(crate) topics: BTreeMap<String, Vec<ParsedLine>>,
    /// Line ends included.
    pub(crate) bytes: u64,
}

impl Lines {
    /// The lines of all log files in a folder, a topic for each file; `None` if there are none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
        let mut files: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
        files.sort_unstable();
        let mut lines = Self { topics: BTreeMap::new(), bytes: 0 };
        for path in &files {
            let content = std::fs::read(path)?;
            lines.bytes += content.len() as u64;
            lines.topics.insert(topic_of(path), parse(&content)?);
        }
        Ok((!files.is_empty()).then_some(lines))
    }

    pub(crate) fn count(&self) -> u64 {
        self.topics.values().map(|lines| lines.len() as u64).sum()
    }

    /// All lines as entries to store, by topic.
    pub(crate) fn entries(&self, times: Times) -> BTreeMap<String, Vec<NewLogEntry>> {
        let to_entries = |(topic, lines): (&String, &Vec<ParsedLine>)| {
            let mut last = start();
            let entries = lines.iter().map(|line| {
                let next = last + TimeDelta::milliseconds(17);
                last = match times {
                    Times::Arrival => next,
                    Times::Found => line.timestamp.unwrap_or(last),
                };
                entry(topic, line, last)
            });
            (topic.clone(), entries.collect())
        };
        self.topics.iter().map(to_entries).collect()
    }
}

fn entry(topic: &str, line: &ParsedLine, time: DateTime<Utc>) -> NewLogEntry {
    let severity = line.severity.unwrap_or(Severity::Info);
    let mut entry = NewLogEntry::new(topic, time, severity, line.line.clone());
    entry.line_end = line.end;
    entry
}

fn parse(content: &[u8]) -> Result<Vec<ParsedLine>> {
    let mut reader = LineReader::new(FormatOptions::new(start()));
    reader.push(content);
    let mut lines = Vec::new();
    while let Some(line) = reader.next()? {
        lines.push(line);
    }
    lines.extend(reader.finish()?);
    Ok(lines)
}

fn topic_of(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    stem.trim_end_matches("_2k").to_lowercase()
}

/// How many entries, and a sum over what they say in which order does not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LogSum {
    pub(crate) count: u64,
    sum: u128,
}

impl LogSum {
    pub(crate) fn of(entries: &BTreeMap<String, Vec<NewLogEntry>>) -> Self {
        let mut sum = Self::default();
        for entry in entries.values().flatten() {
            let end = entry.line_end.as_bytes();
            sum.add_parts(&entry.topic, entry.timestamp, entry.severity, &[&entry.line, end]);
        }
        sum
    }

    pub(crate) fn add(&mut self, entry: &LogEntry) {
        let line = entry.raw.as_deref().unwrap_or(entry.message.as_bytes());
        let end = entry.line_end.as_bytes();
        self.add_parts(&entry.topic, entry.timestamp, entry.severity, &[line, end]);
    }

    fn add_parts(&mut self, topic: &str, time: DateTime<Utc>, severity: Severity, line: &[&[u8]]) {
        let mut hash = blake3::Hasher::new();
        hash.update(&time.timestamp_nanos_opt().unwrap_or(0).to_be_bytes());
        hash.update(&[severity.number()]);
        hash.update(topic.as_bytes());
        for part in line {
            hash.update(part);
        }
        let hash = hash.finalize();
        let half = hash.as_bytes().first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        self.sum = self.sum.wrapping_add(half);
        self.count += 1;
    }
}
