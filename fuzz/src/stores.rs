//! Whole stores whose bytes were bent.
//!
//! A store may refuse to open, or to answer; what it does answer must be what was stored (I1), and
//! without an error nothing may be missing (I3).

use forgeone_db::redb::{RedbEngine, RedbOptions, StoreDirectory};
use forgeone_db::{
    Durability, Engine as _, EventMessage, EventPriority, EventQuery, Key, MemoryEngine,
    NewSetting, OpenMode, RedbManager, Result, StoreOptions, VerifyDepth,
};
use forgeone_db_engine::{Batch, DatabaseName, Direction, KeyRange, Projection, Read, TableName};
use futures::FutureExt as _;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

/// One stored value: database, table, key, value.
type Value = (&'static str, &'static str, Vec<u8>, Vec<u8>);
type Image = Vec<Value>;

const DATABASES: [&str; 3] = ["keyring", "system", "events_shard_0"];
const TABLES: [&str; 9] = [
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
const EVENTS: u8 = 12;

/// A store without a key and one with a key, as their values.
static IMAGES: LazyLock<[Image; 2]> = LazyLock::new(|| [image(false), image(true)]);
/// A database file with some entries.
static FILE: LazyLock<Vec<u8>> = LazyLock::new(file);

fn options(engine: &MemoryEngine, keyed: bool, mode: OpenMode) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(engine.reopen()))
        .durability(Durability::None)
        .mode(mode)
        .shard_count(1)
        .key(keyed.then(|| Key::raw([7; 32])))
}

pub(crate) fn event(number: u8) -> EventMessage {
    EventMessage {
        id: Uuid::from_u128(u128::from(number) + 1),
        topic: "t".to_owned(),
        timestamp: chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(number.into()),
        priority: EventPriority::Normal,
        payload: format!("payload {number}"),
        metadata: HashMap::new(),
        checkpoint_marker: None,
    }
}

fn image(keyed: bool) -> Image {
    let engine = MemoryEngine::new();
    let store = RedbManager::open(options(&engine, keyed, OpenMode::Create)).unwrap();
    for number in 0..EVENTS {
        store.store_event(&event(number)).unwrap();
        if number == EVENTS / 2 {
            store.set_settings(&[NewSetting::new("s", 1)]).unwrap();
            store.seal().unwrap();
        }
    }
    store.close().unwrap();
    let mut image = Image::new();
    for database in DATABASES {
        for table in TABLES {
            let scan = Read::Scan {
                table: TableName::new(table).unwrap(),
                range: KeyRange::all(),
                direction: Direction::Forward,
                projection: Projection::Entries,
                entries_max: 1024,
                bytes_max: u64::MAX,
            };
            let name = DatabaseName::new(database).unwrap();
            let answer = engine.reopen().read(&name, scan).now_or_never().unwrap();
            for entry in answer.unwrap().into_page().unwrap().entries {
                image.push((database, table, entry.key.to_vec(), entry.value.to_vec()));
            }
        }
    }
    image
}

/// Bends values: each six bytes of `data` are `value u16 | place u16 | what | byte`.
fn bend(image: &mut Image, data: &[u8]) {
    for patch in data.chunks_exact(6).take(8) {
        let [a, b, c, d, what, byte] = *patch else { return };
        let index = usize::from(u16::from_be_bytes([a, b])) % image.len().max(1);
        let place = usize::from(u16::from_be_bytes([c, d]));
        let other = image.get(place % image.len().max(1)).map(|other| other.3.clone());
        let Some((.., value)) = image.get_mut(index) else { return };
        match (what % 6, value.len()) {
            (_, 0) => {}
            (0, len) => value[place % len] ^= byte.max(1),
            (1, len) => value.truncate(place % len),
            (2, _) => value.push(byte),
            (3, _) => *value = other.unwrap_or_default(),
            (4, len) => value[place % len..].fill(byte),
            _ => drop(image.remove(index)),
        }
    }
}

/// A store in memory, bent as `keyed u8 | patches` says, then read, verified, and written to.
pub(crate) fn open_store(data: &[u8]) -> bool {
    let Some((keyed, patches)) = data.split_first() else { return false };
    let keyed = keyed % 2 == 1;
    let mut image = IMAGES[usize::from(keyed)].clone();
    bend(&mut image, patches);
    let engine = MemoryEngine::new();
    for (database, table, key, value) in image {
        let mut batch = Batch::new(DatabaseName::new(database).unwrap());
        batch.put(&TableName::new(table).unwrap(), key, value);
        engine.commit(batch, Durability::None).now_or_never().unwrap().unwrap();
    }
    drop(RedbManager::verify_store(
        options(&engine, keyed, OpenMode::Read),
        VerifyDepth::Standard,
        |_| (),
    ));
    let Ok(store) = RedbManager::open(options(&engine, keyed, OpenMode::Open)) else {
        return false;
    };
    let whole = answers(&store);
    drop(store.store_event(&event(EVENTS)));
    drop(store.seal());
    drop(store.close());
    whole.is_ok()
}

fn answers(store: &RedbManager) -> Result<()> {
    let found: Vec<_> = store.query_events(EventQuery::default())?.collect::<Result<_>>()?;
    assert_eq!(found.len(), usize::from(EVENTS), "a shorter answer without an error");
    for (number, found) in (0..).zip(found) {
        assert_eq!(found.event, event(number), "an altered event without an error");
    }
    for number in 0..EVENTS {
        assert_eq!(store.get_event(event(number).id)?.len(), 1, "an event is not found by its id");
    }
    let setting = store.get_setting("s")?;
    assert!(setting.is_some(), "a setting is missing without an error");
    Ok(())
}

fn file() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (database, table) = names();
    let engine = engine(folder.path()).unwrap();
    for number in 0..40_u8 {
        let mut batch = Batch::new(database.clone());
        batch.put(&table, vec![number], vec![number; usize::from(number) * 10]);
        engine.commit(batch, Durability::Sync).now_or_never().unwrap().unwrap();
    }
    engine.compact(&database).now_or_never().unwrap().unwrap();
    engine.close().now_or_never().unwrap().unwrap();
    std::fs::read(folder.path().join("system.redb")).unwrap()
}

fn names() -> (DatabaseName, TableName) {
    (DatabaseName::new("system").unwrap(), TableName::new("t").unwrap())
}

fn engine(folder: &Path) -> Result<RedbEngine> {
    let directory = StoreDirectory::create(folder)?;
    RedbEngine::open_writer(
        directory,
        RedbOptions { cache_bytes: 1 << 20, ..RedbOptions::default() },
    )
}

/// A database file, bent as patches `place u32 | byte | what` say, then read and written to: redb
/// answers anything, but no panic comes through and nothing hangs.
pub(crate) fn redb_file(data: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = FILE.clone();
    for patch in data.chunks_exact(6).take(16) {
        let [a, b, c, d, byte, what] = *patch else { return false };
        let place = u32::from_be_bytes([a, b, c, d]) as usize % bytes.len().max(1);
        match what % 4 {
            0 => bytes[place] ^= byte.max(1),
            // Most of what decides stands at the start.
            1 => bytes[place % 512] = byte,
            2 => bytes.truncate(place.max(1)),
            _ => bytes.truncate((place / 4096 * 4096).max(1)),
        }
    }
    // Only a directory that is a store already may have a database in it.
    drop(StoreDirectory::create(folder.path()).unwrap());
    std::fs::write(folder.path().join("system.redb"), bytes).unwrap();
    let Ok(engine) = engine(folder.path()) else { return false };
    let (database, table) = names();
    let read = Read::get(&table, vec![7]);
    let read = engine.read(&database, read).now_or_never().unwrap().is_ok();
    let mut batch = Batch::new(database.clone());
    batch.put(&table, vec![99], vec![1]);
    drop(engine.commit(batch, Durability::Sync).now_or_never().unwrap());
    drop(engine.compact(&database).now_or_never().unwrap());
    drop(engine.close().now_or_never());
    read
}

pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("open_store", vec![0]),
        ("open_store", vec![1]),
        ("open_store", vec![0, 0, 9, 0, 40, 0, 1]),
        ("open_store", vec![1, 0, 5, 0, 9, 3, 0]),
        ("open_store", vec![1, 0, 5, 0, 9, 5, 0]),
        ("redb_file", vec![0, 0, 0, 9, 1, 1]),
        ("redb_file", vec![0, 0, 32, 9, 1, 0]),
        ("redb_file", vec![0, 1, 0, 0, 1, 2]),
    ]
}
