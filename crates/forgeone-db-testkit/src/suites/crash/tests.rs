//! A few cases of each kind, so that a change that breaks the explorer is seen at once.

use super::explore::{Limits, explore};
use super::record::{Plan, Recording, Skip};
use super::{Crash, DoubleCrash};
use crate::campaign::{Counts, Suite};
use crate::life::Kind;
use crate::random::Random;

/// The case that makes a store.
const CREATION: u64 = Kind::ALL.len() as u64;

fn run(suite: &impl Suite, cases: impl IntoIterator<Item = u64>) -> Counts {
    let mut sum = Counts::new();
    for number in cases {
        let counts = suite
            .case(number, Random::of_case(1, number))
            .unwrap_or_else(|what| panic!("case {number}: {what}"));
        for (name, count) in counts {
            *sum.entry(name).or_default() += count;
        }
    }
    sum
}

#[test]
fn a_power_loss_takes_nothing_that_was_acknowledged() {
    let counts = run(&Crash, [CREATION]);
    assert!(counts["images"] > 100, "{counts:?}");
    assert!(counts["images.torn"] > 10, "{counts:?}");
    assert_eq!(counts["creations"], 1, "{counts:?}");
}

#[test]
fn a_power_loss_during_a_recovery_takes_nothing_either() {
    let counts = run(&DoubleCrash { recoveries: 1 }, [0]);
    assert!(counts["images"] > 100, "{counts:?}");
}

#[test]
fn a_case_is_the_same_every_time() {
    let log = || {
        let mut random = Random::of_case(1, 4);
        let plan = Plan::of(4, &mut random);
        let recording = Recording::make(&plan, &mut random, &mut Counts::new()).unwrap();
        format!("{:?}", recording.disk().1)
    };
    assert!(log() == log(), "the bytes that were written, or their order, are not the same");
}

/// Calibration: a disk that says that it has synced, and has not, loses what was acknowledged; an
/// explorer that does not see that would see nothing.
#[test]
fn a_sync_that_is_skipped_is_found() {
    for skipped in [Skip::Files, Skip::Directories] {
        let number = if skipped == Skip::Files { 0 } else { CREATION };
        let mut random = Random::of_case(1, number);
        let plan = Plan::of(number, &mut random);
        let mut counts = Counts::new();
        let mut recording = Recording::make(&plan, &mut random, &mut counts).unwrap();
        recording.skip(skipped);
        let limits = Limits { images: 1000, each_moment: 1, thorough: u64::MAX };
        explore(&recording, limits, &mut random, &mut counts).unwrap_err();
    }
}
