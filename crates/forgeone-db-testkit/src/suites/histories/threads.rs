//! The threads, and what they note.

use super::History;
use super::history::{Call, Delivery, Did};
use crate::campaign::Counts;
use crate::random::Random;
use chrono::DateTime;
use forgeone_db::{
    Durability, ErrorKind, EventMessage, EventPriority, Key, MemoryEngine, NewSetting, OpenMode,
    Outcome, RedbManager, SetOptions, StartFrom, StoreOptions, TopicPattern,
};
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;
use uuid::Uuid;

const KEYS: [&str; 3] = ["a", "b", "c"];
const TOPICS: [&str; 3] = ["t.a", "t.b", "t.c"];
const CLIENTS: u64 = 5;
const APPENDERS: u64 = 3;
const SUBSCRIBERS: usize = 2;

/// What all threads share.
struct Stage {
    store: RwLock<RedbManager>,
    clock: AtomicU64,
    history: Mutex<Vec<Call>>,
    counts: Mutex<Counts>,
    done: AtomicBool,
}

/// Lets threads loose on a store, and gives what they noted.
///
/// # Errors
/// What failed that should not have.
pub(super) fn run(mut random: Random) -> Result<(History, Counts), String> {
    let mut engine = MemoryEngine::new();
    let store = open(&engine)?;
    let stage = Stage {
        store: RwLock::new(store),
        clock: AtomicU64::new(1),
        history: Mutex::default(),
        counts: Mutex::default(),
        done: AtomicBool::new(false),
    };
    let each = 150 + random.below(150);
    let deliveries = thread::scope(|scope| {
        let stage = &stage;
        let mut writers = Vec::new();
        for client in 0..CLIENTS {
            let random = Random::of_case(random.next(), client);
            writers.push(scope.spawn(move || stage.change(random, client, each)));
        }
        for appender in 0..APPENDERS {
            let random = Random::of_case(random.next(), appender);
            writers.push(scope.spawn(move || stage.append(random, appender, each)));
        }
        let subscribers: Vec<_> =
            (0..SUBSCRIBERS).map(|_| scope.spawn(move || stage.subscribe())).collect();
        let disturbed = disturb(stage, &mut engine, &mut random, &writers);
        for writer in writers {
            writer.join().map_err(|_| "a writing thread panicked")??;
        }
        stage.done.store(true, Ordering::Release);
        // The subscribers wait for more; that the store closes wakes them.
        stage.reopen(&mut engine)?;
        let mut deliveries = Vec::new();
        for subscriber in subscribers {
            deliveries.push(subscriber.join().map_err(|_| "a subscriber panicked")??);
        }
        disturbed?;
        Ok::<_, String>(deliveries)
    })?;
    stage.now_store().close().map_err(|error| error.to_string())?;
    let calls = stage.history.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut counts = stage.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let delivered = deliveries.iter().map(|all| all.len() as u64).sum();
    counts.insert("deliveries", delivered);
    Ok((History { calls, deliveries }, counts))
}

fn open(engine: &MemoryEngine) -> Result<RedbManager, String> {
    let options = StoreOptions::with_engine(Arc::new(engine.clone()))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(Key::raw([7; 32]))
        .shard_count(2)
        .seal_at(8 << 10, 60);
    RedbManager::open(options).map_err(|error| format!("the store does not open: {error:?}"))
}

/// Seals, closes and opens, as long as anybody writes.
fn disturb(
    stage: &Stage,
    engine: &mut MemoryEngine,
    random: &mut Random,
    writers: &[thread::ScopedJoinHandle<'_, Result<(), String>>],
) -> Result<(), String> {
    while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
        thread::park_timeout(Duration::from_micros(500 + random.below(6_000)));
        if random.below(3) == 0 {
            stage.reopen(engine)?;
            stage.count("reopenings");
        } else {
            stage.now_store().seal().map_err(|error| error.to_string())?;
            stage.count("seals");
        }
    }
    Ok(())
}

impl Stage {
    fn moment(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn count(&self, what: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what).or_default() += 1;
    }

    fn now_store(&self) -> RedbManager {
        self.store.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the store under everybody who uses it, and opens it again.
    fn reopen(&self, engine: &mut MemoryEngine) -> Result<(), String> {
        self.now_store().close().map_err(|error| error.to_string())?;
        *engine = engine.reopen();
        let store = open(engine)?;
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
        Ok(())
    }

    fn note(&self, from: u64, to: Option<u64>, did: impl IntoIterator<Item = Did>) {
        let calls = did.into_iter().map(|did| Call { from, to, did });
        self.history.lock().unwrap_or_else(PoisonError::into_inner).extend(calls);
    }

    /// Whether an error only says that the store was closed under the caller.
    fn is_closed(&self, error: &forgeone_db::Error) -> bool {
        let is_closed = matches!(error.kind(), ErrorKind::Closed(_));
        if is_closed {
            self.count("cut short");
            thread::park_timeout(Duration::from_micros(200));
        }
        is_closed
    }

    /// A client of the settings.
    fn change(&self, mut random: Random, client: u64, each: u64) -> Result<(), String> {
        let mut known = [0; KEYS.len()];
        for number in 0..each {
            let index = usize::try_from(random.below(KEYS.len() as u64)).unwrap_or(0);
            let (Some(key), Some(version)) = (KEYS.get(index), known.get(index).copied()) else {
                continue;
            };
            let value = json!(client * 1_000_000 + number);
            let from = self.moment();
            let store = self.now_store();
            let what = random.below(10);
            let result = match what {
                0..=3 => store.get_setting(key).map(|found| {
                    self.count("settings read");
                    let version = found.map_or(0, |found| found.version);
                    vec![Did::Read { key: index, version }]
                }),
                4 => {
                    let all = KEYS.map(|key| NewSetting::new(key, value.clone()));
                    store.set_settings(&all).map(|writes| {
                        self.count("settings set together");
                        let wrote = writes.iter().enumerate().map(|(key, write)| Did::Wrote {
                            key,
                            version: write.version,
                            revision: write.revision,
                        });
                        wrote.collect()
                    })
                }
                _ => {
                    let if_version = (what > 6).then_some(version);
                    let options = SetOptions { if_version, retype: false };
                    store.set_setting(key, &value, options).map(|write| {
                        self.count(if if_version.is_some() {
                            "settings compared and set"
                        } else {
                            "settings set"
                        });
                        let (version, revision) = (write.version, write.revision);
                        vec![Did::Wrote { key: index, version, revision }]
                    })
                }
            };
            let did = match result {
                Ok(did) => did,
                // Who has lost the race is told who has won it: that is a read.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    self.count("lost races");
                    let version = error.get("version").and_then(|text| text.parse().ok());
                    let version = version.ok_or("a conflict does not tell the version")?;
                    vec![Did::Read { key: index, version }]
                }
                Err(error) if self.is_closed(&error) => continue,
                Err(error) => return Err(format!("{key}: {error:?}")),
            };
            learn(&mut known, &did);
            self.note(from, Some(self.moment()), did);
        }
        Ok(())
    }

    /// A client of the events.
    fn append(&self, mut random: Random, appender: u64, each: u64) -> Result<(), String> {
        for number in 0..each {
            let topic = usize::try_from(random.below(TOPICS.len() as u64)).unwrap_or(0);
            let count = if random.below(4) == 0 { 1 + random.below(12) } else { 1 };
            let ids: Vec<u64> =
                (0..count).map(|part| (appender << 40) + (number << 8) + part).collect();
            let events: Vec<EventMessage> = ids.iter().map(|id| event(topic, *id)).collect();
            let from = self.moment();
            let stored = self.now_store().store_events(&events);
            match stored {
                Ok(positions) => {
                    self.count("appends");
                    let first = positions.first().map_or(0, |position| position.seq);
                    let is_dense = (first..).zip(&positions).all(|(seq, at)| seq == at.seq);
                    if !is_dense {
                        return Err(format!("a batch is not in one piece: {positions:?}"));
                    }
                    self.note(from, Some(self.moment()), [Did::Appended { topic, first, ids }]);
                }
                Err(error) if self.is_closed(&error) => {
                    if error.outcome() == Outcome::Unknown {
                        self.note(from, None, [Did::PerhapsAppended { topic, ids }]);
                    }
                }
                Err(error) => return Err(format!("an append: {error:?}")),
            }
        }
        Ok(())
    }

    /// Follows all topics, across every closing of the store, and to the end.
    fn subscribe(&self) -> Result<Vec<Delivery>, String> {
        let topics = TopicPattern::all();
        let mut deliveries = Vec::new();
        let mut start = StartFrom::Oldest;
        loop {
            // In this order: a store that is got before the end is closed by the end.
            let store = self.now_store();
            let is_last = self.done.load(Ordering::Acquire);
            let following = if is_last {
                store.replay(&topics, start.clone())
            } else {
                store.subscribe(&topics, start.clone())
            };
            let mut following = match following {
                Ok(following) => following,
                Err(error) if self.is_closed(&error) => continue,
                Err(error) => return Err(format!("a subscription: {error:?}")),
            };
            loop {
                match following.next() {
                    Some(Ok(found)) => {
                        let topic = TOPICS.iter().position(|topic| *topic == found.event.topic);
                        let topic = topic.ok_or("an event of no topic")?;
                        let (_, id) = found.event.id.as_u64_pair();
                        deliveries.push(Delivery { at: self.moment(), topic, seq: found.seq, id });
                        let token = following.token().map_err(|error| error.to_string())?;
                        start = StartFrom::Token(token.ok_or("a subscription without a token")?);
                    }
                    Some(Err(error)) if self.is_closed(&error) => {
                        self.count("subscriptions resumed");
                        break;
                    }
                    Some(Err(error)) => return Err(format!("a subscription: {error:?}")),
                    None if is_last => return Ok(deliveries),
                    None => return Err("a subscription ended by itself".to_owned()),
                }
            }
        }
    }
}

/// Keeps the newest version of each key that a client knows of.
fn learn(known: &mut [u64; KEYS.len()], did: &[Did]) {
    for did in did {
        let (Did::Wrote { key, version, .. } | Did::Read { key, version }) = did else { continue };
        known.get_mut(*key).into_iter().for_each(|known| *known = *version);
    }
}

fn event(topic: usize, id: u64) -> EventMessage {
    EventMessage {
        id: Uuid::from_u64_pair(id.wrapping_mul(0x9E37_79B9_7F4A_7C15), id),
        topic: TOPICS.get(topic).copied().unwrap_or_default().to_owned(),
        timestamp: DateTime::UNIX_EPOCH,
        priority: EventPriority::Normal,
        payload: format!("event {id}"),
        metadata: HashMap::new(),
        checkpoint_marker: None,
    }
}
