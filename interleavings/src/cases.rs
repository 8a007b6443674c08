//! What must hold whatever the order of events. A checker also fails a case in which every thread
//! waits: nobody may be forgotten.

use crate::committer::Committer;
use crate::sync::{Arc, CALLERS, Ordering, REQUESTS, block_on, thread};
use forgeone_db_engine::{ErrorKind, Outcome, Result};

type Threads = Vec<thread::JoinHandle<Vec<Result<u64>>>>;

/// A committer at work, and callers that append one after the other.
fn begin(committer: &Arc<Committer>) -> (thread::JoinHandle<()>, Threads) {
    let worker = Arc::clone(committer);
    let worker = thread::spawn(move || worker.run());
    let caller = |_| {
        let committer = Arc::clone(committer);
        thread::spawn(move || (0..REQUESTS).map(|_| append(&committer)).collect())
    };
    (worker, (0..CALLERS).map(caller).collect())
}

/// Appends; what is acknowledged is durable at that moment.
fn append(committer: &Committer) -> Result<u64> {
    let answer = committer.append();
    if let Ok(number) = answer {
        assert!(committer.durable.load(Ordering::Acquire) >= number, "acknowledged too early");
    }
    answer
}

/// Waits for the callers, then closes; gives all answers.
fn end(
    committer: &Committer,
    (worker, callers): (thread::JoinHandle<()>, Threads),
) -> Vec<Result<u64>> {
    let answers = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    committer.close();
    worker.join().unwrap();
    answers
}

/// D1, S1: what is acknowledged is durable, each gets a number of its own, and together they leave
/// no gap.
pub(crate) fn everybody_is_answered() {
    let committer = Committer::new(None);
    let threads = begin(&committer);
    let mut numbers: Vec<u64> =
        end(&committer, threads).into_iter().map(|answer| answer.unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=CALLERS * REQUESTS).collect::<Vec<_>>());
}

/// D2, W1: a subscriber wakes for everything that becomes visible, and sees only what is durable.
pub(crate) fn visible_is_durable() {
    let committer = Committer::new(None);
    let worker = Arc::clone(&committer);
    let worker = thread::spawn(move || worker.run());
    let caller = Arc::clone(&committer);
    let caller = thread::spawn(move || (0..REQUESTS).for_each(|_| drop(append(&caller))));
    let mut delivered = 0;
    while delivered < REQUESTS {
        let seen = committer.commits.version();
        let visible = committer.visible.load(Ordering::Acquire);
        assert!(committer.durable.load(Ordering::Acquire) >= visible, "visible too early");
        assert!(visible >= delivered, "what was visible is gone");
        if visible == delivered {
            block_on(committer.commits.changed(seen));
        }
        delivered = visible;
    }
    caller.join().unwrap();
    committer.close();
    worker.join().unwrap();
}

/// F1: the first commit fails. Its group is told that the outcome is unknown, everybody after it
/// that the database takes no more; nobody is told of success.
pub(crate) fn poison_reaches_all() {
    let committer = Committer::new(Some(0));
    let threads = begin(&committer);
    let answers = end(&committer, threads);
    assert_eq!(answers.len() as u64, CALLERS * REQUESTS);
    let errors = answers.into_iter().map(|answer| answer.expect_err("acknowledged after poison"));
    let unknown = errors
        .inspect(|error| {
            let later = matches!(error.kind(), ErrorKind::Closed(_));
            assert_eq!(error.outcome() == Outcome::Unknown, !later);
        })
        .filter(|error| error.outcome() == Outcome::Unknown);
    assert!(unknown.count() > 0);
    assert_eq!(committer.visible.load(Ordering::Acquire), 0);
}

/// A close beside callers: each append is committed or refused, and what was acknowledged is there.
pub(crate) fn close_drains() {
    let committer = Committer::new(None);
    let (worker, callers) = begin(&committer);
    committer.close();
    let answers: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    worker.join().unwrap();
    let acknowledged = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(committer.durable.load(Ordering::Acquire), acknowledged as u64);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refused.outcome(), Outcome::Rejected);
    }
}
