//! What a store must show after each step, from a few maps.

use super::shown::Shown;
use super::step::Step;
use std::collections::BTreeMap;

/// What must be there, and what is needed to say what comes next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) shown: Shown,
    /// The key that opens the store.
    pub(crate) key: u8,
    /// The newest sequence of each topic of events and lines, which shredding does not take back.
    events: BTreeMap<&'static str, u64>,
    lines: BTreeMap<&'static str, u64>,
    /// The newest version of each setting.
    versions: BTreeMap<&'static str, u64>,
}

impl Model {
    /// The model after one more step.
    pub(crate) fn after(&self, step: &Step) -> Self {
        let mut next = self.clone();
        match step {
            Step::Events { topic, numbers } => {
                append(&mut next.shown.events, &mut next.events, topic, numbers.clone());
            }
            Step::Lines { topic, numbers } => {
                append(&mut next.shown.lines, &mut next.lines, topic, numbers.clone());
            }
            Step::Settings { keys, number } => {
                for key in keys {
                    let version = next.versions.entry(key).or_default();
                    *version += 1;
                    next.shown.settings.insert((*key).to_owned(), (*version, *number));
                }
            }
            Step::Shred { topic } => {
                next.shown.events.remove(*topic);
            }
            Step::Slot => next.key += 1,
            Step::Seal
            | Step::Compact
            | Step::Wrapping
            | Step::Data
            | Step::Repair
            | Step::Reopen => {}
        }
        next
    }
}

fn append(
    shown: &mut BTreeMap<String, BTreeMap<u64, u64>>,
    newest: &mut BTreeMap<&'static str, u64>,
    topic: &'static str,
    numbers: std::ops::Range<u64>,
) {
    let seq = newest.entry(topic).or_default();
    let records = shown.entry(topic.to_owned()).or_default();
    for number in numbers {
        *seq += 1;
        records.insert(*seq, number);
    }
}
