//! The first generator: a machine that does at each step one of many things, by weight, to stores
//! and to the model alike.

mod reads;
mod records;
mod state;

use super::bench::{Bench, Leave};
use super::model::{State, Topics};
use crate::campaign::Counts;
use crate::random::Random;
use chrono::{DateTime, Utc};
use forgeone_db::environment::Timestamp;
use forgeone_db::{KeyRotation, RedbManager, TopicKind, VerifyDepth};
use std::collections::BTreeMap;

/// Steps of a case. More would make the topics so large that reading them is all that is done.
const STEPS: u64 = 2_000;

const EVENT_TOPICS: [&str; 6] = ["orders.eu", "orders.us", "orders.eu.late", "system", "a", "*"];
const LOG_TOPICS: [&str; 4] = ["web.front", "web.back", "orders.eu", "db"];
const PATTERNS: [&str; 9] =
    [">", "orders.*", "orders.>", "*", "orders.eu", "nothing.>", "*.eu", "web.>", "web.*"];

/// A place to go on from: one token for each engine, and what the model says of it.
#[derive(Debug)]
struct Saved {
    kind: TopicKind,
    pattern: &'static str,
    tokens: Vec<String>,
    positions: BTreeMap<String, u64>,
}

#[derive(Debug)]
pub(super) struct Machine {
    random: Random,
    bench: Bench,
    events: Topics,
    logs: Topics,
    state: State,
    /// Seconds since 1970 around which records happen.
    clock: i64,
    /// Ids given so far.
    ids: u64,
    saved: Vec<Saved>,
    /// Where each engine's watch stands.
    revisions: Vec<u64>,
    counts: Counts,
}

/// Runs a case.
///
/// # Errors
/// What an engine answered that it should not have.
pub(super) fn run(mut random: Random) -> Result<Counts, String> {
    let shards = 1 + u32::try_from(random.below(3)).unwrap_or(0);
    let bench = Bench::new(random.next(), shards)?;
    let revisions = bench.subjects.iter().map(|subject| subject.store.revision());
    let revisions = revisions.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let mut machine = Machine {
        random,
        bench,
        events: Topics::new(),
        logs: Topics::new(),
        state: State::default(),
        clock: 1_700_000_000,
        ids: 0,
        saved: Vec::new(),
        revisions,
        counts: Counts::new(),
    };
    for step in 0..STEPS {
        machine.step().map_err(|what| format!("step {step}: {what}"))?;
    }
    machine.verify(VerifyDepth::Deep)?;
    machine.count_as("operations", STEPS);
    for subject in &machine.bench.subjects {
        subject.store.close().map_err(|error| error.to_string())?;
    }
    Ok(machine.counts)
}

impl Machine {
    fn count(&mut self, what: &'static str) {
        self.count_as(what, 1);
    }

    fn count_as(&mut self, what: &'static str, number: u64) {
        *self.counts.entry(what).or_default() += number;
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.random.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let index = usize::try_from(self.random.below(of.len() as u64)).ok()?;
        of.get(index).copied()
    }

    fn topics(&mut self, kind: TopicKind) -> &mut Topics {
        if kind == TopicKind::Events { &mut self.events } else { &mut self.logs }
    }

    fn kind(&mut self) -> TopicKind {
        if self.one_in(2) { TopicKind::Events } else { TopicKind::Logs }
    }

    fn topic(&mut self, kind: TopicKind) -> &'static str {
        let of: &[&str] = if kind == TopicKind::Events { &EVENT_TOPICS } else { &LOG_TOPICS };
        self.pick(of).unwrap_or("a")
    }

    fn now(&self) -> DateTime<Utc> {
        use forgeone_db::environment::Environment as _;
        self.bench.world.now().to_datetime().unwrap_or_default()
    }

    fn step(&mut self) -> Result<(), String> {
        match self.random.below(1_000) {
            0..=169 => self.append_one(),
            170..=219 => self.append_many(),
            220..=229 => self.append_wrong(),
            230..=309 => self.get_by_id(),
            310..=389 => self.get_by_number(),
            390..=489 => self.query(),
            490..=519 => self.replay(),
            520..=534 => self.list_topics(),
            535..=554 => self.go_on(),
            555..=639 => self.set(),
            640..=664 => self.remove(),
            665..=764 => self.get_setting(),
            765..=794 => self.list_settings(),
            795..=824 => self.history(),
            825..=864 => self.fact(),
            865..=894 => self.flag(),
            895..=929 => self.evaluate(),
            930..=944 => self.watch(),
            945..=949 => self.set_wrong(),
            950..=984 => {
                self.jump();
                Ok(())
            }
            985..=990 => self.seal(),
            991..=993 => self.reopen(Leave::Clean),
            994..=995 => self.reopen(Leave::Dirty),
            996 => self.compact(),
            997 => self.rotate(),
            998 => self.shred(),
            _ => self.verify(VerifyDepth::Standard),
        }
    }

    /// The store's clock goes on, and jumps at times: forth, and back.
    fn jump(&mut self) {
        self.count("clock jumps");
        let far = i64::try_from(self.random.below(1 << 34)).unwrap_or(0);
        let seconds = match self.random.below(3) {
            0 => self.clock + far,
            1 => self.clock - far,
            _ => self.clock,
        };
        let nanos = u32::try_from(self.random.below(1_000_000_000)).unwrap_or(0);
        self.bench.world.set(Timestamp { seconds, nanos });
    }

    fn each(
        &self,
        what: &str,
        call: impl Fn(&RedbManager) -> forgeone_db::Result<()>,
    ) -> Result<(), String> {
        for subject in &self.bench.subjects {
            call(&subject.store).map_err(|error| format!("{}: {what}: {error:?}", subject.name))?;
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<(), String> {
        self.count("seals");
        self.each("seal", RedbManager::seal)
    }

    fn reopen(&mut self, leave: Leave) -> Result<(), String> {
        self.count(if leave == Leave::Clean { "reopenings" } else { "dirty reboots" });
        self.bench.reopen(leave)
    }

    fn compact(&mut self) -> Result<(), String> {
        self.count("compactions");
        self.each("compact", |store| store.compact(|_| ()).map(drop))
    }

    fn rotate(&mut self) -> Result<(), String> {
        self.count("key rotations");
        let what = if self.one_in(2) { KeyRotation::Wrapping } else { KeyRotation::Data };
        self.each("rotate", |store| store.rotate_keys(what, |_| ()))
    }

    fn shred(&mut self) -> Result<(), String> {
        let kind = self.kind();
        let name = self.topic(kind);
        let Some(topic) = self.topics(kind).get_mut(name) else {
            return self
                .bench
                .ask(&("shred", name), &false, |store| store.shred_topic(kind, name).is_ok());
        };
        topic.floor = topic.last();
        let floor = topic.floor;
        self.count("shreds");
        self.bench.ask(&("shred", name), &Ok(floor), |store| {
            store.shred_topic(kind, name).map(|gone| gone.last_seq).map_err(|error| error.kind())
        })
    }

    fn verify(&mut self, depth: VerifyDepth) -> Result<(), String> {
        self.count("verifications");
        self.bench.ask(&depth, &Ok(Vec::new()), |store| {
            let report = store.verify(depth, |_| ()).map_err(|error| error.to_string())?;
            Ok::<_, String>(report.errors().cloned().collect::<Vec<_>>())
        })
    }
}
