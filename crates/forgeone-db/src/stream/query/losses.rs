//! What a search by time has to tell before it begins: records of which nobody knows the times.

use super::{Order, QuerySpec};
use crate::log::LostRange;

use crate::stream::shard::Shard;
use forgeone_db_engine::mutant;
use std::collections::VecDeque;

/// Records of one topic that were lost before they were sealed.
#[derive(Debug, Default)]
pub(super) struct Losses {
    untold: VecDeque<LostRange>,
    told: Vec<LostRange>,
}

impl Losses {
    /// Of a search by time, all that are in its range of numbers: any of them may be wanted, wherever
    /// it begins and ends. So is one that goes on from a cursor, oldest first: it finds its place by
    /// time, and what is lost now may have been there when the cursor was made. Any other search
    /// meets them on its way.
    pub(super) fn of(
        shard: &Shard,
        topic: u64,
        (spec, first, upto): (&QuerySpec, u64, u64),
    ) -> Self {
        let by_time = match spec.cursor {
            Some(_) => spec.order == Order::Ascending,
            None => spec.from.is_some() || spec.to.is_some(),
        };
        if !by_time || mutant!("search-past-what-is-lost") {
            return Self::default();
        }
        let lost = shard.lost_of(topic).into_iter();
        let asked =
            |lost: &LostRange| lost.last > spec.after && lost.last >= first && lost.first <= upto;
        Self { untold: lost.filter(asked).collect(), told: Vec::new() }
    }

    /// The next one to be told.
    pub(super) fn tell(&mut self) -> Option<LostRange> {
        let lost = self.untold.pop_front()?;
        self.told.push(lost);
        Some(lost)
    }

    /// Whether it was told that a record cannot be read.
    pub(super) fn is_told(&self, sequence: u64) -> bool {
        self.told.iter().any(|lost| lost.has(sequence))
    }
}
