//! A database that went back must be noticed if anything has seen it further on. Provoked by
//! setting one database of a store back to an older, consistent copy of itself, removing it, or
//! swapping it for that of a copy of the store that went another way.

use crate::stock::{Image, SHARDS, image, options};
use crate::support::event;
use forgeone_db::{
    Error, ErrorKind, EventQuery, MemoryEngine, OpenMode, RedbManager, TopicPattern, VerifyDepth,
};

/// A store with one topic in each of its two shards.
struct Pair {
    engine: MemoryEngine,
    store: RedbManager,
    /// The topic in shard 0, and the one in shard 1.
    topics: [String; 2],
    next: u64,
}

impl Pair {
    fn create() -> Self {
        let engine = MemoryEngine::new();
        let create = options(engine.clone(), true).mode(OpenMode::Create).shard_count(SHARDS);
        Self::with(engine, RedbManager::open(create).unwrap(), 1)
    }

    fn open(image: &Image, next: u64) -> Self {
        let engine = crate::stock::engine(image);
        let store = RedbManager::open(options(engine.clone(), true)).unwrap();
        Self::with(engine, store, next)
    }

    fn with(engine: MemoryEngine, store: RedbManager, next: u64) -> Self {
        for number in 0..8 {
            futures::executor::block_on(store.events().create_topic(&format!("t{number}")))
                .unwrap();
        }
        let all = store.topics(&TopicPattern::all()).unwrap();
        let topic = |shard| all.iter().find(|topic| topic.shard == shard).unwrap().topic.clone();
        let topics = [topic(0), topic(1)];
        Self { engine, store, topics, next }
    }

    fn write(&mut self, shard: usize) {
        self.store.store_event(&event(&self.topics[shard], self.next)).unwrap();
        self.next += 1;
    }

    fn image(&self) -> Image {
        image(&self.engine, SHARDS)
    }
}

/// `newer`, but one database as in `older`.
fn mixed(newer: &Image, older: &Image, database: &str) -> Image {
    let keep = newer.iter().filter(|(place, _)| place.0 != database);
    let back = older.iter().filter(|(place, _)| place.0 == database);
    keep.chain(back).map(|(place, value)| (place.clone(), value.clone())).collect()
}

fn try_open(image: &Image, mode: OpenMode) -> Result<usize, Error> {
    let engine = crate::stock::engine(image);
    let store = RedbManager::open(options(engine, true).mode(mode))?;
    Ok(store.query_events(EventQuery::default())?.collect::<Result<Vec<_>, _>>()?.len())
}

/// Reads are told, and `verify` finds, that one of `databases` is not what it was.
fn assert_noticed(image: &Image, databases: &[&str], what: &str) {
    let named = |name: Option<&str>| name.is_some_and(|name| databases.contains(&name));
    for mode in [OpenMode::Open, OpenMode::Read] {
        let error = try_open(image, mode).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(named(error.get("database")), "{what}: {error}");
    }
    for depth in [VerifyDepth::Quick, VerifyDepth::Standard] {
        let options = options(crate::stock::engine(image), true);
        let report = RedbManager::verify_store(options, depth, |_| ()).unwrap();
        let found = report.errors().any(|error| named(error.database.as_deref()));
        assert!(found, "{what}: {report:#?}");
    }
}

#[test]
fn a_shard_that_went_back_is_noticed_once_another_has_seen_it() {
    for sealed in [false, true] {
        let mut pair = Pair::create();
        pair.write(0);
        let before = pair.image();
        pair.write(0);
        pair.write(1);
        if sealed {
            pair.store.seal().unwrap();
        }
        let after = pair.image();
        assert_eq!(try_open(&after, OpenMode::Open).unwrap(), 3);
        let back = mixed(&after, &before, "events_shard_0");
        assert_noticed(&back, &["events_shard_0"], "set back");
        let gone = mixed(&after, &Image::new(), "events_shard_0");
        assert_noticed(&gone, &["events_shard_0"], "removed");
    }
}

#[test]
fn a_database_that_went_back_is_noticed_after_a_clean_close() {
    let mut pair = Pair::create();
    pair.write(1);
    pair.write(0);
    let before = pair.image();
    pair.write(0);
    pair.store.close().unwrap();
    let after = pair.image();
    let back = mixed(&after, &before, "events_shard_0");
    assert_noticed(&back, &["events_shard_0"], "set back");
    for database in ["events_shard_0", "events_shard_1"] {
        assert_noticed(&mixed(&after, &Image::new(), database), &[database], "removed");
    }
    // The state of the system at its creation.
    let system = mixed(&after, &Pair::create().image(), "system");
    assert!(try_open(&system, OpenMode::Open).is_err(), "another store's system");
}

#[test]
fn a_shard_of_a_copy_that_went_another_way_is_noticed() {
    let mut pair = Pair::create();
    pair.write(0);
    pair.write(1);
    pair.store.close().unwrap();
    let common = pair.image();
    let mut ours = Pair::open(&common, 10);
    ours.write(0);
    ours.write(1);
    for longer in 0..3 {
        let mut theirs = Pair::open(&common, 20);
        theirs.write(0);
        (0..longer).for_each(|_| theirs.write(0));
        let swapped = mixed(&ours.image(), &theirs.image(), "events_shard_0");
        // Each of the two has seen another history than the other has: either may be named.
        assert_noticed(&swapped, &["events_shard_0", "events_shard_1"], "another history");
    }
}

/// Written down because nothing inside the store can notice it: the newest commits of one database
/// are gone, and neither another database nor a clean close has seen them.
#[test]
fn what_nobody_has_seen_can_be_lost_unnoticed() {
    let mut pair = Pair::create();
    pair.write(1);
    pair.write(0);
    let before = pair.image();
    pair.write(0);
    let after = pair.image();
    let back = mixed(&after, &before, "events_shard_0");
    assert_eq!(try_open(&after, OpenMode::Open).unwrap(), 3);
    assert_eq!(try_open(&back, OpenMode::Open).unwrap(), 2);
}
