//! A disk that fills up, over and over: filled until the store refuses, then to the last byte, read,
//! verified, closed and opened, shredded, compacted, and filled again, without a restart but those.
//!
//! Even cases put the store on a file system in memory of 2, 4 or 16 MiB, in a process that writes, and
//! another one, the oracle, keeps what it acknowledged and reads the store for itself. Where no file
//! system can be mounted, the writing process may not make files larger than that instead. Odd cases put
//! it on a simulated disk that shrinks at any moment, so that commits meet its end half way.
//!
//! No call may fail but as `Full`, nothing acknowledged may be lost, and with room again everything goes
//! on.
//!
//! Absent on purpose: other failures of a disk, which are the business of `faults`.

mod events;
mod mounted;
mod oracle;
mod rounds;
mod simulated;

use crate::campaign::{Counts, Suite};
use crate::random::Random;
pub(crate) use mounted::{OracleArguments, WriterArguments, oracle, write};

/// Rounds of a case.
const ROUNDS: u64 = 20;
const MIB: [u64; 3] = [2, 4, 16];

/// See the module.
#[derive(Debug)]
pub(crate) struct FullDisk;

impl Suite for FullDisk {
    fn name(&self) -> &'static str {
        "full-disk"
    }

    fn measure(&self) -> &'static str {
        "rounds"
    }

    fn reaches(&self) -> (u64, Vec<&'static str>) {
        (
            ROUNDS * 6,
            vec![
                "acknowledged",
                "unknown outcomes",
                "refused",
                "openings without a free byte",
                "shreddings without a free byte",
                "compactions without a free byte",
                "reserves made",
                "writes that met the end of the disk",
            ],
        )
    }

    fn case(&self, number: u64, mut random: Random) -> Result<Counts, String> {
        let disk = usize::try_from(number / 2 % MIB.len() as u64).unwrap_or(0);
        let mib = MIB.get(disk).copied().unwrap_or(2);
        if number.is_multiple_of(2) {
            mounted::case(mib, ROUNDS, random.next())
        } else {
            simulated::case(mib, ROUNDS, random)
        }
    }
}

#[cfg(test)]
mod tests;
