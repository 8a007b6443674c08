//! The memory that the databases of one open store share: what waits to be committed, what is not
//! sealed yet, and what searches hold.
//!
//! Absent on purpose: how much each of them gets, which is decided where the store is opened.

use forgeone_db_engine::{DatabaseName, Error};
use futures::channel::oneshot;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// About how many bytes a topic of a running query holds: one decoded unit.
const OPEN_UNIT_BYTES: usize = 64 << 10;

/// How many bytes each may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryLimits {
    /// Raw bytes of all requests that wait for a committer or are being committed.
    pub(crate) requests: usize,
    /// Tails and memtables of all databases.
    pub(crate) tails: usize,
    /// Units that running queries hold.
    pub(crate) searches: usize,
}

/// What of it is taken.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) requests: Gate,
    pub(crate) tails: Tails,
    pub(crate) searches: Arc<Units>,
}

impl Memory {
    pub(crate) fn new(limits: MemoryLimits) -> Self {
        Self {
            requests: Gate::new(limits.requests),
            tails: Tails::new(limits.tails),
            searches: Arc::new(Units::new(limits.searches / OPEN_UNIT_BYTES)),
        }
    }
}

/// Lets requests in, in the order in which they came, while they fit together. One that fits into
/// nothing is let in alone.
#[derive(Debug)]
pub(crate) struct Gate {
    bytes_max: usize,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    bytes: usize,
    waiting: VecDeque<(usize, oneshot::Sender<Permit>)>,
}

/// Bytes that were let in, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    bytes: usize,
    bytes_max: usize,
    inside: Arc<Mutex<Inside>>,
}

impl Gate {
    fn new(bytes_max: usize) -> Self {
        Self { bytes_max, inside: Arc::default() }
    }

    /// The most that is let in together.
    pub(crate) const fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Waits until `bytes` more may come in.
    pub(crate) async fn enter(&self, bytes: usize) -> Permit {
        let answer = {
            let mut inside = lock(&self.inside);
            if inside.waiting.is_empty() && inside.takes(bytes, self.bytes_max) {
                return self.permit(&mut inside, bytes);
            }
            let (grant, answer) = oneshot::channel();
            inside.waiting.push_back((bytes, grant));
            answer
        };
        if let Ok(permit) = answer.await {
            return permit;
        }
        // The sender lives in the gate, so this does not happen; nobody is held up by it.
        let mut inside = lock(&self.inside);
        self.permit(&mut inside, bytes)
    }

    fn permit(&self, inside: &mut Inside, bytes: usize) -> Permit {
        inside.bytes += bytes;
        Permit { bytes, bytes_max: self.bytes_max, inside: Arc::clone(&self.inside) }
    }
}

impl Inside {
    const fn takes(&self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= bytes_max
    }

    /// Those who may come in now, in order.
    fn admit(&mut self, bytes_max: usize) -> Vec<(usize, oneshot::Sender<Permit>)> {
        let mut admitted = Vec::new();
        while let Some((bytes, _)) = self.waiting.front() {
            if !self.takes(*bytes, bytes_max) {
                break;
            }
            if let Some((bytes, grant)) = self.waiting.pop_front() {
                self.bytes += bytes;
                admitted.push((bytes, grant));
            }
        }
        admitted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let admitted = {
            let mut inside = lock(&self.inside);
            inside.bytes -= self.bytes;
            inside.admit(self.bytes_max)
        };
        for (bytes, grant) in admitted {
            let inside = Arc::clone(&self.inside);
            // One that went away gives its bytes back as the permit is dropped here.
            drop(grant.send(Self { bytes, bytes_max: self.bytes_max, inside }));
        }
    }
}

/// What the tails and memtables of all databases take.
#[derive(Debug)]
pub(crate) struct Tails {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    of: HashMap<DatabaseName, usize>,
    total: usize,
    /// Why the sealer could not bring it down.
    stuck: Option<Error>,
}

impl Tails {
    fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    /// Notes what a database takes now.
    pub(crate) fn set(&self, database: &DatabaseName, bytes: usize) {
        let mut held = lock(&self.held);
        let before = held.of.insert(database.clone(), bytes).unwrap_or(0);
        held.total = held.total.saturating_sub(before).saturating_add(bytes);
    }

    /// Whether some of it is to be sealed.
    pub(crate) fn is_due(&self) -> bool {
        lock(&self.held).total > self.bytes_max / 2
    }

    /// Whether appends have to wait.
    pub(crate) fn is_full(&self) -> bool {
        lock(&self.held).total > self.bytes_max
    }

    /// The databases, the one that takes most first.
    pub(crate) fn largest_first(&self) -> Vec<DatabaseName> {
        let held = lock(&self.held);
        let mut databases: Vec<_> = held.of.iter().filter(|(_, bytes)| **bytes > 0).collect();
        databases.sort_unstable_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        databases.into_iter().map(|(database, _)| database.clone()).collect()
    }

    /// Notes why nothing more can be sealed; none once it can.
    pub(crate) fn set_stuck(&self, error: Option<Error>) {
        lock(&self.held).stuck = error;
    }

    /// Why appends would wait in vain.
    pub(crate) fn stuck(&self) -> Option<Error> {
        lock(&self.held).stuck.as_ref().map(Error::duplicate)
    }
}

/// Units that running queries may keep open.
#[derive(Debug)]
pub(crate) struct Units {
    max: usize,
    open: Mutex<usize>,
}

/// Units that a query may keep, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenUnits {
    count: usize,
    units: Arc<Units>,
}

impl Units {
    fn new(max: usize) -> Self {
        Self { max, open: Mutex::new(0) }
    }

    /// Room for `count` units; none if there is not enough.
    pub(crate) fn take(self: &Arc<Self>, count: usize) -> Option<OpenUnits> {
        let mut open = lock(&self.open);
        if open.saturating_add(count) > self.max {
            return None;
        }
        *open += count;
        Some(OpenUnits { count, units: Arc::clone(self) })
    }

    /// Room for a verification: half of all, or as much as there is; a unit in any case.
    pub(crate) fn take_room(self: &Arc<Self>) -> Room {
        let halves = std::iter::successors(Some(self.max / 2), |count| Some(count / 2));
        let mut units = halves.take_while(|count| *count > 0).map(|count| self.take(count));
        let units = units.find_map(|units| units);
        let count = units.as_ref().map_or(1, |units| units.count);
        Room { bytes: count * OPEN_UNIT_BYTES, _units: units }
    }
}

/// Memory that a verification may use, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    _units: Option<OpenUnits>,
}

impl Drop for OpenUnits {
    fn drop(&mut self) {
        *lock(&self.units.open) -= self.count;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::pin;

    #[test]
    fn requests_come_in_while_they_fit_and_in_the_order_in_which_they_came() {
        let gate = Gate::new(10);
        let first = gate.enter(6).now_or_never().unwrap();
        let mut large = pin!(gate.enter(8).boxed());
        assert!(large.as_mut().now_or_never().is_none());
        let mut small = pin!(gate.enter(1).boxed());
        assert!(
            small.as_mut().now_or_never().is_none(),
            "it would overtake the large one for ever"
        );
        drop(first);
        let large = large.now_or_never().unwrap();
        assert!(small.now_or_never().is_some());
        drop(large);
        assert_eq!(lock(&gate.inside).bytes, 0);
    }

    #[test]
    fn a_request_larger_than_everything_comes_in_alone() {
        let gate = Gate::new(10);
        let large = gate.enter(100).now_or_never().unwrap();
        assert!(gate.enter(1).now_or_never().is_none());
        drop(large);
        assert!(gate.enter(1).now_or_never().is_some());
    }

    #[test]
    fn a_caller_that_went_away_keeps_nobody_out() {
        let gate = Gate::new(10);
        let first = gate.enter(10).now_or_never().unwrap();
        let mut gone = gate.enter(10).boxed();
        assert!(gone.as_mut().now_or_never().is_none());
        let mut next = pin!(gate.enter(10).boxed());
        assert!(next.as_mut().now_or_never().is_none());
        drop(gone);
        drop(first);
        assert!(next.now_or_never().is_some());
    }

    #[test]
    fn tails_are_counted_together_and_the_largest_comes_first() {
        let tails = Tails::new(100);
        let name = |name| DatabaseName::new(name).unwrap();
        tails.set(&name("a"), 40);
        assert!(!tails.is_due());
        tails.set(&name("b"), 70);
        assert!(tails.is_due() && tails.is_full());
        assert_eq!(tails.largest_first(), [name("b"), name("a")]);
        tails.set(&name("b"), 0);
        assert!(!tails.is_due());
        assert_eq!(tails.largest_first(), [name("a")]);
    }

    #[test]
    fn a_query_gives_its_units_back() {
        let units = Arc::new(Units::new(4));
        let open = units.take(3).unwrap();
        assert!(units.take(2).is_none());
        drop(open);
        assert!(units.take(4).is_some());
    }

    #[test]
    fn a_verification_takes_half_or_what_there_is_and_a_unit_in_any_case() {
        let units = Arc::new(Units::new(16));
        let first = units.take_room();
        assert_eq!(first.bytes, 8 * OPEN_UNIT_BYTES);
        let search = units.take(5).unwrap();
        let second = units.take_room();
        assert_eq!(second.bytes, 2 * OPEN_UNIT_BYTES);
        let third = units.take_room();
        assert_eq!(third.bytes, OPEN_UNIT_BYTES);
        assert_eq!(units.take_room().bytes, OPEN_UNIT_BYTES);
        drop((first, search, second, third));
        assert!(units.take(16).is_some());
    }
}
