//! Threads on the same settings, topics and subscriptions, while the store is sealed, closed and
//! opened again under them. What each of them sent and got, and when, is a history, and that is
//! checked afterwards: settings are linearizable, and writes of the whole store are in the order
//! of time (contract S2, S4, S5); subscriptions have no gap, no repeat, nothing out of order and
//! nothing before it was sent, also across tokens (W1, W2, W6, D2).
//!
//! The threads run as the machine lets them: a case is not the same every time, its check is.

mod history;
mod threads;

use crate::campaign::{Counts, Suite};
use crate::random::Random;
use history::History;

/// See the module.
#[derive(Debug)]
pub(crate) struct Histories;

impl Suite for Histories {
    fn name(&self) -> &'static str {
        "histories"
    }

    fn measure(&self) -> &'static str {
        "operations"
    }

    fn reaches(&self) -> (u64, Vec<&'static str>) {
        let names = vec![
            "settings set",
            "settings compared and set",
            "lost races",
            "settings read",
            "settings set together",
            "appends",
            "cut short",
            "reopenings",
            "seals",
            "deliveries",
            "subscriptions resumed",
        ];
        (20_000, names)
    }

    fn case(&self, _: u64, random: Random) -> Result<Counts, String> {
        let (history, mut counts) = threads::run(random)?;
        history.check()?;
        let operations = history.calls.len() as u64;
        counts.insert("operations", operations);
        Ok(counts)
    }
}

/// A moment: the how manieth of all that were noted.
type Moment = u64;

#[cfg(test)]
mod tests {
    use super::history::{Call, Delivery, Did, History};

    fn call(from: u64, to: u64, did: Did) -> Call {
        Call { from, to: Some(to), did }
    }

    fn set(version: u64) -> Did {
        Did::Wrote { key: 0, version, revision: 10 * version }
    }

    fn read(version: u64) -> Did {
        Did::Read { key: 0, version }
    }

    fn append(seq: u64) -> Did {
        Did::Appended { topic: 0, first: seq, ids: vec![seq] }
    }

    fn verdict(calls: Vec<Call>, seqs: &[u64]) -> Result<(), String> {
        let delivery = |seq: &u64| Delivery { at: 100, topic: 0, seq: *seq, id: *seq };
        let deliveries = vec![seqs.iter().map(delivery).collect()];
        History { calls, deliveries }.check()
    }

    #[test]
    fn a_history_that_no_order_explains_is_refused() {
        verdict(vec![call(1, 2, set(1)), call(3, 6, set(2)), call(4, 5, read(1))], &[]).unwrap();
        // Not that of the newest write that was over.
        verdict(vec![call(1, 2, set(1)), call(3, 4, set(2)), call(5, 6, read(1))], &[])
            .unwrap_err();
        // One that had not begun.
        verdict(vec![call(1, 2, read(1)), call(3, 4, set(1))], &[]).unwrap_err();
        // Back behind another read.
        let back =
            vec![call(1, 2, set(1)), call(3, 9, set(2)), call(4, 5, read(2)), call(6, 7, read(1))];
        verdict(back, &[]).unwrap_err();
        // The same version twice.
        verdict(vec![call(1, 4, set(1)), call(2, 3, set(1))], &[]).unwrap_err();
        // Later writes have later versions and revisions.
        verdict(vec![call(1, 2, set(2)), call(3, 4, set(1))], &[]).unwrap_err();
    }

    #[test]
    fn a_delivery_left_out_repeated_or_out_of_order_is_refused() {
        let calls = || vec![call(1, 2, append(1)), call(3, 4, append(2)), call(5, 6, append(3))];
        verdict(calls(), &[1, 2, 3]).unwrap();
        for wrong in [&[1, 3][..], &[1, 2, 2, 3], &[2, 1, 3], &[1, 2], &[2, 3], &[1, 2, 3, 4]] {
            verdict(calls(), wrong).unwrap_err();
        }
        verdict(vec![call(101, 102, append(1))], &[1]).unwrap_err();
        verdict(vec![call(1, 2, append(2)), call(3, 4, append(1))], &[1, 2]).unwrap_err();
    }
}
