//! Authentic bytes in the wrong place (contract I1, I3, R1): values of a store are exchanged, moved,
//! doubled, replaced by what they were earlier and by what another store with the same key has in
//! their place; files are put back in every combination. Each answer is right or an error.

use crate::campaign::{self, Arguments, Counts, Suite};
use crate::random::Random;
use crate::specimen::{self, Answers, Image, Scratch, Specimen, Verdict, check_kind, write_files};
use forgeone_db::{Durability, Error, MemoryEngine, OpenMode, RedbManager, StoreOptions};
use forgeone_db_engine::{
    Batch, DatabaseName, Direction, Engine as _, KeyRange, Projection, Read, TableName,
};
use std::collections::BTreeMap;
use std::io;

const GAMES_OF_A_CASE: u64 = 16;
const DATABASES: [&str; 4] = ["keyring", "system", "events_shard_0", "logs_shard_0"];
const TABLES: [&str; 11] = [
    "keyring",
    "commits",
    "head",
    "checkpoints",
    "metadata",
    "settings",
    "state",
    "events",
    "event_index",
    "logs",
    "log_index",
];

/// Database, table and key of a value.
type Place = (&'static str, &'static str, Vec<u8>);
type Values = BTreeMap<Place, Vec<u8>>;

/// Runs the suite.
///
/// # Errors
/// As a campaign; the stores cannot be built.
pub(crate) fn run(arguments: &Arguments) -> io::Result<bool> {
    let suite = Ciphertext::new(arguments.seed()).map_err(io::Error::other)?;
    eprintln!(
        "ciphertext: {} values, {} files, {} games",
        suite.values.len(),
        suite.specimen.closed.len(),
        suite.games.len()
    );
    campaign::run(&suite, arguments)
}

#[derive(Debug)]
struct Ciphertext {
    /// A store in memory at its end, what it answers, and what it was earlier.
    values: Values,
    answers: Answers,
    older: Values,
    /// Another store with the same key.
    other: Values,
    /// A store in files.
    specimen: Specimen,
    games: Vec<Game>,
}

#[derive(Debug, Clone)]
enum Game {
    /// Two values change places.
    Swap(Place, Place),
    /// One lies where the other belongs, too.
    Copy(Place, Place),
    /// A value is what it was before.
    Older(Place),
    /// A value is that of another store.
    Foreign(Place),
    Drop(Place),
    /// Databases are what they were before.
    RollBack(Vec<&'static str>),
    /// Files are what they were before.
    PutBack(Vec<String>),
}

impl Ciphertext {
    fn new(seed: u64) -> Result<Self, String> {
        let engine = MemoryEngine::new();
        let mut random = Random::of_case(seed, u64::MAX);
        let text = |error: Error| error.to_string();
        let store = open(&engine, OpenMode::Create).map_err(text)?;
        specimen::fill(&store, &mut random, 0..30).map_err(text)?;
        store.seal().map_err(text)?;
        specimen::fill(&store, &mut random, 30..34).map_err(text)?;
        store.close().map_err(text)?;
        let older = read(&engine)?;
        let store = open(&engine, OpenMode::Open).map_err(text)?;
        specimen::fill(&store, &mut random, 34..60).map_err(text)?;
        store.seal().map_err(text)?;
        specimen::fill(&store, &mut random, 60..64).map_err(text)?;
        let answers = Answers::of(&store)?;
        store.close().map_err(text)?;
        let values = read(&engine)?;

        let engine = MemoryEngine::new();
        let store = open(&engine, OpenMode::Create).map_err(text)?;
        specimen::fill(&store, &mut random, 0..64).map_err(text)?;
        store.close().map_err(text)?;
        let other = read(&engine)?;
        let specimen = Specimen::build(seed)?;
        let games = games(&values, &specimen.closed);
        Ok(Self { values, answers, older, other, specimen, games })
    }

    fn play(&self, game: &Game) -> Result<Verdict, String> {
        let mut values = self.values.clone();
        match game {
            Game::Swap(a, b) => {
                let [x, y] =
                    [a, b].map(|place| self.values.get(place).cloned().unwrap_or_default());
                values.insert(a.clone(), y);
                values.insert(b.clone(), x);
            }
            Game::Copy(a, b) => {
                values.insert(b.clone(), self.values.get(a).cloned().unwrap_or_default());
            }
            Game::Older(place) => replace(&mut values, &self.older, place),
            Game::Foreign(place) => replace(&mut values, &self.other, place),
            Game::Drop(place) => drop(values.remove(place)),
            Game::RollBack(databases) => {
                values.retain(|place, _| !databases.contains(&place.0));
                let back = self.older.iter().filter(|(place, _)| databases.contains(&place.0));
                values.extend(back.map(|(place, value)| (place.clone(), value.clone())));
            }
            Game::PutBack(files) => return self.put_back(files),
        }
        let engine = write(&values)?;
        match open(&engine, OpenMode::Read) {
            Ok(store) => self.answers.compare(&store),
            Err(error) => refused(&error),
        }
    }

    fn put_back(&self, files: &[String]) -> Result<Verdict, String> {
        let mut image: Image = self.specimen.closed.clone();
        for file in files {
            match self.specimen.older.get(file) {
                Some(older) => drop(image.insert(file.clone(), older.clone())),
                None => drop(image.remove(file)),
            }
        }
        let scratch = Scratch::new().map_err(|error| error.to_string())?;
        write_files(&scratch.store(), &image).map_err(|error| error.to_string())?;
        let options = specimen::options(&scratch.store(), 1).mode(OpenMode::Read);
        match RedbManager::open(options) {
            Ok(store) => self.specimen.answers.compare(&store),
            Err(error) => refused(&error),
        }
    }
}

impl Suite for Ciphertext {
    fn name(&self) -> &'static str {
        "ciphertext"
    }

    fn measure(&self) -> &'static str {
        "games"
    }

    fn cases(&self) -> Option<u64> {
        Some((self.games.len() as u64).div_ceil(GAMES_OF_A_CASE))
    }

    fn case(&self, number: u64, _: Random) -> Result<Counts, String> {
        let first = usize::try_from(number * GAMES_OF_A_CASE).unwrap_or(usize::MAX);
        let mut counts = Counts::new();
        let games = self.games.iter().skip(first);
        for game in games.take(usize::try_from(GAMES_OF_A_CASE).unwrap_or(1)) {
            let verdict = self.play(game).map_err(|wrong| format!("{game:?}: {wrong}"))?;
            *counts.entry("games").or_default() += 1;
            let outcome = match (verdict.right, verdict.errors) {
                (_, 0) => "without effect",
                (0, _) => "refused as a whole",
                _ => "contained",
            };
            *counts.entry(outcome).or_default() += 1;
        }
        Ok(counts)
    }
}

/// All games: every pair of values that could be taken for one another, every value alone, and
/// every combination of databases and of files but all of them, which nothing inside can notice.
fn games(values: &Values, files: &Image) -> Vec<Game> {
    let mut games: Vec<Game> = subsets(&DATABASES).map(Game::RollBack).collect();
    let files: Vec<&str> =
        files.keys().map(String::as_str).filter(|file| *file != "lock").collect();
    let put_back = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    games.extend(subsets(&files).map(|names| Game::PutBack(put_back(names))));
    let places: Vec<&Place> = values.keys().collect();
    for (index, a) in places.iter().enumerate() {
        for b in places.iter().skip(index + 1).filter(|b| b.1 == a.1) {
            games.push(Game::Swap((*a).clone(), (*b).clone()));
            games.push(Game::Copy((*a).clone(), (*b).clone()));
            games.push(Game::Copy((*b).clone(), (*a).clone()));
        }
        for game in [Game::Older, Game::Foreign, Game::Drop] {
            games.push(game((*a).clone()));
        }
    }
    games
}

/// Every part of `all` but none and all.
fn subsets<'a>(all: &[&'a str]) -> impl Iterator<Item = Vec<&'a str>> {
    (1..(1_u32 << all.len()) - 1).map(|mask| {
        let chosen = all.iter().enumerate().filter(|(index, _)| mask >> index & 1 == 1);
        chosen.map(|(_, name)| *name).collect()
    })
}

fn replace(values: &mut Values, from: &Values, place: &Place) {
    match from.get(place) {
        Some(value) => drop(values.insert(place.clone(), value.clone())),
        None => drop(values.remove(place)),
    }
}

fn refused(error: &Error) -> Result<Verdict, String> {
    check_kind(error).map_err(|wrong| format!("opening: {wrong}"))?;
    Ok(Verdict { right: 0, errors: 1 })
}

fn open(engine: &MemoryEngine, mode: OpenMode) -> forgeone_db::Result<RedbManager> {
    let options = StoreOptions::with_engine(std::sync::Arc::new(engine.reopen()))
        .durability(Durability::None)
        .key(forgeone_db::Key::raw([7; 32]))
        .shard_count(1)
        .memory_max(48 << 20)
        .mode(mode);
    RedbManager::open(options)
}

/// Every value that an engine holds.
fn read(engine: &MemoryEngine) -> Result<Values, String> {
    let engine = engine.reopen();
    let mut values = Values::new();
    for database in DATABASES {
        for table in TABLES {
            let scan = Read::Scan {
                table: TableName::new(table).map_err(|error| error.to_string())?,
                range: KeyRange::all(),
                direction: Direction::Forward,
                projection: Projection::Entries,
                entries_max: 4096,
                bytes_max: u64::MAX,
            };
            let name = DatabaseName::new(database).map_err(|error| error.to_string())?;
            let page = futures::executor::block_on(engine.read(&name, scan))
                .and_then(forgeone_db_engine::ReadResult::into_page)
                .map_err(|error| error.to_string())?;
            for entry in page.entries {
                values.insert((database, table, entry.key.to_vec()), entry.value.to_vec());
            }
        }
    }
    Ok(values)
}

fn write(values: &Values) -> Result<MemoryEngine, String> {
    let engine = MemoryEngine::new();
    for database in DATABASES {
        let name = DatabaseName::new(database).map_err(|error| error.to_string())?;
        let mut batch = Batch::new(name);
        for ((_, table, key), value) in values.iter().filter(|(place, _)| place.0 == database) {
            let table = TableName::new(*table).map_err(|error| error.to_string())?;
            batch.put(&table, key.clone(), value.clone());
        }
        let committed = futures::executor::block_on(engine.commit(batch, Durability::None));
        committed.map_err(|error| error.to_string())?;
    }
    Ok(engine)
}
