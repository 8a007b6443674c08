//! A small store with every kind of data, the files that it lies in, and what it answers.

mod answers;

pub(crate) use answers::{Answers, Verdict, check_kind};

use crate::random::Random;
use crate::seeded::SeededEnvironment;
use chrono::{TimeZone as _, Utc};
use forgeone_db::{
    EventMessage, EventPriority, Flag, FlagState, Key, KeyRotation, NewLogEntry, NewSetting,
    OpenMode, RedbManager, Result, Severity, StoreOptions, TopicKind,
};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// The topics of events; the last one is shredded.
pub(crate) const EVENT_TOPICS: [&str; 3] = ["orders.eu", "orders.us", "secret"];
/// The topics of logs.
pub(crate) const LOG_TOPICS: [&str; 2] = ["app", "web"];

/// The files of a store, by name.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// A store as it lies on disk at some moments, and what it must answer at all of them.
#[derive(Debug)]
pub(crate) struct Specimen {
    /// After a clean close.
    pub(crate) closed: Image,
    /// What a kill leaves.
    pub(crate) killed: Image,
    /// An earlier clean close, with fewer records.
    pub(crate) older: Image,
    pub(crate) answers: Answers,
}

impl Specimen {
    /// The one that is kept in a directory, or a new one that is kept there from now on.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub(crate) fn kept(directory: &Path, seed: u64) -> Result<Self, String> {
        let text = |error: io::Error| error.to_string();
        let [closed, killed, older] =
            ["closed", "killed", "older"].map(|name| directory.join(name));
        if !older.is_dir() {
            let built = Self::build(seed)?;
            write_files(&closed, &built.closed).map_err(text)?;
            write_files(&killed, &built.killed).map_err(text)?;
            // The last: where it is, the others are.
            write_files(&older, &built.older).map_err(text)?;
        }
        let [closed, killed, older] = [closed, killed, older].map(|path| read_files(&path));
        let closed = closed.map_err(text)?;
        let answers = answers_of(&closed, seed)?;
        Ok(Self { closed, killed: killed.map_err(text)?, older: older.map_err(text)?, answers })
    }

    /// Builds it. The data are the same for the same seed; how they lie in the files depends on
    /// when a thread came to its turn, too.
    ///
    /// # Errors
    /// As the store's calls, and those of the file system, as text.
    pub(crate) fn build(seed: u64) -> Result<Self, String> {
        let directory = Scratch::new().map_err(|error| error.to_string())?;
        let mut random = Random::of_case(seed, u64::MAX);
        let path = directory.store();
        let failed = |error: forgeone_db::Error| error.to_string();
        let create = options(&path, seed).mode(OpenMode::Create).shard_count(1);
        let store = RedbManager::open(create).map_err(failed)?;
        fill(&store, &mut random, 0..40).map_err(failed)?;
        store.seal().map_err(failed)?;
        store.close().map_err(failed)?;
        let older = read_files(&path).map_err(|error| error.to_string())?;
        let store = RedbManager::open(options(&path, seed + 1)).map_err(failed)?;
        fill(&store, &mut random, 40..70).map_err(failed)?;
        store.rotate_keys(KeyRotation::Data, |_| {}).map_err(failed)?;
        store.shred_topic(TopicKind::Events, "secret").map_err(failed)?;
        fill(&store, &mut random, 70..90).map_err(failed)?;
        store.seal().map_err(failed)?;
        store.compact(|_| {}).map_err(failed)?;
        fill(&store, &mut random, 90..96).map_err(failed)?;
        let killed = read_files(&path).map_err(|error| error.to_string())?;
        store.close().map_err(failed)?;
        let closed = read_files(&path).map_err(|error| error.to_string())?;
        let answers = answers_of(&closed, seed)?;
        Ok(Self { closed, killed, older, answers })
    }
}

fn answers_of(closed: &Image, seed: u64) -> Result<Answers, String> {
    let scratch = Scratch::new().map_err(|error| error.to_string())?;
    write_files(&scratch.store(), closed).map_err(|error| error.to_string())?;
    let store = RedbManager::open(options(&scratch.store(), seed).mode(OpenMode::Read));
    Answers::of(&store.map_err(|error| error.to_string())?)
}

/// How a specimen is opened.
pub(crate) fn options(path: &Path, seed: u64) -> StoreOptions {
    StoreOptions::new(path)
        .key(Key::raw([7; 32]))
        .environment(Arc::new(SeededEnvironment::new(seed)))
        .memory_max(48 << 20)
        // Room is no data: nothing is learnt by bending its bytes.
        .reserve_bytes(0)
}

/// An event of the specimen: some late, some with a marker, some with a payload that fills units.
pub(crate) fn event(topic: &str, number: u64, random: &mut Random) -> EventMessage {
    let late = if number.is_multiple_of(5) { 1_000_000 } else { 0 };
    let seconds = 1_600_000_000 + i64::try_from(number).unwrap_or(0) - late;
    let words = if number.is_multiple_of(9) { 500 } else { 5 };
    let payload: Vec<String> = (0..words).map(|_| format!("{:x}", random.next())).collect();
    EventMessage {
        id: Uuid::from_u64_pair(number, topic.bytes().map(u64::from).sum()),
        topic: topic.to_owned(),
        timestamp: Utc.timestamp_opt(seconds, 0).single().unwrap_or_default(),
        priority: EventPriority::Normal,
        payload: payload.join(" "),
        metadata: HashMap::from([("number".to_owned(), number.to_string())]),
        checkpoint_marker: number.is_multiple_of(7).then(|| "mark".to_owned()),
    }
}

fn line(topic: &str, number: u64, random: &mut Random) -> NewLogEntry {
    let seconds = 1_600_000_000 + i64::try_from(number).unwrap_or(0);
    let severity = if number.is_multiple_of(4) { Severity::Error } else { Severity::Info };
    let time = Utc.timestamp_opt(seconds, 0).single().unwrap_or_default();
    let text = format!("{topic} request {number} from {:x} needle{}", random.next(), number % 10);
    NewLogEntry::new(topic, time, severity, text)
}

/// Stores everything there is of these numbers.
pub(crate) fn fill(
    store: &RedbManager,
    random: &mut Random,
    numbers: std::ops::Range<u64>,
) -> Result<()> {
    for number in numbers {
        for topic in EVENT_TOPICS {
            store.store_event(&event(topic, number, random))?;
        }
        for topic in LOG_TOPICS {
            let lines = (0..3).map(|part| line(topic, number * 3 + part, random)).collect();
            store.store_logs(lines)?;
        }
        if number.is_multiple_of(4) {
            let key = format!("setting.{}", number % 3);
            store.set_settings(&[NewSetting::new(key, number)])?;
            store.set_flag(&format!("flag{}", number % 2), &Flag::new(FlagState::On))?;
            store.set_metadata("number", &number.to_string())?;
        }
    }
    Ok(())
}

/// The files of a directory.
pub(crate) fn read_files(path: &Path) -> io::Result<Image> {
    let mut files = Image::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?);
    }
    Ok(files)
}

/// Makes a directory hold these files and no others.
pub(crate) fn write_files(path: &Path, files: &Image) -> io::Result<()> {
    fs::create_dir_all(path)?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !files.contains_key(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    files.iter().try_for_each(|(name, bytes)| fs::write(path.join(name), bytes))
}

/// A directory that goes away, in memory where the system has such a place: what is tried there
/// takes a file, not a medium.
#[derive(Debug)]
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() {
            tempfile::Builder::new().prefix("forgeone-").tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        directory.map(Self)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }
}
