//! `tour`: the whole store on real input, from creation to reopening, with a report.

mod fold;
mod follower;
mod report;
mod sources;

use crate::args::TourArgs;
use crate::exit::{Exit, Failure};
use crate::key_file::{Care, generate_key_file, read_key_file};
use crate::output::{Shown, say};
use crate::progress::Progress;
use crate::store::Place;
use chrono::Utc;
use fold::{Folds, Samples, fingerprint};
use follower::Follower;
use forgeone_db::{
    EventQuery, Key, OpenMode, QueryOrder, RedbManager, StartFrom, StoreOptions, TopicPattern,
    VerifyDepth,
};
use report::{Check, Lookups, Next, Report, Sizes};
use sources::{Read, Source, TOUR_PREFIX};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Lookups by id that are timed.
const LOOKUPS: usize = 1_000;

/// What was stored.
struct Stored {
    read: Read,
    folds: Folds,
    samples: Samples,
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
    let manager =
        RedbManager::open(options(&directory, &key_file, place.care())?.mode(OpenMode::Create))?;
    say(format_args!("made an encrypted store in {}", Shown(&directory)));
    let stored = store(&manager, &source)?;

    let sealing = Instant::now();
    manager.seal()?;
    let seal_seconds = sealing.elapsed().as_secs_f64();
    let closing = Instant::now();
    manager.close()?;
    drop(manager);
    let close_ms = ms(closing);

    let key = options(&directory, &key_file, Care::Warn)?;
    let opening = Instant::now();
    let manager = RedbManager::open(key)?;
    let reopen_ms = ms(opening);
    let (lookups, mut checks) = find(&manager, &stored)?;
    checks.insert(
        0,
        Check { what: "a follower saw every event once, in order", ok: stored.followed },
    );
    let sizes = sizes(&manager, &stored.read)?;
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
        topics: stored.folds.topics().len() as u64,
        events: stored.folds.count,
        read: stored.read,
        commits: stored.commits,
        store_seconds: stored.seconds,
        seal_seconds,
        follow_behind_ms: stored.behind_ms,
        close_ms,
        reopen_ms,
        lookups,
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
    let date = Utc::now().format("%Y%m%d-%H%M%S");
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

fn options(directory: &Path, key_file: &Path, care: Care) -> Result<StoreOptions, Failure> {
    let key: Key = read_key_file(key_file, care)?;
    Ok(StoreOptions::new(directory).key(key))
}

/// Stores all there is while a second thread follows.
fn store(manager: &RedbManager, source: &Source) -> Result<Stored, Failure> {
    let mut progress = Progress::bytes("storing", source.bytes());
    let follower = Follower::start(manager)?;
    let (mut folds, mut samples, mut commits) = (Folds::default(), Samples::new(), 0);
    let mut shown = 0;
    let start = Instant::now();
    let read = source.read(|events, read| {
        let remembered: Vec<_> = events.iter().map(|event| event.event.clone()).collect();
        let positions = manager.store_events_opts(events)?;
        for (event, position) in remembered.iter().zip(positions) {
            // The same line of history twice is one event.
            if !position.duplicate {
                folds.add(event, position.seq);
                samples.add(event);
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
    Ok(Stored { read, folds, samples, commits, seconds, behind_ms, followed: all_seen })
}

/// Finds events in every way there is, and checks what is found.
fn find(manager: &RedbManager, stored: &Stored) -> Result<(Lookups, Vec<Check>), Failure> {
    let mut lookups = Lookups::default();
    let by_id = find_by_id(manager, stored, &mut lookups)?;
    let mut newest = true;
    if let Some((topic, fold)) = stored.folds.topics().max_by_key(|(_, fold)| fold.count) {
        let start = Instant::now();
        let query =
            EventQuery::new(TopicPattern::exact(topic)?).order(QueryOrder::NewestFirst).limit(100);
        newest = count(manager, query)? == fold.count.min(100);
        lookups.newest_100_ms = ms(start);
    }
    let window = stored.samples.window();
    if let Some((from, to)) = window {
        let start = Instant::now();
        lookups.window_events = count(manager, EventQuery::default().from(from).to(to))?;
        lookups.window_ms = ms(start);
    }
    let start = Instant::now();
    let (mut folds, mut in_order, mut in_window) = (Folds::default(), true, 0);
    for event in manager.replay(&TopicPattern::all(), StartFrom::Oldest)? {
        let event = event?;
        in_order &= folds.add(&event.event, event.seq);
        let time = event.event.timestamp;
        in_window += u64::from(window.is_some_and(|(from, to)| from <= time && time < to));
    }
    lookups.read_all_seconds = start.elapsed().as_secs_f64();
    let checks = [
        (
            "after reopening, every event is there, unchanged and in order",
            in_order && folds.same(&stored.folds),
        ),
        ("events are found by id", by_id),
        ("the newest events of a topic are found", newest),
        ("a search by time finds as many as there are", in_window == lookups.window_events),
    ];
    Ok((lookups, checks.map(|(what, ok)| Check { what, ok }).into()))
}

fn count(manager: &RedbManager, query: EventQuery) -> Result<u64, Failure> {
    let mut count = 0;
    for event in manager.query_events(query)? {
        event?;
        count += 1;
    }
    Ok(count)
}

fn find_by_id(
    manager: &RedbManager,
    stored: &Stored,
    lookups: &mut Lookups,
) -> Result<bool, Failure> {
    let samples = &stored.samples.kept;
    let step = (samples.len() / LOOKUPS).max(1);
    let mut times = Vec::new();
    let mut found = true;
    for sample in samples.iter().step_by(step).take(LOOKUPS) {
        let start = Instant::now();
        let events = manager.get_event(sample.id)?;
        times.push(ms(start));
        found &= events.iter().any(|event| fingerprint(&event.event) == sample.print);
    }
    lookups.by_id = times.len() as u64;
    lookups.first_ms = times.first().copied().unwrap_or_default();
    times.sort_unstable_by(f64::total_cmp);
    lookups.median_ms = times.get(times.len() / 2).copied().unwrap_or_default();
    lookups.p99_ms = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    Ok(found)
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
    let topic = stored.folds.topics().max_by_key(|(_, fold)| fold.count);
    let topic = topic.map_or("tour.>", |(topic, _)| topic);
    let id = stored.samples.kept.first().map(|sample| sample.id).unwrap_or_default().to_string();
    Next::new(&absolute(directory), &absolute(key_file), (topic, &id))
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
