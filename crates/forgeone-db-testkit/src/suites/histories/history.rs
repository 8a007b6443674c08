//! A history, and whether it may be.

use super::Moment;
use std::collections::{BTreeMap, HashMap};

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Did {
    /// Made a version of a key, in a revision of the store.
    Wrote { key: usize, version: u64, revision: u64 },
    /// Saw a version of a key; 0 for none.
    Read { key: usize, version: u64 },
    /// Stored events, one behind the other.
    Appended { topic: usize, first: u64, ids: Vec<u64> },
    /// Was cut short: perhaps these events are there.
    PerhapsAppended { topic: usize, ids: Vec<u64> },
}

/// A call, with the moments between which it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) from: Moment,
    /// None if it never ended.
    pub(super) to: Option<Moment>,
    pub(super) did: Did,
}

/// An event that a subscriber got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) at: Moment,
    pub(super) topic: usize,
    pub(super) seq: u64,
    pub(super) id: u64,
}

/// Everything that happened, and what each subscriber got, in its order.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) calls: Vec<Call>,
    pub(super) deliveries: Vec<Vec<Delivery>>,
}

/// A number that a call has in an order, with the call's moments.
#[derive(Debug, Clone, Copy)]
struct Placed {
    from: Moment,
    to: Option<Moment>,
    number: u64,
    is_write: bool,
}

impl History {
    /// # Errors
    /// What cannot have happened.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut keys: BTreeMap<usize, Vec<Placed>> = BTreeMap::new();
        let mut topics: BTreeMap<usize, Vec<Placed>> = BTreeMap::new();
        let mut revisions = Vec::new();
        for Call { from, to, did } in &self.calls {
            let placed = |number, is_write| Placed { from: *from, to: *to, number, is_write };
            match did {
                Did::Wrote { key, version, revision } => {
                    keys.entry(*key).or_default().push(placed(*version, true));
                    // Of several keys in one call, all have the same.
                    revisions.push(placed(*revision, false));
                }
                Did::Read { key, version } => {
                    keys.entry(*key).or_default().push(placed(*version, false));
                }
                Did::Appended { topic, first, ids } => {
                    let numbers = (*first..).take(ids.len());
                    let all = numbers.map(|number| placed(number, true));
                    topics.entry(*topic).or_default().extend(all);
                }
                Did::PerhapsAppended { .. } => {}
            }
        }
        for (key, calls) in keys {
            in_order(calls).map_err(|what| format!("key {key}: {what}"))?;
        }
        for (topic, calls) in topics {
            in_order(calls).map_err(|what| format!("topic {topic}: {what}"))?;
        }
        in_order(revisions).map_err(|what| format!("revisions: {what}"))?;
        self.deliveries.iter().try_for_each(|deliveries| self.check_deliveries(deliveries))
    }

    fn check_deliveries(&self, deliveries: &[Delivery]) -> Result<(), String> {
        let mut sent: HashMap<(usize, u64), Moment> = HashMap::new();
        let mut acked: BTreeMap<(usize, u64), u64> = BTreeMap::new();
        for Call { from, did, .. } in &self.calls {
            match did {
                Did::Appended { topic, first, ids } => {
                    sent.extend(ids.iter().map(|id| ((*topic, *id), *from)));
                    acked.extend((*first..).zip(ids).map(|(seq, id)| ((*topic, seq), *id)));
                }
                Did::PerhapsAppended { topic, ids } => {
                    sent.extend(ids.iter().map(|id| ((*topic, *id), *from)));
                }
                _ => {}
            }
        }
        let mut newest: BTreeMap<usize, u64> = BTreeMap::new();
        for delivery in deliveries {
            let Delivery { at, topic, seq, id } = *delivery;
            let last = newest.entry(topic).or_default();
            if seq != *last + 1 {
                return Err(format!("{delivery:?} comes behind {last}"));
            }
            *last = seq;
            match sent.get(&(topic, id)) {
                Some(sent) if *sent < at => {}
                sent => return Err(format!("{delivery:?} was sent at {sent:?}")),
            }
            if acked.get(&(topic, seq)).is_some_and(|acked| *acked != id) {
                return Err(format!("{delivery:?} was acknowledged as another"));
            }
        }
        for (topic, seq) in acked.keys() {
            if newest.get(topic).is_none_or(|newest| newest < seq) {
                return Err(format!("{topic}/{seq} was acknowledged and never delivered"));
            }
        }
        Ok(())
    }
}

/// Whether calls that have numbers happened in some order of those numbers: what was over before
/// another began does not come behind it, no two writes have the same number, and nobody saw a
/// number before its write had begun.
fn in_order(mut calls: Vec<Placed>) -> Result<(), String> {
    let mut writes: BTreeMap<u64, Placed> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.is_write) {
        if let Some(other) = writes.insert(call.number, *call) {
            return Err(format!("{call:?} and {other:?} have the same number"));
        }
    }
    let mut ended: Vec<(Moment, u64, bool)> = calls
        .iter()
        .filter_map(|call| call.to.map(|to| (to, call.number, call.is_write)))
        .collect();
    ended.sort_unstable();
    calls.sort_by_key(|call| call.from);
    let (mut ended, mut newest) = (ended.into_iter().peekable(), 0);
    for call in &calls {
        while let Some((_, number, _)) = ended.next_if(|(to, _, _)| *to < call.from) {
            newest = newest.max(number);
        }
        // A write makes a new number; whoever reads may see one that was there.
        if call.number < newest || call.is_write && call.number == newest {
            return Err(format!("{call:?} began when {newest} was over"));
        }
        let write = writes.get(&call.number);
        if write.is_some_and(|write| call.to.is_some_and(|to| write.from > to)) {
            return Err(format!("{call:?} saw {write:?} before it was sent"));
        }
    }
    Ok(())
}
