//! A machine whose clock is wrong, as on the first start without a battery or with a bad one. Without
//! this a store panics, or keeps times that nobody can read again. Provoked by an environment that
//! says any time.

use crate::support::{event, key};
use forgeone_db::environment::{Environment, SystemEnvironment, Task, Timestamp};
use forgeone_db::{
    Durability, EventQuery, MemoryEngine, NewLogEntry, NewSetting, OpenMode, RedbManager, Result,
    Severity, StoreOptions, StreamableEvent, TopicPattern, VerifyDepth,
};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
struct Stopped(SystemEnvironment, Timestamp);

impl Environment for Stopped {
    fn now(&self) -> Timestamp {
        self.1
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        self.0.fill_random(bytes)
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        self.0.spawn(name, task)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Started {
    times: u32,
}

impl StreamableEvent for Started {
    const TYPE_NAME: &'static str = "started";

    fn topic(&self) -> std::borrow::Cow<'_, str> {
        "typed".into()
    }
}

fn at(seconds: i64, nanos: u32) -> Timestamp {
    Timestamp { seconds, nanos }
}

fn options(engine: &MemoryEngine, now: Timestamp) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(engine.reopen()))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(key())
        .shard_count(1)
        .environment(Arc::new(Stopped(SystemEnvironment::new(), now)))
}

/// contract F4: everything that stores the present time works at any, and gives it back.
#[test]
fn a_clock_that_says_anything_panics_nowhere_and_loses_nothing() {
    for now in [
        Timestamp::MIN,
        Timestamp::MAX,
        at(-1, 999_999_999),
        at(-4_000_000_000, 0),
        // The year 9999 ends; and one later.
        at(253_402_300_799, 1_999_999_999),
        at(253_402_300_800, 0),
        at(0, u32::MAX),
    ] {
        let engine = MemoryEngine::new();
        let store = RedbManager::open(options(&engine, now)).unwrap();
        store.store_event(&event("a", 1)).unwrap();
        store.store_typed(&Started { times: 1 }).unwrap();
        let time = chrono::DateTime::UNIX_EPOCH;
        store.store_log(NewLogEntry::new("log", time, Severity::Info, "line")).unwrap();
        store.set_settings(&[NewSetting::new("key", 7)]).unwrap();
        store.set_metadata("fact", "1").unwrap();
        store.seal().unwrap();
        store.close().unwrap();
        let store = RedbManager::open(options(&engine, now)).unwrap();
        assert_eq!(store.query_events(EventQuery::default()).unwrap().flatten().count(), 2);
        let setting = store.get_setting("key").unwrap().unwrap();
        assert_eq!(Timestamp::from(setting.updated_at), now.in_calendar());
        let json = serde_json::to_string(&setting).unwrap();
        assert_eq!(serde_json::from_str::<forgeone_db::Setting>(&json).unwrap(), setting, "{json}");
        assert_eq!(store.topics(&TopicPattern::all()).unwrap().len(), 2);
        let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
        assert!(report.is_sound(), "{now:?}: {report:#?}");
        store.close().unwrap();
    }
}
