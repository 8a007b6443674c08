//! What an engine can do, as facts with units.

/// How much of a commit survives what. Ordered: a greater level includes the smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Visible to every reader of the handle; gone with the process, or with the next crash.
    None,
    /// Survives process kill and power loss: everything needed to recover the commit has been
    /// synced successfully.
    Sync,
}

/// An engine's limits. A request beyond one of them is `Invalid` on every engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// The strongest durability a commit can be given.
    pub durability_max: Durability,
    /// Bytes of the longest key; at least 32.
    pub key_bytes_max: u32,
    /// Bytes of the largest value; at least 64 KiB.
    pub value_bytes_max: u64,
    /// A size at or just under which values are stored without waste, in bytes.
    pub value_bytes_preferred: u32,
    /// Operations and preconditions in one batch; at least 64.
    pub batch_operations_max: u32,
    /// Bytes of keys and values in one batch; at least `value_bytes_max + key_bytes_max`, so that
    /// the largest entry can be put.
    pub batch_bytes_max: u64,
    /// Entries that one range delete may remove; at least 64.
    pub range_delete_entries_max: u32,
    /// Keys in one get; at least 64.
    pub get_keys_max: u32,
    /// Entries in one page of a scan; at least 64.
    pub page_entries_max: u32,
}

impl Capability {
    /// The lesser of two capabilities, field by field.
    pub(crate) fn lesser(self, other: Self) -> Self {
        Self {
            durability_max: self.durability_max.min(other.durability_max),
            key_bytes_max: self.key_bytes_max.min(other.key_bytes_max),
            value_bytes_max: self.value_bytes_max.min(other.value_bytes_max),
            value_bytes_preferred: self.value_bytes_preferred.min(other.value_bytes_preferred),
            batch_operations_max: self.batch_operations_max.min(other.batch_operations_max),
            batch_bytes_max: self.batch_bytes_max.min(other.batch_bytes_max),
            range_delete_entries_max: self
                .range_delete_entries_max
                .min(other.range_delete_entries_max),
            get_keys_max: self.get_keys_max.min(other.get_keys_max),
            page_entries_max: self.page_entries_max.min(other.page_entries_max),
        }
    }
}

/// The space of one database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes allocated to the database, free space inside it included.
    pub allocated_bytes: u64,
    /// Bytes that the medium below can still give; `None` where the engine cannot tell.
    pub available_bytes: Option<u64>,
}
