//! A campaign that forgets a case, or a failure, proves less than it says.

use super::{Arguments, Counts, Suite, run};
use crate::random::Random;
use std::path::PathBuf;
use std::sync::Mutex;

/// Notes which cases ran; case 13 fails.
#[derive(Default)]
struct Noting(Mutex<Vec<u64>>);

impl Suite for Noting {
    fn name(&self) -> &'static str {
        "noting"
    }

    fn measure(&self) -> &'static str {
        "things"
    }

    fn case(&self, number: u64, _: Random) -> Result<Counts, String> {
        self.0.lock().unwrap().push(number);
        if number == 13 { Err("bad luck".into()) } else { Ok(Counts::from([("things", 2)])) }
    }
}

fn arguments(size: u64, state: Option<PathBuf>) -> Arguments {
    Arguments {
        size,
        seed: 1,
        case: None,
        jobs: None,
        minutes: None,
        state,
        serve: false,
        told: Vec::new(),
    }
}

fn cases(suite: &Noting) -> Vec<u64> {
    let mut cases = suite.0.lock().unwrap().clone();
    cases.sort_unstable();
    cases
}

#[test]
fn a_campaign_goes_on_where_it_was_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let suite = Noting::default();
    assert!(run(&suite, &arguments(8, Some(state.clone()))).unwrap());
    let before = cases(&suite).len() as u64;
    assert!(before >= 4);
    assert!(run(&suite, &arguments(20, Some(state))).unwrap());
    let after: Vec<u64> = (0..cases(&suite).len() as u64).collect();
    assert_eq!(cases(&suite), after);
    assert!(after.len() >= 10);
}

#[test]
fn a_failure_fails_the_campaign_and_its_replay() {
    let suite = Noting::default();
    assert!(!run(&suite, &arguments(100, None)).unwrap());
    assert!(!run(&suite, &Arguments { case: Some(13), ..arguments(1, None) }).unwrap());
    assert!(run(&suite, &Arguments { case: Some(12), ..arguments(1, None) }).unwrap());
}

#[test]
fn a_state_of_another_seed_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    assert!(run(&Noting::default(), &arguments(8, Some(state.clone()))).unwrap());
    let other = Arguments { seed: 2, ..arguments(8, Some(state)) };
    run(&Noting::default(), &other).unwrap_err();
}
