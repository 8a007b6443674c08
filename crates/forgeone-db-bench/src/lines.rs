//! Log lines: those of real files where they are there, else made ones that compress like them.

use crate::Result;
use crate::data::{Random, start};
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

/// `count` entries in so many topics, arriving 17 ms apart in each: the lines of a folder over and
/// over, with other digits at the ends of their numbers each time; made ones where there are none.
pub(crate) fn many(
    folder: &Path,
    seed: u64,
    (count, topic_count): (usize, usize),
) -> Result<BTreeMap<String, Vec<NewLogEntry>>> {
    let mut random = Random::new(seed);
    let sources: Vec<Vec<ParsedLine>> = match Lines::read(folder)? {
        Some(lines) => lines.topics.into_values().collect(),
        None => vec![parse(made_lines(&mut random, 2000).as_bytes())?],
    };
    let mut topics: BTreeMap<String, Vec<NewLogEntry>> = BTreeMap::new();
    for number in 0..count {
        // A source a topic; with fewer topics than sources, each has several, in long runs.
        let turn = number % topic_count.max(1);
        let within = number / topic_count.max(1);
        let run = within / RUN_LINES * topic_count.max(1) + turn;
        let lines = sources.get(run % sources.len()).map_or(&[][..], Vec::as_slice);
        let round = run / sources.len() * RUN_LINES + within % RUN_LINES;
        let Some(line) = lines.get(round % lines.len().max(1)) else { continue };
        let topic = format!("many-{turn:02}");
        let since = TimeDelta::milliseconds(i64::try_from(within).unwrap_or(0) * 17);
        let mut entry = entry(&topic, line, start() + since);
        vary(&mut entry.line, &mut random);
        topics.entry(topic).or_default().push(entry);
    }
    Ok(topics)
}

/// Lines of one source that follow one another in a topic that has several.
const RUN_LINES: usize = 500;
/// Numbers with so many digits vary, in their last two.
const VARYING_DIGITS_MIN: usize = 4;

fn vary(line: &mut [u8], random: &mut Random) {
    let mut digits = 0;
    for at in 0..=line.len() {
        let is_digit = line.get(at).is_some_and(u8::is_ascii_digit);
        if !is_digit && digits >= VARYING_DIGITS_MIN {
            for digit in line.iter_mut().take(at).skip(at.saturating_sub(2)) {
                *digit = b'0' + u8::try_from(random.below(10)).unwrap_or(0);
            }
        }
        digits = if is_digit { digits + 1 } else { 0 };
    }
}

/// Lines of which about a fifth is random: they compress less than real ones.
fn made_lines(random: &mut Random, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..count {
        let (token, path) = (random.next(), random.below(100_000));
        let (ms, level) = (random.below(2_000), random.below(20));
        let level = if level == 0 { "ERROR" } else { "INFO" };
        let worker = path % 32;
        let line = format!(
            "{level} [worker-{worker}] request {token:016x} GET /api/v1/items/{path} took {ms} ms\n"
        );
        text.push_str(&line);
    }
    text
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
