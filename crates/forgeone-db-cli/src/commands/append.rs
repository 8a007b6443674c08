//! `events append`: storing what comes in, as it comes.
//!
//! One thread reads and parses, this one commits: while a commit waits for the disk, the next one
//! fills up.

use super::pending::{Batch, End, Pending};
use crate::args::AppendArgs;
use crate::exit::{Exit, Failure};
use crate::input::Records;
use crate::output::{Escaped, Output, Reader, Shown, say};
use crate::progress::Progress;
use crate::store::Place;
use forgeone_db::{Error, ErrorKind, EventPosition, NewEvent, RedbManager};
use futures::executor::block_on;
use futures::future::join_all;
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What one commit stored, durably.
#[derive(Debug, Serialize)]
struct Acknowledgement {
    topic: String,
    first_seq: u64,
    last_seq: u64,
    count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    duplicates: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the command has done so far.
#[derive(Debug, Default)]
struct Done {
    stored: u64,
    duplicates: u64,
    line: u64,
    acknowledgements_unread: bool,
}

pub(super) fn run(place: &Place, args: AppendArgs) -> Result<ExitCode, Failure> {
    let records = match (args.topic, args.text) {
        (Some(topic), true) => Records::Text(checked(topic)?),
        (None, true) => return Err(Failure::usage("--text needs --topic")),
        (topic, false) => Records::Ndjson(topic.map(checked).transpose()?),
    };
    let file = args.file.filter(|file| file != Path::new("-"));
    let (input, mut progress) = open_input(file.as_deref())?;
    let manager = place.write(Duration::ZERO)?;
    let pending = Arc::new(Pending::new());
    handle_signals(&pending)?;
    start_reader(input, records, &pending)?;

    let mut output = place.output();
    let mut done = Done::default();
    let end = loop {
        match pending.take() {
            Batch::End(end) => break end,
            Batch::Commit { events, line, bytes } => {
                commit(&manager, (events, line), &mut output, &mut done)
                    .map_err(|failure| failure.but(&done))?;
                if let Some(progress) = &mut progress {
                    progress.advance(bytes);
                }
            }
        }
    };
    drop(progress);
    manager.close().map_err(|error| Failure::from(error).but(&done))?;
    match end {
        End::Failed(failure) => Err(failure.but(&done)),
        End::Interrupted if file.is_some() => {
            Err(Failure::new(Exit::Failure, "interrupted before the end of the file")
                .but(&done)
                .hint("the next line is the first one that is not stored"))
        }
        End::Interrupted | End::Input => {
            say(&done);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn checked(topic: String) -> Result<String, Failure> {
    forgeone_db::model::check_topic(&topic)?;
    Ok(topic)
}

type Input = Box<dyn io::Read + Send>;

fn open_input(file: Option<&Path>) -> Result<(Input, Option<Progress>), Failure> {
    let Some(path) = file else { return Ok((Box::new(io::stdin()), None)) };
    let failed = |error| Failure::io(format_args!("{} cannot be read", Shown(path)), &error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", Shown(path))).hint(
            "name a file; a shell writes them all as: cat DIR/* | forgeone-db events append",
        ));
    }
    // On a terminal, the acknowledgements are progress enough.
    let progress = metadata.is_file() && !io::stdout().is_terminal();
    Ok((Box::new(file), progress.then(|| Progress::bytes("storing", Some(metadata.len())))))
}

fn handle_signals(pending: &Arc<Pending>) -> Result<(), Failure> {
    let pending = Arc::clone(pending);
    let again = AtomicBool::new(false);
    let set = ctrlc::set_handler(move || {
        if again.swap(true, Ordering::AcqRel) {
            #[expect(
                clippy::exit,
                reason = "asked twice; what is acknowledged is safe in any case"
            )]
            std::process::exit(Exit::Failure as i32);
        }
        pending.interrupt();
    });
    set.map_err(|error| Failure::new(Exit::Failure, format!("signals cannot be handled: {error}")))
}

fn start_reader(input: Input, records: Records, pending: &Arc<Pending>) -> Result<(), Failure> {
    let pending = Arc::clone(pending);
    let read = move || {
        let input = BufReader::with_capacity(256 << 10, input);
        let end = super::pending::read(input, &records, &pending);
        pending.end(end);
    };
    let thread = std::thread::Builder::new().name("read".to_owned()).spawn(read);
    thread.map(drop).map_err(|error| Failure::io("no thread can be started", &error))
}

/// Stores events up to a line of the input, each topic's all or none, and prints what is durable
/// then.
fn commit(
    manager: &RedbManager,
    (events, line): (Vec<NewEvent>, u64),
    output: &mut Output,
    done: &mut Done,
) -> Result<(), Failure> {
    let groups = by_topic(events);
    let (topics, groups): (Vec<String>, Vec<Vec<NewEvent>>) = groups.into_iter().unzip();
    let writes = groups.into_iter().map(|group| manager.events().publish_opts(group));
    let results = block_on(join_all(writes));
    let mut failed: Option<Error> = None;
    let mut acknowledgements = Vec::with_capacity(topics.len());
    for (topic, result) in topics.into_iter().zip(results) {
        match result {
            Err(error) => failed = failed.or(Some(error)),
            Ok(positions) => {
                let acknowledgement = acknowledge(topic, &positions);
                done.stored += acknowledgement.count;
                done.duplicates += acknowledgement.duplicates;
                acknowledgements.push(acknowledgement);
            }
        }
    }
    // Before printing, which may fail: what is stored is stored.
    if failed.is_none() {
        done.line = line;
    }
    for acknowledgement in &acknowledgements {
        print(acknowledgement, output, done)?;
    }
    match failed {
        None => Ok(()),
        // The records are at fault, as a line that is none, and not the command line.
        Some(error) if error.kind() == ErrorKind::Invalid => {
            Err(Failure::new(Exit::Failure, error.to_string()).hint("change the records"))
        }
        Some(error) => Err(error.into()),
    }
}

/// The events of each topic in their order, the topics in that of their first event.
fn by_topic(events: Vec<NewEvent>) -> Vec<(String, Vec<NewEvent>)> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(String, Vec<NewEvent>)> = Vec::new();
    for event in events {
        let next = groups.len();
        let place = *places.entry(event.event.topic.clone()).or_insert(next);
        if let Some((_, group)) = groups.get_mut(place) {
            group.push(event);
        } else {
            groups.push((event.event.topic.clone(), vec![event]));
        }
    }
    groups
}

/// First and last number are those of the new events, or of the duplicates if there are no others.
fn acknowledge(topic: String, positions: &[EventPosition]) -> Acknowledgement {
    let count = positions.iter().filter(|position| !position.duplicate).count() as u64;
    let duplicates = positions.len() as u64 - count;
    let told = positions.iter().filter(|position| position.duplicate == (count == 0));
    let (first_seq, last_seq) = told.fold((u64::MAX, 0), |(first, last), position| {
        (first.min(position.seq), last.max(position.seq))
    });
    Acknowledgement { topic, first_seq, last_seq, count, duplicates }
}

fn print(
    acknowledgement: &Acknowledgement,
    output: &mut Output,
    done: &mut Done,
) -> Result<(), Failure> {
    if done.acknowledgements_unread {
        return Ok(());
    }
    let Acknowledgement { topic, first_seq, last_seq, count, duplicates } = acknowledgement;
    let topic = Escaped(topic);
    let line = match (count, duplicates) {
        (0, _) => format!("{topic}: {duplicates} were there before"),
        (_, 0) => format!("{topic}: stored {count}, numbers {first_seq} to {last_seq}"),
        _ => format!(
            "{topic}: stored {count}, numbers {first_seq} to {last_seq}, {duplicates} were there before"
        ),
    };
    output.either(acknowledgement, line)?;
    if output.flush()? == Reader::Gone {
        done.acknowledgements_unread = true;
        say("nobody reads the acknowledgements any more; storing goes on");
    }
    Ok(())
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.stored + self.duplicates == 0 {
            return f.write_str("nothing was stored");
        }
        write!(f, "stored {} events", self.stored)?;
        if self.duplicates > 0 {
            write!(f, ", {} were there before", self.duplicates)?;
        }
        write!(f, ", up to line {}", self.line)
    }
}
