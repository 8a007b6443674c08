//! What is known from outside of what workers did.

use super::child::Ended;
use super::plan::{Chore, Ids, Op, OpName, Plan, RecordName, TOPICS, Terms, is_shredded_at_times};
use super::report::{Answer, Line};
use crate::random::Random;
use std::collections::{BTreeMap, HashMap};

/// What workers may meet besides being killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tolerance {
    /// Nothing: every call must succeed, but for what the plan itself makes impossible.
    Kills,
    /// Calls may fail, if they say so.
    Faults,
}

/// What has become of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Sent, and nobody knows.
    Unknown,
    /// Acknowledged.
    Acked,
    /// Refused: nothing of it is there, ever.
    Rejected,
    /// Was unknown, and was found whole.
    Present,
    /// Was unknown, and was not found: it may not appear later.
    Absent,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) fate: Fate,
    pub(super) answers: Vec<Answer>,
    /// The newest acknowledged number of each topic when it was first sent: it comes behind those.
    pub(super) behind: [u64; TOPICS.len()],
}

/// What is known of a topic.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TopicState {
    /// Everything up to this number was read and compared.
    pub(super) read: u64,
    /// Everything up to this number was shredded, by an acknowledgement or as was found.
    pub(super) floor: u64,
    acked: u64,
}

/// What is known of the settings.
#[derive(Debug, Default)]
pub(super) struct SettingsState {
    pub(super) revision: u64,
    /// The newest version of each key, and which record's text it holds.
    pub(super) present: BTreeMap<String, (u64, RecordName)>,
    /// The versions that an operation made.
    pub(super) made: HashMap<OpName, Vec<u64>>,
    /// The newest text of each fact that is sure to have been there.
    pub(super) facts: BTreeMap<String, OpName>,
}

/// Everything known of one store.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(super) plan: Plan,
    pub(super) ops: BTreeMap<OpName, Known>,
    /// Operations whose fate changed since the last check.
    pub(super) fresh: Vec<OpName>,
    pub(super) topics: [TopicState; TOPICS.len()],
    pub(super) places: HashMap<RecordName, (usize, u64)>,
    pub(super) settings: SettingsState,
    pub(super) seen: Vec<(usize, u64, RecordName)>,
    /// The newest worker that opened the store.
    pub(super) opened: u32,
    /// Shreds that nobody knows the end of, with their topics.
    pub(super) shreds: Vec<(usize, OpName)>,
    /// Records and changes of state acknowledged.
    pub(crate) acked: u64,
    pub(crate) unknown_present: u64,
    pub(crate) unknown_absent: u64,
    pub(crate) repeated: u64,
    pub(crate) seen_count: u64,
    pub(crate) rejected: u64,
    /// Chores that were done.
    pub(crate) chores: u64,
}

impl Oracle {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            plan: Plan { seed },
            ops: BTreeMap::new(),
            fresh: Vec::new(),
            topics: [TopicState::default(); TOPICS.len()],
            places: HashMap::new(),
            settings: SettingsState::default(),
            seen: Vec::new(),
            opened: 0,
            shreds: Vec::new(),
            acked: 0,
            unknown_present: 0,
            unknown_absent: 0,
            repeated: 0,
            seen_count: 0,
            rejected: 0,
            chores: 0,
        }
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.plan.seed
    }

    /// Whether no worker has said that the store was open.
    pub(crate) const fn never_opened(&self) -> bool {
        self.opened == 0
    }

    /// The parent opens the store for writing, which ends what was begun.
    pub(crate) const fn opened_by_parent(&mut self) {
        self.opened += 1;
    }

    /// Takes in what a worker said until it ended.
    ///
    /// # Errors
    /// It said something that may not be.
    pub(crate) fn hear(
        &mut self,
        cycle: u32,
        ended: &Ended,
        tolerance: Tolerance,
    ) -> Result<(), String> {
        if ended.errors.contains("panicked at") {
            return Err(format!("a worker panicked: {}", ended.errors));
        }
        for line in &ended.lines {
            self.hear_line(cycle, line, tolerance)?;
        }
        Ok(())
    }

    fn hear_line(&mut self, cycle: u32, line: &Line, tolerance: Tolerance) -> Result<(), String> {
        let impossible = |what: &str| Err(format!("worker {cycle}: {what}"));
        match line {
            Line::Opened => self.opened = cycle,
            Line::Sent(op) => self.sent(*op),
            Line::Acked(op, answers) => return self.was_acked(*op, answers),
            Line::Rejected(op, why) => {
                if tolerance == Tolerance::Kills && !may_be_refused(&self.plan.op(*op), why) {
                    return impossible(&format!("{op} was refused: {why}"));
                }
                self.was_rejected(*op)?;
            }
            Line::Unknown(op, why) if tolerance == Tolerance::Kills => {
                return impossible(&format!("{op} failed: {why}"));
            }
            Line::Seen(topic, seq, name) => {
                self.seen_count += 1;
                self.seen.push((*topic, *seq, *name));
            }
            Line::Closed(error) | Line::Failed(error)
                if tolerance == Tolerance::Kills && !error.is_empty() =>
            {
                return impossible(&format!("opening or closing failed: {error}"));
            }
            Line::Unknown(..) | Line::Closing | Line::Closed(_) | Line::Failed(_) => {}
        }
        Ok(())
    }

    fn sent(&mut self, op: OpName) {
        let behind = self.topics.map(|topic| topic.acked);
        if let Some(known) = self.ops.get_mut(&op) {
            self.repeated += 1;
            if known.fate == Fate::Absent {
                known.fate = Fate::Unknown;
                self.fresh.push(op);
            }
            return;
        }
        if let Op::Chore(Chore::Shred(topic)) = self.plan.op(op) {
            self.shreds.push((topic, op));
        }
        self.ops.insert(op, Known { fate: Fate::Unknown, answers: Vec::new(), behind });
        self.fresh.push(op);
    }

    fn was_acked(&mut self, op: OpName, answers: &[Answer]) -> Result<(), String> {
        let Some(known) = self.ops.get_mut(&op) else {
            return Err(format!("{op} was acknowledged and never sent"));
        };
        let duplicates = answers.iter().filter(|answer| answer.duplicate).count();
        if duplicates > 0 && duplicates < answers.len() {
            return Err(format!("{op} is a duplicate in part: {answers:?}"));
        }
        let same = |earlier: &[Answer]| {
            earlier.len() == answers.len()
                && earlier.iter().zip(answers).all(|(a, b)| a.number == b.number)
        };
        match known.fate {
            Fate::Acked if duplicates == 0 || !same(&known.answers) => {
                return Err(format!(
                    "{op} was acknowledged as {:?} and, done again, as {answers:?}",
                    known.answers
                ));
            }
            Fate::Present if duplicates == 0 => {
                return Err(format!("{op} was there, and done again it was no duplicate"));
            }
            Fate::Rejected => return Err(format!("{op} was refused and then acknowledged")),
            _ => {}
        }
        let operation = self.plan.op(op);
        let is_new = known.fate != Fate::Acked;
        known.fate = Fate::Acked;
        known.answers = answers.to_vec();
        self.fresh.push(op);
        match operation {
            Op::Append { topics, .. } => {
                for (topic, answer) in topics.iter().zip(answers) {
                    if let Some(state) = self.topics.get_mut(*topic) {
                        state.acked = state.acked.max(answer.number);
                    }
                }
                self.acked += if is_new { answers.len() as u64 } else { 0 };
            }
            Op::Set { keys, .. } => self.acked += keys.len() as u64,
            Op::Flag { .. } => self.acked += 1,
            Op::Fact { name } => {
                self.acked += 1;
                self.settings.facts.insert(name, op);
            }
            Op::Chore(chore) => {
                self.chores += 1;
                if let Chore::Shred(topic) = chore {
                    // One thread sends them: what it sent before has had its effect by now, or never.
                    self.shreds.retain(|(open, by)| (*open, by.cycle) != (topic, op.cycle));
                    let last = answers.first().map_or(0, |answer| answer.number);
                    if let Some(state) = self.topics.get_mut(topic) {
                        state.floor = state.floor.max(last);
                    }
                }
            }
        }
        Ok(())
    }

    fn was_rejected(&mut self, op: OpName) -> Result<(), String> {
        self.rejected += 1;
        let Some(known) = self.ops.get_mut(&op) else {
            return Err(format!("{op} was refused and never sent"));
        };
        // Done again and refused, it is what it was.
        if known.fate == Fate::Unknown && known.answers.is_empty() {
            known.fate = Fate::Rejected;
            self.fresh.push(op);
        }
        self.shreds.retain(|(_, by)| *by != op);
        Ok(())
    }

    /// Operations to do again: some that nobody knows the end of, and some that were acknowledged.
    pub(crate) fn again(&self, random: &mut Random) -> Vec<String> {
        let mut again = Vec::new();
        for (op, known) in self.ops.iter().rev().take(600) {
            let Op::Append { topics, ids: Ids::Given } = self.plan.op(*op) else { continue };
            if topics.iter().any(|topic| is_shredded_at_times(*topic)) {
                continue;
            }
            let wanted = match known.fate {
                Fate::Unknown | Fate::Absent | Fate::Present => random.below(4) > 0,
                Fate::Acked => random.below(60) == 0,
                Fate::Rejected => false,
            };
            if wanted && again.len() < 20 {
                again.push(op.to_string());
            }
        }
        again
    }
}

/// What the plan itself makes impossible.
fn may_be_refused(op: &Op, why: &str) -> bool {
    match op {
        Op::Append { topics, .. } => {
            why.starts_with("Invalid") && topics.iter().any(|topic| Some(topic) != topics.first())
        }
        Op::Set { terms, .. } => why.starts_with("Conflict") && *terms == Terms::Compare,
        Op::Chore(Chore::Shred(_)) => why.starts_with("NotFound"),
        _ => false,
    }
}
