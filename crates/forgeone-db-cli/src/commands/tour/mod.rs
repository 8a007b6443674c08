//! `tour`: the whole store on real input, from creation to reopening, with a report.

mod find;
mod fold;
mod follower;
mod log_files;
mod report;
mod sources;
mod state;

use crate::args::TourArgs;
use crate::commands::TopicKind;
use crate::exit::{Exit, Failure};
use crate::key_file::{Care, generate_key_file, read_key_file};
use crate::output::{Shown, say};
use crate::progress::Progress;
use crate::store::Place;
use crate::time;
use fold::{Folds, Item, Samples};
use follower::Follower;
use forgeone_db::model::Severity;
use forgeone_db::{Key, OpenMode, RedbManager, StoreOptions, VerifyDepth};
use report::{Check, Next, Report, Sizes};
use sources::{Read, Records, Source, TOUR_PREFIX};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// What was stored.
struct Stored {
    read: Read,
    folds: Folds,
    samples: Samples,
    /// A word of one of the most severe log entries, to search for.
    word: Option<String>,
    commits: u64,
    seconds: f64,
    behind_ms: f64,
    followed: bool,
}

pub(super) fn run(
    place: &Place,
    directory: Option<PathBuf>,
    args: &TourArgs,
) -> Result<ExitCode, Failure> {
    let source = Source::new(&args.paths)?;
    let (directory, key_file) = prepare(directory, place.key_file())?;
    let manager = RedbManager::open(
        options(place, &directory, &key_file, place.care())?.mode(OpenMode::Create),
    )?;
    say(format_args!("made an encrypted store in {}", Shown(&directory)));
    let stored = store(&manager, &source)?;

    let sealing = Instant::now();
    manager.seal()?;
    let seal_seconds = sealing.elapsed().as_secs_f64();
    let closing = Instant::now();
    manager.close()?;
    drop(manager);
    let close_ms = ms(closing);

    let key = options(place, &directory, &key_file, Care::Warn)?;
    let opening = Instant::now();
    let manager = RedbManager::open(key)?;
    let reopen_ms = ms(opening);
    let find::Found { lookups, search, mut checks } = find::find(&manager, &stored)?;
    checks.insert(
        0,
        Check { what: "a follower saw every record once, in order", ok: stored.followed },
    );
    let sizes = sizes(&manager, &stored.read)?;
    let state = state::show(&manager, &mut checks)?;
    let verifying = Instant::now();
    let verified = manager.verify(VerifyDepth::Deep, |_| ())?;
    let verify_seconds = verifying.elapsed().as_secs_f64();
    checks.push(Check {
        what: "the deepest verification finds nothing wrong",
        ok: verified.is_sound(),
    });
    manager.close()?;

    let report = Report {
        next: next(&directory, &key_file, &stored),
        directory,
        key_file,
        source: source.describe(),
        topics: [TopicKind::Events, TopicKind::Logs]
            .map(|kind| stored.folds.topics(kind).len() as u64)
            .iter()
            .sum(),
        events: stored.folds.count_of(TopicKind::Events),
        log_entries: stored.folds.count_of(TopicKind::Logs),
        read: stored.read,
        commits: stored.commits,
        store_seconds: stored.seconds,
        seal_seconds,
        follow_behind_ms: stored.behind_ms,
        close_ms,
        reopen_ms,
        lookups,
        search,
        state,
        verify_seconds,
        sizes,
        checks,
    };
    report.print(&mut place.output())?;
    if report.passed() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(Exit::Corrupt, "what was read back is not what was stored")
        .hint("this is a defect: please report it with the report above"))
}

/// Finds a directory for the store, and makes its key beside it unless one is given.
fn prepare(
    directory: Option<PathBuf>,
    key_file: Option<&Path>,
) -> Result<(PathBuf, PathBuf), Failure> {
    let (directory, beside) = if let Some(directory) = directory {
        let mut beside = directory.clone().into_os_string();
        beside.push(".key");
        (directory, PathBuf::from(beside))
    } else {
        let tour = new_folder()?;
        (tour.join("store"), tour.join("key"))
    };
    if let Some(key_file) = key_file {
        return Ok((directory, key_file.to_owned()));
    }
    let taken = std::fs::read_dir(&directory).is_ok_and(|mut entries| entries.next().is_some());
    if taken || directory.is_file() {
        let message = format!("{} is not empty", Shown(&directory));
        return Err(Failure::new(Exit::Conflict, message)
            .hint("name a directory that does not exist with --dir, or leave --dir out"));
    }
    if let Some(parent) = beside.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| Failure::io(Shown(parent), &error))?;
    }
    generate_key_file(&beside)?;
    Ok((directory, beside))
}

/// Makes a folder of its own for this tour.
fn new_folder() -> Result<PathBuf, Failure> {
    let date = time::now().format("%Y%m%d-%H%M%S");
    let mut folder = PathBuf::from(format!("{TOUR_PREFIX}{date}"));
    if folder.exists() {
        folder = PathBuf::from(format!("{TOUR_PREFIX}{date}-{}", std::process::id()));
    }
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .map_err(|error| Failure::io(Shown(&folder), &error))?;
    Ok(folder)
}

fn options(
    place: &Place,
    directory: &Path,
    key_file: &Path,
    care: Care,
) -> Result<StoreOptions, Failure> {
    let key: Key = read_key_file(key_file, care)?;
    place.bounded(StoreOptions::new(directory).key(key))
}

/// Stores all there is while a second thread follows.
fn store(manager: &RedbManager, source: &Source) -> Result<Stored, Failure> {
    let mut progress = Progress::bytes("storing", source.bytes());
    let follower = Follower::start(manager)?;
    let (mut folds, mut samples, mut commits) = (Folds::default(), Samples::new(), 0);
    let mut word = Word::default();
    let mut shown = 0;
    let start = Instant::now();
    let read = source.read(|records, read| {
        let mut remember = |item: &Item<'_>, seq| {
            folds.add(item, seq);
            samples.add(item);
        };
        match records {
            Records::Events(events) => {
                let remembered: Vec<_> = events.iter().map(|event| event.event.clone()).collect();
                let positions = manager.store_events_opts(events)?;
                for (event, position) in remembered.iter().zip(positions) {
                    // The same line of history twice is one event.
                    if !position.duplicate {
                        remember(&Item::of_event(event), position.seq);
                    }
                }
            }
            Records::Logs(entries) => {
                let positions = manager.store_logs(entries.clone())?;
                for (entry, position) in entries.iter().zip(positions) {
                    remember(&Item::of_new_log(entry, position.id), position.seq);
                    word.look_at(entry.severity, &entry.line);
                }
            }
        }
        commits += 1;
        progress.advance(read.text_bytes - shown);
        shown = read.text_bytes;
        Ok(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    drop(progress);
    let waiting = Instant::now();
    let seen = follower.finish(folds.count)?;
    let behind_ms = ms(waiting);
    let all_seen = seen.in_order && seen.folds.same(&folds);
    let word = word.text;
    Ok(Stored { read, folds, samples, word, commits, seconds, behind_ms, followed: all_seen })
}

/// The longest word of the first of the most severe lines.
#[derive(Debug, Default)]
struct Word {
    severity: Option<Severity>,
    text: Option<String>,
}

impl Word {
    fn look_at(&mut self, severity: Severity, line: &[u8]) {
        if self.severity.is_some_and(|known| known >= severity) {
            return;
        }
        let words = line.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| word.len() < 32);
        let longest = words.max_by_key(|word| word.len()).filter(|word| word.len() > 3);
        if let Some(word) = longest {
            self.severity = Some(severity);
            self.text = Some(String::from_utf8_lossy(word).into_owned());
        }
    }
}

fn sizes(manager: &RedbManager, read: &Read) -> Result<Sizes, Failure> {
    let stats = manager.stats()?;
    Ok(Sizes {
        text_bytes: read.text_bytes,
        sealed_bytes: stats.databases.iter().map(|database| database.sealed_bytes).sum(),
        index_bytes: stats.databases.iter().map(|database| database.run_bytes).sum(),
        allocated_bytes: stats.allocated_bytes,
    })
}

fn next(directory: &Path, key_file: &Path, stored: &Stored) -> Next {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut next = Next::new(&absolute(directory), &absolute(key_file));
    let topic_of = |kind| stored.folds.largest(kind).map(|(topic, _)| topic);
    if let (Some(topic), Some(id)) =
        (topic_of(TopicKind::Logs), stored.samples.first(TopicKind::Logs))
    {
        let whole = stored.read.logs.whole.iter().find(|whole| whole.topic == topic);
        let path = whole.map(|whole| absolute(&whole.path));
        next.logs((topic, id), stored.word.as_deref(), path.as_deref());
    }
    if let (Some(topic), Some(id)) =
        (topic_of(TopicKind::Events), stored.samples.first(TopicKind::Events))
    {
        next.events(topic, id);
    }
    next
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
