//! One database in memory: what a commit does to it, and what a read sees of it.
//!
//! Absent on purpose: locks and handles, which are the engine's.

use crate::contract::{
    Batch, Direction, Entry, KeyRange, Operation, Page, Projection, Read, ReadResult, TableName,
};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;

type Table = BTreeMap<Bytes, Bytes>;

/// The tables of one database, and the bytes in them.
#[derive(Default)]
pub(super) struct Database {
    tables: BTreeMap<TableName, Table>,
    bytes: u64,
}

/// What a key was before the batch in progress touched it.
struct Undo {
    table: TableName,
    key: Bytes,
    before: Option<Bytes>,
}

impl Database {
    /// Bytes of all keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn get(&self, table: &TableName, key: &[u8]) -> Option<&Bytes> {
        self.tables.get(table)?.get(key)
    }

    /// Applies the operations in order. On failure everything done so far is undone.
    pub(super) fn apply(&mut self, batch: &Batch, range_delete_entries_max: u32) -> Result<()> {
        let mut done = Vec::with_capacity(batch.operations().len());
        let result = batch
            .operations()
            .iter()
            .try_for_each(|operation| self.step(operation, range_delete_entries_max, &mut done));
        if result.is_err() {
            for undo in done.into_iter().rev() {
                self.set(&undo.table, undo.key, undo.before);
            }
        }
        result
    }

    fn step(&mut self, operation: &Operation, max: u32, done: &mut Vec<Undo>) -> Result<()> {
        let mut change = |database: &mut Self, table: &TableName, key: &Bytes, value| {
            let key = Bytes::copy_from_slice(key);
            let before = database.set(table, key.clone(), value);
            done.push(Undo { table: table.clone(), key, before });
        };
        match operation {
            Operation::Put { table, key, value } => {
                change(self, table, key, Some(Bytes::copy_from_slice(value)));
            }
            Operation::Delete { table, key } => change(self, table, key, None),
            Operation::DeleteRange { table, range } => {
                let keys: Vec<Bytes> = self.tables.get(table).map_or_else(Vec::new, |entries| {
                    let keys = entries.range::<[u8], _>(bounds(range)).map(|(key, _)| key.clone());
                    keys.take(max as usize + 1).collect()
                });
                if keys.len() > max as usize {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "a range delete would remove too many entries",
                    )
                    .with("table", table)
                    .with("range_delete_entries_max", max));
                }
                for key in &keys {
                    change(self, table, key, None);
                }
            }
        }
        Ok(())
    }

    /// Sets or removes one key, keeping the total; returns what was there.
    fn set(&mut self, table: &TableName, key: Bytes, value: Option<Bytes>) -> Option<Bytes> {
        let key_bytes = key.len() as u64;
        let added = value.as_ref().map_or(0, |value| key_bytes + value.len() as u64);
        let before = match value {
            Some(value) => self.tables.entry(table.clone()).or_default().insert(key, value),
            None => self.tables.get_mut(table).and_then(|entries| entries.remove(&key)),
        };
        let removed = before.as_ref().map_or(0, |value| key_bytes + value.len() as u64);
        self.bytes = (self.bytes + added).saturating_sub(removed);
        before
    }
}

/// Checks every precondition of a batch against what the database holds now.
pub(super) fn check_preconditions(database: Option<&Database>, batch: &Batch) -> Result<()> {
    batch.preconditions().iter().try_for_each(|condition| {
        let (table, key) = condition.place();
        condition.compare(database.and_then(|database| database.get(table, key)).map(|v| &**v))
    })
}

/// Answers a checked request.
pub(super) fn read(database: Option<&Database>, request: &Read) -> ReadResult {
    match request {
        Read::Get(keys) => ReadResult::Values(
            keys.iter().map(|(table, key)| database?.get(table, key).cloned()).collect(),
        ),
        Read::Scan { table, range, direction, projection, entries_max, bytes_max } => {
            let Some(entries) = database.and_then(|database| database.tables.get(table)) else {
                return ReadResult::Page(Page::default());
            };
            let found = entries.range::<[u8], _>(bounds(range));
            let limit = (*entries_max as usize, *bytes_max);
            ReadResult::Page(match direction {
                Direction::Forward => page(found, *projection, limit),
                Direction::Reverse => page(found.rev(), *projection, limit),
            })
        }
    }
}

fn page<'a>(
    mut found: impl Iterator<Item = (&'a Bytes, &'a Bytes)>,
    projection: Projection,
    (entries_max, bytes_max): (usize, u64),
) -> Page {
    let mut page = Page::default();
    let mut bytes = 0;
    while page.entries.len() < entries_max {
        let Some((key, value)) = found.next() else { return page };
        let value = match projection {
            Projection::Keys => Bytes::new(),
            Projection::Entries => value.clone(),
        };
        bytes += (key.len() + value.len()) as u64;
        page.entries.push(Entry { key: key.clone(), value });
        if bytes >= bytes_max {
            break;
        }
    }
    page.more = found.next().is_some();
    page
}

/// The bounds of a checked range: it does not end before it starts, which `BTreeMap` panics on.
fn bounds(range: &KeyRange) -> (Bound<&[u8]>, Bound<&[u8]>) {
    let end = range.end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(&**end));
    (Bound::Included(&range.start), end)
}
