//! Transactions on state: changes that the committer decides, seeing everything decided before.
//!
//! A caller that reads, thinks and then commits races with every other caller. A transaction is
//! handed over undecided: the committer asks it for its changes when its turn comes, and shows it
//! the present state with what earlier members of the same group have decided. So conflicting
//! callers get a total order, without retries and without a sync for each.

use super::change::{Change, changes_bytes};
use super::shard::Shard;
use crate::environment::Timestamp;
use crate::index::{FamilyId, KEY_BYTES_MAX, Memtable, Slot, VALUE_BYTES_MAX};
use bytes::Bytes;
use forgeone_db_engine::{BoxFuture, Error, ErrorKind, Result};
use futures::channel::oneshot;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;

/// What changes a transaction makes, and what its caller learns.
pub(crate) type Decision<A> = (Vec<Change>, A);

/// Changes of state that depend on the state.
pub(crate) trait Transaction: Send + 'static {
    /// What the caller learns.
    type Answer: Send + 'static;

    /// About how many bytes its changes will have; at most
    /// [`REQUEST_BYTES_MAX`](super::committer::REQUEST_BYTES_MAX).
    fn bytes(&self) -> usize;

    /// Whether it is made on a disk or quota that is nearly full, too: it is small, and room comes of it.
    fn frees_room(&self) -> bool {
        false
    }

    /// Decides the changes; none is a decision, too. Runs on the committer's thread, so it does
    /// little, and never waits for anything but `view`.
    ///
    /// # Errors
    /// What the caller gets: nothing of this transaction is then committed, and its neighbours are
    /// none the worse.
    fn decide(
        &mut self,
        view: &StateView<'_>,
    ) -> impl Future<Output = Result<Decision<Self::Answer>>> + Send;
}

/// Changes that depend on nothing.
#[derive(Debug)]
pub(crate) struct Unconditional {
    pub(crate) changes: Vec<Change>,
    pub(crate) frees_room: bool,
}

impl Transaction for Unconditional {
    type Answer = ();

    fn bytes(&self) -> usize {
        changes_bytes(&self.changes)
    }

    fn frees_room(&self) -> bool {
        self.frees_room
    }

    async fn decide(&mut self, _view: &StateView<'_>) -> Result<Decision<()>> {
        Ok((std::mem::take(&mut self.changes), ()))
    }
}

/// What members of a group have decided so far, by family.
#[derive(Debug, Default)]
pub(crate) struct Pending(HashMap<u64, Memtable>);

impl Pending {
    /// Takes in decided changes.
    pub(crate) fn add(&mut self, changes: &[Change]) {
        for change in changes {
            let memtable = self.0.entry(change.family).or_default();
            match &change.value {
                Some(value) => memtable.put(change.key.clone(), value.clone()),
                None => memtable.delete(change.key.clone()),
            }
        }
    }

    fn get(&self, family: u64, key: &[u8]) -> Option<Slot> {
        self.0.get(&family)?.get(key)
    }
}

/// The state as a transaction finds it: what is visible, and what its group has decided before it.
#[derive(Debug)]
pub(crate) struct StateView<'a> {
    shard: &'a Shard,
    pending: &'a Pending,
}

impl<'a> StateView<'a> {
    pub(crate) const fn new(shard: &'a Shard, pending: &'a Pending) -> Self {
        Self { shard, pending }
    }

    /// The present time.
    pub(crate) fn now(&self) -> Timestamp {
        self.shard.context().environment.now().in_calendar()
    }

    /// The values of many keys of a family, in the order asked.
    ///
    /// # Errors
    /// `Corrupt`; as the engine's.
    pub(crate) async fn get_many(&self, family: u64, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let found: Vec<Option<Slot>> =
            keys.iter().map(|key| self.pending.get(family, key)).collect();
        let open: Vec<Bytes> = keys
            .iter()
            .zip(&found)
            .filter(|(_, slot)| slot.is_none())
            .map(|(key, _)| key.clone())
            .collect();
        let view = self.shard.family(self.shard.layout().by_id(family)?).await?;
        let mut committed = view.index.get_many(&open).await?.into_iter();
        let value = |slot: Option<Slot>| match slot {
            Some(slot) => slot.into_value(),
            None => committed.next().flatten(),
        };
        Ok(found.into_iter().map(value).collect())
    }

    /// The value of a key.
    ///
    /// # Errors
    /// As [`get_many`](Self::get_many).
    pub(crate) async fn get(&self, family: u64, key: &[u8]) -> Result<Option<Bytes>> {
        let found = self.get_many(family, &[Bytes::copy_from_slice(key)]).await?;
        Ok(found.into_iter().next().flatten())
    }
}

/// A transaction on its way through the committer, with whoever waits for its answer.
pub(crate) trait Undecided: Send + fmt::Debug {
    /// As [`Transaction::bytes`].
    fn bytes(&self) -> usize;

    /// As [`Transaction::frees_room`].
    fn frees_room(&self) -> bool;

    /// As [`Transaction::decide`]; keeps the answer.
    fn decide<'a>(&'a mut self, view: &'a StateView<'a>) -> BoxFuture<'a, Result<Vec<Change>>>;

    /// Tells the caller what became of it: the record that has its changes.
    fn tell(self: Box<Self>, outcome: Result<u64>);
}

/// What a caller gets: the sequence number of the record with the changes, and the answer.
pub(crate) type Told<A> = Result<(u64, A)>;

struct Waiting<T: Transaction> {
    transaction: T,
    answer: Option<T::Answer>,
    reply: oneshot::Sender<Told<T::Answer>>,
}

/// Pairs a transaction with its caller.
pub(crate) fn undecided<T: Transaction>(
    transaction: T,
) -> (Box<dyn Undecided>, oneshot::Receiver<Told<T::Answer>>) {
    let (reply, told) = oneshot::channel();
    (Box::new(Waiting { transaction, answer: None, reply }), told)
}

impl<T: Transaction> Undecided for Waiting<T> {
    fn bytes(&self) -> usize {
        self.transaction.bytes()
    }

    fn frees_room(&self) -> bool {
        self.transaction.frees_room()
    }

    fn decide<'a>(&'a mut self, view: &'a StateView<'a>) -> BoxFuture<'a, Result<Vec<Change>>> {
        Box::pin(async move {
            let (changes, answer) = self.transaction.decide(view).await?;
            check(view.shard, &changes)?;
            self.answer = Some(answer);
            Ok(changes)
        })
    }

    fn tell(self: Box<Self>, outcome: Result<u64>) {
        let Self { answer, reply, .. } = *self;
        let told = outcome.and_then(|sequence| {
            let undecided = || Error::new(ErrorKind::Internal, "a transaction was not decided");
            answer.map(|answer| (sequence, answer)).ok_or_else(undecided)
        });
        // A caller that went away wanted no answer; its write is done all the same.
        drop(reply.send(told));
    }
}

impl<T: Transaction> fmt::Debug for Waiting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// Refuses what could not be folded once it is committed.
fn check(shard: &Shard, changes: &[Change]) -> Result<()> {
    for change in changes {
        let known =
            FamilyId(change.family).is_state() && shard.layout().by_id(change.family).is_ok();
        let value_bytes = change.value.as_ref().map_or(0, Vec::len);
        if !known || change.key.len() > KEY_BYTES_MAX || value_bytes > VALUE_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Internal,
                "a transaction decided what cannot be kept",
            )
            .with("family", change.family));
        }
    }
    Ok(())
}
