//! The faults of one write, so that a change that breaks the sweep is seen at once.

use super::run::{Ground, Script};
use super::{points, run_point};
use crate::campaign::Counts;
use crate::disk::{Class, Failure};
use crate::random::Random;

/// contract F2, S1: the first topic of a store met a full disk, was there all the same, and the next
/// one got its number, too. The making of a store: every write that is done by half.
#[test]
fn a_topic_of_unknown_outcome_shares_its_number_with_none() {
    let mut random = Random::of_case(1, 12);
    let mut counts = Counts::new();
    let script = Script::of(12, &mut random);
    let ground = Ground::make(script.size, &mut random).unwrap();
    let all = points(&ground, &script, &mut counts).unwrap();
    let full = all.iter().filter(|fault| {
        fault.class == Class::Change && fault.failure == Failure::Short(Failure::ENOSPC)
    });
    for fault in full {
        run_point(&ground, &script, *fault, &mut counts)
            .unwrap_or_else(|what| panic!("{fault:?}: {what}"));
    }
    assert!(counts["outcomes.unknown"] > 0, "{counts:?}");
}

#[test]
fn a_fault_costs_nothing_that_was_acknowledged() {
    let mut random = Random::of_case(1, 0);
    let mut counts = Counts::new();
    let script = Script::of(0, &mut random);
    let ground = Ground::make(script.size, &mut random).unwrap();
    let all = points(&ground, &script, &mut counts).unwrap();
    assert!(all.iter().any(|fault| fault.class == Class::Read));
    for fault in all.into_iter().step_by(61) {
        run_point(&ground, &script, fault, &mut counts)
            .unwrap_or_else(|what| panic!("{fault:?}: {what}"));
    }
    assert!(counts["outcomes.unknown"] > 0, "{counts:?}");
    assert!(counts["poisoned"] > 0, "{counts:?}");
}
