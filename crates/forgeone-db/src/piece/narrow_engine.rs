//! The engine in memory with the smallest limits that the contract allows, for tests.

use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Direction, Durability, Engine, Entry, KeyRange,
    MemoryEngine, Projection, Read, ReadResult, Result, TableName, Usage,
};
use futures::executor::block_on;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts its reads, and takes no more than any engine must.
#[derive(Debug, Default)]
pub(crate) struct NarrowEngine {
    inner: MemoryEngine,
    reads: AtomicUsize,
}

impl NarrowEngine {
    /// Calls of `read` so far.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Every entry of a table.
    pub(crate) fn dump(&self, database: &DatabaseName, table: &TableName) -> Vec<Entry> {
        let mut entries = Vec::new();
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
            let page = block_on(self.inner.read(database, scan)).unwrap().into_page().unwrap();
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
        &self,
        database: &DatabaseName,
        table: &TableName,
        key: &bytes::Bytes,
        value: Option<Vec<u8>>,
    ) {
        let mut batch = Batch::new(database.clone());
        match value {
            Some(value) => batch.put(table, key.clone(), value),
            None => batch.delete(table, key.clone()),
        };
        block_on(self.inner.commit(batch, Durability::None)).unwrap();
    }
}

impl fmt::Display for NarrowEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "narrow({})", self.inner)
    }
}

impl Engine for NarrowEngine {
    fn capability(&self) -> Capability {
        Capability {
            durability_max: Durability::None,
            key_bytes_max: 32,
            value_bytes_max: 64 << 10,
            value_bytes_preferred: 64 << 10,
            batch_operations_max: 64,
            batch_bytes_max: (64 << 10) + 32,
            range_delete_entries_max: 64,
            get_keys_max: 64,
            page_entries_max: 64,
        }
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = request.check(&self.capability()) {
            return Box::pin(async { Err(error) });
        }
        self.inner.read(database, request)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        if let Err(error) = batch.check(durability, &self.capability()) {
            return Box::pin(async { Err(error) });
        }
        self.inner.commit(batch, durability)
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.inner.usage(database)
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}
