//! A store of very many shards must not start a thread for each of them. Provoked by counting the
//! threads that the environment is asked for: none for a committer at opening, one at the first
//! write to its shard, however many callers come at once; and a thread that cannot be had refuses
//! the write and nothing else.

use crate::support::{event, options};
use forgeone_db::environment::{Environment, SystemEnvironment, Task, Timestamp};
use forgeone_db::{ClosedReason, Error, ErrorKind, OpenMode, Outcome, RedbManager, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// The real world, in which threads are counted and committers can be refused theirs.
#[derive(Debug)]
struct Counting {
    world: SystemEnvironment,
    names: Mutex<Vec<String>>,
    refusing: AtomicBool,
}

impl Counting {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            world: SystemEnvironment::new(),
            names: Mutex::default(),
            refusing: AtomicBool::new(false),
        })
    }

    /// The committers that were started.
    fn committers(&self) -> Vec<String> {
        let names = self.names.lock().unwrap();
        names.iter().filter(|name| name.starts_with("commit-")).cloned().collect()
    }
}

impl Environment for Counting {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn monotonic(&self) -> Duration {
        self.world.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        self.world.fill_random(bytes)
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        if name.starts_with("commit-") && self.refusing.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, "no thread could be started"));
        }
        self.names.lock().unwrap().push(name.to_owned());
        self.world.spawn(name, task)
    }
}

fn open(directory: &TempDir, shards: u32) -> (RedbManager, Arc<Counting>) {
    let path = directory.path().join("store");
    RedbManager::open(options(&path).shard_count(shards)).unwrap().close().unwrap();
    let counting = Counting::new();
    let environment: Arc<Counting> = Arc::clone(&counting);
    let store = options(&path).mode(OpenMode::Open).environment(environment);
    (RedbManager::open(store).unwrap(), counting)
}

#[test]
fn opening_a_thousand_shards_starts_no_thread_for_any_of_them() {
    let directory = TempDir::new().unwrap();
    let (store, counting) = open(&directory, 1024);
    assert_eq!(store.database().shard_count(), 1024);
    assert_eq!(counting.committers(), Vec::<String>::new());
    assert!(counting.names.lock().unwrap().len() < 16, "{:?}", counting.names);
    store.store_event(&event("t", 1)).unwrap();
    store.store_event(&event("t", 2)).unwrap();
    // The topic, then the shard it lives in.
    let committers = counting.committers();
    assert_eq!(committers.len(), 2, "{committers:?}");
    assert_eq!(committers[0], "commit-system");
    store.close().unwrap();
    let refused = store.store_event(&event("t", 3)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed(ClosedReason::Shutdown));
    assert_eq!(counting.committers().len(), 2);
}

#[test]
fn the_first_writers_of_a_shard_share_one_thread() {
    let directory = TempDir::new().unwrap();
    let (store, counting) = open(&directory, 1);
    std::thread::scope(|scope| {
        for number in 0..32 {
            let store = &store;
            scope.spawn(move || store.store_event(&event("t", number)).unwrap());
        }
    });
    assert_eq!(counting.committers().len(), 2, "{:?}", counting.committers());
    assert_eq!(store.stats().unwrap().databases[1].topics, 1);
    store.close().unwrap();
}

#[test]
fn a_thread_that_cannot_be_had_refuses_the_write_until_it_can() {
    let directory = TempDir::new().unwrap();
    let (store, counting) = open(&directory, 1);
    counting.refusing.store(true, Ordering::Release);
    let refused = store.store_event(&event("t", 1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(refused.outcome(), Outcome::Rejected);
    counting.refusing.store(false, Ordering::Release);
    assert_eq!(store.store_event(&event("t", 1)).unwrap().seq, 1);
    store.close().unwrap();
}

#[test]
fn a_store_that_was_never_written_to_closes_and_takes_nothing_more() {
    let directory = TempDir::new().unwrap();
    let (store, counting) = open(&directory, 4);
    store.close().unwrap();
    assert_eq!(counting.committers(), Vec::<String>::new());
    let refused = store.store_event(&event("t", 1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Closed(ClosedReason::Shutdown));
}
