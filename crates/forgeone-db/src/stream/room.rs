//! Whether there is room for a write, and what is set aside for the time when there is none.
//!
//! Absent on purpose: where the reserve lies and how it is given back, which the medium knows.

use super::store::Shared;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::PoisonError;

/// Free space that writes leave alone, so that a copy-on-write engine can still delete: the smaller of
/// this and a fiftieth of what the store has and could have. What of it is set aside counts.
const LEFT_ALONE_BYTES_MAX: u64 = 64 << 20;
/// Less than this is not worth a file.
const RESERVE_BYTES_MIN: u64 = 64 << 10;
/// On a small disk a fiftieth is too little for anything: there it is so much, or an eighth.
const RESERVE_BYTES_SMALL: u64 = 1 << 20;
/// What stays free beside the reserve, so that a write seldom meets the end of the disk.
const MARGIN_BYTES_MAX: u64 = 256 << 10;

/// What a store occupies, and what it could.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// By all databases.
    allocated: u64,
    available: u64,
    reserve: u64,
    quota: u64,
}

impl Room {
    fn disk(&self) -> u64 {
        self.available.saturating_add(self.allocated).saturating_add(self.reserve)
    }

    fn left_alone(&self) -> u64 {
        LEFT_ALONE_BYTES_MAX.min(self.disk() / 50)
    }

    /// Bytes to set aside, at most `max`: a fiftieth of the disk and of the quota, and never more than
    /// the store holds. A disk too small for that has an eighth set aside from the start.
    fn reserve_wanted(&self, max: u64) -> u64 {
        let eighth = self.disk() / 8;
        let share = (self.disk() / 50).max(eighth.min(RESERVE_BYTES_SMALL));
        let held = if eighth < RESERVE_BYTES_SMALL { u64::MAX } else { self.allocated };
        let of_quota = if self.quota == 0 { u64::MAX } else { self.quota / 50 };
        max.min(share).min(of_quota).min(held)
    }

    /// Bytes that writes leave free: what the reserve is to have and has not, so that it is never spent
    /// on new data, and a little beside it.
    fn margin(&self, reserve_max: u64) -> u64 {
        let held_back = self.left_alone().max(self.reserve_wanted(reserve_max));
        let beside = self.left_alone().min(MARGIN_BYTES_MAX);
        held_back.saturating_sub(self.reserve).max(beside)
    }

    /// Whether the quota has room for so many bytes more.
    fn fits(&self, bytes: u64) -> bool {
        let occupied = self.allocated.saturating_add(self.reserve);
        self.quota == 0 || occupied.saturating_add(bytes) <= self.quota
    }
}

impl Shared {
    /// None where the medium does not say how much it can give.
    async fn room(&self) -> Result<(Room, bool)> {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (mut allocated, mut available) = (0u64, None);
        for database in &databases {
            let usage = self.engine.usage(database).await?;
            allocated = allocated.saturating_add(usage.allocated_bytes);
            available = usage.available_bytes.or(available);
        }
        let room = Room {
            allocated,
            available: available.unwrap_or(u64::MAX),
            reserve: self.medium.as_ref().map_or(0, |medium| medium.reserve_bytes()),
            quota: self.quota_bytes(),
        };
        Ok((room, available.is_some()))
    }

    /// Refuses a write of about `bytes` before quota or disk are full, also with `unsealed` bytes that
    /// are still to be written another time. Where there is room enough, sees to the reserve.
    ///
    /// # Errors
    /// `Full`, rejected, naming the limit.
    pub(crate) async fn check_room(&self, bytes: u64, unsealed: u64) -> Result<()> {
        let pending = bytes.saturating_add(unsealed).saturating_mul(2);
        let (room, is_bounded) = self.room().await?;
        let room = self.see_to_the_reserve(room, pending);
        if !room.fits(bytes) {
            return Err(Error::new(
                ErrorKind::Full,
                "the store's quota is reached; raise max_size_gb or remove data",
            )
            .with("allocated_bytes", room.allocated)
            .with("reserve_bytes", room.reserve)
            .with("quota_bytes", room.quota));
        }
        let margin = room.margin(self.reserve_max);
        if is_bounded && room.available < margin.saturating_add(pending) {
            return Err(Error::new(
                ErrorKind::Full,
                "the disk is almost full; free space, then try again",
            )
            .with("available_bytes", room.available)
            .with("left_alone_bytes", margin)
            .with("reserve_bytes", room.reserve));
        }
        Ok(())
    }

    /// Makes the reserve as large as it is to be, if it is a good deal less and the disk has plenty;
    /// gives back one that the options do not want.
    fn see_to_the_reserve(&self, mut room: Room, pending: u64) -> Room {
        let Some(medium) = &self.medium else { return room };
        if room.reserve / 2 > self.reserve_max {
            room.available = room.available.saturating_add(medium.free_reserve());
            room.reserve = medium.reserve_bytes();
        }
        let wanted = room.reserve_wanted(self.reserve_max);
        let is_due = wanted >= RESERVE_BYTES_MIN && room.reserve < wanted / 4 * 3;
        let is_plenty = room.available > wanted.saturating_mul(2).saturating_add(pending);
        if is_due && is_plenty && room.fits(wanted) {
            medium.keep_reserve(wanted);
            let reserve = medium.reserve_bytes();
            let more = reserve.saturating_sub(room.reserve);
            room.available = room.available.saturating_sub(more);
            room.reserve = reserve;
        }
        room
    }

    /// Whether what is not sealed can be written once more without taking what new data leave alone.
    /// The quota has no say: sealing frees more of it than it takes.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) async fn has_room_to_seal(&self, unsealed: u64) -> Result<bool> {
        let (room, is_bounded) = self.room().await?;
        let needed = room.margin(self.reserve_max).saturating_add(unsealed.saturating_mul(2));
        Ok(!is_bounded || room.available >= needed)
    }

    /// Gives the reserve back if the disk is nearly full: what comes next frees space, or is a must.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) async fn open_up_room(&self) -> Result<()> {
        let (room, _) = self.room().await?;
        if room.available < room.left_alone().max(RESERVE_BYTES_SMALL)
            && let Some(medium) = &self.medium
        {
            medium.free_reserve();
        }
        Ok(())
    }
}
