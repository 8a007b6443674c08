//! The workloads, and what several of them do.

pub(crate) mod batch;
pub(crate) mod loghub;
pub(crate) mod logs;
pub(crate) mod memory;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod settings;
pub(crate) mod single;
pub(crate) mod verify;

use crate::Result;
use crate::args::Args;
use crate::data::{Random, Sum};
use crate::stores::{ForgeOne, KEY, Literal, Store};
use forgeone_db::EventMessage;
use tempfile::TempDir;

/// How many events are read back by id after a workload.
const SAMPLE: usize = 500;

/// A directory that is removed when dropped.
fn scratch(args: &Args) -> Result<TempDir> {
    Ok(tempfile::tempdir_in(&args.dir)?)
}

/// Which store to make.
#[derive(Debug, Clone, Copy)]
enum Which {
    Encrypted,
    Plain,
    Literal,
    #[cfg(feature = "sqlite")]
    SqliteShared,
    #[cfg(feature = "sqlite")]
    SqliteEach,
}

fn create(which: Which, dir: &TempDir, args: &Args) -> Result<Box<dyn Store>> {
    let path = dir.path().join("store");
    Ok(match which {
        Which::Encrypted => Box::new(ForgeOne::open(&path, args.shards, Some(KEY))?),
        Which::Plain => Box::new(ForgeOne::open(&path, args.shards, None)?),
        Which::Literal => Box::new(Literal::create(&path)?),
        #[cfg(feature = "sqlite")]
        Which::SqliteShared => Box::new(crate::stores::Sqlite::create(&path, 1)?),
        #[cfg(feature = "sqlite")]
        Which::SqliteEach => Box::new(crate::stores::Sqlite::create(&path, args.producers)?),
    })
}

/// Reads everything back, and some of it by id.
fn verify(store: &dyn Store, expected: Sum, sample: &[EventMessage]) -> Result<()> {
    let mut found = Sum::default();
    store.scan(&mut |event| found.add(event))?;
    let name = store.name();
    expected.expect(found, &name)?;
    for event in sample {
        if store.get(event.id)?.as_ref() != Some(event) {
            return Err(format!("{name}: the event {} did not come back", event.id).into());
        }
    }
    Ok(())
}

/// Some of `events`.
fn sample_of(events: &[EventMessage], seed: u64) -> Vec<EventMessage> {
    let mut random = Random::new(seed ^ 0x5a5a);
    let count = if events.is_empty() { 0 } else { SAMPLE };
    (0..count).filter_map(|_| events.get(random.below(events.len())).cloned()).collect()
}

/// The ratios of two engines' values, round by round.
fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}
