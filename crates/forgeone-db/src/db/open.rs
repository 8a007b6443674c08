//! Opening a store: keyring, lock, engine, databases, committers, in this order.

use super::check::{Witnessed, isolate_behind, read_closed};
use super::create::{
    ReaderKeyring, begin, check_not_lost, complete, heal, is_absent, open_keyring, require_ready,
};
use super::fence::fence;
use super::key_work::{KeyWork, PendingKeyChange};
use super::memory::MemorySplit;
use super::recovered::Found;
use super::sidecar::Sidecar;
use super::stack::{Stack, build_engine};
use crate::codec::corrupt;
use crate::crypto::{CursorKey, KeyStore, Keyring, Lineage, Phase};
use crate::environment::Task;
use crate::events::EventManager;
use crate::log::{
    CommitLog, KeyringWatch, Loaded, LogContext, Tables, TopicTable, Witness, is_older_keyring,
};
use crate::logs::LogManager;
use crate::options::{OpenMode, StoreOptions, StorePlace};
use crate::redb::{DirectoryState, RedbEngine, StoreDirectory, StoreLock, SystemTimer};
use crate::stream::{
    Caches, Directory, IdKey, Layout, Medium, PlaceIds, SealLimits, Settings, Shard, Shared,
    StateStore, Streams, Tokens, TopicKind, Writer, follow, read_settings, run_sealer, seal_due,
    write_settings,
};
use crate::system::SystemManager;
use bytes::Bytes;
use forgeone_db_engine::{DatabaseName, Engine, Error, ErrorKind, Outcome, Result, mutant};
use std::sync::{Arc, Mutex};

/// Shards of a new store whose options name no number.
pub(super) const SHARD_COUNT_DEFAULT: u32 = 4;
/// The most shards a store may have.
pub(super) const SHARD_COUNT_MAX: u32 = 1024;
/// How often a reader's witnesses are looked at again while a writer moves on.
const WITNESS_TRIES: u32 = 8;

/// An open store.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) sidecar: Sidecar,
    pub(super) keys: Arc<KeyStore>,
    /// Changes of keys; none on a handle that only reads.
    pub(super) key_work: Option<Arc<KeyWork>>,
    pub(super) directory: Arc<Directory>,
    /// The change of keys that opening found unfinished.
    pub(super) found_key_change: Option<PendingKeyChange>,
    /// How far the databases had come when it was opened.
    pub(super) found: Found,
    pub(super) engine: Arc<dyn Engine>,
    /// Where the engine is redb.
    pub(super) redb: Option<Arc<RedbEngine>>,
    pub(super) shared: Arc<Shared>,
    pub(super) system: Arc<Shard>,
    /// Shards of each kind, one kind after the other.
    pub(super) shards: Vec<Arc<Shard>>,
    /// The system database's first; none on a handle that only reads.
    pub(super) writers: Vec<Arc<Writer>>,
    pub(super) background: Mutex<Vec<Task>>,
    pub(super) events: EventManager,
    pub(super) logs: LogManager,
    pub(super) state: SystemManager,
    pub(super) settings: Settings,
}

/// What is found before any database is opened.
struct Ground {
    sidecar: Sidecar,
    keyring: Keyring,
    lock: Option<StoreLock>,
    directory: Option<StoreDirectory>,
}

/// # Errors
/// See [`Database::open`](super::Database::open).
pub(super) async fn open(options: StoreOptions) -> Result<Core> {
    let opened = prepare(&options).await.map_err(|error| settled(error, Phase::Creating))?;
    let (engine, phase) = (Arc::clone(&opened.engine), opened.keys.keyring().phase());
    let result = match options.mode {
        OpenMode::Read => opened.read().await,
        _ => opened.write().await,
    };
    if result.is_err() {
        // The error that matters is the one at hand; the lock goes with the engine in any case.
        drop(engine.close().await);
    }
    result.map_err(|error| settled(error, phase))
}

/// Opening a store that is there writes nothing of the caller's: there is nothing that may be stored,
/// and nothing to send again. A creation that failed may have made the store all the same, but not
/// where there was no room for it: it is taken up again.
fn settled(error: Error, phase: Phase) -> Error {
    if phase == Phase::Ready || error.kind() == ErrorKind::Full {
        return error.with_outcome(Outcome::Rejected);
    }
    error
}

/// Finds the ground and builds the engine on it.
pub(super) async fn prepare(options: &StoreOptions) -> Result<Opening<'_>> {
    check_options(options)?;
    let memory = MemorySplit::new(options.memory_max)?;
    let ground = match &options.place {
        StorePlace::Directory(path) => {
            let directory = open_directory(path, options)?;
            ground_in_directory(directory, options).await?
        }
        StorePlace::Engine(engine) => {
            let sidecar = Sidecar::Engine(Arc::clone(engine), options.durability);
            let keyring = keyring(&sidecar, options).await?;
            Ground { sidecar, keyring, lock: None, directory: None }
        }
    };
    let stack = build_engine(options, &memory, ground.lock, ground.directory)?;
    let keys = Arc::new(KeyStore::new(ground.keyring, Arc::clone(&options.environment)));
    let Stack { engine, redb, medium } = stack;
    Ok(Opening { options, memory, sidecar: ground.sidecar, keys, engine, redb, medium })
}

fn check_options(options: &StoreOptions) -> Result<()> {
    match options.shard_count {
        Some(count) if count == 0 || count > SHARD_COUNT_MAX => {
            Err(Error::new(ErrorKind::Invalid, "a store has 1 to 1,024 shards")
                .with("shard_count", count))
        }
        _ => Ok(()),
    }
}

fn open_directory(path: &std::path::Path, options: &StoreOptions) -> Result<StoreDirectory> {
    let disk = Arc::clone(&options.disk);
    match (StoreDirectory::inspect_on(&*disk, path)?, options.mode) {
        (DirectoryState::Store, _) | (_, OpenMode::Open | OpenMode::Read) => {
            StoreDirectory::open_on(disk, path)
        }
        (_, OpenMode::OpenOrCreate | OpenMode::Create) => StoreDirectory::create_on(disk, path),
    }
}

async fn ground_in_directory(directory: StoreDirectory, options: &StoreOptions) -> Result<Ground> {
    let sidecar = Sidecar::Directory(directory.clone());
    let before = sidecar.keyrings().await?;
    // The key is tried before the lock is taken and before any data file is opened.
    if !is_absent(&before) {
        let keyring = open_keyring(&before, options.key.as_deref())?;
        refuse_existing(&keyring, options.mode)?;
        if options.mode == OpenMode::Read {
            require_ready(&keyring)?;
            return Ok(Ground { sidecar, keyring, lock: None, directory: Some(directory) });
        }
    } else if matches!(options.mode, OpenMode::Open | OpenMode::Read) {
        check_not_lost(&sidecar).await?;
        return Err(Error::new(
            ErrorKind::NotFound,
            "there is no store here: its creation was interrupted before anything was stored",
        )
        .with("path", directory.path().display()));
    }
    let lock = directory.lock(options.lock_wait, &SystemTimer::new())?;
    let keyring = keyring(&sidecar, options).await?;
    Ok(Ground { sidecar, keyring, lock: Some(lock), directory: Some(directory) })
}

/// The keyring of the store, made first if there is none and the mode allows it.
async fn keyring(sidecar: &Sidecar, options: &StoreOptions) -> Result<Keyring> {
    let copies: [Option<Bytes>; 2] = sidecar.keyrings().await?;
    if is_absent(&copies) {
        if matches!(options.mode, OpenMode::Open | OpenMode::Read) {
            return Err(Error::new(ErrorKind::NotFound, "there is no store here"));
        }
        check_not_lost(sidecar).await?;
        return begin(sidecar, options).await;
    }
    let keyring = open_keyring(&copies, options.key.as_deref())?;
    refuse_existing(&keyring, options.mode)?;
    if matches!(options.mode, OpenMode::Open | OpenMode::Read) {
        require_ready(&keyring)?;
    }
    Ok(keyring)
}

fn refuse_existing(keyring: &Keyring, mode: OpenMode) -> Result<()> {
    if mode == OpenMode::Create && keyring.phase() == Phase::Ready {
        return Err(Error::new(ErrorKind::AlreadyExists, "there is a store already"));
    }
    Ok(())
}

pub(super) struct Opening<'a> {
    pub(super) options: &'a StoreOptions,
    pub(super) memory: MemorySplit,
    pub(super) sidecar: Sidecar,
    keys: Arc<KeyStore>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) redb: Option<Arc<RedbEngine>>,
    medium: Option<Arc<dyn Medium>>,
}

/// A database that was opened, and what its log had.
type OpenedShard = (Arc<Shard>, Option<Loaded>);

/// Committers, which may be at work; stopped again if the opening fails further on.
#[derive(Default)]
struct Started(Vec<Arc<Writer>>);

impl Drop for Started {
    fn drop(&mut self) {
        self.0.iter().for_each(|writer| writer.stop());
    }
}

impl Opening<'_> {
    /// Looks for newer keyrings; a writer is the only one who makes them.
    fn watch(&self) -> Option<Arc<dyn KeyringWatch>> {
        let watch = || ReaderKeyring {
            sidecar: self.sidecar.clone(),
            key: self.options.key.clone(),
            keys: Arc::clone(&self.keys),
        };
        (self.options.mode == OpenMode::Read).then(|| Arc::new(watch()) as Arc<dyn KeyringWatch>)
    }

    pub(super) fn context(&self, database: DatabaseName) -> LogContext {
        LogContext {
            engine: Arc::clone(&self.engine),
            database,
            durability: self.options.durability,
            keys: Arc::clone(&self.keys),
            lineage: self.keys.keyring().lineage(),
            watch: self.watch(),
            environment: Arc::clone(&self.options.environment),
            topics: Arc::new(TopicTable::new(Arc::clone(&self.keys))),
            tables: Tables::new(),
        }
    }

    fn shared(&self, settings: &Settings, lineage: Lineage) -> Arc<Shared> {
        Arc::new(Shared::new(
            (Arc::clone(&self.engine), self.medium.clone()),
            (
                Arc::clone(&self.options.environment),
                PlaceIds::new(settings.id_key.clone(), lineage.epoch),
            ),
            (
                self.options.max_size_bytes.unwrap_or(settings.max_size_bytes),
                self.options.reserve_bytes,
            ),
            self.memory.limits,
            self.options.mode == OpenMode::Read,
        ))
    }

    pub(super) fn caches(&self) -> Caches {
        Caches::new(self.memory.units, self.memory.sealing_batch)
    }

    fn seal_limits(&self) -> SealLimits {
        let options = self.options;
        SealLimits::new(options.tail_bytes, options.tail_records, self.memory.limits.tails)
    }

    async fn write(self) -> Result<Core> {
        let mut started = Started::default();
        let core = self.write_with(&mut started).await?;
        started.0.clear();
        Ok(core)
    }

    async fn write_with(self, started: &mut Started) -> Result<Core> {
        let caches = self.caches();
        let (system, loaded) = self.load(system_name()?, Layout::system(), &caches).await?;
        if self.keys.keyring().phase() == Phase::Creating {
            self.create(&system, loaded.as_ref()).await?;
        } else if loaded.is_none() {
            return Err(corrupt("the system database is missing").with("database", SYSTEM_DATABASE));
        }
        heal(&self.sidecar, &self.keys.keyring()).await?;
        // A creation has just written; what it wrote is read like any other log.
        let (system, loaded) = self.load(system_name()?, Layout::system(), &caches).await?;
        let mut settings = read_settings(&system).await?;
        let recorded = settings.shard_count;
        settings.shard_count = recorded.max(self.options.shard_count.unwrap_or(recorded));

        let mut opened: Vec<OpenedShard> = vec![(system, loaded)];
        for (kind, index) in shards_of(settings.shard_count) {
            let context = self.context(kind.shard_name(index)?);
            let shard = Arc::new(Shard::new(context, kind.layout(), caches.clone()));
            let loaded = unless_damaged(&shard, self.load_for_writing(&shard).await)?;
            opened.push((shard, loaded.flatten()));
        }
        let shards: Vec<Arc<Shard>> = opened.iter().map(|(shard, _)| Arc::clone(shard)).collect();
        let closed = self.closed_if_readable().await?;
        let witnessed = Witnessed::collect(&shards, &closed);
        isolate_behind(&shards, &witnessed.against(&shards))?;
        let found = Found::new(&shards, &closed, self.redb.as_deref());

        let shared = self.shared(&settings, self.keys.keyring().lineage());
        self.make_writers(opened, &shared, started).await?;
        // A database out of use cannot say how far it had come.
        let isolated = |head: &&Witness| {
            let of = |shard: &&Arc<Shard>| shard.context().database.as_str() == head.database;
            shards.iter().find(of).is_some_and(|shard| shard.check().is_err())
        };
        witnessed.heads().filter(isolated).for_each(|head| shared.keep_witness(head));
        let writers = started.0.clone();
        if settings.shard_count != recorded
            && let Some(writer) = writers.first()
        {
            // The sealer does not run yet, and a committer with a long tail waits for it.
            seal_due(&writers, &shared);
            write_settings(writer, &settings).await?;
        }
        self.finish((shards, writers), shared, settings, found).await
    }

    /// Writes the first commit of a new store and completes its keyring.
    async fn create(&self, system: &Arc<Shard>, loaded: Option<&Loaded>) -> Result<()> {
        let settings = Settings {
            shard_count: self.options.shard_count.unwrap_or(SHARD_COUNT_DEFAULT),
            max_size_bytes: self.options.max_size_bytes.unwrap_or(0),
            id_key: IdKey::random(&*self.options.environment)?,
        };
        let context = system.context().clone();
        let log = match loaded {
            None => CommitLog::create(context, 1),
            Some(loaded) => CommitLog::resume(context, loaded),
        };
        let shared = self.shared(&settings, self.keys.keyring().lineage());
        shared.raise_stamp(loaded.map_or(0, |loaded| loaded.head.stamp));
        let shard = Arc::clone(system);
        let writer = Writer::new(shard, Arc::new(log), &shared, self.seal_limits());
        let written = write_settings(&writer, &settings).await;
        writer.stop();
        written?;
        let keyring = self.keys.keyring();
        let ready = complete(&self.sidecar, &keyring, &*self.options.environment).await?;
        self.keys.adopt(ready);
        Ok(())
    }

    async fn load(
        &self,
        database: DatabaseName,
        layout: Layout,
        caches: &Caches,
    ) -> Result<OpenedShard> {
        let context = self.context(database);
        let shard = Arc::new(Shard::new(context, layout, caches.clone()));
        let loaded = shard.load().await?;
        Ok((shard, loaded))
    }

    /// Loads a database whose records will be sealed. What seems to be lost of them is looked for once
    /// more on the medium itself: what was garbled on its way from there must not be given up.
    async fn load_for_writing(&self, shard: &Shard) -> Result<Option<Loaded>> {
        let loaded = shard.load().await?;
        let lost = |loaded: &Loaded| loaded.tail.iter().any(|block| !block.lost.is_empty());
        if !loaded.as_ref().is_some_and(lost) || mutant!("believe-a-garbled-read") {
            return Ok(loaded);
        }
        let Some(redb) = &self.redb else { return Ok(loaded) };
        redb.reopen(&shard.context().database)?;
        shard.load().await
    }

    async fn closed_if_readable(&self) -> Result<Vec<Witness>> {
        match self.closed().await {
            Err(error) if is_older_keyring(&error) => Err(error),
            // Also one that seems to be of a newer format: the keyring would be, too.
            Err(error)
                if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::UpgradeRequired) =>
            {
                Ok(Vec::new())
            }
            closed => closed,
        }
    }

    pub(super) async fn closed(&self) -> Result<Vec<Witness>> {
        read_closed(&self.sidecar, &self.keys, self.watch().as_deref()).await
    }

    /// Commits a block with a higher term to every database there is, which fences any other
    /// writer, and makes its writing half.
    async fn make_writers(
        &self,
        opened: Vec<OpenedShard>,
        shared: &Arc<Shared>,
        started: &mut Started,
    ) -> Result<()> {
        let in_use = |(shard, _): &&OpenedShard| shard.check().is_ok();
        let heads = || opened.iter().filter(in_use).filter_map(|(_, loaded)| loaded.as_ref());
        let term = heads().map(|loaded| loaded.head.term).max().unwrap_or(0) + 1;
        for loaded in heads() {
            shared.raise_stamp(loaded.head.stamp);
            shared.record_head(&loaded.head);
        }
        for (shard, loaded) in opened {
            let context = shard.context().clone();
            shared.add_database(context.database.clone());
            let mut unwritable = None;
            let log = match loaded.as_ref().filter(|_| shard.check().is_ok()) {
                // Out of use, it is never asked for a commit.
                None => CommitLog::create(context, term),
                Some(loaded) => {
                    let log = CommitLog::resume(context, loaded);
                    log.raise_term(term).await;
                    if let Err(error) = fence(&shard, &log, shared).await {
                        // The system database comes first, and nothing goes without it.
                        if started.0.is_empty() || error.kind() != ErrorKind::Corrupt {
                            return Err(error);
                        }
                        match error.outcome() {
                            // It was loaded, and is as it was: it can be read.
                            Outcome::Rejected => unwritable = Some(error),
                            Outcome::Unknown => shard.isolate(&error),
                        }
                    }
                    log
                }
            };
            let writer = Writer::new(shard, Arc::new(log), shared, self.seal_limits());
            if let Some(error) = unwritable {
                writer.poison(&error);
            }
            writer.note_memory();
            started.0.push(writer);
        }
        Ok(())
    }

    async fn read(self) -> Result<Core> {
        let caches = self.caches();
        let context = self.context(system_name()?);
        let system = Arc::new(Shard::new(context, Layout::system(), caches.clone()));
        system.refresh().await?;
        if system.state().head.is_none() {
            return Err(corrupt("the system database is missing").with("database", SYSTEM_DATABASE));
        }
        let settings = read_settings(&system).await?;
        let mut shards = vec![system];
        for (kind, index) in shards_of(settings.shard_count) {
            let context = self.context(kind.shard_name(index)?);
            let shard = Arc::new(Shard::new(context, kind.layout(), caches.clone()));
            unless_damaged(&shard, shard.refresh().await)?;
            shards.push(shard);
        }
        self.check_moving_witnesses(&shards).await?;
        let closed = self.closed_if_readable().await?;
        let found = Found::new(&shards, &closed, self.redb.as_deref());
        let shared = self.shared(&settings, self.keys.keyring().lineage());
        self.finish((shards, Vec::new()), shared, settings, found).await
    }

    /// Looks for databases that are behind what others have seen, beside a writer: one that was read
    /// before another had seen it grow is read again.
    async fn check_moving_witnesses(&self, shards: &[Arc<Shard>]) -> Result<()> {
        let mut tries = WITNESS_TRIES;
        loop {
            let closed = self.closed_if_readable().await?;
            let against = Witnessed::collect(shards, &closed).against(shards);
            tries -= 1;
            let mut moved = false;
            if !against.is_empty() && tries > 0 {
                for shard in shards {
                    moved |= shard.refresh().await?;
                }
            }
            if !moved {
                return isolate_behind(shards, &against);
            }
        }
    }

    async fn finish(
        self,
        (mut shards, writers): (Vec<Arc<Shard>>, Vec<Arc<Writer>>),
        shared: Arc<Shared>,
        settings: Settings,
        found: Found,
    ) -> Result<Core> {
        let system = shards.remove(0);
        let directory = Arc::new(Directory::new(
            Arc::clone(&system),
            writers.first().cloned(),
            Arc::clone(&shared),
        ));
        let tokens = Arc::new(self.tokens(&directory).await?);
        let key_work = KeyWork::new(
            (&self.keys, &self.sidecar),
            &directory,
            // The system database's comes first.
            (&writers, settings.shard_count),
            &shared,
        );
        let streams = |kind: TopicKind| {
            let count = settings.shard_count as usize;
            let skipped = count * usize::from(kind.code() - 1);
            let of_kind: Vec<_> = shards.iter().skip(skipped).take(count).cloned().collect();
            // The system database's committer is the first.
            let committers = writers.iter().skip(1 + skipped).take(count).cloned().collect();
            let databases = (Arc::clone(&system), of_kind);
            let shared = Arc::clone(&shared);
            Arc::new(Streams::new(kind, Arc::clone(&directory), databases, committers, shared))
        };
        let events = EventManager::new(streams(TopicKind::Events), Arc::clone(&tokens));
        let logs = LogManager::new(streams(TopicKind::Logs), tokens);
        let state =
            StateStore::new(Arc::clone(&system), writers.first().cloned(), Arc::clone(&shared));
        let mut background = self.start_background(&shards, &system, &writers, &shared)?;
        let found_key_change = PendingKeyChange::find(&directory, &self.keys).await?;
        if let (Some(work), Some(_)) = (&key_work, &found_key_change) {
            // What it fails with stays pending; the store is to open all the same.
            drop(work.prepare().await);
            background.push(work.spawn_finish(&*self.options.environment)?);
        }
        Ok(Core {
            sidecar: self.sidecar,
            keys: self.keys,
            key_work,
            directory,
            found_key_change,
            found,
            engine: self.engine,
            redb: self.redb,
            shared,
            system,
            shards,
            writers,
            background: Mutex::new(background),
            events,
            logs,
            state: SystemManager::new(Arc::new(state)),
            settings,
        })
    }

    /// Tokens stay valid when the system key is replaced.
    async fn tokens(&self, directory: &Directory) -> Result<Tokens> {
        let keyring = self.keys.keyring();
        let lineage = keyring.lineage();
        let key = match directory.token_key().await? {
            Some(kept) => CursorKey::from_bytes(&kept)?,
            None => CursorKey::derive(keyring.system_key(), &lineage.store_id)?,
        };
        Ok(Tokens::new(key, lineage.epoch))
    }

    fn start_background(
        &self,
        shards: &[Arc<Shard>],
        system: &Arc<Shard>,
        writers: &[Arc<Writer>],
        shared: &Arc<Shared>,
    ) -> Result<Vec<Task>> {
        let environment = &self.options.environment;
        let task: Box<dyn FnOnce() + Send> = if writers.is_empty() {
            let mut shards = shards.to_vec();
            shards.push(Arc::clone(system));
            let shared = Arc::clone(shared);
            Box::new(move || follow(&shards, &shared))
        } else {
            let (writers, shared) = (writers.to_vec(), Arc::clone(shared));
            Box::new(move || run_sealer(&writers, &shared))
        };
        let name = if writers.is_empty() { "follow" } else { "seal" };
        Ok(vec![environment.spawn(name, task)?])
    }
}

/// What was loaded, or none after taking the database out of use, where it is damaged or its file may
/// not be used: a symbolic link in its place, or a mode that forbids it.
fn unless_damaged<T>(shard: &Shard, loaded: Result<T>) -> Result<Option<T>> {
    match loaded {
        // An older keyring comes with an older system database: nothing that it says can be believed.
        Err(error)
            if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Denied)
                && !is_older_keyring(&error) =>
        {
            shard.isolate(&error);
            Ok(None)
        }
        loaded => loaded.map(Some),
    }
}

pub(super) const SYSTEM_DATABASE: &str = "system"; // on-disk

pub(super) fn system_name() -> Result<DatabaseName> {
    DatabaseName::new(SYSTEM_DATABASE)
}

/// Every shard of a store with so many of each kind, one kind after the other.
pub(super) fn shards_of(count: u32) -> impl Iterator<Item = (TopicKind, u32)> {
    TopicKind::ALL.into_iter().flat_map(move |kind| (0..count).map(move |index| (kind, index)))
}
