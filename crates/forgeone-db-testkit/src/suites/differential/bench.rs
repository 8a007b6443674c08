//! The engines that a plan runs on, each with a store of its own; and the clock that they share.

use forgeone_db::environment::{Environment, SystemEnvironment, Task, Timestamp};
use forgeone_db::{
    Durability, Engine, Error, Key, MemoryEngine, OpenMode, RedbManager, Result, StoreOptions,
};
use forgeone_db_engine::{MeteredEngine, StrictEngine};
use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tempfile::TempDir;

/// A clock that a plan sets, with everything else as it is.
#[derive(Debug)]
pub(super) struct World {
    clock: Mutex<Timestamp>,
    system: SystemEnvironment,
}

impl World {
    pub(super) fn set(&self, time: Timestamp) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }
}

impl Environment for World {
    fn now(&self) -> Timestamp {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        self.system.fill_random(bytes)
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        self.system.spawn(name, task)
    }
}

/// Where a store lies.
#[derive(Debug)]
enum Ground {
    Memory(MemoryEngine),
    Strict(MemoryEngine, u64),
    Directory { home: TempDir, generation: u32 },
}

/// One engine with the store on it.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    ground: Ground,
    pub(super) store: RedbManager,
}

/// How a store is left and opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Closed.
    Clean,
    /// As a kill would leave it.
    Dirty,
}

/// All engines, with the same plan ahead of them.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) subjects: Vec<Subject>,
    pub(super) world: Arc<World>,
    shards: u32,
}

impl Bench {
    pub(super) fn new(seed: u64, shards: u32) -> Result<Self, String> {
        let clock = Mutex::new(Timestamp { seconds: 1_700_000_000, nanos: 0 });
        let world = Arc::new(World { clock, system: SystemEnvironment::new() });
        let home = directory().map_err(|error| error.to_string())?;
        let grounds = [
            ("memory", Ground::Memory(MemoryEngine::new())),
            ("strict", Ground::Strict(MemoryEngine::new(), seed)),
            ("redb", Ground::Directory { home, generation: 0 }),
        ];
        let open = |(name, ground)| {
            let store = open(&ground, &world, shards)?;
            Ok(Subject { name, ground, store })
        };
        let subjects = grounds.into_iter().map(open).collect::<Result<Vec<_>>>();
        Ok(Self { subjects: subjects.map_err(|error| error.to_string())?, world, shards })
    }

    /// Leaves every store and opens it again.
    pub(super) fn reopen(&mut self, leave: Leave) -> Result<(), String> {
        for subject in &mut self.subjects {
            subject
                .reopen(leave, &self.world, self.shards)
                .map_err(|error| format!("{} does not open again: {error:?}", subject.name))?;
        }
        Ok(())
    }

    /// Asks every engine the same; each must answer what is expected.
    pub(super) fn ask<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &dyn std::fmt::Debug,
        expected: &T,
        question: impl Fn(&RedbManager) -> T,
    ) -> Result<(), String> {
        for Subject { name, store, .. } in &self.subjects {
            let answer = question(store);
            if answer != *expected {
                return Err(format!("{name}: {what:?}: {answer:?}, expected {expected:?}"));
            }
        }
        Ok(())
    }
}

/// In memory where the system has such a place: what is synced there is not what is tested here.
fn directory() -> std::io::Result<TempDir> {
    let shared = Path::new("/dev/shm");
    let builder = || tempfile::Builder::new().prefix("differential-").to_owned();
    if shared.is_dir() { builder().tempdir_in(shared) } else { builder().tempdir() }
}

fn open(ground: &Ground, world: &Arc<World>, shards: u32) -> Result<RedbManager> {
    let on =
        |engine: Arc<dyn Engine>| StoreOptions::with_engine(engine).durability(Durability::None);
    let options = match ground {
        Ground::Memory(memory) => on(Arc::new(MeteredEngine::new(memory.clone()))),
        Ground::Strict(memory, seed) => on(Arc::new(StrictEngine::new(memory.clone(), *seed))),
        Ground::Directory { home, generation } => {
            StoreOptions::new(home.path().join(generation.to_string())).memory_max(48 << 20)
        }
    };
    let options = options
        .mode(OpenMode::OpenOrCreate)
        .key(Key::raw([7; 32]))
        .shard_count(shards)
        .seal_at(16 << 10, 90)
        .environment(Arc::<World>::clone(world));
    RedbManager::open(options)
}

impl Subject {
    fn reopen(&mut self, leave: Leave, world: &Arc<World>, shards: u32) -> Result<()> {
        match (&mut self.ground, leave) {
            (Ground::Memory(memory) | Ground::Strict(memory, _), Leave::Dirty) => {
                let next = memory.reopen();
                // Whatever the store still does fails, and its close too.
                at_once(memory.close())?;
                drop(self.store.close());
                *memory = next;
            }
            (Ground::Memory(memory) | Ground::Strict(memory, _), Leave::Clean) => {
                self.store.close()?;
                *memory = memory.reopen();
            }
            (Ground::Directory { .. }, Leave::Clean) => self.store.close()?,
            (Ground::Directory { home, generation }, Leave::Dirty) => {
                // Nothing is being written now, so the copy is what a kill would leave.
                self.store.settle()?;
                let from = home.path().join(generation.to_string());
                *generation += 1;
                let copied = copy(&from, &home.path().join(generation.to_string()));
                self.store.close()?;
                copied.and_then(|()| fs::remove_dir_all(from)).map_err(|error| {
                    Error::new(forgeone_db::ErrorKind::Internal, "a copy failed").with_source(error)
                })?;
            }
        }
        self.store = open(&self.ground, world, shards)?;
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// The result of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            Err(Error::new(forgeone_db::ErrorKind::Internal, "the memory engine had to wait"))
        }
    }
}
