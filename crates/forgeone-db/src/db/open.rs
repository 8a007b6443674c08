//! Opening a store: keyring, lock, engine, databases, committers, in this order.

use super::check::{check_witnesses, open_closed};
use super::create::{KeyringWrap, begin, complete, is_absent, open_keyring, require_ready};
use super::sidecar::{CLOSED_NAME, Sidecar};
use super::stack::build_engine;
use crate::codec::corrupt;
use crate::crypto::{CursorKey, Keyring, Lineage, Phase};
use crate::environment::Task;
use crate::events::EventManager;
use crate::integrity::Subject;
use crate::log::{
    BlockDraft, CommitLog, KeyWrap, KeyringWatch, Loaded, LogContext, Tables, TopicTable,
};
use crate::logs::LogManager;
use crate::options::{OpenMode, StoreOptions, StorePlace};
use crate::redb::{DirectoryState, RedbEngine, StoreDirectory, StoreLock, SystemTimer};
use crate::stream::{
    Caches, Directory, IdKey, Layout, PlaceIds, SealLimits, Settings, Shard, Shared, StateStore,
    Streams, Tokens, TopicKind, Writer, follow, read_settings, run_sealer, write_settings,
};
use crate::system::SystemManager;
use bytes::Bytes;
use forgeone_db_engine::{DatabaseName, Engine, Error, ErrorKind, Result};
use std::sync::{Arc, Mutex};

/// Shards of a new store whose options name no number.
pub(super) const SHARD_COUNT_DEFAULT: u32 = 4;
/// The most shards a store may have.
const SHARD_COUNT_MAX: u32 = 1024;
/// How often a reader's witnesses are looked at again while a writer moves on.
const WITNESS_TRIES: u32 = 8;

/// An open store.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) sidecar: Sidecar,
    pub(super) keyring: Keyring,
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
    let (opened, keyring) = prepare(&options).await?;
    let engine = Arc::clone(&opened.engine);
    let result = match options.mode {
        OpenMode::Read => opened.read(keyring).await,
        _ => opened.write(keyring).await,
    };
    if result.is_err() {
        // The error that matters is the one at hand; the lock goes with the engine in any case.
        drop(engine.close().await);
    }
    result
}

/// Finds the ground and builds the engine on it.
async fn prepare(options: &StoreOptions) -> Result<(Opening<'_>, Keyring)> {
    check_options(options)?;
    let ground = match &options.place {
        StorePlace::Directory(path) => {
            let directory = open_directory(path, options.mode)?;
            ground_in_directory(directory, options).await?
        }
        StorePlace::Engine(engine) => {
            let sidecar = Sidecar::Engine(Arc::clone(engine), options.durability);
            let keyring = keyring(&sidecar, options).await?;
            Ground { sidecar, keyring, lock: None, directory: None }
        }
    };
    let (engine, redb) = build_engine(options, ground.lock, ground.directory)?;
    Ok((Opening { options, sidecar: ground.sidecar, engine, redb }, ground.keyring))
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

fn open_directory(path: &std::path::Path, mode: OpenMode) -> Result<StoreDirectory> {
    match (StoreDirectory::inspect(path)?, mode) {
        (DirectoryState::Store, _) | (_, OpenMode::Open | OpenMode::Read) => {
            StoreDirectory::open(path)
        }
        (_, OpenMode::OpenOrCreate | OpenMode::Create) => StoreDirectory::create(path),
    }
}

async fn ground_in_directory(directory: StoreDirectory, options: &StoreOptions) -> Result<Ground> {
    let sidecar = Sidecar::Directory(directory.clone());
    let before = sidecar.keyrings().await?;
    // The key is tried before the lock is taken and before any data file is opened.
    if !is_absent(&before) {
        let keyring = open_keyring(&before, options.key.as_ref())?;
        refuse_existing(&keyring, options.mode)?;
        if options.mode == OpenMode::Read {
            require_ready(&keyring)?;
            return Ok(Ground { sidecar, keyring, lock: None, directory: Some(directory) });
        }
    } else if matches!(options.mode, OpenMode::Open | OpenMode::Read) {
        return Err(Error::new(
            ErrorKind::NotFound,
            "there is no store here: the creation was interrupted, or the keyring is gone",
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
        if let Sidecar::Directory(directory) = sidecar
            && !directory.databases()?.is_empty()
        {
            return Err(corrupt(
                "both copies of the keyring are gone while data is there; restore one of them",
            )
            .with("path", directory.path().display()));
        }
        return begin(sidecar, options).await;
    }
    let keyring = open_keyring(&copies, options.key.as_ref())?;
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

struct Opening<'a> {
    options: &'a StoreOptions,
    sidecar: Sidecar,
    engine: Arc<dyn Engine>,
    redb: Option<Arc<RedbEngine>>,
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
    fn context(&self, keyring: &Keyring, database: DatabaseName) -> LogContext {
        let keys: Arc<dyn KeyWrap> = Arc::new(KeyringWrap {
            keyring: keyring.clone(),
            environment: Arc::clone(&self.options.environment),
        });
        let system = keyring.system_key().clone();
        LogContext {
            engine: Arc::clone(&self.engine),
            database,
            durability: self.options.durability,
            system: system.clone(),
            lineage: keyring.lineage(),
            keyring: keyring.number(),
            watch: (self.options.mode == OpenMode::Read)
                .then(|| Arc::new(self.sidecar.clone()) as Arc<dyn KeyringWatch>),
            environment: Arc::clone(&self.options.environment),
            topics: Arc::new(TopicTable::new(keys, system)),
            tables: Tables::new(),
        }
    }

    fn shared(&self, settings: &Settings, lineage: Lineage) -> Arc<Shared> {
        Arc::new(Shared::new(
            Arc::clone(&self.engine),
            Arc::clone(&self.options.environment),
            PlaceIds::new(settings.id_key.clone(), lineage.epoch),
            self.options.max_size_bytes.unwrap_or(settings.max_size_bytes),
            self.options.mode == OpenMode::Read,
        ))
    }

    fn caches(&self) -> Caches {
        Caches::new(usize::try_from(self.options.cache_bytes / 2).unwrap_or(usize::MAX))
    }

    async fn write(self, keyring: Keyring) -> Result<Core> {
        let mut started = Started::default();
        let core = self.write_with(keyring, &mut started).await?;
        started.0.clear();
        Ok(core)
    }

    async fn write_with(self, keyring: Keyring, started: &mut Started) -> Result<Core> {
        let caches = self.caches();
        let (system, loaded) =
            self.load(&keyring, system_name()?, Layout::system(), &caches).await?;
        let keyring = if keyring.phase() == Phase::Creating {
            self.create(keyring, &system, loaded.as_ref()).await?
        } else if loaded.is_none() {
            return Err(corrupt("the system database is missing").with("database", SYSTEM_DATABASE));
        } else {
            keyring
        };
        // A creation has just written; what it wrote is read like any other log.
        let (system, loaded) =
            self.load(&keyring, system_name()?, Layout::system(), &caches).await?;
        let mut settings = read_settings(&system).await?;
        let recorded = settings.shard_count;
        settings.shard_count = recorded.max(self.options.shard_count.unwrap_or(recorded));

        let mut opened: Vec<OpenedShard> = vec![(system, loaded)];
        for (kind, index) in shards_of(settings.shard_count) {
            let loading = self.load(&keyring, kind.shard_name(index)?, kind.layout(), &caches);
            opened.push(loading.await?);
        }
        let shards: Vec<Arc<Shard>> = opened.iter().map(|(shard, _)| Arc::clone(shard)).collect();
        let closed = self.closed(&keyring).await?;
        check_witnesses(&shards, &closed)?;

        let shared = self.shared(&settings, keyring.lineage());
        self.make_writers(opened, &shared, started).await?;
        let writers = started.0.clone();
        if settings.shard_count != recorded
            && let Some(writer) = writers.first()
        {
            write_settings(writer, &settings).await?;
        }
        self.finish(keyring, (shards, writers), shared, settings)
    }

    /// Writes the first commit of a new store and completes its keyring.
    async fn create(
        &self,
        keyring: Keyring,
        system: &Arc<Shard>,
        loaded: Option<&Loaded>,
    ) -> Result<Keyring> {
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
        let shared = self.shared(&settings, keyring.lineage());
        shared.raise_stamp(loaded.map_or(0, |loaded| loaded.head.stamp));
        let shard = Arc::clone(system);
        let writer = Writer::new(shard, Arc::new(log), &shared, SealLimits::default());
        let written = write_settings(&writer, &settings).await;
        writer.stop();
        written?;
        complete(&self.sidecar, &keyring, &*self.options.environment).await
    }

    async fn load(
        &self,
        keyring: &Keyring,
        database: DatabaseName,
        layout: Layout,
        caches: &Caches,
    ) -> Result<OpenedShard> {
        let context = self.context(keyring, database);
        let shard = Arc::new(Shard::new(context, layout, caches.clone()));
        let loaded = shard.load().await?;
        Ok((shard, loaded))
    }

    async fn closed(&self, keyring: &Keyring) -> Result<Vec<crate::log::Witness>> {
        match self.sidecar.read(CLOSED_NAME).await? {
            None => Ok(Vec::new()),
            Some(stored) => open_closed(&stored, (keyring.system_key(), keyring.lineage())),
        }
    }

    /// Commits a block with a higher term to every database there is, which fences any other
    /// writer, and makes its writing half.
    async fn make_writers(
        &self,
        opened: Vec<OpenedShard>,
        shared: &Arc<Shared>,
        started: &mut Started,
    ) -> Result<()> {
        let heads = || opened.iter().filter_map(|(_, loaded)| loaded.as_ref());
        let term = heads().map(|loaded| loaded.head.term).max().unwrap_or(0) + 1;
        for loaded in heads() {
            shared.raise_stamp(loaded.head.stamp);
            shared.record_head(&loaded.head);
        }
        let limits = SealLimits {
            tail_bytes: self.options.tail_bytes,
            tail_records: self.options.tail_records,
        };
        for (shard, loaded) in opened {
            let context = shard.context().clone();
            shared.add_database(context.database.clone());
            let log = match &loaded {
                None => CommitLog::create(context, term),
                Some(loaded) => {
                    let log = CommitLog::resume(context, loaded);
                    log.raise_term(term).await;
                    fence(&shard, &log, shared).await?;
                    log
                }
            };
            started.0.push(Writer::new(shard, Arc::new(log), shared, limits));
        }
        Ok(())
    }

    async fn read(self, keyring: Keyring) -> Result<Core> {
        let caches = self.caches();
        let context = self.context(&keyring, system_name()?);
        let system = Arc::new(Shard::new(context, Layout::system(), caches.clone()));
        system.refresh().await?;
        if system.state().head.is_none() {
            return Err(corrupt("the system database is missing").with("database", SYSTEM_DATABASE));
        }
        let settings = read_settings(&system).await?;
        let mut shards = vec![system];
        for (kind, index) in shards_of(settings.shard_count) {
            let context = self.context(&keyring, kind.shard_name(index)?);
            let shard = Arc::new(Shard::new(context, kind.layout(), caches.clone()));
            shard.refresh().await?;
            shards.push(shard);
        }
        self.check_moving_witnesses(&keyring, &shards).await?;
        let shared = self.shared(&settings, keyring.lineage());
        self.finish(keyring, (shards, Vec::new()), shared, settings)
    }

    /// As [`check_witnesses`], beside a writer: a database that was read before another had seen it
    /// grow is read again.
    async fn check_moving_witnesses(&self, keyring: &Keyring, shards: &[Arc<Shard>]) -> Result<()> {
        let mut tries = WITNESS_TRIES;
        loop {
            let closed = self.closed(keyring).await?;
            let checked = check_witnesses(shards, &closed);
            tries -= 1;
            if checked.is_ok() || tries == 0 {
                return checked;
            }
            let mut moved = false;
            for shard in shards {
                moved |= shard.refresh().await?;
            }
            if !moved {
                return checked;
            }
        }
    }

    fn finish(
        self,
        keyring: Keyring,
        (mut shards, writers): (Vec<Arc<Shard>>, Vec<Arc<Writer>>),
        shared: Arc<Shared>,
        settings: Settings,
    ) -> Result<Core> {
        let system = shards.remove(0);
        let directory = Arc::new(Directory::new(
            Arc::clone(&system),
            writers.first().cloned(),
            Arc::clone(&shared),
        ));
        let lineage = keyring.lineage();
        let key = CursorKey::derive(keyring.system_key(), &lineage.store_id)?;
        let tokens = Arc::new(Tokens::new(key, lineage.epoch));
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
        let background = self.start_background(&shards, &system, &writers, &shared)?;
        Ok(Core {
            sidecar: self.sidecar,
            keyring,
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

/// What can be verified of a store that may not open.
pub(super) struct Unopened {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) subject: Subject,
}

/// Goes as far as the engine, for reading, and takes the databases for what their names say.
pub(super) async fn open_unopened(mut options: StoreOptions) -> Result<Unopened> {
    options.mode = OpenMode::Read;
    let (opened, keyring) = prepare(&options).await?;
    let engine = Arc::clone(&opened.engine);
    let subject = opened.unopened(&keyring).await;
    match subject {
        Ok(subject) => Ok(Unopened { engine, subject }),
        Err(error) => {
            close_unopened(&engine).await;
            Err(error)
        }
    }
}

pub(super) async fn close_unopened(engine: &Arc<dyn Engine>) {
    // Nothing was written; what was found matters more than how the files were let go.
    drop(engine.close().await);
}

impl Opening<'_> {
    async fn unopened(&self, keyring: &Keyring) -> Result<Subject> {
        let caches = self.caches();
        let shard = |name, layout| {
            Arc::new(Shard::new(self.context(keyring, name), layout, caches.clone()))
        };
        let system = shard(system_name()?, Layout::system());
        let count = match system.refresh().await {
            Ok(_) => read_settings(&system).await.ok().map(|settings| settings.shard_count),
            Err(_) => None,
        };
        // The walk takes a snapshot of its own.
        let system = shard(system_name()?, Layout::system());
        let mut shards: Vec<Arc<Shard>> = Vec::new();
        for (kind, index) in shards_of(count.unwrap_or(SHARD_COUNT_MAX)) {
            let next = shard(kind.shard_name(index)?, kind.layout());
            // Where the number of shards is lost, every one that there is counts.
            let known = count.is_some() || index < self.options.shard_count.unwrap_or(1);
            if known || self.engine.usage(&next.context().database).await?.allocated_bytes > 0 {
                shards.push(next);
            }
        }
        let shard_count = count.unwrap_or(SHARD_COUNT_MAX);
        let closed = self.closed(keyring).await;
        let keyrings = self.sidecar.keyrings().await?;
        Ok(Subject { system, shards, shard_count, closed, keyrings })
    }
}

/// Commits a block without content under the log's new term.
async fn fence(shard: &Shard, log: &CommitLog, shared: &Shared) -> Result<()> {
    let draft = BlockDraft {
        stamp: shared.next_stamp(),
        time: shared.environment.now(),
        witnesses: shared.other_heads(shard.context().database.as_str()),
        topics: Vec::new(),
        sections: Vec::new(),
    };
    let block = log.append(draft).await?;
    let head = log.head().await;
    shared.record_head(&head);
    shard.publish(block, head, &[])
}

pub(super) const SYSTEM_DATABASE: &str = "system"; // on-disk

fn system_name() -> Result<DatabaseName> {
    DatabaseName::new(SYSTEM_DATABASE)
}

/// Every shard of a store with so many of each kind, one kind after the other.
fn shards_of(count: u32) -> impl Iterator<Item = (TopicKind, u32)> {
    TopicKind::ALL.into_iter().flat_map(move |kind| (0..count).map(move |index| (kind, index)))
}
