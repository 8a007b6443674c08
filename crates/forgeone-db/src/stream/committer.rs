//! The committer: one thread for each database that decides, groups, commits and answers. It is
//! started by the first request: a store may have a thousand databases and write to few of them.

use super::change::{Change, encode_changes};
use super::directory::Topic;
use super::families::{SUBJECT_STATE, id_key, parse_sequence};
use super::group::{Draft, Group};
use super::heal::Poison;
use super::memory::Permit;
use super::queue::Queue;
use super::record::{Record, RecordBatch};
use super::sealer::{SealLimits, SealState, set_losses_aside};
use super::shard::Shard;
use super::store::Shared;
use super::transaction::{StateView, Told, Transaction, Unconditional, Undecided, undecided};
use crate::environment::Task;
use crate::log::{BlockDraft, CommitLog, SectionDraft};
use crate::model::LineEnd;
use crate::pool::run_blocking;
use bytes::Bytes;
use forgeone_db_engine::{Error, ErrorKind, Outcome, Result, mutant};
use futures::channel::oneshot;
use futures::lock::Mutex as AsyncMutex;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Raw bytes that one group takes together, unless one request alone is larger; half of what all
/// requests may take, where that is less.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// Raw bytes of the largest request.
pub(crate) const REQUEST_BYTES_MAX: usize = 32 << 20;

/// One record to append.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) topic: Arc<Topic>,
    pub(crate) record: Record,
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    /// Whether it was there before, with the same content.
    pub(crate) duplicate: bool,
}

type Reply = oneshot::Sender<Result<Vec<Position>>>;

/// What waits for the committer.
#[derive(Debug)]
enum Request {
    Append(Vec<Entry>, Reply),
    Transact(Box<dyn Undecided>),
}

impl Request {
    /// About how many bytes it adds to the log.
    fn bytes(&self) -> usize {
        match self {
            Self::Append(entries, _) => entries.iter().map(|entry| entry.record.bytes()).sum(),
            Self::Transact(transaction) => transaction.bytes(),
        }
    }

    /// Whether it is made where there is hardly room.
    fn frees_room(&self) -> bool {
        match self {
            Self::Append(..) => false,
            Self::Transact(transaction) => transaction.frees_room(),
        }
    }

    /// About how many bytes it takes in memory.
    fn memory_bytes(&self) -> usize {
        match self {
            Self::Append(entries, _) => self.bytes() + entries.len() * size_of::<Entry>(),
            Self::Transact(_) => self.bytes(),
        }
    }
}

/// A request that was decided, for its answer.
enum Decided {
    Append(Result<Vec<Position>>, Reply),
    Transact(Result<u64>, Box<dyn Undecided>),
}

impl Decided {
    /// Tells the caller, once it is known what became of the group.
    fn tell(self, committed: &Result<()>) {
        fn outcome<T>(committed: &Result<()>, decided: Result<T>) -> Result<T> {
            match (committed, decided) {
                (Err(error), Ok(_)) => Err(error.duplicate()),
                (_, decided) => decided,
            }
        }
        match self {
            // A caller that went away wanted no answer; its write is done all the same.
            Self::Append(decided, reply) => drop(reply.send(outcome(committed, decided))),
            Self::Transact(decided, transaction) => {
                transaction.tell(outcome(committed, decided));
            }
        }
    }
}

/// The writing half of a database.
#[derive(Debug)]
pub(crate) struct Writer {
    shard: Arc<Shard>,
    log: Arc<CommitLog>,
    shared: Arc<Shared>,
    queue: Queue<(Request, Permit)>,
    limits: SealLimits,
    poison: Poison,
    seal_error: Mutex<Option<Error>>,
    /// Topics whose shredding has begun, or may have, and has not come to dropping their records: what
    /// is appended to them now would go with those.
    condemned: Mutex<BTreeSet<u64>>,
    seal_state: AsyncMutex<SealState>,
    /// What is known of the index of ids.
    ids: Mutex<IdsIndex>,
    /// Held while a group is sealed, committed and published, and while a manifest is installed
    /// that changes the keys or floors of topics. Taken after `seal_state`.
    rekeying: AsyncMutex<()>,
    thread: Mutex<Thread>,
}

/// Whether the index of ids is to be built anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum IdsIndex {
    #[default]
    Sound,
    /// An append has found it damaged.
    Wanted,
    /// That was tried since the store was opened.
    Tried,
}

/// The committer's thread.
#[derive(Debug)]
enum Thread {
    /// Nothing was ever asked of it.
    Idle,
    Running(Task),
    /// The queue is closed; none is started any more.
    Stopped,
}

impl Writer {
    /// The writing half of `shard`, whose thread starts with the first request.
    pub(crate) fn new(
        shard: Arc<Shard>,
        log: Arc<CommitLog>,
        shared: &Arc<Shared>,
        limits: SealLimits,
    ) -> Arc<Self> {
        Arc::new(Self {
            shard,
            log,
            shared: Arc::clone(shared),
            queue: Queue::new(),
            limits,
            poison: Poison::default(),
            seal_error: Mutex::default(),
            condemned: Mutex::default(),
            seal_state: AsyncMutex::default(),
            ids: Mutex::default(),
            rekeying: AsyncMutex::default(),
            thread: Mutex::new(Thread::Idle),
        })
    }

    pub(crate) const fn shard(&self) -> &Arc<Shard> {
        &self.shard
    }

    pub(crate) const fn log(&self) -> &Arc<CommitLog> {
        &self.log
    }

    pub(crate) const fn limits(&self) -> &SealLimits {
        &self.limits
    }

    pub(crate) const fn seal_state(&self) -> &AsyncMutex<SealState> {
        &self.seal_state
    }

    pub(super) const fn rekeying(&self) -> &AsyncMutex<()> {
        &self.rekeying
    }

    /// What the last attempt to seal this database failed with.
    pub(crate) fn seal_error(&self) -> Option<Error> {
        let error = self.seal_error.lock().unwrap_or_else(PoisonError::into_inner);
        error.as_ref().map(Error::duplicate)
    }

    pub(crate) fn set_seal_error(&self, error: Option<Error>) {
        *self.seal_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    /// Has the sealer build the index of ids anew, once.
    fn want_rebuild(&self) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if *ids == IdsIndex::Sound {
            *ids = IdsIndex::Wanted;
            self.shared.seal.notify();
        }
    }

    /// Whether the index of ids is to be built anew; asked by who does it.
    pub(crate) fn take_wanted_rebuild(&self) -> bool {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = *ids == IdsIndex::Wanted;
        if wanted {
            *ids = IdsIndex::Tried;
        }
        wanted
    }

    /// Refuses appends to a topic whose shredding stands still, until it is finished.
    pub(crate) fn condemn(&self, topic: u64) {
        self.condemned.lock().unwrap_or_else(PoisonError::into_inner).insert(topic);
    }

    /// Takes appends to a topic again, whose records are dropped.
    pub(crate) fn pardon(&self, topic: u64) {
        self.condemned.lock().unwrap_or_else(PoisonError::into_inner).remove(&topic);
    }

    fn check_condemned(&self, entries: &[Entry]) -> Result<()> {
        let condemned = self.condemned.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.iter().find(|entry| condemned.contains(&entry.topic.id)) {
            None => Ok(()),
            Some(entry) => Err(Error::new(
                ErrorKind::Unavailable,
                "the topic is being shredded, and that has failed half way; reopen the store to finish it, then append",
            )
            .with("topic", &entry.topic.name)),
        }
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) const fn poison_state(&self) -> &Poison {
        &self.poison
    }

    /// Takes no more writes until the database was opened anew.
    pub(crate) fn poison(&self, cause: &Error) {
        self.poison.set(cause);
    }

    /// Why it takes no writes.
    pub(super) fn poisoned(&self) -> Error {
        self.poison.error().with("database", &self.shard.context().database)
    }

    /// Whether the database takes no writes until it was opened anew.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.is_set() && !mutant!("forget-poison")
    }

    /// Appends records, all or none. REQUIRES: they have at most [`REQUEST_BYTES_MAX`] bytes. Once this future has been polled to the point where the
    /// request is queued, dropping it cancels nothing.
    ///
    /// # Errors
    /// `Conflict`, `Full`, `Invalid` (rejected); `Unavailable` (rejected) when no thread can be
    /// started; as a commit.
    pub(crate) async fn append(self: &Arc<Self>, entries: Vec<Entry>) -> Result<Vec<Position>> {
        let (reply, answer) = oneshot::channel();
        self.submit(Request::Append(entries, reply), answer).await
    }

    /// Commits changes of state, all or none.
    ///
    /// # Errors
    /// As [`transact`](Self::transact).
    pub(crate) async fn change(self: &Arc<Self>, changes: Vec<Change>) -> Result<()> {
        self.transact(Unconditional { changes, frees_room: false }).await.map(|_| ())
    }

    /// As [`change`](Self::change), for a few changes that room comes of: they are made on a disk or
    /// quota that is nearly full, too.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub(crate) async fn change_for_room(self: &Arc<Self>, changes: Vec<Change>) -> Result<()> {
        self.transact(Unconditional { changes, frees_room: true }).await.map(|_| ())
    }

    /// Has the committer decide a transaction and commits its changes, all or none. Answers with
    /// the sequence number of the record in the state topic that has them; without changes it is
    /// the newest one's. Once the request is queued, dropping this future cancels nothing.
    ///
    /// # Durability
    /// What the transaction saw and what it changed is durable and visible when this returns.
    ///
    /// # Errors
    /// `Invalid` beyond [`REQUEST_BYTES_MAX`]; what the transaction decides; as a commit.
    pub(crate) async fn transact<T: Transaction>(
        self: &Arc<Self>,
        transaction: T,
    ) -> Told<T::Answer> {
        let bytes = transaction.bytes();
        if bytes > REQUEST_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Invalid,
                "a change is too large for one commit; split it into smaller ones",
            )
            .with("bytes", bytes)
            .with("bytes_max", REQUEST_BYTES_MAX));
        }
        let (transaction, told) = undecided(transaction);
        self.submit(Request::Transact(transaction), told).await
    }

    async fn submit<T>(
        self: &Arc<Self>,
        request: Request,
        answer: oneshot::Receiver<Result<T>>,
    ) -> Result<T> {
        // Before the request is queued: what is queued is always taken.
        self.ensure_thread()?;
        let bytes = request.memory_bytes();
        let permit = self.shared.memory.requests.enter(bytes).await;
        self.queue.push((request, permit), bytes)?;
        answer.await.unwrap_or_else(|_| Err(self.poisoned().with_outcome(Outcome::Unknown)))
    }

    fn thread(&self) -> MutexGuard<'_, Thread> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread if that has not happened. After [`stop`](Self::stop) does nothing: the
    /// queue then says why.
    fn ensure_thread(self: &Arc<Self>) -> Result<()> {
        let mut thread = self.thread();
        if matches!(*thread, Thread::Idle) {
            let name = format!("commit-{}", self.shard.context().database);
            let worker = Arc::clone(self);
            let task = self.shared.environment.spawn(&name, Box::new(move || worker.run()))?;
            *thread = Thread::Running(task);
        }
        Ok(())
    }

    /// Takes no further requests, commits what waits, and ends the thread.
    pub(crate) fn stop(&self) {
        self.queue.close();
        let thread = std::mem::replace(&mut *self.thread(), Thread::Stopped);
        if let Thread::Running(task) = thread {
            task.join();
        }
    }

    fn run(&self) {
        let bytes_max = GROUP_BYTES_MAX.min(self.shared.memory.requests.bytes_max() / 2);
        while let Some(requests) = self.queue.take(bytes_max) {
            let group = AssertUnwindSafe(|| run_blocking(self.commit_group(requests)));
            if catch_unwind(group).is_err() {
                // The replies were dropped, which tells every member that its outcome is unknown.
                self.poison(&Error::new(ErrorKind::Internal, "the committer panicked"));
            }
        }
    }

    async fn commit_group(&self, requests: Vec<(Request, Permit)>) {
        // What they hold counts until they are answered.
        let (requests, _permits): (Vec<Request>, Vec<Permit>) = requests.into_iter().unzip();
        let mut group = Group::default();
        let mut decided = Vec::with_capacity(requests.len());
        let ready = self.ready().await;
        let room = match &ready {
            Ok(()) => self.check_room(&requests).await,
            Err(error) => Err(error.duplicate()),
        };
        for request in requests {
            let may = if request.frees_room() { &ready } else { &room };
            decided.push(match (request, may) {
                (Request::Append(_, reply), Err(error)) => {
                    Decided::Append(Err(error.duplicate()), reply)
                }
                (Request::Transact(transaction), Err(error)) => {
                    Decided::Transact(Err(error.duplicate()), transaction)
                }
                (Request::Append(entries, reply), Ok(())) => {
                    Decided::Append(self.decide(&mut group, entries).await, reply)
                }
                (Request::Transact(mut transaction), Ok(())) => {
                    let result = self.decide_state(&mut group, &mut *transaction).await;
                    Decided::Transact(result, transaction)
                }
            });
        }
        if mutant!("answer-before-the-commit") {
            decided.drain(..).for_each(|request| request.tell(&Ok(())));
        }
        let committed = if group.is_empty() { Ok(()) } else { self.commit(group).await };
        decided.into_iter().for_each(|request| request.tell(&committed));
    }

    /// Whether a group may be committed now: the database is sound, and the sealer keeps up.
    async fn ready(&self) -> Result<()> {
        self.check_healable()?;
        self.shard.check()?;
        self.heal().await?;
        set_losses_aside(self, &self.shared).await?;
        self.limits.wait_for_sealer(self, &self.shared).await
    }

    /// Whether there is room for a group.
    async fn check_room(&self, requests: &[Request]) -> Result<()> {
        let bytes: usize = requests.iter().map(Request::bytes).sum();
        // What is not sealed is written once more, into segments.
        let unsealed = self.shard.state().tail.bytes();
        self.shared.check_room(bytes as u64, unsealed as u64).await
    }

    async fn decide(&self, group: &mut Group, entries: Vec<Entry>) -> Result<Vec<Position>> {
        self.check_condemned(&entries)?;
        let hits = self.hits(&entries).await?;
        group.add(entries, &hits, &self.shard).await
    }

    /// For each entry the number of the record that has its id already.
    async fn hits(&self, entries: &[Entry]) -> Result<Vec<Option<u64>>> {
        let mut hits = vec![None; entries.len()];
        let own = |entry: &Entry| Some(id_key(&entry.record.id?, entry.topic.id).into());
        let (places, keys): (Vec<usize>, Vec<Bytes>) = entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| Some((index, own(entry)?)))
            .unzip();
        if keys.is_empty() {
            return Ok(hits);
        }
        let found = self.find_ids(&keys).await.inspect_err(|error| {
            if error.kind() == ErrorKind::Corrupt {
                self.want_rebuild();
            }
        })?;
        for (index, value) in places.into_iter().zip(found) {
            let Some((hit, entry)) = hits.get_mut(index).zip(entries.get(index)) else { continue };
            *hit = match value {
                // A record that was given up is no duplicate any more.
                Some(value) => Some(parse_sequence(&value)?)
                    .filter(|sequence| *sequence >= self.shard.first(entry.topic.id)),
                None => self.placed(entry).await?,
            };
        }
        Ok(hits)
    }

    async fn find_ids(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>> {
        let view = self.shard.family(self.shard.layout().ids()?).await?;
        view.index.get_many(keys).await
    }

    /// The record whose id follows from its place and is that of `entry`: what was read from this
    /// store comes back to it.
    async fn placed(&self, entry: &Entry) -> Result<Option<u64>> {
        let place = entry.record.id.and_then(|id| self.shared.ids.place_of(id));
        let Some((subject, sequence)) = place else { return Ok(None) };
        if subject != entry.topic.id {
            return Ok(None);
        }
        let found = self.shard.record_without_id(subject, sequence).await?;
        Ok(found.map(|_| sequence))
    }

    /// Asks a transaction for its changes; says which record of the state topic has them.
    async fn decide_state(
        &self,
        group: &mut Group,
        transaction: &mut dyn Undecided,
    ) -> Result<u64> {
        let view = StateView::new(&self.shard, group.pending());
        let changes = transaction.decide(&view).await?;
        if changes.is_empty() {
            return Ok(group.state_end(&self.shard));
        }
        let record = state_record(&changes);
        Ok(group.add_state(record, &changes, &self.shard))
    }

    async fn commit(&self, group: Group) -> Result<()> {
        let database = self.shard.context().database.as_str();
        let witnesses = self.shard.state().unrecorded(&self.shared.other_heads(database));
        let drafts = group.into_drafts();
        let topics_known = &self.shard.context().topics;
        // From here to the publication no manifest with other keys comes in between.
        let _rekeying = self.rekeying.lock().await;
        let topics: Vec<_> = drafts
            .iter()
            .filter_map(|draft| draft.topic.as_ref())
            .filter(|topic| topics_known.get(topic.id).is_none())
            .map(|topic| topic.intro(topics_known.keys()))
            .collect::<Result<_>>()?;
        let sections =
            drafts.iter().map(|draft| self.section(draft)).collect::<Result<Vec<_>>>()?;
        let draft = BlockDraft {
            stamp: self.shared.next_stamp(),
            time: self.shared.environment.now().in_calendar(),
            witnesses,
            topics: topics.clone(),
            sections,
        };
        let appended = self.log.append(draft).await;
        let block = appended.map_err(|error| self.note_failure(error))?;
        topics.iter().for_each(|topic| topics_known.introduce(topic));
        let head = self.log.head().await;
        self.shared.record_head(&head);
        let records: Vec<Vec<Record>> = drafts.into_iter().map(|draft| draft.records).collect();
        if let Err(error) = self.shard.publish(block, head, &records) {
            self.poison(&error);
            return Err(error.with_outcome(Outcome::Unknown));
        }
        self.shared.commits.notify();
        self.note_memory();
        if self.limits.reached(&self.shard) || self.shared.memory.tails.is_due() {
            self.shared.seal.notify();
        }
        Ok(())
    }

    /// Counts what the database holds unsealed.
    pub(crate) fn note_memory(&self) {
        let bytes = self.shard.unsealed_bytes();
        self.shared.memory.tails.set(&self.shard.context().database, bytes);
    }

    fn section(&self, draft: &Draft) -> Result<SectionDraft> {
        let encoded = RecordBatch::encode(draft.first, &draft.records, &[]);
        let topics = &self.shard.context().topics;
        // The topic at hand may be from before a change of its keys; the table is not.
        let key = match &draft.topic {
            Some(topic) if topics.get(topic.id).is_none() => topic.first_key()?.clone(),
            _ => topics.present_key(draft.subject())?,
        };
        let count = u32::try_from(draft.records.len())
            .map_err(|_| Error::new(ErrorKind::Invalid, "a group has too many records"))?;
        Ok(SectionDraft {
            subject: draft.subject(),
            first: draft.first,
            count,
            key,
            ids: encoded.ids,
            columns: encoded.columns,
        })
    }
}

fn state_record(changes: &[Change]) -> Record {
    Record {
        id: None,
        time: crate::environment::Timestamp::default(),
        assigned: true,
        late: false,
        level: 0,
        payload: encode_changes(changes),
        metadata: Vec::new(),
        marker: None,
        end: LineEnd::Lf,
    }
}

impl Draft {
    /// The subject the records belong to.
    pub(crate) fn subject(&self) -> u64 {
        self.topic.as_ref().map_or(SUBJECT_STATE, |topic| topic.id)
    }
}
