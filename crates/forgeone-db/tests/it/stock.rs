//! Small but complete stores in memory, as images that can be bent and opened.

use crate::support::{event, key, time};
use forgeone_db::{
    Durability, Engine as _, ErrorKind, EventMessage, EventQuery, MemoryEngine, MetadataEntry,
    NewSetting, OpenMode, QueryOrder, RedbManager, Result, Setting, SettingVersion, StartFrom,
    StoreOptions, TopicPattern,
};
use forgeone_db_engine::{
    Batch, DatabaseName, Direction, Entry, KeyRange, Projection, Read, TableName,
};
use futures::FutureExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const TABLES: [&str; 9] = [
    "keyring",
    "commits",
    "head",
    "checkpoints",
    "metadata",
    "settings",
    "state",
    "events",
    "event_index",
];

/// Where a value lies.
pub(crate) type Place = (String, String, Vec<u8>);
/// Every stored value of a store.
pub(crate) type Image = BTreeMap<Place, Vec<u8>>;

pub(crate) fn databases(shards: u32) -> Vec<String> {
    let shards = (0..shards).map(|index| format!("events_shard_{index}"));
    ["keyring".to_owned(), "system".to_owned()].into_iter().chain(shards).collect()
}

fn entries(engine: &MemoryEngine, database: &str, table: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut range = KeyRange::all();
    loop {
        let scan = Read::Scan {
            table: TableName::new(table).unwrap(),
            range,
            direction: Direction::Forward,
            projection: Projection::Entries,
            entries_max: 1024,
            bytes_max: u64::MAX,
        };
        let database = DatabaseName::new(database).unwrap();
        let answer = engine.read(&database, scan).now_or_never().unwrap();
        let page = answer.unwrap().into_page().unwrap();
        entries.extend(page.entries);
        if !page.more {
            return entries;
        }
        range = KeyRange::from([&entries.last().unwrap().key[..], &[0]].concat());
    }
}

/// Everything that an engine holds.
pub(crate) fn image(engine: &MemoryEngine, shards: u32) -> Image {
    let engine = engine.reopen();
    let mut image = Image::new();
    for database in databases(shards) {
        for table in TABLES {
            for entry in entries(&engine, &database, table) {
                let place = (database.clone(), table.to_owned(), entry.key.to_vec());
                image.insert(place, entry.value.to_vec());
            }
        }
    }
    image
}

/// An engine that holds an image.
pub(crate) fn engine(image: &Image) -> MemoryEngine {
    let engine = MemoryEngine::new();
    for ((database, table, key), value) in image {
        let mut batch = Batch::new(DatabaseName::new(database.as_str()).unwrap());
        let table = TableName::new(table.as_str()).unwrap();
        batch.put(&table, key.clone(), value.clone());
        engine.commit(batch, Durability::None).now_or_never().unwrap().unwrap();
    }
    engine
}

pub(crate) fn options(engine: MemoryEngine, encrypted: bool) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(engine))
        .durability(Durability::None)
        .mode(OpenMode::Open)
        .key(encrypted.then(key))
        .memory_max(64 << 20)
}

/// What a store is asked, and what it must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) forward: Vec<(u64, EventMessage)>,
    pub(crate) reverse: Vec<(u64, EventMessage)>,
    replayed: Vec<(u64, EventMessage)>,
    marked: Vec<(u64, EventMessage)>,
    topics: Vec<(String, u64)>,
    by_id: Vec<Vec<(u64, EventMessage)>>,
    settings: Vec<Setting>,
    versions: Vec<SettingVersion>,
    absent: Option<Setting>,
    facts: Vec<MetadataEntry>,
}

/// Asks a store everything; `ids` are looked up one by one.
pub(crate) fn ask(store: &RedbManager, ids: &[uuid::Uuid]) -> Result<Answers> {
    let pair = |found: forgeone_db::StoredEvent| (found.seq, found.event);
    let query = |order| -> Result<Vec<_>> {
        store.query_events(EventQuery::default().order(order))?.map(|one| one.map(pair)).collect()
    };
    let replay = |start| -> Result<Vec<_>> {
        let mut all: Vec<(u64, EventMessage)> = store
            .replay(&TopicPattern::all(), start)?
            .map(|one| one.map(pair))
            .collect::<Result<_>>()?;
        all.sort_by(|a, b| (&a.1.topic, a.0).cmp(&(&b.1.topic, b.0)));
        Ok(all)
    };
    Ok(Answers {
        forward: query(QueryOrder::OldestFirst)?,
        reverse: query(QueryOrder::NewestFirst)?,
        replayed: replay(StartFrom::Oldest)?,
        marked: replay(StartFrom::Marker("mark".to_owned()))?,
        topics: store
            .topics(&TopicPattern::all())?
            .into_iter()
            .map(|topic| (topic.topic, topic.count))
            .collect(),
        by_id: ids
            .iter()
            .map(|id| Ok(store.get_event(*id)?.into_iter().map(pair).collect()))
            .collect::<Result<_>>()?,
        settings: store.list_settings("").collect::<Result<_>>()?,
        versions: store.setting_history("common")?.collect::<Result<_>>()?,
        absent: store.get_setting("gone")?,
        facts: store.list_metadata("").collect::<Result<_>>()?,
    })
}

/// Opens a store for writing, asks it everything, and closes it.
pub(crate) fn open_and_ask(options: StoreOptions, ids: &[uuid::Uuid]) -> Result<Answers> {
    let store = RedbManager::open(options)?;
    let answers = ask(&store, ids);
    let closed = store.close();
    let answers = answers?;
    // The close of a store that was right so far may still meet damage; that is no answer.
    if let Err(error) = closed {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    Ok(answers)
}

/// An event of the stock: every third is late, some carry a marker.
pub(crate) fn stock_event(topic: &str, number: u64) -> EventMessage {
    let mut event = event(topic, number);
    if number.is_multiple_of(3) {
        event.timestamp = time(1_699_000_000 + i64::try_from(number).unwrap());
    }
    if number.is_multiple_of(7) {
        event.checkpoint_marker = Some("mark".to_owned());
    }
    event.payload =
        format!("{}-{}", event.payload, "x".repeat(usize::try_from(number % 50).unwrap()));
    event
}

/// A store in memory with what the tests need, at three moments.
pub(crate) struct Stock {
    pub(crate) encrypted: bool,
    /// Sealed once, with a tail; the store then went on.
    pub(crate) older: Image,
    /// At the end, before the close: what a kill leaves.
    pub(crate) killed: Image,
    /// After a clean close.
    pub(crate) closed: Image,
    pub(crate) ids: Vec<uuid::Uuid>,
    pub(crate) answers: Answers,
}

pub(crate) const SHARDS: u32 = 2;
const TOPICS: [&str; 4] = ["alpha", "beta.one", "beta.two", "gamma"];

fn store_round(store: &RedbManager, ids: &mut Vec<uuid::Uuid>, count: u64) {
    for topic in TOPICS {
        let first = ids.len() as u64 + 1;
        let batch: Vec<_> = (first..first + count).map(|n| stock_event(topic, n)).collect();
        ids.extend(batch.iter().map(|event| event.id));
        store.store_events(&batch).unwrap();
    }
}

/// Changes of state in a stock: the store's own, its topics', and the rounds'.
pub(crate) const STATE_RECORDS: u64 = 1 + TOPICS.len() as u64 + 4 * 3;

/// Three changes of state: one setting of all rounds, one of this round, one that comes and goes.
fn change_state(store: &RedbManager, round: u64) {
    let settings = [NewSetting::new("common", round), NewSetting::new(format!("s{round}"), round)];
    store.set_settings(&settings).unwrap();
    store.set_metadata("round", &round.to_string()).unwrap();
    if round.is_multiple_of(2) {
        store.remove_setting("gone", None).unwrap();
    } else {
        store.set_settings(&[NewSetting::new("gone", round)]).unwrap();
    }
}

impl Stock {
    pub(crate) fn new(encrypted: bool) -> Self {
        let engine = MemoryEngine::new();
        let create = options(engine.clone(), encrypted).mode(OpenMode::Create).shard_count(SHARDS);
        let store = RedbManager::open(create).unwrap();
        let mut ids = Vec::new();
        store_round(&store, &mut ids, 12);
        change_state(&store, 1);
        store.seal().unwrap();
        store_round(&store, &mut ids, 2);
        let older = image(&engine, SHARDS);
        store_round(&store, &mut ids, 12);
        change_state(&store, 2);
        store.seal().unwrap();
        store_round(&store, &mut ids, 3);
        change_state(&store, 3);
        store.seal().unwrap();
        store_round(&store, &mut ids, 1);
        change_state(&store, 4);
        store_round(&store, &mut ids, 2);
        let answers = ask(&store, &ids).unwrap();
        let killed = image(&engine, SHARDS);
        store.close().unwrap();
        let closed = image(&engine, SHARDS);
        assert_eq!(answers.forward.len(), ids.len());
        Self { encrypted, older, killed, closed, ids, answers }
    }

    pub(crate) fn options(&self, image: &Image) -> StoreOptions {
        options(engine(image), self.encrypted)
    }
}
