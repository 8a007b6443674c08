//! A process of its own writes, seals, searches, reads, verifies, scrubs and compacts one store and
//! changes its keys at once, over data several times as large as the store's memory; closes it, has
//! some of its pages bent, repairs and salvages it. What the process takes beyond an idle one stays
//! below `memory_max` from beginning to end. Even cases work with a tenth of the default, odd ones
//! with the default.

mod load;

use crate::campaign::{Counts, Suite};
use crate::random::Random;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The memory that a store may take unless told otherwise.
const DEFAULT: u64 = 512 << 20;
/// How often the data exceed the memory.
const TIMES: u64 = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory;

/// What the process under load is started with.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// An empty directory
    place: PathBuf,
    /// What the store may take
    #[arg(long)]
    memory_max: u64,
    /// How much is written
    #[arg(long)]
    bytes: u64,
    #[arg(long)]
    seed: u64,
}

/// What the process under load tells.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    /// Most bytes resident when one small store had been opened, used and closed.
    idle: u64,
    /// The same when the store under load had been closed.
    loaded: u64,
    /// The same at the end.
    peak: u64,
    done: load::Done,
}

impl Suite for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn measure(&self) -> &'static str {
        "loads"
    }

    fn case(&self, number: u64, mut random: Random) -> Result<Counts, String> {
        let memory_max = if number.is_multiple_of(2) { DEFAULT / 10 } else { DEFAULT };
        let told = under_load(memory_max, random.next()).map_err(|error| error.to_string())?;
        let taken = told.peak.saturating_sub(told.idle);
        let mib = |bytes: u64| bytes >> 20;
        let loaded = mib(told.loaded.saturating_sub(told.idle));
        let figures = format!("{} MiB of {} MiB", mib(taken), mib(memory_max));
        println!("memory: case {number}: {loaded} MiB under load");
        println!("memory: case {number}: {figures}, {:?}", told.done);
        if taken > memory_max {
            return Err(format!("the store took {figures}"));
        }
        told.done.check()?;
        let [events, searches, reads, rounds, whole, salvaged] = told.done.counts();
        Ok(Counts::from([
            ("loads", 1),
            ("events", events),
            ("searches", searches),
            ("reads", reads),
            ("verifications", rounds),
            ("walks through the whole store", whole),
            ("salvaged records", salvaged),
        ]))
    }
}

fn under_load(memory_max: u64, seed: u64) -> Result<Told, Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;
    let output = Command::new(std::env::current_exe()?)
        .arg("memory-load")
        .arg(place.path())
        .args(["--memory-max", &memory_max.to_string()])
        .args(["--bytes", &(memory_max * TIMES).to_string()])
        .args(["--seed", &seed.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the process under load ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What the process under load does.
///
/// # Errors
/// Whatever failed in it.
pub(crate) fn load(arguments: &Load) -> Result<(), String> {
    load::warm_up(arguments)?;
    let idle = peak_memory()?;
    let done = load::run(arguments)?;
    let loaded = peak_memory()?;
    load::mend(arguments, &done)?;
    let told = Told { idle, loaded, peak: peak_memory()?, done };
    println!("{}", serde_json::to_string(&told).map_err(|error| error.to_string())?);
    Ok(())
}

/// The most memory that this process has had resident so far, in bytes.
fn peak_memory() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| "the system does not tell what is resident".to_owned())
}
