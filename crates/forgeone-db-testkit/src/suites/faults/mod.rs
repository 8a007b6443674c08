//! Every operation of the disk fails once in every way (contract O1, D1, D3, F1, F3, F4).
//!
//! A case is a small life of a store, or the making of one. It is lived once to count the
//! operations of its disk, and then once for each of them and each way to fail: an error, half a
//! write, a sync that loses what it was to keep, once or from then on. Whatever fails, a call that
//! succeeded keeps its word, one that was refused has done nothing, and at most one database suffers
//! from one fault. Afterwards the store is opened on the disk without what was only in memory, and
//! on what a power loss would have left.
//!
//! Absent on purpose: a disk that is nearly full and says so; its limits are tested elsewhere.

mod check;
mod run;

use crate::campaign::{Counts, Suite};
use crate::disk::{Class, Failure, Fault, Repeat};
use crate::random::Random;
use run::{Ground, Script, Size};

/// Reads that fail, of all in a case; there are many, and most are alike.
const READS: u64 = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Faults;

impl Suite for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }

    fn measure(&self) -> &'static str {
        "points"
    }

    fn reaches(&self) -> (u64, Vec<&'static str>) {
        let kinds = crate::life::Kind::ALL.iter().map(|kind| kind.name());
        let outcomes =
            ["outcomes.ok", "outcomes.unknown", "outcomes.rejected", "poisoned", "creations"];
        (60_000, kinds.chain(outcomes).collect())
    }

    fn case(&self, number: u64, mut random: Random) -> Result<Counts, String> {
        let mut counts = Counts::new();
        let script = Script::of(number, &mut random);
        let ground = Ground::make(script.size, &mut random)?;
        for fault in points(&ground, &script, &mut counts)? {
            run_point(&ground, &script, fault, &mut counts)
                .map_err(|what| format!("{fault:?}: {what}"))?;
        }
        Ok(counts)
    }
}

fn run_point(
    ground: &Ground,
    script: &Script,
    fault: Fault,
    counts: &mut Counts,
) -> Result<(), String> {
    let lived = ground.live(script, Some(fault));
    *counts.entry("points").or_default() += 1;
    if lived.disk.hits() == 0 {
        return Err("the fault was not met: the life was another one".into());
    }
    lived.count(counts);
    lived.check(fault)
}

/// Every fault of a life, after the life without any.
fn points(ground: &Ground, script: &Script, counts: &mut Counts) -> Result<Vec<Fault>, String> {
    let lived = ground.live(script, None);
    if let Some(what) = lived.first_failure() {
        return Err(format!("without a fault: {what}"));
    }
    if script.size == Size::Nothing {
        *counts.entry("creations").or_default() += 1;
    }
    for kind in &script.kinds {
        *counts.entry(kind.name()).or_default() += 1;
    }
    let mut points = Vec::new();
    let mut add = |class, at, failure| {
        for repeat in [Repeat::Once, Repeat::Forever] {
            points.push(Fault { class, at, repeat, failure });
        }
    };
    for at in 1..=lived.disk.tried(Class::Change) {
        add(Class::Change, at, Failure::Error(Failure::EIO));
        add(Class::Change, at, Failure::Error(Failure::ENOSPC));
        add(Class::Change, at, Failure::Short(Failure::ENOSPC));
    }
    for at in 1..=lived.disk.tried(Class::Sync) {
        add(Class::Sync, at, Failure::Lose);
    }
    let reads = lived.disk.tried(Class::Read);
    for index in 0..READS.min(reads) {
        add(Class::Read, 1 + index * reads / READS.min(reads), Failure::Error(Failure::EIO));
    }
    Ok(points)
}

#[cfg(test)]
mod tests;
