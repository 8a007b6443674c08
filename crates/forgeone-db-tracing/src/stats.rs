//! What became of the events, in numbers.

use std::fmt;

/// What became of the events that reached a layer, at one moment.
///
/// `received` is `stored`, `waiting` and [`dropped.total()`](Dropped::total) together, always. The
/// notices that the layer itself stores about drops are in none of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LayerStats {
    /// Events that the subscriber handed to the layer, but for `ignored`.
    pub received: u64,
    /// Of these, the ones that were taken into the buffer.
    pub accepted: u64,
    /// Of these, the ones that are durable in the store.
    pub stored: u64,
    /// Of these, the ones in the buffer or being written.
    pub waiting: u64,
    /// Received events that are not stored, by reason.
    pub dropped: Dropped,
    /// Events on the store's own threads, which are left out: storing them would cause more.
    pub ignored: u64,
}

/// Why an event was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    BufferFull,
    Nested,
    AfterClose,
    StoreClosed,
    Refused,
    Unknown,
    Deadline,
}

/// Numbers of events that were dropped, by reason. The first three never entered the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Dropped {
    /// The buffer had no room.
    pub buffer_full: u64,
    /// It was logged while another event was being formatted, by a field's `Display` or `Debug`.
    pub nested: u64,
    /// It came after the guard was closed.
    pub after_close: u64,
    /// The store was closed, or its shard had been taken out of use after a failure.
    pub store_closed: u64,
    /// The store refused it for a reason that time does not mend.
    pub refused: u64,
    /// The write failed in a way that leaves open whether it is stored.
    pub unknown: u64,
    /// It was still in the buffer when the time to close had passed.
    pub deadline: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.reasons().iter().map(|(_, count)| count).sum()
    }

    pub(crate) fn add(&mut self, reason: DropReason, events: u64) {
        let count = match reason {
            DropReason::BufferFull => &mut self.buffer_full,
            DropReason::Nested => &mut self.nested,
            DropReason::AfterClose => &mut self.after_close,
            DropReason::StoreClosed => &mut self.store_closed,
            DropReason::Refused => &mut self.refused,
            DropReason::Unknown => &mut self.unknown,
            DropReason::Deadline => &mut self.deadline,
        };
        *count += events;
    }

    /// What was dropped since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            buffer_full: self.buffer_full - earlier.buffer_full,
            nested: self.nested - earlier.nested,
            after_close: self.after_close - earlier.after_close,
            store_closed: self.store_closed - earlier.store_closed,
            refused: self.refused - earlier.refused,
            unknown: self.unknown - earlier.unknown,
            deadline: self.deadline - earlier.deadline,
        }
    }

    /// The reasons that occurred, with their counts.
    pub(crate) fn occurred(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.reasons().into_iter().filter(|(_, count)| *count > 0)
    }

    fn reasons(&self) -> [(&'static str, u64); 7] {
        [
            ("buffer full", self.buffer_full),
            ("logged inside another", self.nested),
            ("after close", self.after_close),
            ("store closed", self.store_closed),
            ("refused by the store", self.refused),
            ("outcome unknown", self.unknown),
            ("no time to close", self.deadline),
        ]
    }
}

/// As the notice in the store says it: `3 log records were dropped: buffer full`.
impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.total() {
            0 => return f.write_str("no log records were dropped"),
            1 => f.write_str("1 log record was dropped: ")?,
            total => write!(f, "{total} log records were dropped: ")?,
        }
        let only_one = self.occurred().count() == 1;
        for (index, (reason, count)) in self.occurred().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{reason}")?;
            if !only_one {
                write!(f, " {count}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{DropReason, Dropped};

    #[test]
    fn a_notice_names_every_reason_that_occurred() {
        let mut dropped = Dropped::default();
        assert_eq!(dropped.to_string(), "no log records were dropped");
        dropped.add(DropReason::BufferFull, 1);
        assert_eq!(dropped.to_string(), "1 log record was dropped: buffer full");
        let earlier = dropped;
        dropped.add(DropReason::BufferFull, 6);
        dropped.add(DropReason::Unknown, 2);
        let text = "8 log records were dropped: buffer full 6, outcome unknown 2";
        assert_eq!(dropped.since(&earlier).to_string(), text);
        assert_eq!(dropped.total(), 9);
    }
}
