//! A life in which something fails, and what became of each call.

use crate::campaign::Counts;
use crate::disk::{Fault, Image, SimDisk};
use crate::life::{Kind, Life, Model, Step, TOPICS};
use crate::random::Random;
use forgeone_db::{Error, ErrorKind, Outcome, TopicPattern};
use std::collections::BTreeMap;

/// Shards of each kind: enough for one of them to fail alone.
const SHARDS: u32 = 2;
const STEPS: u64 = 5;

/// What is done to the store.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) kinds: Vec<Kind>,
    seed: u64,
}

impl Script {
    /// Writes of every kind, and between them the step that the case is about.
    pub(super) fn of(number: u64, random: &mut Random) -> Self {
        let mut kinds = vec![Kind::Event, Kind::Lines, Kind::Settings];
        let about = usize::try_from(number % Kind::ALL.len() as u64).unwrap_or(0);
        kinds.extend(Kind::ALL.get(about));
        for _ in 0..STEPS {
            kinds.push(random.of(&[Kind::Event, Kind::Batch, Kind::Lines, Kind::Settings]));
        }
        Self { kinds, seed: random.next() }
    }
}

/// A store with everything in it, closed.
#[derive(Debug)]
pub(super) struct Ground {
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
    pub(super) fn make(random: &mut Random) -> Result<Self, String> {
        let failed = |error: Error| format!("the store cannot be made: {error}");
        let disk = SimDisk::new();
        let mut life = Life::create(&disk, SHARDS, random.next()).map_err(failed)?;
        let mut model = Model::default();
        let mut next = 0;
        let mut steps = Vec::new();
        for topic in TOPICS {
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
        Ok(Self { image: disk.durable(), model, events, lines, next })
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
        };
        match Life::open(&lived.disk, self.model.key, script.seed) {
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
