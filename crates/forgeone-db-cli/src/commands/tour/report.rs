//! The report of a tour.

use super::find::TextSearch;
use super::log_files::Logs;
use super::sources::Read;
use super::state::State;
use crate::exit::Failure;
use crate::output::{Bytes, Format, Output, Shown, path_text, quoted};
use serde::Serialize;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Everything that a tour found out.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(serialize_with = "path_text")]
    pub(super) directory: PathBuf,
    #[serde(serialize_with = "path_text")]
    pub(super) key_file: PathBuf,
    pub(super) source: &'static str,
    pub(super) read: Read,
    pub(super) topics: u64,
    pub(super) events: u64,
    pub(super) log_entries: u64,
    pub(super) commits: u64,
    pub(super) store_seconds: f64,
    pub(super) seal_seconds: f64,
    pub(super) follow_behind_ms: f64,
    pub(super) close_ms: f64,
    pub(super) reopen_ms: f64,
    pub(super) lookups: Lookups,
    pub(super) search: Option<TextSearch>,
    pub(super) state: State,
    pub(super) verify_seconds: f64,
    pub(super) sizes: Sizes,
    pub(super) checks: Vec<Check>,
    pub(super) next: Next,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Lookups {
    pub(super) by_id: u64,
    pub(super) first_ms: f64,
    pub(super) median_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) newest_100_ms: f64,
    pub(super) window_records: u64,
    pub(super) window_ms: f64,
    pub(super) read_all_seconds: f64,
}

#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the JSON, where units matter"
)]
#[derive(Debug, Default, Serialize)]
pub(super) struct Sizes {
    pub(super) text_bytes: u64,
    pub(super) sealed_bytes: u64,
    pub(super) index_bytes: u64,
    pub(super) allocated_bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) what: &'static str,
    pub(super) ok: bool,
}

impl Report {
    pub(super) fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        if output.format() == Format::Json {
            output.json(self)?;
        } else {
            self.print_input(output)?;
            self.print_times(output)?;
            self.print_sizes(output)?;
            self.state.print(output)?;
            self.print_end(output)?;
        }
        output.flush()?;
        Ok(())
    }

    fn print_input(&self, output: &mut Output) -> Result<(), Failure> {
        let read = &self.read;
        output.line("What was stored")?;
        let counts = [(self.log_entries, "log entries"), (self.events, "events")];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(" and ") };
        output.line(format_args!(
            "  {counts} in {} topics, from {}, {} of text",
            self.topics,
            self.source,
            Bytes(read.text_bytes)
        ))?;
        for (count, what) in [
            (read.lines_not_utf8, "lines were not UTF-8: stored with replacement characters"),
            (read.lines_too_long, "lines had more than 16 MiB: left out"),
            (read.files_unreadable, "files could not be read"),
        ] {
            if count > 0 {
                output.line(format_args!("  {count} {what}"))?;
            }
        }
        if read.logs.files > 0 {
            print_logs(&read.logs, self.search.as_ref(), output)?;
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    fn print_times(&self, output: &mut Output) -> Result<(), Failure> {
        let seconds = self.store_seconds.max(1e-6);
        let lookups = &self.lookups;
        output.line("How fast")?;
        output.line(format_args!(
            "  stored in {:.2} s: {:.0} records/s, {}/s, {} commits, each synced to disk",
            self.store_seconds,
            (self.events + self.log_entries) as f64 / seconds,
            per_second(self.read.text_bytes, seconds),
            self.commits
        ))?;
        output.line(format_args!(
            "  a second thread followed and had everything {:.1} ms after the last write",
            self.follow_behind_ms
        ))?;
        output.line(format_args!(
            "  sealed the rest in {:.2} s, closed in {:.1} ms, opened again in {:.1} ms",
            self.seal_seconds, self.close_ms, self.reopen_ms
        ))?;
        output.line(format_args!(
            "  {} lookups by id: the first after opening {:.2} ms, median {:.3} ms, 99 of 100 within {:.3} ms",
            lookups.by_id, lookups.first_ms, lookups.median_ms, lookups.p99_ms
        ))?;
        output.line(format_args!(
            "  the newest 100 records of a topic: {:.2} ms; {} records by time: {:.1} ms",
            lookups.newest_100_ms, lookups.window_records, lookups.window_ms
        ))?;
        output
            .line(format_args!(
                "  read everything back in {:.2} s: {}/s; verified it in {:.2} s",
                lookups.read_all_seconds,
                per_second(self.read.text_bytes, lookups.read_all_seconds.max(1e-6)),
                self.verify_seconds
            ))
            .map(drop)
    }

    fn print_sizes(&self, output: &mut Output) -> Result<(), Failure> {
        let sizes = &self.sizes;
        output.line("How large, compressed and encrypted; times smaller than the text")?;
        for (bytes, what) in [
            (sizes.sealed_bytes, "the records themselves, ids and times included"),
            (sizes.sealed_bytes + sizes.index_bytes, "with indexes by id and time"),
            (sizes.allocated_bytes, "on disk, with free space inside the files"),
        ] {
            let ratio = ratio(sizes.text_bytes, bytes);
            output.line(format_args!("  {:>10} {ratio:>7} {what}", Bytes(bytes)))?;
        }
        Ok(())
    }

    fn print_end(&self, output: &mut Output) -> Result<(), Failure> {
        output.line("What was checked")?;
        for check in &self.checks {
            let verdict = if check.ok { "ok    " } else { "FAILED" };
            output.line(format_args!("  {verdict} {}", check.what))?;
        }
        output.line(format_args!("The store   {}", Shown(&self.directory)))?;
        output.line(format_args!("Its key     {}", Shown(&self.key_file)))?;
        output.line("Try next")?;
        for command in self.next.commands() {
            output.line(format_args!("  {command}"))?;
        }
        Ok(())
    }
}

/// The widest bar of the histogram.
const BAR: u64 = 40;

fn print_logs(
    logs: &Logs,
    search: Option<&TextSearch>,
    output: &mut Output,
) -> Result<(), Failure> {
    output.line(format_args!("What the {} log files say, line by line", logs.files))?;
    output.line(format_args!("  {}", logs.found))?;
    let most = logs.severities.values().copied().max().unwrap_or_default().max(1);
    for (severity, count) in logs.severities.iter().rev() {
        let width = usize::try_from((count * BAR).div_ceil(most)).unwrap_or_default();
        output.line(format_args!("  {severity:<7} {count:>9} {:#<width$}", ""))?;
    }
    if let Some(TextSearch { text, found, ms }) = search {
        output.line(format_args!("  lines with {text:?}: {found}, found in {ms:.1} ms"))?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn ratio(text: u64, stored: u64) -> String {
    if stored == 0 { "-".to_owned() } else { format!("{:.2}x", text as f64 / stored as f64) }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few digits are shown"
)]
fn per_second(bytes: u64, seconds: f64) -> Bytes {
    Bytes((bytes as f64 / seconds) as u64)
}

/// How to go on from here.
#[derive(Debug, Serialize)]
pub(super) struct Next {
    /// Sets the variables that name the store and its key.
    environment: String,
    program: String,
    /// What to give to the program.
    arguments: Vec<String>,
}

impl Next {
    pub(super) fn new(directory: &Path, key_file: &Path) -> Self {
        let arguments = ["verify", "stats", "topics list", "key list"].map(str::to_owned);
        Self {
            environment: format!(
                "export FORGEONE_DB_DIR={} FORGEONE_DB_KEY_FILE={}",
                quoted(&directory.to_string_lossy()),
                quoted(&key_file.to_string_lossy())
            ),
            program: program(),
            arguments: arguments.into_iter().chain(State::commands()).collect(),
        }
    }

    /// What to do with events: those of a topic, and one of them.
    pub(super) fn events(&mut self, topic: &str, id: Uuid) {
        let topic = quoted(topic);
        self.arguments.extend([
            format!("events query --topic {topic} --reverse --limit 5"),
            format!("--json events get {id}"),
            "events query --topic 'tour.>' --from 2000-01-01 --limit 3".to_owned(),
            format!("events tail --topic {topic} --after 10"),
        ]);
    }

    /// What to do with logs: those of a topic, with one of them, a word, and the file that it is.
    pub(super) fn logs(
        &mut self,
        (topic, id): (&str, Uuid),
        word: Option<&str>,
        file: Option<&Path>,
    ) {
        let topic = quoted(topic);
        self.arguments.extend([
            "logs query --severity warn --reverse --limit 5".to_owned(),
            format!("--json logs get {id}"),
        ]);
        if let Some(word) = word {
            self.arguments.push(format!("logs query --contains {} --limit 3", quoted(word)));
        }
        if let Some(file) = file {
            let file = quoted(&file.to_string_lossy());
            self.arguments.push(format!("logs query --topic {topic} --format raw | cmp - {file}"));
        }
    }

    /// Commands for the shell, in order.
    fn commands(&self) -> impl Iterator<Item = String> {
        let program = &self.program;
        let arguments = self.arguments.iter().map(move |rest| format!("{program} {rest}"));
        let append =
            format!("echo '{{\"payload\": \"hello\"}}' | {program} events append --topic demo");
        std::iter::once(self.environment.clone()).chain(arguments).chain([append])
    }
}

/// How this program is called: by name if the shell finds it, else by its path.
fn program() -> String {
    let name = "forgeone-db".to_owned();
    let Ok(path) = std::env::current_exe() else { return name };
    let found = std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|at| at.join(&name) == path));
    if found { name } else { quoted(&path.to_string_lossy()) }
}
