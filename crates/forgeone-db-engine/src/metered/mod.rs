//! An engine that counts: what each table costs in calls, keys and bytes.
//!
//! Absent on purpose: time. A clock belongs to whoever runs the store.

use crate::contract::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Operation, Read, ReadResult,
    TableName, Usage,
};
use crate::error::Result;
use crate::task::lock;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Mutex;

/// What one table was asked for and given. Reads count when they succeed, apart from `gets`,
/// `scans` and `keys_asked`, which count when they are asked; writes count when their commit
/// succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableCounts {
    /// Gets that name the table.
    pub gets: u64,
    /// Keys that those gets ask for.
    pub keys_asked: u64,
    /// Pages of scans.
    pub scans: u64,
    /// Keys found by gets, and entries returned by scans.
    pub keys_read: u64,
    /// Bytes returned: values of gets, keys and values of scans.
    pub bytes_read: u64,
    /// Puts committed.
    pub puts: u64,
    /// Deletes of one key committed.
    pub deletes: u64,
    /// Range deletes committed.
    pub range_deletes: u64,
    /// Bytes of keys and values in the puts committed.
    pub bytes_written: u64,
}

/// What one database was asked to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DatabaseCounts {
    /// Commits that succeeded.
    pub commits: u64,
    /// Commits that failed, conflicts and refused requests included.
    pub commits_failed: u64,
    /// Compactions that succeeded.
    pub compactions: u64,
}

/// Everything counted so far, as plain data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metering {
    /// By database and table.
    pub tables: BTreeMap<(DatabaseName, TableName), TableCounts>,
    /// By database.
    pub databases: BTreeMap<DatabaseName, DatabaseCounts>,
}

impl Metering {
    /// The counts of one table; all zero if it was never touched.
    pub fn table(&self, database: &DatabaseName, table: &TableName) -> TableCounts {
        self.tables.get(&(database.clone(), table.clone())).copied().unwrap_or_default()
    }

    /// The counts of one database; all zero if nothing was ever committed to it.
    pub fn database(&self, database: &DatabaseName) -> DatabaseCounts {
        self.databases.get(database).copied().unwrap_or_default()
    }
}

/// One read of one table, in the order in which reads were asked. A get that names several tables
/// touches each of them once, in the order in which it names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// The database read.
    pub database: DatabaseName,
    /// The table read.
    pub table: TableName,
}

/// Counts what passes through, for tests of cost and for metrics.
///
/// # Limits
/// Memory for one record for each table ever touched, and for the read log, which is off unless
/// [`with_read_log`](Self::with_read_log) turns it on and then keeps the newest touches.
#[derive(Debug)]
pub struct MeteredEngine<E> {
    inner: E,
    log_entries_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    metering: Metering,
    log: VecDeque<Touch>,
}

impl<E: Engine> MeteredEngine<E> {
    /// Wraps `inner`, counting from zero, without a read log.
    pub fn new(inner: E) -> Self {
        Self::with_read_log(inner, 0)
    }

    /// Wraps `inner`, and keeps the newest `log_entries_max` touches of reads.
    pub fn with_read_log(inner: E, log_entries_max: usize) -> Self {
        Self { inner, log_entries_max, state: Mutex::default() }
    }

    /// The engine below.
    pub const fn inner(&self) -> &E {
        &self.inner
    }

    /// A copy of all counts.
    pub fn snapshot(&self) -> Metering {
        lock(&self.state).metering.clone()
    }

    /// The touches kept, oldest first.
    pub fn read_log(&self) -> Vec<Touch> {
        lock(&self.state).log.iter().cloned().collect()
    }

    /// Sets all counts to zero and empties the read log.
    pub fn reset(&self) {
        *lock(&self.state) = State::default();
    }

    fn asked(&self, database: &DatabaseName, request: &Read) {
        let mut state = lock(&self.state);
        let mut touched = Vec::new();
        match request {
            Read::Get(keys) => {
                let mut seen = BTreeSet::new();
                for (table, _) in keys {
                    let counts = state.table(database, table);
                    counts.keys_asked += 1;
                    if seen.insert(table) {
                        counts.gets += 1;
                        touched.push(table.clone());
                    }
                }
            }
            Read::Scan { table, .. } => {
                state.table(database, table).scans += 1;
                touched.push(table.clone());
            }
        }
        for table in touched {
            state.log.push_back(Touch { database: database.clone(), table });
            if state.log.len() > self.log_entries_max {
                state.log.pop_front();
            }
        }
    }

    fn answered(&self, database: &DatabaseName, request: &Read, result: &ReadResult) {
        let mut state = lock(&self.state);
        match (request, result) {
            (Read::Get(keys), ReadResult::Values(values)) => {
                for ((table, _), value) in keys.iter().zip(values) {
                    if let Some(value) = value {
                        let counts = state.table(database, table);
                        counts.keys_read += 1;
                        counts.bytes_read += value.len() as u64;
                    }
                }
            }
            (Read::Scan { table, .. }, ReadResult::Page(page)) => {
                let counts = state.table(database, table);
                counts.keys_read += page.entries.len() as u64;
                let bytes = page.entries.iter().map(|entry| entry.key.len() + entry.value.len());
                counts.bytes_read += bytes.sum::<usize>() as u64;
            }
            _ => {}
        }
    }
}

impl State {
    fn table(&mut self, database: &DatabaseName, table: &TableName) -> &mut TableCounts {
        self.metering.tables.entry((database.clone(), table.clone())).or_default()
    }

    fn add(&mut self, database: &DatabaseName, written: BTreeMap<TableName, TableCounts>) {
        for (table, new) in written {
            let counts = self.table(database, &table);
            counts.puts += new.puts;
            counts.deletes += new.deletes;
            counts.range_deletes += new.range_deletes;
            counts.bytes_written += new.bytes_written;
        }
    }
}

/// What a batch writes, by table; taken before the batch is given away.
fn written(batch: &Batch) -> BTreeMap<TableName, TableCounts> {
    let mut tables: BTreeMap<TableName, TableCounts> = BTreeMap::new();
    for operation in batch.operations() {
        match operation {
            Operation::Put { table, key, value } => {
                let counts = tables.entry(table.clone()).or_default();
                counts.puts += 1;
                counts.bytes_written += (key.len() + value.len()) as u64;
            }
            Operation::Delete { table, .. } => {
                tables.entry(table.clone()).or_default().deletes += 1;
            }
            Operation::DeleteRange { table, .. } => {
                tables.entry(table.clone()).or_default().range_deletes += 1;
            }
        }
    }
    tables
}

#[deny(clippy::missing_trait_methods)]
impl<E: Engine> Engine for MeteredEngine<E> {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let database = database.clone();
        Box::pin(async move {
            self.asked(&database, &request);
            let result = self.inner.read(&database, request.clone()).await?;
            self.answered(&database, &request, &result);
            Ok(result)
        })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let database = batch.database().clone();
            let written = written(&batch);
            let result = self.inner.commit(batch, durability).await;
            let mut state = lock(&self.state);
            let counts = state.metering.databases.entry(database.clone()).or_default();
            if result.is_ok() {
                counts.commits += 1;
                state.add(&database, written);
            } else {
                counts.commits_failed += 1;
            }
            drop(state);
            result
        })
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.inner.usage(database)
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        let database = database.clone();
        Box::pin(async move {
            self.inner.compact(&database).await?;
            lock(&self.state).metering.databases.entry(database).or_default().compactions += 1;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}

impl<E: Engine> fmt::Display for MeteredEngine<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metered({})", self.inner)
    }
}

#[cfg(test)]
mod tests;
