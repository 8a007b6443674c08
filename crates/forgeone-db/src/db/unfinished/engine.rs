//! An engine under a salvage: what is written as the keyring of the new store lies in another
//! database, where nobody looks for one.

use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Operation, Precondition, Read,
    ReadResult, Result, Usage,
};
use std::fmt;
use std::sync::Arc;

/// Passes everything on, what concerns one database to another one.
#[derive(Debug)]
pub(super) struct SalvageEngine {
    inner: Arc<dyn Engine>,
    from: DatabaseName,
    to: DatabaseName,
}

impl SalvageEngine {
    pub(super) fn new(inner: Arc<dyn Engine>, from: DatabaseName, to: DatabaseName) -> Self {
        Self { inner, from, to }
    }

    fn place<'a>(&'a self, database: &'a DatabaseName) -> &'a DatabaseName {
        if *database == self.from { &self.to } else { database }
    }

    fn moved(&self, batch: Batch) -> Batch {
        if *batch.database() != self.from {
            return batch;
        }
        let (_, preconditions, operations) = batch.into_parts();
        let mut moved = Batch::new(self.to.clone());
        for condition in preconditions {
            match condition {
                Precondition::Absent { table, key } => moved.require_absent(&table, key),
                Precondition::Equals { table, key, value } => {
                    moved.require_equals(&table, key, value)
                }
            };
        }
        for operation in operations {
            match operation {
                Operation::Put { table, key, value } => moved.put(&table, key, value),
                Operation::Delete { table, key } => moved.delete(&table, key),
                Operation::DeleteRange { table, range } => moved.delete_range(&table, range),
            };
        }
        moved
    }
}

#[deny(clippy::missing_trait_methods)]
impl Engine for SalvageEngine {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        self.inner.read(self.place(database), request)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        self.inner.commit(self.moved(batch), durability)
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.inner.usage(self.place(database))
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        self.inner.compact(self.place(database))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }
}

impl fmt::Display for SalvageEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "salvaging({})", self.inner)
    }
}
