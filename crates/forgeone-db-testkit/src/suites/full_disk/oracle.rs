//! What was told of a store, and whether that is what is in it.

use super::events::{Name, topic_of};
use super::rounds::Told;
use forgeone_db::{EventQuery, OpenMode, RedbManager, StoreOptions, TopicPattern};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What is known of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stored,
    Refused,
    Unknown,
}

/// Keeps what was told, and reads the store for itself.
#[derive(Debug)]
pub(super) struct Oracle {
    options: StoreOptions,
    seed: u64,
    known: BTreeMap<Name, Fate>,
    /// Rounds whose events may be there or gone.
    dropping: BTreeSet<u64>,
    dropped: BTreeSet<u64>,
    pub(super) checks: u64,
}

impl Oracle {
    pub(super) fn new(options: StoreOptions, seed: u64) -> Self {
        Self {
            options: options.mode(OpenMode::Read),
            seed,
            known: BTreeMap::new(),
            dropping: BTreeSet::new(),
            dropped: BTreeSet::new(),
            checks: 0,
        }
    }

    /// # Errors
    /// What was told cannot be.
    pub(super) fn note(&mut self, told: Told) -> Result<(), String> {
        match told {
            Told::Try(name) => drop(self.known.entry(name).or_insert(Fate::Unknown)),
            Told::Refused(name) => drop(self.known.insert(name, Fate::Refused)),
            Told::Unknown(name) => drop(self.known.insert(name, Fate::Unknown)),
            Told::Acknowledged(name, was_there) => {
                if was_there && self.known.get(&name) != Some(&Fate::Unknown) {
                    return Err(format!("{name:?} is called a duplicate, and was never stored"));
                }
                self.known.insert(name, Fate::Stored);
            }
            Told::Dropping(round) => drop(self.dropping.insert(round)),
            Told::Dropped(round) => {
                self.dropping.remove(&round);
                self.dropped.insert(round);
                self.known.retain(|name, _| name.round != Some(round));
            }
            Told::Full | Told::Relieve | Told::RoundEnded => {}
        }
        Ok(())
    }

    /// Compares the store with what was told.
    ///
    /// # Errors
    /// What is lost, changed, doubled, out of order, or there though it was refused.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let failed = |error: forgeone_db::Error| format!("a reader: {error:?}");
        let store = RedbManager::open(self.options.clone()).map_err(failed)?;
        let rounds: BTreeSet<Option<u64>> = self.known.keys().map(|name| name.round).collect();
        for round in rounds {
            if round.is_none_or(|round| !self.dropping.contains(&round)) {
                self.check_topic(&store, round)?;
            }
        }
        for round in &self.dropped {
            let pattern = TopicPattern::new(topic_of(*round)).map_err(failed)?;
            let mut left = store.query_events(EventQuery::new(pattern)).map_err(failed)?;
            if left.next().is_some() {
                return Err(format!("round {round} was shredded and is there"));
            }
        }
        self.checks += 1;
        store.close().map_err(failed)
    }

    fn check_topic(&self, store: &RedbManager, round: Option<u64>) -> Result<(), String> {
        let failed = |error: forgeone_db::Error| format!("a reader of {round:?}: {error:?}");
        let topic = Name { round, number: 0 }.topic();
        let names = self.known.iter().filter(|(name, _)| name.round == round);
        let mut expected: BTreeMap<Uuid, (Name, Fate)> =
            names.map(|(name, fate)| (name.id(), (*name, *fate))).collect();
        let pattern = TopicPattern::new(topic).map_err(failed)?;
        let found = store.query_events(EventQuery::new(pattern)).map_err(failed)?;
        for (sequence, event) in (1..).zip(found) {
            let event = event.map_err(failed)?;
            let Some((name, fate)) = expected.remove(&event.event.id) else {
                return Err(format!("{} is there twice or was never stored", event.event.id));
            };
            if event.seq != sequence || fate == Fate::Refused {
                return Err(format!("{name:?}, {fate:?}, has number {} for {sequence}", event.seq));
            }
            if event.event != name.event(self.seed) {
                return Err(format!("{name:?} was changed"));
            }
        }
        match expected.values().find(|(_, fate)| *fate == Fate::Stored) {
            Some((name, _)) => Err(format!("{name:?} was acknowledged and is lost")),
            None => Ok(()),
        }
    }
}
