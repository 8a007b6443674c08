//! A write as a value: preconditions and operations on one database, applied whole or not at all.

use super::read::check_key;
use super::{Capability, DatabaseName, Durability, KeyRange, TableName};
use crate::error::{Error, ErrorKind, Result};
use bytes::Bytes;

/// What must hold for a batch to be applied. Checked inside the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The key has no value.
    Absent {
        /// The table of the key.
        table: TableName,
        /// The key.
        key: Bytes,
    },
    /// The key has exactly this value.
    Equals {
        /// The table of the key.
        table: TableName,
        /// The key.
        key: Bytes,
        /// The value it must have.
        value: Bytes,
    },
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Sets the value of a key, replacing what was there.
    Put {
        /// The table of the key.
        table: TableName,
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Removes a key; nothing happens if it is absent.
    Delete {
        /// The table of the key.
        table: TableName,
        /// The key.
        key: Bytes,
    },
    /// Removes every key of a range. The commit is `Invalid`, and nothing is written, if the range
    /// holds more than `range_delete_entries_max` entries.
    DeleteRange {
        /// The table of the range.
        table: TableName,
        /// The keys to remove.
        range: KeyRange,
    },
}

/// Preconditions and operations on one database. Operations apply in order, so a later one on the
/// same key wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    database: DatabaseName,
    preconditions: Vec<Precondition>,
    operations: Vec<Operation>,
}

impl Batch {
    /// An empty batch for `database`.
    pub fn new(database: DatabaseName) -> Self {
        Self { database, preconditions: Vec::new(), operations: Vec::new() }
    }

    /// Demands that `key` has no value.
    pub fn require_absent(&mut self, table: &TableName, key: impl Into<Bytes>) -> &mut Self {
        self.preconditions.push(Precondition::Absent { table: table.clone(), key: key.into() });
        self
    }

    /// Demands that `key` has exactly `value`.
    pub fn require_equals(
        &mut self,
        table: &TableName,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> &mut Self {
        self.preconditions.push(Precondition::Equals {
            table: table.clone(),
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Sets `key` to `value`.
    pub fn put(
        &mut self,
        table: &TableName,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
    ) -> &mut Self {
        self.operations.push(Operation::Put {
            table: table.clone(),
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Removes `key`.
    pub fn delete(&mut self, table: &TableName, key: impl Into<Bytes>) -> &mut Self {
        self.operations.push(Operation::Delete { table: table.clone(), key: key.into() });
        self
    }

    /// Removes every key of `range`, at most `range_delete_entries_max` of them.
    pub fn delete_range(&mut self, table: &TableName, range: KeyRange) -> &mut Self {
        self.operations.push(Operation::DeleteRange { table: table.clone(), range });
        self
    }

    /// The database the batch is for.
    pub fn database(&self) -> &DatabaseName {
        &self.database
    }

    /// What must hold, in the order given.
    pub fn preconditions(&self) -> &[Precondition] {
        &self.preconditions
    }

    /// What is done, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Takes the batch apart: database, preconditions, operations.
    pub fn into_parts(self) -> (DatabaseName, Vec<Precondition>, Vec<Operation>) {
        (self.database, self.preconditions, self.operations)
    }

    /// Bytes of all keys and values in the batch.
    pub fn bytes(&self) -> u64 {
        let conditions = self.preconditions.iter().map(|condition| match condition {
            Precondition::Absent { key, .. } => key.len(),
            Precondition::Equals { key, value, .. } => key.len() + value.len(),
        });
        let operations = self.operations.iter().map(|operation| match operation {
            Operation::Put { key, value, .. } => key.len() + value.len(),
            Operation::Delete { key, .. } => key.len(),
            Operation::DeleteRange { range, .. } => {
                range.start.len() + range.end.as_ref().map_or(0, Bytes::len)
            }
        });
        conditions.chain(operations).map(|len| len as u64).sum()
    }

    /// Checks the batch against the limits. Every engine calls this first. How many entries a
    /// range delete would remove is checked by the engine inside the commit.
    ///
    /// # Errors
    /// `Invalid`, naming the limit; `Unsupported` for more durability than the engine can give.
    pub fn check(&self, durability: Durability, capability: &Capability) -> Result<()> {
        if durability > capability.durability_max {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this engine cannot make a commit that durable",
            )
            .with("asked", format_args!("{durability:?}"))
            .with("durability_max", format_args!("{:?}", capability.durability_max)));
        }
        let count = self.preconditions.len() + self.operations.len();
        if count > capability.batch_operations_max as usize {
            return Err(Error::new(ErrorKind::Invalid, "a batch has too many operations")
                .with("operations", count)
                .with("batch_operations_max", capability.batch_operations_max));
        }
        if self.bytes() > capability.batch_bytes_max {
            return Err(Error::new(ErrorKind::Invalid, "a batch has too many bytes")
                .with("bytes", self.bytes())
                .with("batch_bytes_max", capability.batch_bytes_max));
        }
        for condition in &self.preconditions {
            match condition {
                Precondition::Absent { key, .. } => check_key(key, capability)?,
                Precondition::Equals { key, value, .. } => {
                    check_key(key, capability)?;
                    check_value(value, capability)?;
                }
            }
        }
        self.operations.iter().try_for_each(|operation| match operation {
            Operation::Put { key, value, .. } => {
                check_key(key, capability)?;
                check_value(value, capability)
            }
            Operation::Delete { key, .. } => check_key(key, capability),
            Operation::DeleteRange { range, .. } => range.check(capability),
        })
    }
}

fn check_value(value: &[u8], capability: &Capability) -> Result<()> {
    if value.len() as u64 > capability.value_bytes_max {
        return Err(Error::new(ErrorKind::Invalid, "a value is too large")
            .with("value_bytes", value.len())
            .with("value_bytes_max", capability.value_bytes_max));
    }
    Ok(())
}

/// The error of a precondition that does not hold.
fn conflict(table: &TableName) -> Error {
    Error::new(ErrorKind::Conflict, "a precondition of the commit does not hold")
        .with("table", table)
}

impl Precondition {
    /// Compares the condition with the value its key has now.
    ///
    /// # Errors
    /// `Conflict` when it does not hold.
    pub fn compare(&self, present: Option<&[u8]>) -> Result<()> {
        match self {
            Self::Absent { table, .. } if present.is_some() => Err(conflict(table)),
            Self::Equals { table, value, .. } if present != Some(&**value) => Err(conflict(table)),
            _ => Ok(()),
        }
    }

    /// The table and key that the condition is about.
    pub fn place(&self) -> (&TableName, &Bytes) {
        match self {
            Self::Absent { table, key } | Self::Equals { table, key, .. } => (table, key),
        }
    }
}
