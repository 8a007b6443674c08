//! For tests: the strict engine with the smallest limits that the contract allows, and a way to
//! the bytes below it.

use bytes::Bytes;
use forgeone_db_engine::strict::MINIMUM_LIMITS;
use forgeone_db_engine::{
    Batch, DatabaseName, Direction, Durability, Engine as _, Entry, KeyRange, MemoryEngine,
    Projection, Read, StrictEngine, TableName,
};
use futures::FutureExt as _;

pub(crate) type Strict = StrictEngine<MemoryEngine>;

pub(crate) fn strict() -> Strict {
    StrictEngine::with_limits(MemoryEngine::with_limits(MINIMUM_LIMITS), MINIMUM_LIMITS, 5)
}

/// Every stored entry of a table.
pub(crate) fn dump(engine: &Strict, database: &DatabaseName, table: &TableName) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut range = KeyRange::all();
    loop {
        let scan = Read::Scan {
            table: table.clone(),
            range,
            direction: Direction::Forward,
            projection: Projection::Entries,
            entries_max: 64,
            bytes_max: 1 << 20,
        };
        let answer = engine.inner().read(database, scan).now_or_never().expect("never suspends");
        let page = answer.unwrap().into_page().unwrap();
        entries.extend(page.entries);
        if !page.more {
            return entries;
        }
        let mut next = entries.last().unwrap().key.to_vec();
        next.push(0);
        range = KeyRange::from(next);
    }
}

/// Sets or removes one stored value behind everybody's back.
pub(crate) fn tamper(
    engine: &Strict,
    database: &DatabaseName,
    table: &TableName,
    key: &Bytes,
    value: Option<Vec<u8>>,
) {
    let mut batch = Batch::new(database.clone());
    match value {
        Some(value) => batch.put(table, key.clone(), value),
        None => batch.delete(table, key.clone()),
    };
    let done = engine.inner().commit(batch, Durability::None).now_or_never();
    done.expect("never suspends").unwrap();
}
