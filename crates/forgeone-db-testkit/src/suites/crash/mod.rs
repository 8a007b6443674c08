//! Power losses at every operation of the disk (contract D1, D2, C1, S1 to S3, K4).
//!
//! A case is a small life of a store on a simulated disk, whose log says what was done to the disk
//! and how far it had come when each call returned. For each moment of the log the images are made
//! that a power loss there could leave, and the real store is opened on each: what was acknowledged
//! by then is there, the call under way is there as a whole or not at all, and nothing else is.
//!
//! Absent on purpose: operations that fail; that is another suite's business.

mod check;
mod explore;
mod record;

use crate::campaign::{Counts, Suite};
use crate::life::Kind;
use crate::random::Random;
use explore::{Limits, explore};
use record::{Plan, Recording};

const LIMITS: Limits = Limits { images: 4000, each_moment: 3, thorough: 32 };
const RECOVERY_LIMITS: Limits = Limits { images: 600, each_moment: 1, thorough: 64 };

/// One power loss.
#[derive(Debug)]
pub(crate) struct Crash;

impl Suite for Crash {
    fn name(&self) -> &'static str {
        "crash"
    }

    fn measure(&self) -> &'static str {
        "images"
    }

    fn must_count(&self) -> Vec<&'static str> {
        counted(&["images.torn", "images.verified", "creations"])
    }

    fn case(&self, number: u64, mut random: Random) -> Result<Counts, String> {
        let plan = Plan::of(number, &mut random);
        let mut counts = Counts::new();
        let recording = Recording::make(&plan, &mut random, &mut counts)?;
        explore(&recording, LIMITS, &mut random, &mut counts)?;
        Ok(counts)
    }
}

/// A power loss, and another one while the store recovers from it.
#[derive(Debug)]
pub(crate) struct DoubleCrash {
    /// Images of one case that the second one starts from.
    recoveries: u64,
}

impl Default for DoubleCrash {
    fn default() -> Self {
        Self { recoveries: 6 }
    }
}

impl Suite for DoubleCrash {
    fn name(&self) -> &'static str {
        "double-crash"
    }

    fn measure(&self) -> &'static str {
        "images"
    }

    fn must_count(&self) -> Vec<&'static str> {
        counted(&["images.torn", "images.verified", "creations", "recoveries"])
    }

    fn case(&self, number: u64, mut random: Random) -> Result<Counts, String> {
        let plan = Plan::of(number, &mut random);
        let mut counts = Counts::new();
        let recording = Recording::make(&plan, &mut random, &mut counts)?;
        for _ in 0..self.recoveries {
            let first = explore::any_image(&recording, &mut random)?;
            let mut explored = || {
                let recovery = recording.recovery(&first, random.next())?;
                explore(&recovery, RECOVERY_LIMITS, &mut random, &mut counts)
            };
            explored().map_err(|what| format!("first {}; then {what}", first.what))?;
            *counts.entry("recoveries").or_default() += 1;
        }
        Ok(counts)
    }
}

fn counted(more: &[&'static str]) -> Vec<&'static str> {
    Kind::ALL.iter().map(|kind| kind.name()).chain(more.iter().copied()).collect()
}

#[cfg(test)]
mod tests;
