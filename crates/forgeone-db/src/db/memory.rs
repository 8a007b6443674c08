//! How the memory that a store may take is split.

use crate::stream::MemoryLimits;
use forgeone_db_engine::{Error, ErrorKind, Result};

/// The least that a store is opened with.
pub(super) const MEMORY_MIN: u64 = 48 << 20;
/// What every store needs whatever it may take: the stacks of its threads, and what the allocator
/// keeps for each of them.
const FIXED_BYTES: u64 = 36 << 20;

/// The shares of one store's memory. What is not given away is for manifests and what the allocator
/// cannot use.
#[derive(Debug, Clone, Copy)]
pub(super) struct MemorySplit {
    /// Pages that the engine keeps: 2 of 32 parts.
    pub(super) engine_pages: u64,
    /// Opened units and index pages: 2 of 32.
    pub(super) units: usize,
    /// What is put together for one commit of sealed data: 1 of 256, since a pass holds up to four of
    /// them in two forms, together 2 of 32.
    pub(super) sealing_batch: usize,
    /// Requests: 1 of 32, since one that is being committed is held in up to five forms; tails and
    /// memtables: 12 of 32; searches: 4 of 32.
    pub(super) limits: MemoryLimits,
}

impl MemorySplit {
    /// # Errors
    /// `Invalid` below [`MEMORY_MIN`].
    pub(super) fn new(memory_max: u64) -> Result<Self> {
        if memory_max < MEMORY_MIN {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a store does not work in so little memory; give it more",
            )
            .with("memory_max", memory_max)
            .with("memory_min", MEMORY_MIN));
        }
        let parts = |count: u64| (memory_max - FIXED_BYTES) / 32 * count;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Self {
            engine_pages: parts(2),
            units: size(parts(2)),
            sealing_batch: size(parts(1) / 8),
            limits: MemoryLimits {
                requests: size(parts(1)),
                tails: size(parts(12)),
                searches: size(parts(4)),
            },
        })
    }
}
