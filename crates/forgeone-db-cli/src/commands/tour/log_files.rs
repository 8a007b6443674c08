//! Files that are logs: which they are, and what is in them.

use super::sources::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Read, Records};
use crate::commands::append::Summary;
use crate::exit::Failure;
use crate::output::{Shown, say};
use crate::time;
use forgeone_db::NewLogEntry;
use forgeone_db::logs::format::{FormatOptions, LineReader, ParsedLine};
use forgeone_db::model::Severity;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What is looked at to tell whether a file is a log.
pub(super) const SAMPLE_BYTES: u64 = 64 << 10;
/// Lines of it.
const SAMPLE_LINES: usize = 200;
/// What programs call JSON lines, which go on as events.
const JSON: &str = "json";

/// What was found in log files.
#[derive(Debug, Default, Serialize)]
pub(super) struct Logs {
    pub(super) files: u64,
    #[serde(flatten)]
    pub(super) found: Summary,
    #[serde(serialize_with = "by_name")]
    pub(super) severities: BTreeMap<Severity, u64>,
    /// The files that were stored whole.
    #[serde(skip)]
    pub(super) whole: Vec<Whole>,
}

fn by_name<S: serde::Serializer>(
    severities: &BTreeMap<Severity, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(severities.iter().map(|(severity, count)| (severity.as_str(), count)))
}

/// A file that was stored whole.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) path: PathBuf,
    pub(super) topic: String,
    /// Of the bytes that were read from it.
    pub(super) hash: blake3::Hash,
}

/// Whether a file is a log: by its name, or because most of its first lines say when they were
/// written, in another form than JSON.
pub(super) fn is_log(path: &Path, start: &[u8]) -> bool {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("log")) {
        return true;
    }
    let mut lines = LineReader::new(FormatOptions::new(time::now()));
    lines.push(start);
    let (mut seen, mut timed) = (0, 0);
    // What is too long to be a line is no log; half a line at the end says nothing.
    while seen < SAMPLE_LINES
        && let Ok(Some(line)) = lines.next()
    {
        seen += 1;
        let known = line.format.is_some_and(|format| format != JSON);
        timed += usize::from(known && line.timestamp.is_some());
    }
    timed > 0 && 2 * timed >= seen
}

/// Reads a log and hands it on in batches.
pub(super) fn read<S: FnMut(Records, &Read) -> Result<(), Failure>>(
    (path, mut input): (&Path, impl io::Read),
    topic: &str,
    read: &mut Read,
    sink: &mut S,
) -> Result<(), Failure> {
    let mut lines = LineReader::new(FormatOptions::new(time::now()));
    let mut batch = Batch { entries: Vec::new(), bytes: 0, topic, sink };
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    read.logs.files += 1;
    let whole = loop {
        let bytes = match input.read(&mut buffer) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                say(format_args!("the rest of {} is left out: {error}", Shown(path)));
                read.files_unreadable += 1;
                break false;
            }
        };
        let arrived = buffer.get(..bytes).unwrap_or_default();
        hasher.update(arrived);
        lines.push(arrived);
        let cut = loop {
            match if bytes == 0 { lines.finish() } else { lines.next() } {
                Ok(Some(line)) => batch.add(line, read)?,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = cut {
            say(format_args!("the rest of {} is left out: {error}", Shown(path)));
            read.lines_too_long += 1;
            break false;
        }
        if bytes == 0 {
            break true;
        }
    };
    batch.flush(read)?;
    if whole {
        let (path, topic, hash) = (path.to_owned(), topic.to_owned(), hasher.finalize());
        read.logs.whole.push(Whole { path, topic, hash });
    }
    Ok(())
}

/// Entries of one topic, handed on when there are enough.
struct Batch<'a, S> {
    entries: Vec<NewLogEntry>,
    bytes: usize,
    topic: &'a str,
    sink: &'a mut S,
}

impl<S: FnMut(Records, &Read) -> Result<(), Failure>> Batch<'_, S> {
    fn add(&mut self, line: ParsedLine, read: &mut Read) -> Result<(), Failure> {
        read.logs.found.add(&line);
        read.lines += 1;
        read.text_bytes += (line.line.len() + line.end.as_bytes().len()) as u64;
        let severity = line.severity.unwrap_or_default();
        *read.logs.severities.entry(severity).or_default() += 1;
        self.bytes += line.line.len();
        let time = line.timestamp.unwrap_or_else(time::now);
        let mut entry = NewLogEntry::new(self.topic, time, severity, line.line);
        entry.timestamp_assigned = line.timestamp.is_none();
        entry.line_end = line.end;
        self.entries.push(entry);
        if self.entries.len() >= BATCH_RECORDS_MAX || self.bytes >= BATCH_BYTES_MAX {
            self.flush(read)?;
        }
        Ok(())
    }

    fn flush(&mut self, read: &Read) -> Result<(), Failure> {
        self.bytes = 0;
        if self.entries.is_empty() {
            return Ok(());
        }
        (self.sink)(Records::Logs(std::mem::take(&mut self.entries)), read)
    }
}
