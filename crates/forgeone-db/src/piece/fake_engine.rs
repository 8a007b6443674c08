//! An engine over a map, for the tests of this module alone.

use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Direction, Durability, Engine, Entry, KeyRange,
    Operation, Page, Projection, Read, ReadResult, Result, TableName, Usage,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

type Key = (DatabaseName, TableName, bytes::Bytes);

#[derive(Debug, Default)]
pub(crate) struct FakeEngine(Mutex<BTreeMap<Key, bytes::Bytes>>);

impl fmt::Display for FakeEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fake")
    }
}

fn scan(entries: impl Iterator<Item = Entry>, keys_only: bool, entries_max: u32) -> Page {
    let mut entries: Vec<Entry> = entries.take(entries_max as usize + 1).collect();
    let more = entries.len() > entries_max as usize;
    entries.truncate(entries_max as usize);
    if keys_only {
        for entry in &mut entries {
            entry.value = bytes::Bytes::new();
        }
    }
    Page { entries, more }
}

impl Engine for FakeEngine {
    fn capability(&self) -> Capability {
        Capability {
            durability_max: Durability::None,
            key_bytes_max: 64,
            value_bytes_max: 64 << 10,
            value_bytes_preferred: 64 << 10,
            batch_operations_max: 64,
            batch_bytes_max: 1 << 20,
            range_delete_entries_max: 64,
            get_keys_max: 64,
            page_entries_max: 64,
        }
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let database = database.clone();
        Box::pin(async move {
            request.check(&self.capability())?;
            let map = self.0.lock().unwrap();
            Ok(match request {
                Read::Get(keys) => ReadResult::Values(
                    keys.into_iter()
                        .map(|(table, key)| map.get(&(database.clone(), table, key)).cloned())
                        .collect(),
                ),
                Read::Scan { table, range, direction, projection, entries_max, .. } => {
                    let inside = map
                        .iter()
                        .filter(|((d, t, key), _)| {
                            *d == database && *t == table && range.contains(key)
                        })
                        .map(|((_, _, key), value)| Entry {
                            key: key.clone(),
                            value: value.clone(),
                        });
                    let keys_only = projection == Projection::Keys;
                    ReadResult::Page(match direction {
                        Direction::Forward => scan(inside, keys_only, entries_max),
                        Direction::Reverse => scan(inside.rev(), keys_only, entries_max),
                    })
                }
            })
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            batch.check(durability, &self.capability())?;
            let mut map = self.0.lock().unwrap();
            let (database, _, operations) = batch.into_parts();
            for operation in operations {
                match operation {
                    Operation::Put { table, key, value } => {
                        map.insert((database.clone(), table, key), value);
                    }
                    Operation::Delete { table, key } => {
                        map.remove(&(database.clone(), table, key));
                    }
                    Operation::DeleteRange { table, range } => {
                        map.retain(|(d, t, key), _| {
                            *d != database || *t != table || !range.contains(key)
                        });
                    }
                }
            }
            Ok(())
        })
    }

    fn usage(&self, _: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        Box::pin(async { Ok(Usage::default()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

/// Every entry of a table.
pub(crate) fn dump(engine: &FakeEngine, table: &TableName) -> Vec<Entry> {
    let map = engine.0.lock().unwrap();
    map.iter()
        .filter(|((_, t, key), _)| t == table && KeyRange::all().contains(key))
        .map(|((_, _, key), value)| Entry { key: key.clone(), value: value.clone() })
        .collect()
}
