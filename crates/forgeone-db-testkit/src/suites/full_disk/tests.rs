use super::{mounted, simulated};
use crate::random::Random;

/// contract F2: on a disk that shrinks at any moment nothing acknowledged is lost, and it goes on.
#[test]
fn a_few_rounds_on_a_simulated_disk_lose_nothing() {
    let counts = simulated::case(2, 2, Random::of_case(7, 1)).unwrap();
    assert!(counts.get("acknowledged").is_some_and(|count| *count > 10), "{counts:?}");
}

/// A run that could mount nothing says so in its figures, and does not look like one that could.
#[test]
fn rounds_that_were_on_no_mounted_disk_are_told_as_none() {
    let refused = mounted::rounds_on(false, 20);
    let told = refused.iter().find(|(what, _)| what.contains("on a mounted disk"));
    let (what, count) = told.unwrap();
    assert!(*count == 0 && what.contains("refused"), "{refused:?}");
    assert_eq!(refused.get("rounds under a limit of files"), Some(&20));
    assert_eq!(mounted::rounds_on(true, 20).get("rounds on a mounted disk"), Some(&20));
}
