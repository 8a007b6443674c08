//! What is done to a store while its disk fills up, told as it happens.

use super::events::{Name, topic_of};
use crate::campaign::Counts;
use forgeone_db::{
    Error, ErrorKind, OpenMode, Outcome, RedbManager, StoreOptions, TopicKind, VerifyDepth,
};
use serde::{Deserialize, Serialize};

/// So many refusals one after another, and the disk counts as full.
const REFUSALS: u32 = 3;
/// So many compactions are enough for any shredding to find room.
const COMPACTIONS: u32 = 2;
/// More writes than any of these disks has room for.
const WRITES_MAX: u64 = 100_000;

/// What is told of a write or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    /// About to be stored.
    Try(Name),
    /// Stored, and whether it was there before.
    Acknowledged(Name, bool),
    /// Not stored, as was said.
    Refused(Name),
    /// Perhaps stored.
    Unknown(Name),
    /// The events of a round are being shredded.
    Dropping(u64),
    /// They are gone.
    Dropped(u64),
    /// Nothing more is taken; room may be taken away, too.
    Full,
    /// Room may be given back.
    Relieve,
    /// There is room again.
    RoundEnded,
}

/// Whoever is told, and may answer that something is wrong.
pub(super) type Tell<'a> = &'a mut dyn FnMut(Told) -> Result<(), String>;

/// The writer's side of a case.
pub(super) struct Rounds<'a> {
    pub(super) options: StoreOptions,
    pub(super) seed: u64,
    pub(super) tell: Tell<'a>,
    pub(super) counts: Counts,
    next: u64,
    unknown: Vec<Name>,
}

fn failed(what: &str) -> impl FnOnce(Error) -> String + '_ {
    move |error| format!("{what}: {error:?}")
}

impl<'a> Rounds<'a> {
    pub(super) fn new(options: StoreOptions, seed: u64, tell: Tell<'a>) -> Self {
        Self { options, seed, tell, counts: Counts::new(), next: 0, unknown: Vec::new() }
    }

    fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    fn open(&self, mode: OpenMode) -> Result<RedbManager, Error> {
        RedbManager::open(self.options.clone().mode(mode))
    }

    /// # Errors
    /// What was wrong.
    pub(super) fn run(mut self, rounds: u64) -> Result<Counts, String> {
        let mut store = self.open(OpenMode::OpenOrCreate).map_err(failed("the store is made"))?;
        for round in 0..rounds {
            self.fill(&store, round)?;
            (self.tell)(Told::Full)?;
            store = self.without_room(store, round)?;
            (self.tell)(Told::Relieve)?;
            self.settle(&store)?;
            self.empty(&store, round)?;
            self.keep(&store)?;
            (self.tell)(Told::RoundEnded)?;
            self.count("rounds");
        }
        store.close().map_err(failed("the store is closed"))?;
        Ok(self.counts)
    }

    fn name(&mut self, round: Option<u64>) -> Name {
        self.next += 1;
        Name { round, number: self.next }
    }

    /// Stores an event; false if the disk is full.
    fn store(&mut self, store: &RedbManager, name: Name) -> Result<bool, String> {
        (self.tell)(Told::Try(name))?;
        match store.store_event(&name.event(self.seed)) {
            Ok(position) => {
                self.count("acknowledged");
                (self.tell)(Told::Acknowledged(name, position.duplicate))?;
                Ok(true)
            }
            Err(error) if error.kind() != ErrorKind::Full => {
                Err(format!("an event is stored: {error:?}"))
            }
            Err(error) if error.outcome() == Outcome::Unknown => {
                self.count("unknown outcomes");
                self.unknown.push(name);
                (self.tell)(Told::Unknown(name))?;
                Ok(false)
            }
            Err(_) => {
                self.count("refused");
                (self.tell)(Told::Refused(name))?;
                Ok(false)
            }
        }
    }

    fn fill(&mut self, store: &RedbManager, round: u64) -> Result<(), String> {
        let (mut refused, mut stored) = (0, 0);
        while refused < REFUSALS {
            let name = self.name(Some(round));
            if self.store(store, name)? {
                (refused, stored) = (0, stored + 1);
            } else {
                refused += 1;
            }
            if stored > WRITES_MAX {
                return Err("the disk never filled up".to_owned());
            }
        }
        if store.stats().map_err(failed("stats"))?.reserve_bytes > 0 {
            self.count("reserves made");
        }
        if stored == 0 {
            return Err(format!("round {round}: the store took nothing though it was emptied"));
        }
        Ok(())
    }

    /// What has to work while there is no room, or say that there is none.
    fn without_room(&mut self, store: RedbManager, round: u64) -> Result<RedbManager, String> {
        let report = store.verify(VerifyDepth::Quick, |_| {}).map_err(failed("verify"))?;
        if !report.is_sound() {
            return Err(format!("verify without room: {report:?}"));
        }
        let name = self.name(Some(round));
        self.store(&store, name)?;
        let store = if round.is_multiple_of(2) { self.reopen(store)? } else { store };
        (self.tell)(Told::Dropping(round))?;
        if self.or_full("shred", store.shred_topic(TopicKind::Events, &topic_of(round)))? {
            self.count("shreddings without a free byte");
        }
        if self.or_full("compact", store.compact(|_| {}))? {
            self.count("compactions without a free byte");
        }
        Ok(store)
    }

    fn reopen(&mut self, store: RedbManager) -> Result<RedbManager, String> {
        self.or_full("close", store.close())?;
        drop(store);
        match self.open(OpenMode::Open) {
            Ok(opened) => {
                self.count("openings without a free byte");
                return Ok(opened);
            }
            // Begun or not, it reads as before, and opens as soon as there is room.
            Err(error) if error.kind() == ErrorKind::Full => {}
            Err(error) => return Err(format!("opened without room: {error:?}")),
        }
        self.count("openings for which there was no room");
        (self.tell)(Told::Relieve)?;
        self.open(OpenMode::Open).map_err(failed("opened with room"))
    }

    /// Whether it was done. It may be `Full`, and nothing else.
    fn or_full<T>(&mut self, what: &str, done: Result<T, Error>) -> Result<bool, String> {
        match done {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Full => {
                self.count("steps for which there was no room");
                Ok(false)
            }
            Err(error) => Err(format!("{what} without room: {error:?}")),
        }
    }

    /// Asks after every event of unknown outcome by storing it again, unless its topic is gone.
    fn settle(&mut self, store: &RedbManager) -> Result<(), String> {
        for name in std::mem::take(&mut self.unknown) {
            // What is being shredded is not to come back.
            if name.round.is_none() && !self.store(store, name)? {
                return Err("a write is refused though there is room".to_owned());
            }
        }
        Ok(())
    }

    fn empty(&mut self, store: &RedbManager, round: u64) -> Result<(), String> {
        // What earlier tries have taken up inside the files, a compaction gives back.
        for _ in 0..COMPACTIONS {
            if self.or_full("shred", store.shred_topic(TopicKind::Events, &topic_of(round)))? {
                break;
            }
            self.count("shreddings that needed a compaction");
            self.or_full("compact", store.compact(|_| {}))?;
        }
        let shredded = store.shred_topic(TopicKind::Events, &topic_of(round));
        shredded.map_err(failed("shred with room"))?;
        (self.tell)(Told::Dropped(round))?;
        store.compact(|_| {}).map(drop).map_err(failed("compact with room"))
    }

    /// One event of each round stays for ever.
    fn keep(&mut self, store: &RedbManager) -> Result<(), String> {
        let name = self.name(None);
        if self.store(store, name)? {
            return Ok(());
        }
        Err("a write is refused though there is room".to_owned())
    }
}
