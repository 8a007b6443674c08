//! `logs append`: lines and records become log entries.

use super::entry;
use super::input::{self, Arrival, Input};
use super::pending::{End, Pending};
use super::{
    Done, Record as _, Summary, checked, commit_all, handle_signals, interrupted, start_thread,
};
use crate::args::{AppendFormat, LogsAppendArgs};
use crate::exit::{Exit, Failure};
use crate::input::{Line, Lines};
use crate::output::say;
use crate::store::Place;
use crate::time;
use chrono::{DateTime, Offset as _, Utc};
use forgeone_db::NewLogEntry;
use forgeone_db::logs::format::{FormatMode, FormatOptions, LineReader, ParsedLine};
use forgeone_db::model::{Severity, check_checkpoint_marker};
use std::io::{self, BufReader, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

const READ_BYTES: usize = 256 << 10;

/// What lines are taken for.
#[derive(Debug)]
enum Source {
    /// Lines of a log, all of one topic.
    Lines { topic: String, options: FormatOptions, marker: Option<String> },
    /// JSON records, of this topic if one is given.
    Records(Option<String>),
}

/// The thread that reads.
struct Reader {
    input: Input,
    /// Whether what is left of the input can be read again.
    is_stdin: bool,
    /// That of lines which tell none.
    severity: Severity,
    pending: Arc<Pending<NewLogEntry>>,
    summary: Summary,
}

pub(in crate::commands) fn run(place: &Place, args: LogsAppendArgs) -> Result<ExitCode, Failure> {
    let severity = args.severity.unwrap_or_default();
    let opened = input::open(args.file.as_deref(), "logs append --topic T")?;
    let source = source(args)?;
    let progress = opened.progress();
    let is_stdin = opened.is_stdin;
    let manager = place.write(Duration::ZERO)?;
    let (wake, waker) = io::pipe().map_err(|error| Failure::io("no pipe can be made", &error))?;
    let input = Input::new(opened, wake)?;
    let mut waker = Some(waker);
    handle_signals(move || drop(waker.take()))?;
    let pending = Arc::new(Pending::new());
    let reader = Reader {
        input,
        is_stdin,
        severity,
        pending: Arc::clone(&pending),
        summary: Summary::default(),
    };
    let reader = start_thread(move || reader.run(source))?;

    let mut output = place.output();
    let mut done = Done::new(NewLogEntry::NAME);
    let end = commit_all(&manager, &pending, progress, &mut output, &mut done)
        .map_err(|failure| failure.but(&done))?;
    manager.close().map_err(|error| Failure::from(error).but(&done))?;
    if let Ok(summary) = reader.join() {
        say(summary);
    }
    match end {
        End::Failed(failure) | End::FailedBehind(failure) => Err(failure.but(&done)),
        End::Interrupted if !is_stdin => Err(interrupted(&done)),
        End::Interrupted | End::Input => {
            say(&done);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn source(args: LogsAppendArgs) -> Result<Source, Failure> {
    let LogsAppendArgs { topic, format, zone, year, marker, .. } = args;
    if format != AppendFormat::Auto && (zone.is_some() || year.is_some()) {
        return Err(Failure::usage("--zone and --year are for times that --format auto finds"));
    }
    let topic = topic.map(checked).transpose()?;
    if format == AppendFormat::Json {
        if marker.is_some() {
            return Err(Failure::usage("--marker is for lines; records have a checkpoint_marker"));
        }
        return Ok(Source::Records(topic));
    }
    let Some(topic) = topic else {
        return Err(Failure::usage("lines need a --topic"));
    };
    check_checkpoint_marker(marker.as_deref())?;
    let mode = if format == AppendFormat::Text { FormatMode::Text } else { FormatMode::Auto };
    let zone = zone.unwrap_or_else(|| Utc.fix());
    let options = FormatOptions { mode, zone, year, ..FormatOptions::new(time::now()) };
    Ok(Source::Lines { topic, options, marker })
}

impl Reader {
    fn run(mut self, source: Source) -> Summary {
        let end = match source {
            Source::Lines { topic, options, marker } => self.lines(&topic, options, marker),
            Source::Records(topic) => self.records(topic.as_deref()),
        };
        self.pending.end(end.unwrap_or_else(End::FailedBehind));
        self.summary
    }

    /// Reads lines until the input ends, a line is too long, or a signal asks to end.
    fn lines(
        &mut self,
        topic: &str,
        options: FormatOptions,
        mut marker: Option<String>,
    ) -> Result<End, Failure> {
        let mut lines = LineReader::new(options);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let arrival = self.input.read(&mut buffer);
            let now = time::now();
            lines.set_now(now);
            if let Ok(Arrival::Bytes(bytes)) = arrival {
                lines.push(buffer.get(..bytes).unwrap_or_default());
                while let Some(line) = lines.next().map_err(|error| too_long(&error))? {
                    self.push(line, topic, &mut marker, now);
                }
                continue;
            }
            // Half a line of a file can be read again as a whole, that of a pipe cannot.
            let again = matches!(arrival, Ok(Arrival::Interrupted)) && !self.is_stdin;
            while !again && let Some(line) = lines.finish().map_err(|error| too_long(&error))? {
                self.push(line, topic, &mut marker, now);
            }
            return Ok(match arrival? {
                Arrival::Interrupted => End::Interrupted,
                Arrival::Bytes(_) | Arrival::End => End::Input,
            });
        }
    }

    fn push(
        &mut self,
        line: ParsedLine,
        topic: &str,
        marker: &mut Option<String>,
        now: DateTime<Utc>,
    ) {
        self.summary.add(&line);
        let bytes = line.line.len() + line.end.as_bytes().len();
        let number = line.number;
        let entry = NewLogEntry {
            timestamp_assigned: line.timestamp.is_none(),
            line_end: line.end,
            checkpoint_marker: marker.take(),
            ..NewLogEntry::new(
                topic,
                line.timestamp.unwrap_or(now),
                line.severity.unwrap_or(self.severity),
                line.line,
            )
        };
        // Wanted in any case: nothing interrupts this queue but the end that is pushed to it.
        self.pending.push(entry, (number, bytes));
    }

    /// Reads records until the input ends, a line is none, or a signal asks to end.
    fn records(&mut self, topic: Option<&str>) -> Result<End, Failure> {
        let mut end = Ok(End::Input);
        let input = Until { input: &mut self.input, end: &mut end };
        let input = BufReader::with_capacity(READ_BYTES, input);
        let mut lines = Lines::new(input, entry::RECORD_BYTES_MAX);
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            number += 1;
            let refused = |why: &str| {
                Failure::new(Exit::Failure, format!("line {number}: {why}"))
                    .hint("mend the line and start again with it; those before are stored")
            };
            match lines.next(&mut line) {
                Ok(Line::Read) => {}
                // Half a record is none; why there is no more, `end` says.
                Ok(Line::End) | Err(_) => break,
                Ok(Line::TooLong) => {
                    let bytes_max = entry::RECORD_BYTES_MAX;
                    return Err(refused(&format!("the line has more than {bytes_max} bytes")));
                }
            }
            if number == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            if !line.trim_ascii().is_empty() {
                match entry::parse(&line, topic, self.severity, time::now()) {
                    Ok(entry) => {
                        let bytes = line.len() + 1;
                        let time = (!entry.timestamp_assigned).then_some(entry.timestamp);
                        self.summary.count(bytes, time, Some(entry.severity));
                        self.pending.push(entry, (number, bytes));
                    }
                    Err(why) => return Err(refused(&why)),
                }
            }
            if line.capacity() > (1 << 20) {
                line = Vec::new();
            }
        }
        end
    }
}

fn too_long(error: &forgeone_db::Error) -> Failure {
    Failure::new(Exit::Failure, error.to_string())
        .hint("the lines before it are stored; cut it and start again with it")
}

/// Bytes of an input until its end. Any other reason for there being no more is kept.
struct Until<'a> {
    input: &'a mut Input,
    end: &'a mut Result<End, Failure>,
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            Ok(Arrival::Bytes(bytes)) => return Ok(bytes),
            Ok(Arrival::End) => return Ok(0),
            Ok(Arrival::Interrupted) => *self.end = Ok(End::Interrupted),
            Err(failure) => *self.end = Err(failure),
        }
        Err(io::Error::other("there is no more"))
    }
}
