//! A life of a store, written down: what was done to the disk, and when each call returned.

use super::check::AFTER_RECOVERY;
use super::explore::Crashed;
use crate::campaign::Counts;
use crate::disk::{Image, Operation, SimDisk};
use crate::life::{Kind, Life, Model, Step, TOPICS, any_kind};
use crate::random::Random;
use forgeone_db::OpenMode;

/// Kinds of short cases: one for each kind of step, and the creation of a store.
const SHORT: u64 = Kind::ALL.len() as u64 + 1;
/// Images for each moment of a short case; more than there usually are.
const SHORT_IMAGES: usize = 96;
const LONG_IMAGES: usize = 3;

/// What a case does, from its number: short lives in which every moment is explored, each with a
/// kind of step that it is about, and every second round a long one.
#[derive(Debug)]
pub(super) struct Plan {
    /// The creation itself is explored.
    creates: bool,
    /// Done before the log begins.
    before: Vec<Kind>,
    steps: Vec<Kind>,
    /// Images for each moment.
    pub(super) images: usize,
}

impl Plan {
    pub(super) fn of(number: u64, random: &mut Random) -> Self {
        let mut kinds = |count| (0..count).map(|_| any_kind(random)).collect::<Vec<_>>();
        let theme = usize::try_from(number % SHORT).unwrap_or(0);
        if number / SHORT % 4 == 3 {
            let before = kinds(4);
            let count = 5 + number % 36;
            return Self { creates: false, before, steps: kinds(count), images: LONG_IMAGES };
        }
        let Some(about) = Kind::ALL.get(theme) else {
            let steps = kinds(1);
            return Self { creates: true, before: Vec::new(), steps, images: SHORT_IMAGES };
        };
        let before = kinds(3 + number % 5);
        let mut steps = kinds(number / SHORT % 3);
        steps.insert(0, *about);
        Self { creates: false, before, steps, images: SHORT_IMAGES }
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
}

/// What may be found after a power loss at some moment.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// What was acknowledged, and then what is whole if the call under way is.
    pub(super) models: Vec<&'a Model>,
    /// The store may not be there yet.
    pub(super) creating: bool,
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
            let mut life = start(&disk, seed)?;
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
        };
        let disk = SimDisk::holding(base).logging();
        let mode = if plan.creates { OpenMode::Create } else { OpenMode::Open };
        let mut life = Life::open(&disk, mode, model.key, seed ^ 1)
            .map_err(|error| format!("opening failed: {error}"))?;
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

fn start(disk: &SimDisk, seed: u64) -> Result<Life, String> {
    Life::open(disk, OpenMode::Create, 0, seed).map_err(|error| format!("creation failed: {error}"))
}

fn take(life: &mut Life, model: &Model, step: &Step) -> Result<Model, String> {
    life.step(step).map_err(|error| format!("{step:?} failed: {error}"))?;
    Ok(model.after(step))
}
