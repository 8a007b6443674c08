//! A case on a simulated disk that shrinks at any moment.

use super::events::options;
use super::oracle::Oracle;
use super::rounds::{Rounds, Told};
use crate::campaign::Counts;
use crate::disk::SimDisk;
use crate::random::Random;

/// In how many writes one finds the disk shrunk to little more than it holds.
const SHRINKS_IN: u64 = 20;
/// So many are stored in each round before that.
const STORED_MIN: u64 = 3;
/// How much is left then, at most.
const LEFT_BYTES_MAX: u64 = 48 << 10;

/// # Errors
/// What was wrong.
pub(super) fn case(mib: u64, rounds: u64, mut random: Random) -> Result<Counts, String> {
    let disk = SimDisk::new();
    disk.resize(mib << 20);
    let seed = random.next();
    let options = || options(disk.options(), mib).reserve_bytes(64 << 20);
    let mut oracle = Oracle::new(options(), seed);
    let mut stored = 0;
    let mut tell = |told: Told| {
        oracle.note(told)?;
        match told {
            Told::Try(name)
                if name.round.is_some()
                    && stored >= STORED_MIN
                    && random.below(SHRINKS_IN) == 0 =>
            {
                let left = disk.used_bytes() + random.below(LEFT_BYTES_MAX);
                // Half of the time like a quota, which no watermark sees coming.
                if random.below(2) == 0 {
                    disk.resize(left);
                } else {
                    disk.resize_unseen(left);
                }
            }
            // Somebody else's data come and go; while the disk fills up, it is for good.
            Told::Acknowledged(..) => {
                stored += 1;
                disk.resize(mib << 20);
            }
            Told::Full => {
                oracle.check()?;
                disk.resize(disk.used_bytes());
            }
            Told::Relieve => disk.resize(mib << 20),
            Told::RoundEnded => {
                stored = 0;
                oracle.check()?;
            }
            _ => {}
        }
        Ok(())
    };
    let mut counts = Rounds::new(options(), seed, &mut tell).run(rounds)?;
    counts.insert("rounds on a simulated disk", rounds);
    counts.insert("checks", oracle.checks);
    counts.insert("writes that met the end of the disk", disk.full_writes());
    Ok(counts)
}
