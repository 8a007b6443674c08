//! The blocking face of a store in a directory of redb files.

use super::compact::{CompactProgress, CompactReport};
use super::database::Database;
use super::key_work::{KeyProgress, KeyRotation, Shredded};
use super::scrub::{Scrub, ScrubOptions, ScrubRound};
use super::stats::StoreStats;
use crate::events::{
    EventManager, EventPosition, EventQuery, EventResults, EventSubscription, NewEvent, StoredEvent,
};
use crate::integrity::{VerifyDepth, VerifyProgress, VerifyReport};
use crate::model::{EventMessage, StartFrom, StreamableEvent, TopicInfo, TopicPattern};
use crate::options::{DbOptions, StoreOptions};
use crate::pool::run_blocking;
use crate::recovery::{RepairPlan, RepairProgress, RepairReport, SalvageProgress, SalvageReport};
use crate::stream::TopicKind;
use forgeone_db_engine::Result;
use uuid::Uuid;

/// Opens the store in the directory `options.path`, or creates it if there is none. Blocks.
///
/// # Errors
/// As [`Database::open`].
pub fn init_redb(options: DbOptions) -> Result<RedbManager> {
    RedbManager::open(options.into())
}

/// Manager of the redb database: a store with blocking calls. Every call waits on the calling
/// thread; [`events`](Self::events) and [`database`](Self::database) give the async faces of the
/// same store.
///
/// The store closes when [`close`](Self::close) is called or the last handle is dropped.
#[derive(Debug, Clone)]
pub struct RedbManager {
    database: Database,
}

impl RedbManager {
    /// Opens or creates a store as its options say. Blocks.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(options: StoreOptions) -> Result<Self> {
        run_blocking(Database::open(options)).map(Self::from)
    }

    /// The async face.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The async face of the events.
    pub fn events(&self) -> &EventManager {
        self.database.events()
    }

    /// Stores one event; durable on return.
    ///
    /// # Errors
    /// As [`EventManager::publish`].
    pub fn store_event(&self, event: &EventMessage) -> Result<EventPosition> {
        run_blocking(self.events().publish(event))
    }

    /// Stores events, all or none, with one sync; durable on return.
    ///
    /// # Errors
    /// As [`EventManager::publish_batch`].
    pub fn store_events(&self, events: &[EventMessage]) -> Result<Vec<EventPosition>> {
        run_blocking(self.events().publish_batch(events))
    }

    /// Stores events, all or none, with what the store must know of each.
    ///
    /// # Errors
    /// As [`EventManager::publish_opts`].
    pub fn store_events_opts(&self, events: Vec<NewEvent>) -> Result<Vec<EventPosition>> {
        run_blocking(self.events().publish_opts(events))
    }

    /// Stores a value of the caller's own type.
    ///
    /// # Errors
    /// As [`EventManager::publish_typed`].
    pub fn store_typed<T: StreamableEvent + Sync>(
        &self,
        value: &T,
    ) -> Result<(EventMessage, EventPosition)> {
        run_blocking(self.events().publish_typed(value))
    }

    /// Every event with this id, ordered by topic.
    ///
    /// # Errors
    /// As [`EventManager::get`].
    pub fn get_event(&self, id: Uuid) -> Result<Vec<StoredEvent>> {
        run_blocking(self.events().get(id))
    }

    /// The event of this number.
    ///
    /// # Errors
    /// As [`EventManager::get_at`].
    pub fn get_event_at(&self, topic: &str, seq: u64) -> Result<StoredEvent> {
        run_blocking(self.events().get_at(topic, seq))
    }

    /// Searches by topic and time; the iterator reads as it is asked.
    ///
    /// # Errors
    /// As [`EventManager::query`].
    pub fn query_events(&self, query: EventQuery) -> Result<BlockingResults> {
        let results = run_blocking(self.events().query(query))?;
        Ok(BlockingResults { results, _store: self.database.clone() })
    }

    /// Replaces keys; waits until all is done.
    ///
    /// # Errors
    /// As [`Database::rotate_keys`].
    pub fn rotate_keys(
        &self,
        what: KeyRotation,
        progress: impl FnMut(&KeyProgress) + Send + 'static,
    ) -> Result<()> {
        run_blocking(self.database.rotate_keys(what, progress))
    }

    /// Destroys all records that a topic has now.
    ///
    /// # Errors
    /// As [`Database::shred_topic`].
    pub fn shred_topic(&self, kind: TopicKind, name: &str) -> Result<Shredded> {
        run_blocking(self.database.shred_topic(kind, name))
    }

    /// Follows topics; the iterator waits for what comes.
    ///
    /// # Errors
    /// As [`EventManager::subscribe`].
    pub fn subscribe(
        &self,
        topics: &TopicPattern,
        start: StartFrom,
    ) -> Result<BlockingSubscription> {
        let subscription = run_blocking(self.events().subscribe(topics, start))?;
        Ok(BlockingSubscription { subscription, _store: self.database.clone() })
    }

    /// Reads what is there from `start` on, in the order of commits.
    ///
    /// # Errors
    /// As [`EventManager::replay`].
    pub fn replay(&self, topics: &TopicPattern, start: StartFrom) -> Result<BlockingSubscription> {
        let subscription = run_blocking(self.events().replay(topics, start))?;
        Ok(BlockingSubscription { subscription, _store: self.database.clone() })
    }

    /// The topics that match, by name.
    ///
    /// # Errors
    /// As [`EventManager::topics`].
    pub fn topics(&self, topics: &TopicPattern) -> Result<Vec<TopicInfo>> {
        run_blocking(self.events().topics(topics))
    }

    /// Seals all that is still in the tails.
    ///
    /// # Errors
    /// As [`Database::seal`].
    pub fn seal(&self) -> Result<()> {
        run_blocking(self.database.seal())
    }

    /// Waits until no sealing is due.
    ///
    /// # Errors
    /// As [`Database::settle`].
    pub fn settle(&self) -> Result<()> {
        run_blocking(self.database.settle())
    }

    /// Gives the store's free space back to the disk.
    ///
    /// # Errors
    /// As [`Database::compact`].
    pub fn compact(&self, progress: impl FnMut(&CompactProgress) + Send) -> Result<CompactReport> {
        run_blocking(self.database.compact(progress))
    }

    /// Changes how many bytes the store may occupy on disk; 0 for no limit.
    ///
    /// # Errors
    /// As [`Database::set_max_size_bytes`].
    pub fn set_max_size_bytes(&self, bytes: u64) -> Result<()> {
        run_blocking(self.database.set_max_size_bytes(bytes))
    }

    /// Sizes and counts of every database.
    ///
    /// # Errors
    /// As [`Database::stats`].
    pub fn stats(&self) -> Result<StoreStats> {
        run_blocking(self.database.stats())
    }

    /// Reads the store as a sceptic, and names whatever is damaged.
    ///
    /// # Errors
    /// As [`Database::verify`].
    pub fn verify(
        &self,
        depth: VerifyDepth,
        progress: impl FnMut(&VerifyProgress) + Send,
    ) -> Result<VerifyReport> {
        run_blocking(self.database.verify(depth, progress))
    }

    /// Verifies the store in the background, round after round.
    ///
    /// # Errors
    /// As [`Database::scrub`].
    pub fn scrub(
        &self,
        options: ScrubOptions,
        on_round: impl FnMut(ScrubRound<'_>) + Send + 'static,
    ) -> Result<Scrub> {
        self.database.scrub(options, on_round)
    }

    /// As [`verify`](Self::verify), for a store that may be too damaged to open. Blocks.
    ///
    /// # Errors
    /// As [`Database::verify_store`].
    pub fn verify_store(
        options: StoreOptions,
        depth: VerifyDepth,
        progress: impl FnMut(&VerifyProgress) + Send,
    ) -> Result<VerifyReport> {
        run_blocking(Database::verify_store(options, depth, progress))
    }

    /// Says what of the damage a repair would mend; changes nothing.
    ///
    /// # Errors
    /// As [`Database::plan_repair`].
    pub fn plan_repair(&self, progress: impl FnMut(&VerifyProgress) + Send) -> Result<RepairPlan> {
        run_blocking(self.database.plan_repair(progress))
    }

    /// As [`plan_repair`](Self::plan_repair), for a store that is not open and may not open.
    ///
    /// # Errors
    /// As [`Database::plan_store_repair`].
    pub fn plan_store_repair(
        options: StoreOptions,
        progress: impl FnMut(&VerifyProgress) + Send,
    ) -> Result<RepairPlan> {
        run_blocking(Database::plan_store_repair(options, progress))
    }

    /// Takes the steps of a plan in a store that is not open.
    ///
    /// # Errors
    /// As [`Database::repair_store`].
    pub fn repair_store(
        options: StoreOptions,
        plan: &RepairPlan,
        progress: impl FnMut(&RepairProgress) + Send + 'static,
    ) -> Result<RepairReport> {
        run_blocking(Database::repair_store(options, plan, progress))
    }

    /// Takes the steps of a plan.
    ///
    /// # Errors
    /// As [`Database::execute_repair`].
    pub fn execute_repair(
        &self,
        plan: &RepairPlan,
        progress: impl FnMut(&RepairProgress) + Send + 'static,
    ) -> Result<RepairReport> {
        run_blocking(self.database.execute_repair(plan, progress))
    }

    /// Writes what can be authenticated of a damaged store into a new one. Blocks.
    ///
    /// # Errors
    /// As [`Database::salvage`].
    pub fn salvage(
        source: StoreOptions,
        target: StoreOptions,
        progress: impl FnMut(&SalvageProgress) + Send + 'static,
    ) -> Result<SalvageReport> {
        run_blocking(Database::salvage(source, target, progress))
    }

    /// As [`salvage`](Self::salvage), with the report before the new store becomes one.
    ///
    /// # Errors
    /// As [`Database::salvage_and_keep`].
    pub fn salvage_and_keep(
        source: StoreOptions,
        target: StoreOptions,
        progress: impl FnMut(&SalvageProgress) + Send + 'static,
        keep: impl FnOnce(&SalvageReport) -> Result<()> + Send + 'static,
    ) -> Result<SalvageReport> {
        run_blocking(Database::salvage_and_keep(source, target, progress, keep))
    }

    /// Closes the store.
    ///
    /// # Errors
    /// As [`Database::close`].
    pub fn close(&self) -> Result<()> {
        run_blocking(self.database.close())
    }
}

impl From<Database> for RedbManager {
    fn from(database: Database) -> Self {
        Self { database }
    }
}

/// Results of a query as an iterator, which keeps the store open. After an error it may be asked
/// again, and goes on behind the damage that the error names.
#[derive(Debug)]
pub struct BlockingResults {
    results: EventResults,
    _store: Database,
}

impl BlockingResults {
    /// As [`EventResults::cursor`].
    ///
    /// # Errors
    /// As [`EventResults::cursor`].
    pub fn cursor(&self) -> Result<Option<String>> {
        self.results.cursor()
    }
}

impl Iterator for BlockingResults {
    type Item = Result<StoredEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        run_blocking(self.results.next()).transpose()
    }
}

/// A subscription or replay as an iterator, which keeps the store open: waits for the next event, and
/// ends after an error that is not about a gap, or at the end of a replay.
#[derive(Debug)]
pub struct BlockingSubscription {
    subscription: EventSubscription,
    _store: Database,
}

impl BlockingSubscription {
    /// As [`EventSubscription::token`].
    ///
    /// # Errors
    /// As [`EventSubscription::token`].
    pub fn token(&self) -> Result<Option<String>> {
        self.subscription.token()
    }
}

impl Iterator for BlockingSubscription {
    type Item = Result<StoredEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        run_blocking(self.subscription.next()).transpose()
    }
}
