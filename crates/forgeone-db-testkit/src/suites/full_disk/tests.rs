use super::simulated;
use crate::random::Random;

/// contract F2: on a disk that shrinks at any moment nothing acknowledged is lost, and it goes on.
#[test]
fn a_few_rounds_on_a_simulated_disk_lose_nothing() {
    let counts = simulated::case(2, 2, Random::of_case(7, 1)).unwrap();
    assert!(counts.get("acknowledged").is_some_and(|count| *count > 10), "{counts:?}");
}
