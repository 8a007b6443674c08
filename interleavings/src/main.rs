//! The hand-over between callers, the committer and subscribers, under model checkers: loom tries
//! every interleaving of a few threads, shuttle very many of more.
//!
//! What is checked is the library's own queue and notification, taken in by their path; the
//! checker's primitives take the place of the system's. The committer around them is a model
//! (`committer`), in the order of `stream/committer.rs`: the engine, the encoding and the sealer
//! are left out, because no checker gets through them.
//!
//! Absent on purpose: a test harness. A checked program must make its threads itself.

#[cfg(feature = "loom")]
#[path = "loom_sync.rs"]
mod sync;

#[cfg(feature = "shuttle")]
#[path = "shuttle_sync.rs"]
mod sync;

mod cases;
mod committer;
mod stream;

use std::time::Instant;

/// A property by its name: what runs under the checker, again and again.
type Case = (&'static str, fn());

/// What must hold whatever the order of events.
const CASES: [Case; 4] = [
    (
        "everybody is answered, and success means a commit that has returned",
        cases::everybody_is_answered,
    ),
    ("nothing is visible before it is durable", cases::visible_is_durable),
    ("a failed commit fails its group and all that comes after", cases::poison_reaches_all),
    ("a close commits what waits and refuses the rest", cases::close_drains),
];

/// The argument is how many schedules of each case to try; loom tries all there are.
fn main() {
    let size = std::env::args().nth(1).and_then(|size| size.parse().ok()).unwrap_or(1000);
    for (name, case) in CASES {
        let started = Instant::now();
        let schedules = sync::check(case, size);
        println!("{schedules:>9} schedules, {:>5.1} s: {name}", started.elapsed().as_secs_f64());
    }
}
