//! Claims of cost ("a point read needs one unit") are tested with these counts, so a count that is
//! off by one makes such a claim worthless.

use super::{DatabaseCounts, MeteredEngine, TableCounts, Touch};
use crate::contract::{
    Batch, DatabaseName, Direction, Durability, Engine as _, KeyRange, Projection, Read, TableName,
};
use crate::memory::MemoryEngine;
use crate::task::block_on;

#[test]
fn every_call_is_counted_where_it_belongs() {
    let database = DatabaseName::new("system").unwrap();
    let [events, topics] = ["events", "topics"].map(|name| TableName::new(name).unwrap());
    let engine = MeteredEngine::with_read_log(MemoryEngine::new(), 2);
    let mut batch = Batch::new(database.clone());
    batch.put(&events, "a", "1234").put(&topics, "b", "").delete(&topics, "c");
    batch.delete_range(&topics, KeyRange::new("x", "z"));
    block_on(engine.commit(batch.clone(), Durability::None)).unwrap();
    batch.require_absent(&events, "a");
    block_on(engine.commit(batch, Durability::None)).unwrap_err();
    let get = Read::Get(vec![
        (events.clone(), "a".into()),
        (topics.clone(), "b".into()),
        (events.clone(), "z".into()),
    ]);
    block_on(engine.read(&database, get)).unwrap();
    let scan = Read::Scan {
        table: events.clone(),
        range: KeyRange::all(),
        direction: Direction::Forward,
        projection: Projection::Entries,
        entries_max: 8,
        bytes_max: 100,
    };
    block_on(engine.read(&database, scan)).unwrap();
    block_on(engine.compact(&database)).unwrap();

    let metering = engine.snapshot();
    assert_eq!(
        metering.table(&database, &events),
        TableCounts {
            gets: 1,
            keys_asked: 2,
            scans: 1,
            keys_read: 2,
            bytes_read: 9,
            puts: 1,
            bytes_written: 5,
            ..TableCounts::default()
        }
    );
    assert_eq!(
        metering.table(&database, &topics),
        TableCounts {
            gets: 1,
            keys_asked: 1,
            keys_read: 1,
            puts: 1,
            deletes: 1,
            range_deletes: 1,
            bytes_written: 1,
            ..TableCounts::default()
        }
    );
    let commits = DatabaseCounts { commits: 1, commits_failed: 1, compactions: 1 };
    assert_eq!(metering.database(&database), commits);
    let touch = |table: &TableName| Touch { database: database.clone(), table: table.clone() };
    assert_eq!(engine.read_log(), [touch(&topics), touch(&events)], "the newest two of three");
    engine.reset();
    assert_eq!(engine.snapshot(), super::Metering::default());
    assert!(engine.read_log().is_empty());
}

#[test]
fn without_a_read_log_nothing_is_kept() {
    let engine = MeteredEngine::new(MemoryEngine::new());
    let database = DatabaseName::new("system").unwrap();
    let table = TableName::new("head").unwrap();
    block_on(engine.read(&database, Read::get(&table, "k"))).unwrap();
    assert!(engine.read_log().is_empty());
    assert_eq!(engine.to_string(), "metered(memory)");
}
