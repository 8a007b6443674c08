//! A life in which something fails, and what became of each call.

use crate::campaign::Counts;
use crate::disk::{Fault, Image, SimDisk};
use crate::life::{Kind, Life, Model, Step, TOPICS};
use crate::random::Random;
use forgeone_db::{Error, ErrorKind, Outcome, TopicPattern};
use std::collections::BTreeMap;

/// Writes after the step that a case is about.
const STEPS: u64 = 5;
/// Cases are about each kind of step, and about making the store.
const SUBJECTS: u64 = Kind::ALL.len() as u64 + 1;

/// How much there is before a case's own steps. Each point lives through the case once, and verifies
/// what is left twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// No store yet.
    Nothing,
    /// One shard of each kind, so that work that goes through all of them has little to do.
    Small,
    /// Two shards of each kind: enough for one of them to fail alone.
    Usual,
}

impl Size {
    const fn shards(self) -> u32 {
        if matches!(self, Self::Usual) { 2 } else { 1 }
    }

    /// Opens the store of a case, which may have to be made.
    pub(super) fn open(self, disk: &SimDisk, key: u8, seed: u64) -> Result<Life, Error> {
        match self {
            Self::Nothing => Life::create(disk, self.shards(), seed),
            Self::Small | Self::Usual => Life::open(disk, key, seed),
        }
    }

    fn topics(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Small => TOPICS.get(..1).unwrap_or_default(),
            Self::Usual => &TOPICS,
        }
    }
}

/// What is done to the store.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) kinds: Vec<Kind>,
    pub(super) size: Size,
    seed: u64,
}

impl Script {
    /// Writes of every kind, and between them the step that the case is about.
    pub(super) fn of(number: u64, random: &mut Random) -> Self {
        let about = usize::try_from(number % SUBJECTS).unwrap_or(0);
        let about = Kind::ALL.get(about).copied();
        let size = match about {
            None => Size::Nothing,
            Some(Kind::Data) => Size::Small,
            Some(_) => Size::Usual,
        };
        let mut kinds = vec![Kind::Event, Kind::Lines, Kind::Settings];
        kinds.truncate(if size == Size::Usual { kinds.len() } else { 1 });
        kinds.extend(about);
        for _ in 0..if size == Size::Usual { STEPS } else { 1 } {
            kinds.push(random.of(&[Kind::Event, Kind::Batch, Kind::Lines, Kind::Settings]));
        }
        Self { kinds, size, seed: random.next() }
    }
}

/// A store with everything in it, closed, or none yet.
#[derive(Debug)]
pub(super) struct Ground {
    size: Size,
    image: Image,
    model: Model,
    /// The database of each topic of events, and of lines.
    events: BTreeMap<String, u32>,
    lines: BTreeMap<String, u32>,
    next: u64,
}

impl Ground {
    /// # Errors
    /// A call failed, though nothing was in its way.
    pub(super) fn make(size: Size, random: &mut Random) -> Result<Self, String> {
        let failed = |error: Error| format!("the store cannot be made: {error}");
        let disk = SimDisk::new();
        if size == Size::Nothing {
            return Ok(Self {
                size,
                image: disk.durable(),
                model: Model::default(),
                // An append that makes its topic goes to two databases.
                events: BTreeMap::new(),
                lines: BTreeMap::new(),
                next: 0,
            });
        }
        let mut life = Life::create(&disk, size.shards(), random.next()).map_err(failed)?;
        let mut model = Model::default();
        let mut next = 0;
        let mut steps = Vec::new();
        for topic in size.topics().iter().copied() {
            steps.push(Step::Events { topic, numbers: next..next + 2 });
            steps.push(Step::Lines { topic, numbers: next + 2..next + 4 });
            next += 4;
        }
        steps.push(Step::Seal);
        steps.push(Step::of(Kind::Settings, random, &mut next));
        steps.push(Step::Reopen);
        for step in steps {
            life.step(&step).map_err(failed)?;
            model = model.after(&step);
        }
        let all = TopicPattern::all();
        let shards = |topics: Vec<forgeone_db::TopicInfo>| {
            topics.into_iter().map(|info| (info.topic, info.shard)).collect()
        };
        let events = shards(life.store().topics(&all).map_err(failed)?);
        let lines = shards(life.store().log_topics(&all).map_err(failed)?);
        life.store().close().map_err(failed)?;
        Ok(Self { size, image: disk.durable(), model, events, lines, next })
    }

    /// Lives through a script on a disk with a fault.
    pub(super) fn live(&self, script: &Script, fault: Option<Fault>) -> Lived {
        let disk = SimDisk::holding(self.image.clone());
        if let Some(fault) = fault {
            disk.plan(fault);
        }
        let mut random = Random::of_case(script.seed, 0);
        let mut next = self.next;
        let steps: Vec<Step> =
            script.kinds.iter().map(|kind| Step::of(*kind, &mut random, &mut next)).collect();
        let mut lived = Lived {
            disk,
            life: None,
            opening: None,
            calls: Vec::new(),
            before: self.model.clone(),
            size: self.size,
        };
        match self.size.open(&lived.disk, self.model.key, script.seed) {
            Err(error) => lived.opening = Some(error),
            Ok(mut life) => {
                for step in steps {
                    let result = life.step(&step);
                    lived.calls.push(Call { database: self.database(&step), step, result });
                }
                lived.life = Some(life);
            }
        }
        lived
    }

    /// The database that a step writes to, if it is one alone.
    fn database(&self, step: &Step) -> Option<String> {
        match step {
            Step::Events { topic, .. } => {
                self.events.get(*topic).map(|shard| format!("events_shard_{shard}"))
            }
            Step::Lines { topic, .. } => {
                self.lines.get(*topic).map(|shard| format!("logs_shard_{shard}"))
            }
            Step::Settings { .. } => Some("system".to_owned()),
            _ => None,
        }
    }
}

/// A call, and how it ended.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) step: Step,
    pub(super) database: Option<String>,
    pub(super) result: Result<(), Error>,
}

impl Call {
    /// Whether it was refused because of what an earlier call met.
    pub(super) fn is_refused(&self) -> bool {
        matches!(&self.result, Err(error) if matches!(error.kind(), ErrorKind::Closed(_)))
    }
}

/// A life that is over, with the store still open if it ever was.
#[derive(Debug)]
pub(super) struct Lived {
    pub(super) disk: SimDisk,
    pub(super) life: Option<Life>,
    pub(super) opening: Option<Error>,
    pub(super) calls: Vec<Call>,
    pub(super) before: Model,
    pub(super) size: Size,
}

impl Lived {
    /// What failed first.
    pub(super) fn first_failure(&self) -> Option<String> {
        let call = |call: &Call| {
            call.result.as_ref().err().map(|error| format!("{:?} failed: {error}", call.step))
        };
        let opening = self.opening.as_ref().map(|error| format!("opening failed: {error}"));
        opening.or_else(|| self.calls.iter().find_map(call))
    }

    pub(super) fn count(&self, counts: &mut Counts) {
        let mut add = |name, count: u64| *counts.entry(name).or_default() += count;
        add("openings.failed", u64::from(self.opening.is_some()));
        for call in &self.calls {
            let name = match call.result.as_ref().map_err(Error::outcome) {
                Ok(()) => "outcomes.ok",
                Err(Outcome::Rejected) => "outcomes.rejected",
                Err(Outcome::Unknown) => "outcomes.unknown",
            };
            add(name, 1);
            add("poisoned", u64::from(call.is_refused()));
        }
    }
}
