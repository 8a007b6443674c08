//! `events append` and `logs append`: storing what comes in, as it comes.
//!
//! One thread reads and parses, this one commits: while a commit waits for the disk, the next one
//! fills up.

mod entry;
pub(super) mod events;
mod input;
pub(super) mod logs;
mod pending;
mod summary;

pub(super) use summary::Summary;

use crate::exit::{Exit, Failure};
use crate::output::{Escaped, Output, Reader, say};
use crate::progress::Progress;
use forgeone_db::{Error, ErrorKind, RedbManager};
use futures::executor::block_on;
use futures::future::join_all;
use pending::{Batch, End, Pending};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// What can be appended.
trait Record: Send + Sized + 'static {
    /// What several of them are called.
    const NAME: &'static str;

    fn topic(&self) -> &str;

    /// About what it takes in memory and in a commit.
    fn bytes(&self) -> usize;

    /// Stores records of one topic, all or none.
    async fn store(manager: &RedbManager, records: Vec<Self>)
    -> forgeone_db::Result<Vec<Position>>;
}

/// Where a record is stored.
#[derive(Debug, Clone, Copy)]
struct Position {
    seq: u64,
    duplicate: bool,
}

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
#[derive(Debug)]
struct Done {
    /// What the records are called.
    name: &'static str,
    stored: u64,
    duplicates: u64,
    line: u64,
    acknowledgements_unread: bool,
}

impl Done {
    const fn new(name: &'static str) -> Self {
        Self { name, stored: 0, duplicates: 0, line: 0, acknowledgements_unread: false }
    }
}

fn checked(topic: String) -> Result<String, Failure> {
    forgeone_db::model::check_topic(&topic)?;
    Ok(topic)
}

/// Has `interrupt` called by the first signal that asks to end; the second one ends.
fn handle_signals(mut interrupt: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    let again = AtomicBool::new(false);
    let set = ctrlc::set_handler(move || {
        if again.swap(true, Ordering::AcqRel) {
            #[expect(
                clippy::exit,
                reason = "asked twice; what is acknowledged is safe in any case"
            )]
            std::process::exit(Exit::Failure as i32);
        }
        interrupt();
    });
    set.map_err(|error| Failure::new(Exit::Failure, format!("signals cannot be handled: {error}")))
}

fn start_thread<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<std::thread::JoinHandle<T>, Failure> {
    let thread = std::thread::Builder::new().name("read".to_owned()).spawn(read);
    thread.map_err(|error| Failure::io("no thread can be started", &error))
}

/// Commits what is read until there is no more.
fn commit_all<R: Record>(
    manager: &RedbManager,
    pending: &Pending<R>,
    mut progress: Option<Progress>,
    output: &mut Output,
    done: &mut Done,
) -> Result<End, Failure> {
    loop {
        match pending.take() {
            Batch::End(end) => return Ok(end),
            Batch::Commit { records, line, bytes } => {
                commit(manager, (records, line), output, done)?;
                if let Some(progress) = &mut progress {
                    progress.advance(bytes);
                }
            }
        }
    }
}

/// Stores records up to a line of the input, each topic's all or none, and prints what is durable
/// then.
fn commit<R: Record>(
    manager: &RedbManager,
    (records, line): (Vec<R>, u64),
    output: &mut Output,
    done: &mut Done,
) -> Result<(), Failure> {
    let groups = by_topic(records);
    let (topics, groups): (Vec<String>, Vec<Vec<R>>) = groups.into_iter().unzip();
    let writes = groups.into_iter().map(|group| R::store(manager, group));
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

/// The records of each topic in their order, the topics in that of their first record.
fn by_topic<R: Record>(records: Vec<R>) -> Vec<(String, Vec<R>)> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<(String, Vec<R>)> = Vec::new();
    for record in records {
        let known = places.get(record.topic()).copied();
        if let Some((_, group)) = known.and_then(|place| groups.get_mut(place)) {
            group.push(record);
        } else {
            let topic = record.topic().to_owned();
            places.insert(topic.clone(), groups.len());
            groups.push((topic, vec![record]));
        }
    }
    groups
}

/// First and last number are those of the new records, or of the duplicates if there are no others.
fn acknowledge(topic: String, positions: &[Position]) -> Acknowledgement {
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

/// What an end before that of a file is told with.
fn interrupted(done: &Done) -> Failure {
    Failure::new(Exit::Failure, "interrupted before the end of the file")
        .but(done)
        .hint("the next line is the first one that is not stored")
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.stored + self.duplicates == 0 {
            return f.write_str("nothing was stored");
        }
        write!(f, "stored {} {}", self.stored, self.name)?;
        if self.duplicates > 0 {
            write!(f, ", {} were there before", self.duplicates)?;
        }
        write!(f, ", up to line {}", self.line)
    }
}
