//! The life of a store in small steps, and what must be in it after each of them.
//!
//! Absent on purpose: what happens to the store meanwhile; that is a suite's business.

mod model;
mod shown;
mod step;

pub(crate) use model::Model;
pub(crate) use shown::Shown;
pub(crate) use step::{Kind, Step, TOPICS, any_kind};

use crate::disk::SimDisk;
use crate::seeded::SeededEnvironment;
use forgeone_db::{
    Error, KdfParams, Key, KeyRotation, OpenMode, RedbManager, SetOptions, StoreOptions, TopicKind,
};
use std::sync::Arc;

/// A store on a simulated disk, and the key that opens it.
#[derive(Debug)]
pub(crate) struct Life {
    disk: SimDisk,
    seed: u64,
    key: u8,
    store: RedbManager,
}

impl Life {
    /// Creates a store with so many shards of each kind. `seed` decides times, nonces and ids.
    ///
    /// # Errors
    /// As creating fails.
    pub(crate) fn create(disk: &SimDisk, shards: u32, seed: u64) -> Result<Self, Error> {
        let options = options(disk, 0, seed).mode(OpenMode::OpenOrCreate).shard_count(shards);
        Ok(Self { disk: disk.clone(), seed, key: 0, store: RedbManager::open(options)? })
    }

    /// Opens a store with the key of this number.
    ///
    /// # Errors
    /// As opening fails.
    pub(crate) fn open(disk: &SimDisk, key: u8, seed: u64) -> Result<Self, Error> {
        let store = RedbManager::open(options(disk, key, seed))?;
        Ok(Self { disk: disk.clone(), seed, key, store })
    }

    pub(crate) fn key(&self) -> u8 {
        self.key
    }

    pub(crate) fn store(&self) -> &RedbManager {
        &self.store
    }

    /// Takes one step; what it did is durable if it succeeds.
    ///
    /// # Errors
    /// As the store's call fails.
    pub(crate) fn step(&mut self, step: &Step) -> Result<(), Error> {
        let store = &self.store;
        match step {
            Step::Events { topic, numbers } if numbers.end - numbers.start == 1 => {
                store.store_event(&step::event(topic, numbers.start)).map(drop)
            }
            Step::Events { topic, numbers } => {
                let events: Vec<_> =
                    numbers.clone().map(|number| step::event(topic, number)).collect();
                store.store_events(&events).map(drop)
            }
            Step::Lines { topic, numbers } => {
                let lines = numbers.clone().map(|number| step::line(topic, number)).collect();
                store.store_logs(lines).map(drop)
            }
            Step::Settings { keys, number } => {
                store.set_settings(&step::settings(keys, *number)).map(drop)
            }
            Step::Seal => store.seal(),
            Step::Compact => store.compact(|_| ()).map(drop),
            Step::Wrapping => store.rotate_keys(KeyRotation::Wrapping, |_| ()).map(drop),
            Step::Data => store.rotate_keys(KeyRotation::Data, |_| ()).map(drop),
            Step::Shred { topic } => store.shred_topic(TopicKind::Events, topic).map(drop),
            Step::Repair => store.execute_repair(&step::repair(), |_| ()).map(drop),
            Step::Slot => self.replace_slot(),
            Step::Reopen => self.reopen(),
        }
    }

    fn replace_slot(&mut self) -> Result<(), Error> {
        let next = self.key + 1;
        let replacing =
            self.store.database().replace_key_slot(0, raw_key(next), None, KdfParams::DEFAULT);
        futures::executor::block_on(replacing)?;
        self.key = next;
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        self.store.close()?;
        self.seed += 1;
        *self = Self::open(&self.disk, self.key, self.seed)?;
        Ok(())
    }
}

fn options(disk: &SimDisk, key: u8, seed: u64) -> StoreOptions {
    disk.options()
        .key(raw_key(key))
        .memory_max(48 << 20)
        .read_threads(1)
        // Nothing is sealed but by hand, so that a life is the same every time.
        .seal_at(usize::MAX / 8, u64::MAX / 8)
        .environment(Arc::new(SeededEnvironment::new(seed)))
}

fn raw_key(number: u8) -> Key {
    Key::raw([number; 32])
}

/// Any terms.
pub(crate) const ANY: SetOptions = SetOptions { if_version: None, retype: true };
