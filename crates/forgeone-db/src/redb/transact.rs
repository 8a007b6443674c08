//! Requests of the contract as redb transactions, none of which outlives the call.

use super::failure;
use bytes::Bytes;
use forgeone_db_engine::{
    Batch, Direction, Entry, Error, ErrorKind, KeyRange, Operation, Page, Projection, Read,
    ReadResult, TableName, mutant,
};
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable as _, Table,
    TableDefinition, TableError, WriteTransaction,
};
use std::collections::BTreeMap;
use std::ops::Bound;

type Blob = &'static [u8];
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);
type Definition<'a> = TableDefinition<'a, Blob, Blob>;

/// How a commit ended other than well, by what the caller must do about it.
#[derive(Debug)]
pub(super) enum CommitFailure {
    /// Rolled back, and the file is as usable as before.
    RolledBack(Error),
    /// No write transaction could be begun: nothing was written, and nothing can be.
    NotBegun(redb::Error),
    /// The batch may be in the file, or parts of its pages may be, and redb has latched the file.
    Unknown(redb::Error),
}

/// Why a batch could not be applied inside its transaction.
enum Refusal {
    /// The contract says no.
    Contract(Error),
    /// redb failed.
    Redb(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl Refusal {
    fn into_error(self) -> Error {
        match self {
            Self::Contract(error) => error,
            Self::Redb(error) => failure::from_redb(error),
        }
    }
}

/// Answers one read from one snapshot.
pub(super) fn read(
    database: &impl ReadableDatabase,
    request: &Read,
) -> Result<ReadResult, redb::Error> {
    let transaction = database.begin_read()?;
    match request {
        Read::Get(keys) => get(&transaction, keys).map(ReadResult::Values),
        Read::Scan { table, .. } => match open(&transaction, table)? {
            Some(table) => scan(&table, request).map(ReadResult::Page),
            None => Ok(absent(request)),
        },
    }
}

/// The answer of a database that does not exist.
pub(super) fn absent(request: &Read) -> ReadResult {
    match request {
        Read::Get(keys) => ReadResult::Values(vec![None; keys.len()]),
        Read::Scan { .. } => ReadResult::Page(Page::default()),
    }
}

fn open(
    transaction: &ReadTransaction,
    table: &TableName,
) -> Result<Option<ReadOnlyTable<Blob, Blob>>, redb::Error> {
    match transaction.open_table(Definition::new(table.as_str())) {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn get(
    transaction: &ReadTransaction,
    keys: &[(TableName, Bytes)],
) -> Result<Vec<Option<Bytes>>, redb::Error> {
    let mut tables = BTreeMap::new();
    let mut values = Vec::with_capacity(keys.len());
    for (name, key) in keys {
        if !tables.contains_key(name) {
            tables.insert(name, open(transaction, name)?);
        }
        let value = match tables.get(name) {
            Some(Some(table)) => table.get(&**key)?,
            _ => None,
        };
        values.push(value.map(|value| Bytes::copy_from_slice(value.value())));
    }
    Ok(values)
}

fn scan(table: &ReadOnlyTable<Blob, Blob>, request: &Read) -> Result<Page, redb::Error> {
    let Read::Scan { range, direction, projection, entries_max, bytes_max, .. } = request else {
        return Ok(Page::default());
    };
    let Some(bounds) = bounds(range) else { return Ok(Page::default()) };
    let mut entries = Vec::new();
    let mut bytes = 0_u64;
    let mut found = table.range::<&[u8]>(bounds)?;
    loop {
        let next = match direction {
            Direction::Forward => found.next(),
            Direction::Reverse => found.next_back(),
        };
        let Some(entry) = next.transpose()? else {
            return Ok(Page { entries, more: false });
        };
        // The entry that does not fit is looked at all the same: it is what `more` knows.
        if entries.len() >= *entries_max as usize || (bytes >= *bytes_max && !entries.is_empty()) {
            return Ok(Page { entries, more: true });
        }
        let key = Bytes::copy_from_slice(entry.0.value());
        check_order(range, *direction, entries.last(), &key)?;
        let value = match projection {
            Projection::Keys => Bytes::new(),
            Projection::Entries => Bytes::copy_from_slice(entry.1.value()),
        };
        bytes = bytes.saturating_add((key.len() + value.len()) as u64);
        entries.push(Entry { key, value });
    }
}

/// A damaged tree may lead back to where it came from, and then has no end.
fn check_order(
    range: &KeyRange,
    direction: Direction,
    before: Option<&Entry>,
    key: &Bytes,
) -> Result<(), redb::Error> {
    let inside = *key >= range.start && range.end.as_ref().is_none_or(|end| key < end);
    let onward = before.is_none_or(|before| match direction {
        Direction::Forward => *key > before.key,
        Direction::Reverse => *key < before.key,
    });
    if inside && onward {
        return Ok(());
    }
    Err(redb::Error::Corrupted("the entries of a table are out of order".to_owned()))
}

/// The range as redb takes it; `None` for one that holds no key.
fn bounds(range: &KeyRange) -> Option<Bounds<'_>> {
    match &range.end {
        Some(end) if *end <= range.start => None,
        Some(end) => Some((Bound::Included(&*range.start), Bound::Excluded(&**end))),
        None => Some((Bound::Included(&*range.start), Bound::Unbounded)),
    }
}

/// Applies a batch in a transaction of its own, durable on return.
pub(super) fn commit(
    database: &Database,
    batch: &Batch,
    range_delete_entries_max: u32,
) -> Result<(), CommitFailure> {
    let transaction =
        database.begin_write().map_err(|error| CommitFailure::NotBegun(error.into()))?;
    match apply(&transaction, batch, range_delete_entries_max) {
        Ok(()) if batch.operations().is_empty() => roll_back(transaction),
        Ok(()) if mutant!("ignore-a-failed-sync") => {
            transaction.commit().ok();
            Ok(())
        }
        Ok(()) => transaction.commit().map_err(|error| CommitFailure::Unknown(error.into())),
        Err(refusal) => match (roll_back(transaction), refusal) {
            // redb takes it back without a word, and nothing works on the file from then on.
            (Ok(()), Refusal::Redb(error)) if failure::latches(&error) => {
                Err(CommitFailure::Unknown(error))
            }
            (Ok(()), refusal) => Err(CommitFailure::RolledBack(refusal.into_error())),
            // The first failure says more than redb's answer that the file is latched.
            (Err(_), Refusal::Redb(error)) => Err(CommitFailure::Unknown(error)),
            (Err(latched), Refusal::Contract(_)) => Err(latched),
        },
    }
}

fn roll_back(transaction: WriteTransaction) -> Result<(), CommitFailure> {
    transaction.abort().map_err(|error| CommitFailure::Unknown(error.into()))
}

fn apply(
    transaction: &WriteTransaction,
    batch: &Batch,
    range_delete_entries_max: u32,
) -> Result<(), Refusal> {
    let mut tables = Tables { transaction, open: BTreeMap::new() };
    for condition in batch.preconditions() {
        let (table, key) = condition.place();
        let present = tables.table(table)?.get(&**key)?;
        let present = present.as_ref().map(redb::AccessGuard::value);
        condition.compare(present).map_err(Refusal::Contract)?;
    }
    for operation in batch.operations() {
        match operation {
            Operation::Put { table, key, value } => {
                tables.table(table)?.insert(&**key, &**value)?;
            }
            Operation::Delete { table, key } => {
                tables.table(table)?.remove(&**key)?;
            }
            Operation::DeleteRange { table, range } => {
                delete_range(tables.table(table)?, range, range_delete_entries_max)?;
            }
        }
    }
    Ok(())
}

fn delete_range(
    table: &mut Table<'_, Blob, Blob>,
    range: &KeyRange,
    entries_max: u32,
) -> Result<(), Refusal> {
    let Some(bounds) = bounds(range) else { return Ok(()) };
    let mut count = 0_u32;
    for entry in table.range::<&[u8]>(bounds)? {
        entry?;
        count += 1;
        if count > entries_max {
            return Err(Refusal::Contract(
                Error::new(ErrorKind::Invalid, "a range delete would remove too many entries")
                    .with("range_delete_entries_max", entries_max),
            ));
        }
    }
    table.retain_in::<&[u8], _>(bounds, |_, _| false)?;
    Ok(())
}

/// The tables that a transaction has opened so far: redb opens each only once.
struct Tables<'t> {
    transaction: &'t WriteTransaction,
    open: BTreeMap<TableName, Table<'t, Blob, Blob>>,
}

impl<'t> Tables<'t> {
    fn table(&mut self, name: &TableName) -> Result<&mut Table<'t, Blob, Blob>, TableError> {
        use std::collections::btree_map::Entry as Slot;
        match self.open.entry(name.clone()) {
            Slot::Occupied(open) => Ok(open.into_mut()),
            Slot::Vacant(slot) => {
                let table = self.transaction.open_table(Definition::new(name.as_str()))?;
                Ok(slot.insert(table))
            }
        }
    }
}
