//! The committer: one thread for each database that decides, groups, commits and answers.

use super::change::{Change, encode_changes};
use super::directory::Topic;
use super::families::{SUBJECT_STATE, id_key, parse_sequence};
use super::group::{Draft, Group};
use super::queue::Queue;
use super::record::{Record, RecordBatch};
use super::sealer::{SealLimits, SealState};
use super::shard::Shard;
use super::store::Shared;
use crate::environment::Task;
use crate::log::{BlockDraft, CommitLog, SectionDraft};
use crate::pool::run_blocking;
use bytes::Bytes;
use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Outcome, Result};
use futures::channel::oneshot;
use futures::lock::Mutex as AsyncMutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Raw bytes that one group takes together, unless one request alone is larger.
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
    Change(Vec<Change>, Reply),
}

/// The writing half of a database.
#[derive(Debug)]
pub(crate) struct Writer {
    shard: Arc<Shard>,
    log: Arc<CommitLog>,
    shared: Arc<Shared>,
    queue: Queue<Request>,
    limits: SealLimits,
    poisoned: AtomicBool,
    seal_error: Mutex<Option<Error>>,
    seal_state: AsyncMutex<SealState>,
    /// Held while a group is sealed, committed and published, and while a manifest is installed
    /// that changes the keys or floors of topics. Taken after `seal_state`.
    rekeying: AsyncMutex<()>,
    task: Mutex<Option<Task>>,
}

impl Writer {
    /// Starts the committer of `shard`.
    ///
    /// # Errors
    /// `Unavailable` when no thread can be started.
    pub(crate) fn start(
        shard: Arc<Shard>,
        log: Arc<CommitLog>,
        shared: &Arc<Shared>,
        limits: SealLimits,
    ) -> Result<Arc<Self>> {
        let name = format!("commit-{}", shard.context().database);
        let writer = Arc::new(Self {
            shard,
            log,
            shared: Arc::clone(shared),
            queue: Queue::new(),
            limits,
            poisoned: AtomicBool::new(false),
            seal_error: Mutex::default(),
            seal_state: AsyncMutex::default(),
            rekeying: AsyncMutex::default(),
            task: Mutex::new(None),
        });
        let worker = Arc::clone(&writer);
        let task = shared.environment.spawn(&name, Box::new(move || worker.run()))?;
        *writer.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(writer)
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

    /// Takes no more writes until the store is reopened.
    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Whether the database takes no more writes until the store is reopened.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Appends records, all or none. REQUIRES: they have at most [`REQUEST_BYTES_MAX`] bytes. Once this future has been polled to the point where the
    /// request is queued, dropping it cancels nothing.
    ///
    /// # Errors
    /// `Conflict`, `Full`, `Invalid` (rejected); as a commit.
    pub(crate) async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Position>> {
        let bytes = entries.iter().map(|entry| entry.record.bytes()).sum();
        self.submit(bytes, |reply| Request::Append(entries, reply)).await
    }

    /// Commits changes of state, all or none.
    ///
    /// # Errors
    /// As a commit.
    pub(crate) async fn change(&self, changes: Vec<Change>) -> Result<()> {
        self.submit(1024, |reply| Request::Change(changes, reply)).await.map(|_| ())
    }

    async fn submit(
        &self,
        bytes: usize,
        request: impl FnOnce(Reply) -> Request,
    ) -> Result<Vec<Position>> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(request(reply), bytes).await?;
        answer.await.unwrap_or_else(|_| Err(poisoned().with_outcome(Outcome::Unknown)))
    }

    /// Takes no further requests, commits what waits, and ends the thread.
    pub(crate) fn stop(&self) {
        self.queue.close();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.join();
        }
    }

    fn run(&self) {
        while let Some(requests) = self.queue.take(GROUP_BYTES_MAX) {
            let group = AssertUnwindSafe(|| run_blocking(self.commit_group(requests)));
            if catch_unwind(group).is_err() {
                // The replies were dropped, which tells every member that its outcome is unknown.
                self.poison();
            }
        }
    }

    async fn commit_group(&self, requests: Vec<Request>) {
        let mut group = Group::default();
        let mut answers = Vec::with_capacity(requests.len());
        let ready = self.ready(&requests).await;
        for request in requests {
            let (result, reply) = match (request, &ready) {
                (Request::Append(_, reply) | Request::Change(_, reply), Err(error)) => {
                    (Err(error.duplicate()), reply)
                }
                (Request::Append(entries, reply), Ok(())) => {
                    (self.decide(&mut group, entries).await, reply)
                }
                (Request::Change(changes, reply), Ok(())) => {
                    let record = state_record(&changes);
                    (Ok(group.add_state(record, &self.shard)), reply)
                }
            };
            answers.push((result, reply));
        }
        let committed = if group.is_empty() { Ok(()) } else { self.commit(group).await };
        for (result, reply) in answers {
            let result = match (&committed, result) {
                (Err(error), Ok(_)) => Err(error.duplicate()),
                (_, result) => result,
            };
            // A caller that went away wanted no answer; its write is done all the same.
            drop(reply.send(result));
        }
    }

    /// Whether a group may be committed now: the database is sound, has room, and the sealer keeps
    /// up.
    async fn ready(&self, requests: &[Request]) -> Result<()> {
        if self.is_poisoned() {
            return Err(poisoned().with("database", &self.shard.context().database));
        }
        let bytes: usize = requests
            .iter()
            .map(|request| match request {
                Request::Append(entries, _) => {
                    entries.iter().map(|entry| entry.record.bytes()).sum()
                }
                Request::Change(..) => 1024,
            })
            .sum();
        self.shared.check_room(bytes as u64).await?;
        self.limits.wait_for_sealer(self, &self.shared).await
    }

    async fn decide(&self, group: &mut Group, entries: Vec<Entry>) -> Result<Vec<Position>> {
        let keys: Vec<Bytes> =
            entries.iter().map(|entry| id_key(&entry.record.id, entry.topic.id).into()).collect();
        let view = self.shard.family(self.shard.layout().ids()?).await?;
        let hits = view.index.get_many(&keys).await?;
        drop(view);
        let hits = hits
            .into_iter()
            .map(|hit| hit.map(|value| parse_sequence(&value)).transpose())
            .zip(&entries)
            // A record that was given up is no duplicate any more.
            .map(|(hit, entry)| {
                Ok(hit?.filter(|sequence| *sequence >= self.shard.first(entry.topic.id)))
            })
            .collect::<Result<Vec<_>>>()?;
        group.add(entries, &hits, &self.shard).await
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
            time: self.shared.environment.now(),
            witnesses,
            topics: topics.clone(),
            sections,
        };
        let block = self.log.append(draft).await.inspect_err(|error| {
            if error.outcome() == Outcome::Unknown {
                self.poison();
            }
        })?;
        topics.iter().for_each(|topic| topics_known.introduce(topic));
        let head = self.log.head().await;
        self.shared.record_head(&head);
        let records: Vec<Vec<Record>> = drafts.into_iter().map(|draft| draft.records).collect();
        if let Err(error) = self.shard.publish(block, head, &records) {
            self.poison();
            return Err(error.with_outcome(Outcome::Unknown));
        }
        self.shared.commits.notify();
        if self.limits.reached(&self.shard) {
            self.shared.seal.notify();
        }
        Ok(())
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
        id: [0; 16],
        time: crate::environment::Timestamp::default(),
        assigned: true,
        late: false,
        level: 0,
        payload: encode_changes(changes),
        metadata: Vec::new(),
        marker: None,
    }
}

fn poisoned() -> Error {
    Error::new(
        ErrorKind::Closed(ClosedReason::Poisoned),
        "an earlier write failed, so this database takes no more; reopen the store",
    )
}

impl Draft {
    /// The subject the records belong to.
    pub(crate) fn subject(&self) -> u64 {
        self.topic.as_ref().map_or(SUBJECT_STATE, |topic| topic.id)
    }
}
