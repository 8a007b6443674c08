//! A life of a store, written down: what was done to the disk, and when each call returned.

use super::check::AFTER_RECOVERY;
use super::explore::Crashed;
use crate::campaign::Counts;
use crate::disk::{Image, Operation, SimDisk};
use crate::life::{Kind, Life, Model, Step, TOPICS, any_kind};
use crate::random::Random;

/// Kinds of short cases: one for each kind of step, and the creation of a store.
const SHORT: u64 = Kind::ALL.len() as u64 + 1;

/// What a case does, from its number: short lives in which every moment is explored, each with a
/// kind of step that it is about, and every second round a long one.
#[derive(Debug)]
pub(super) struct Plan {
    /// The creation itself is explored.
    creates: bool,
    /// Done before the log begins.
    before: Vec<Kind>,
    steps: Vec<Kind>,
    shards: u32,
}

impl Plan {
    pub(super) fn of(number: u64, random: &mut Random) -> Self {
        // Two shards of each kind cost nearly twice as much as one.
        let shards = if number.is_multiple_of(3) { 2 } else { 1 };
        let mut kinds = |count| (0..count).map(|_| any_kind(random)).collect::<Vec<_>>();
        if number / SHORT % 4 == 3 {
            let before = kinds(4);
            let count = 5 + number % 36;
            return Self { creates: false, before, steps: kinds(count), shards };
        }
        let Some(about) = Kind::ALL.get(usize::try_from(number % SHORT).unwrap_or(0)) else {
            let mut steps = kinds(1);
            // A store that was just created has no topic to shred.
            steps.retain(|kind| *kind != Kind::Shred);
            return Self { creates: true, before: Vec::new(), steps, shards };
        };
        let before = kinds(3 + number % 5);
        let mut steps = kinds(number / SHORT % 3);
        steps.insert(0, *about);
        Self { creates: false, before, steps, shards }
    }
}

/// When a call was made and when it returned, in operations of the disk.
#[derive(Debug, Clone, Copy)]
struct Span {
    submitted: usize,
    acknowledged: usize,
}

/// A life that is over.
#[derive(Debug)]
pub(super) struct Recording {
    base: Image,
    log: Vec<Operation>,
    spans: Vec<Span>,
    /// What may be there once so many calls have returned; usually one thing.
    models: Vec<Vec<Model>>,
    names: Vec<String>,
    creates: bool,
    shards: u32,
}

/// What may be found after a power loss at some moment.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// What was acknowledged, and then what is whole if the call under way is.
    pub(super) models: Vec<&'a Model>,
    /// The store may not be there yet.
    pub(super) creating: bool,
    pub(super) shards: u32,
    /// The call that was under way, or the last one.
    pub(super) call: &'a str,
}

impl Recording {
    /// Lives through a plan.
    ///
    /// # Errors
    /// A call that failed, though nothing was in its way.
    pub(super) fn make(
        plan: &Plan,
        random: &mut Random,
        counts: &mut Counts,
    ) -> Result<Self, String> {
        let disk = SimDisk::new();
        let seed = random.next();
        let mut number = 0;
        let mut model = Model::default();
        if !plan.creates {
            let mut life = Life::create(&disk, plan.shards, seed)
                .map_err(|error| format!("creation failed: {error}"))?;
            let mut before = vec![Step::event(TOPICS[0], number)];
            number += 1;
            before.extend(plan.before.iter().map(|kind| Step::of(*kind, random, &mut number)));
            for step in before {
                model = take(&mut life, &model, &step)?;
            }
        }
        // What is not closed is recovered first: that is what a crash leaves.
        let base = if plan.creates { disk.image() } else { disk.durable() };
        let mut recording = Self {
            base: base.clone(),
            log: Vec::new(),
            spans: Vec::new(),
            models: vec![vec![model.clone()]],
            names: Vec::new(),
            creates: plan.creates,
            shards: plan.shards,
        };
        let disk = SimDisk::holding(base).logging();
        let opened = if plan.creates {
            Life::create(&disk, plan.shards, seed ^ 1)
        } else {
            Life::open(&disk, model.key, seed ^ 1)
        };
        let mut life = opened.map_err(|error| format!("opening failed: {error}"))?;
        recording.note(&disk, 0, model.clone(), "opening");
        if plan.creates {
            *counts.entry("creations").or_default() += 1;
        }
        for kind in &plan.steps {
            let step = Step::of(*kind, random, &mut number);
            let submitted = disk.operations();
            model = take(&mut life, &model, &step)?;
            recording.note(&disk, submitted, model.clone(), &format!("{step:?}"));
            *counts.entry(kind.name()).or_default() += 1;
        }
        recording.end(&disk);
        Ok(recording)
    }

    /// Opens the store after a power loss, and lives on a little: what is there now stays.
    ///
    /// # Errors
    /// What was wrong with it.
    pub(super) fn recovery(&self, first: &Crashed, seed: u64) -> Result<Self, String> {
        let expected = self.expected(first.done);
        let disk = SimDisk::holding(first.image.clone()).logging();
        let (mut life, model) = expected.open(&disk, seed)?;
        let mut recovery = Self {
            base: first.image.clone(),
            log: Vec::new(),
            spans: Vec::new(),
            models: vec![expected.models.iter().copied().cloned().collect()],
            names: Vec::new(),
            creates: expected.creating,
            shards: self.shards,
        };
        recovery.note(&disk, 0, model.clone(), "recovery");
        let step = Step::event(TOPICS[0], AFTER_RECOVERY);
        let submitted = disk.operations();
        let model = take(&mut life, &model, &step)?;
        recovery.note(&disk, submitted, model, "an append after it");
        recovery.end(&disk);
        Ok(recovery)
    }

    fn end(&mut self, disk: &SimDisk) {
        self.log = disk.take_log();
        // What follows the last acknowledgement is nobody's loss.
        self.log.truncate(self.spans.last().map_or(0, |span| span.acknowledged));
    }

    /// Whether a call returned after exactly `done` operations.
    pub(super) fn is_acknowledgement(&self, done: usize) -> bool {
        self.spans.iter().any(|span| span.acknowledged == done)
    }

    fn note(&mut self, disk: &SimDisk, submitted: usize, model: Model, name: &str) {
        self.spans.push(Span { submitted, acknowledged: disk.operations() });
        self.models.push(vec![model]);
        self.names.push(name.to_owned());
    }

    pub(super) fn disk(&self) -> (&Image, &[Operation]) {
        (&self.base, &self.log)
    }

    /// What may be found after `done` operations.
    pub(super) fn expected(&self, done: usize) -> Expected<'_> {
        let acknowledged = self.spans.iter().take_while(|span| span.acknowledged <= done).count();
        let under_way = self.spans.get(acknowledged).is_some_and(|span| span.submitted < done);
        let count = 1 + usize::from(under_way);
        Expected {
            models: self.models.iter().skip(acknowledged).take(count).flatten().collect(),
            creating: self.creates && acknowledged == 0,
            shards: self.shards,
            call: self.names.get(acknowledged).or(self.names.last()).map_or("", String::as_str),
        }
    }
}

/// Syncs that a disk only pretends to do.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    Files,
    Directories,
}

#[cfg(test)]
impl Recording {
    /// Has the disk skip its syncs, without changing when calls returned.
    pub(super) fn skip(&mut self, skipped: Skip) {
        for operation in &mut self.log {
            let skip = match operation {
                Operation::Sync(_) => skipped == Skip::Files,
                Operation::SyncDirectory(_) => skipped == Skip::Directories,
                _ => false,
            };
            if skip {
                *operation = Operation::Nothing;
            }
        }
    }
}

fn take(life: &mut Life, model: &Model, step: &Step) -> Result<Model, String> {
    life.step(step).map_err(|error| format!("{step:?} failed: {error}"))?;
    Ok(model.after(step))
}
