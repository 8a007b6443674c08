//! The same plan on every engine: each must answer as a model of a few maps does, and so as each
//! other (contract D4, S1 to S5, S7, O2).
//!
//! Two generators make plans, which share neither code nor assumptions: [`machine`] does one of
//! many things at each step, by weight; [`table`] brings stores into each of a list of states and
//! asks queries of every shape, one after the other. What is not compared is what is random:
//! tokens, cursors and derived ids as text.

mod bench;
mod machine;
mod model;
mod table;

use crate::campaign::{Counts, Suite};
use crate::random::Random;

/// See the module.
#[derive(Debug)]
pub(crate) struct Differential;

impl Suite for Differential {
    fn name(&self) -> &'static str {
        "differential"
    }

    fn measure(&self) -> &'static str {
        "operations"
    }

    fn reaches(&self) -> (u64, Vec<&'static str>) {
        (60_000, REACHED.to_vec())
    }

    fn case(&self, number: u64, random: Random) -> Result<Counts, String> {
        if number.is_multiple_of(2) { machine::run(random) } else { table::run(number / 2) }
    }
}

/// Every operation, and every part of a query.
#[rustfmt::skip]
const REACHED: &[&str] = &[
    "single events", "single lines", "batches of events", "batches of lines",
    "batches over shards", "conflicts", "duplicates", "wrong input", "ids found", "ids not found",
    "numbers found", "numbers not found", "topics listed", "queries of logs", "queries of events",
    "queries from a time", "queries to a time", "queries between times", "queries behind a number",
    "queries by level", "queries for a text", "queries for an expression", "queries for metadata",
    "queries newest first", "queries in pages", "replays from the oldest", "replays from now",
    "replays behind a number", "replays from a time", "replays from a marker",
    "replays behind a token", "settings with another version", "settings of another type",
    "settings set", "settings set together", "wrong settings", "settings removed",
    "settings not removed", "settings read", "settings listed", "settings listed behind a key",
    "settings listed to a limit", "settings listed behind a key to a limit",
    "histories of settings", "facts set", "facts removed", "facts read", "facts listed",
    "flags switched", "flags set", "flags evaluated", "watches", "clock jumps", "seals",
    "reopenings", "dirty reboots", "compactions", "key rotations", "shreds", "verifications",
    "shapes of queries of events", "shapes of queries of logs", "shapes of replays",
    "states of stores",
];
