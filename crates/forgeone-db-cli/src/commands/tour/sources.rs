//! What a tour stores: files, or the commits of a git repository.

use super::log_files::{self, Logs};
use crate::exit::{Exit, Failure};
use crate::input::{Line, Lines, event};
use crate::output::{Shown, say};
use chrono::DateTime;
use forgeone_db::model::PAYLOAD_BYTES_MAX;
use forgeone_db::{EventMessage, EventPriority, NewEvent, NewLogEntry};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Records of a batch.
pub(super) const BATCH_RECORDS_MAX: usize = 8_000;
/// Bytes at which a batch is full, well below what the store takes at once.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;
/// What is taken at most when nobody named a path.
const UNASKED_BYTES_MAX: u64 = 256 << 20;
/// Folders with what can be made again.
const SKIPPED_FOLDERS: [&str; 3] = ["target", "node_modules", "__pycache__"];
/// How the directories of earlier tours are named.
pub(super) const TOUR_PREFIX: &str = "forgeone-db-tour-";
/// What separates the fields of a commit.
const FIELD: char = '\u{1f}';

/// Where records come from.
#[derive(Debug)]
pub(super) enum Source {
    Files(Vec<PathBuf>),
    Git,
}

/// What was read.
#[derive(Debug, Default, Serialize)]
pub(super) struct Read {
    pub(super) files: u64,
    pub(super) files_unreadable: u64,
    pub(super) lines: u64,
    /// Bytes of the input, line feeds included.
    pub(super) text_bytes: u64,
    /// Lines that were not UTF-8: stored with replacement characters.
    pub(super) lines_not_utf8: u64,
    /// Lines that are longer than a payload may be: left out.
    pub(super) lines_too_long: u64,
    /// What was found in those that are logs.
    pub(super) logs: Logs,
}

/// Records of one topic, to be stored together.
#[derive(Debug)]
pub(super) enum Records {
    Events(Vec<NewEvent>),
    Logs(Vec<NewLogEntry>),
}

impl Source {
    /// What the named paths hold, or what there is where the command runs.
    pub(super) fn new(paths: &[PathBuf]) -> Result<Self, Failure> {
        if !paths.is_empty() {
            return named(paths).map(Self::Files);
        }
        if has_history() {
            say("taking the git history of the current directory");
            return Ok(Self::Git);
        }
        let files = unasked(Path::new("."));
        if files.is_empty() {
            return Err(Failure::usage("there is no git history here, and no file")
                .hint("name files or directories: forgeone-db tour PATH..."));
        }
        say("there is no git history here: taking the files under the current directory");
        Ok(Self::Files(files))
    }

    pub(super) const fn describe(&self) -> &'static str {
        match self {
            Self::Files(_) => "lines of files",
            Self::Git => "commits of the git history",
        }
    }

    /// Bytes to read, where that is known.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Git => None,
            Self::Files(files) => {
                Some(files.iter().filter_map(|file| fs::metadata(file).ok()).map(|m| m.len()).sum())
            }
        }
    }

    /// Reads everything and hands it on in batches of one topic each.
    pub(super) fn read(
        &self,
        mut sink: impl FnMut(Records, &Read) -> Result<(), Failure>,
    ) -> Result<Read, Failure> {
        let mut read = Read::default();
        match self {
            Self::Git => read_history(&mut read, &mut sink)?,
            Self::Files(files) => {
                let mut topics = Topics::default();
                for file in files {
                    match File::open(file) {
                        Ok(input) => {
                            let topic = topics.name(file);
                            read_file((file, input), &topic, &mut read, &mut sink)?;
                            read.files += 1;
                        }
                        Err(error) => {
                            say(format_args!("left out {}: {error}", Shown(file)));
                            read.files_unreadable += 1;
                        }
                    }
                }
            }
        }
        Ok(read)
    }
}

fn named(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let failed = |error| Failure::io(format_args!("{} cannot be read", Shown(path)), &error);
        if fs::metadata(path).map_err(failed)?.is_dir() {
            files.extend(regular_files(path).map_err(failed)?);
        } else {
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        return Err(Failure::new(Exit::NotFound, "there is no file in what was named"));
    }
    Ok(files)
}

/// The regular files of a directory itself, by name.
fn regular_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Files under a directory, up to a sum of sizes; hidden ones and what a build makes are left out.
fn unasked(directory: &Path) -> Vec<PathBuf> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Ok(kind) = entry.file_type() else { continue };
            if name.starts_with('.') || name.starts_with(TOUR_PREFIX) {
                continue;
            }
            if kind.is_dir() && !SKIPPED_FOLDERS.contains(&&*name) {
                directories.push(entry.path());
            } else if kind.is_file() {
                bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                if bytes > UNASKED_BYTES_MAX {
                    say("there is more than 256 MiB; the rest is left out");
                    return files;
                }
                files.push(entry.path());
            }
        }
    }
    files
}

/// Topics of files: `tour.` and the file's name, made different where two files share one.
#[derive(Debug, Default)]
struct Topics {
    taken: HashSet<String>,
}

impl Topics {
    fn name(&mut self, file: &Path) -> String {
        let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' }
        };
        let mut stem: String = name.chars().take(200).map(plain).collect();
        if stem.is_empty() {
            stem.push('_');
        }
        let mut topic = format!("tour.{stem}");
        let mut number = 1;
        while !self.taken.insert(topic.clone()) {
            number += 1;
            topic = format!("tour.{stem}-{number}");
        }
        topic
    }
}

/// Events of one topic, handed on when there are enough.
struct Batch<'a, S> {
    events: Vec<NewEvent>,
    bytes: usize,
    sink: &'a mut S,
}

impl<'a, S: FnMut(Records, &Read) -> Result<(), Failure>> Batch<'a, S> {
    fn new(sink: &'a mut S) -> Self {
        Self { events: Vec::new(), bytes: 0, sink }
    }

    fn add(&mut self, event: NewEvent, read: &Read) -> Result<(), Failure> {
        self.bytes += event.event.payload.len();
        self.events.push(event);
        if self.events.len() >= BATCH_RECORDS_MAX || self.bytes >= BATCH_BYTES_MAX {
            self.flush(read)?;
        }
        Ok(())
    }

    fn flush(&mut self, read: &Read) -> Result<(), Failure> {
        self.bytes = 0;
        if self.events.is_empty() {
            return Ok(());
        }
        (self.sink)(Records::Events(std::mem::take(&mut self.events)), read)
    }
}

/// Reads a file as the log that it is, or its lines as events.
fn read_file<S: FnMut(Records, &Read) -> Result<(), Failure>>(
    (path, mut file): (&Path, File),
    topic: &str,
    read: &mut Read,
    sink: &mut S,
) -> Result<(), Failure> {
    let mut start = Vec::new();
    // What cannot be read is told when the rest is.
    drop(file.by_ref().take(log_files::SAMPLE_BYTES).read_to_end(&mut start));
    let is_log = log_files::is_log(path, &start);
    let input = io::Cursor::new(start).chain(file);
    if is_log {
        log_files::read((path, input), topic, read, sink)
    } else {
        read_lines(input, topic, read, sink)
    }
}

fn read_lines<S: FnMut(Records, &Read) -> Result<(), Failure>>(
    input: impl io::Read,
    topic: &str,
    read: &mut Read,
    sink: &mut S,
) -> Result<(), Failure> {
    let input = BufReader::with_capacity(256 << 10, input);
    let mut lines = Lines::new(input, PAYLOAD_BYTES_MAX);
    let mut batch = Batch::new(sink);
    let mut line = Vec::new();
    loop {
        match lines.next(&mut line) {
            Err(error) => {
                say(format_args!("the rest of the file for {topic} is left out: {error}"));
                read.files_unreadable += 1;
                break;
            }
            Ok(Line::End) => break,
            Ok(Line::TooLong) => {
                read.lines_too_long += 1;
                continue;
            }
            Ok(Line::Read) => {}
        }
        let payload = String::from_utf8_lossy(&line);
        if payload.len() > PAYLOAD_BYTES_MAX {
            read.lines_too_long += 1;
            continue;
        }
        read.lines += 1;
        read.text_bytes += line.len() as u64 + 1;
        read.lines_not_utf8 += u64::from(matches!(payload, std::borrow::Cow::Owned(_)));
        batch.add(event(topic.to_owned(), payload.into_owned()), read)?;
    }
    batch.flush(read)
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.stdin(Stdio::null()).stderr(Stdio::null());
    git
}

fn has_history() -> bool {
    let status =
        git().args(["rev-parse", "--verify", "--quiet", "HEAD"]).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn read_history<S: FnMut(Records, &Read) -> Result<(), Failure>>(
    read: &mut Read,
    sink: &mut S,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io("the git history cannot be read", &error);
    let format = format!("--format=%H{FIELD}%aI{FIELD}%an{FIELD}%s");
    let mut child = git()
        .args(["log", "--reverse", "--no-color", "--encoding=UTF-8", &format])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        let mut batch = Batch::new(sink);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            let text = String::from_utf8_lossy(&line);
            read.lines += 1;
            read.text_bytes += line.len() as u64;
            read.lines_not_utf8 += u64::from(matches!(text, std::borrow::Cow::Owned(_)));
            batch.add(commit(text.trim_end_matches('\n')), read)?;
            line.clear();
        }
        batch.flush(read)?;
    }
    let status = child.wait().map_err(failed)?;
    if !status.success() {
        return Err(Failure::new(Exit::Failure, format!("git log failed: {status}")));
    }
    Ok(())
}

/// The event of a commit: its id comes from the commit's hash, so storing it again is harmless.
fn commit(line: &str) -> NewEvent {
    let mut fields = line.splitn(4, FIELD);
    let mut field = || fields.next().unwrap_or_default();
    let (hash, time, author, subject) = (field(), field(), field(), field());
    let arrived = event("tour.git".to_owned(), String::new());
    let id = hash.get(..32).and_then(|hash| u128::from_str_radix(hash, 16).ok());
    let time = DateTime::parse_from_rfc3339(time).ok();
    let payload = serde_json::json!({"commit": hash, "author": author, "subject": subject});
    let revert = subject.starts_with("Revert ");
    NewEvent {
        event: EventMessage {
            id: id.map_or(arrived.event.id, |id| {
                uuid::Builder::from_custom_bytes(id.to_be_bytes()).into_uuid()
            }),
            timestamp: time.map_or(arrived.event.timestamp, |time| time.to_utc()),
            priority: if revert { EventPriority::High } else { EventPriority::Normal },
            payload: payload.to_string(),
            metadata: HashMap::new(),
            ..arrived.event
        },
        timestamp_assigned: time.is_none(),
    }
}
