//! A store does what a few maps do.
//!
//! Random operations run against the store and against a model that is too simple to be wrong;
//! every answer must be equal. Without this, the merging of tail, segments, late records and index
//! runs is only tested where somebody thought of it. The sealer runs beside the operations with
//! limits so small that every kind of place holds something.

use crate::support::key;
use chrono::{DateTime, TimeZone as _, Utc};
use forgeone_db::{
    Durability, Engine as _, ErrorKind, EventMessage, EventPriority, EventQuery, MemoryEngine,
    OpenMode, QueryOrder, RedbManager, StartFrom, StoreOptions, TopicPattern,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// A small generator: the same seed gives the same run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64, Steele, Lea and Flood 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

const TOPICS: [&str; 6] = ["orders.eu", "orders.us", "orders.eu.late", "system", "a", "orders.eu2"];
const PATTERNS: [&str; 7] = [">", "orders.*", "orders.>", "*", "orders.eu", "nothing.>", "*.eu"];

#[derive(Default)]
struct Model {
    topics: BTreeMap<String, Vec<EventMessage>>,
}

impl Model {
    fn position(&self, event: &EventMessage) -> Option<(u64, &EventMessage)> {
        let events = self.topics.get(&event.topic)?;
        let index = events.iter().position(|stored| stored.id == event.id)?;
        Some((index as u64 + 1, &events[index]))
    }

    fn all(&self, pattern: &TopicPattern) -> Vec<(&EventMessage, u64)> {
        self.topics
            .iter()
            .filter(|(topic, _)| pattern.matches(topic))
            .flat_map(|(_, events)| events.iter().zip(1..))
            .collect()
    }
}

struct Run {
    random: Random,
    engine: MemoryEngine,
    store: RedbManager,
    encrypted: bool,
    model: Model,
    clock: i64,
    ids: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let engine = MemoryEngine::new();
        let encrypted = !seed.is_multiple_of(3);
        let store = open(&engine, encrypted);
        Self {
            random: Random(seed),
            engine,
            store,
            encrypted,
            model: Model::default(),
            clock: 1_700_000_000,
            ids: 0,
        }
    }

    fn time(&mut self) -> DateTime<Utc> {
        match self.random.below(20) {
            0 => DateTime::<Utc>::MIN_UTC,
            1 if self.random.one_in(10) => DateTime::<Utc>::MAX_UTC,
            2..=4 => {
                let back = i64::try_from(self.random.below(500)).unwrap();
                Utc.timestamp_opt(self.clock - back, 0).unwrap()
            }
            5 => Utc.timestamp_opt(self.clock, 0).unwrap(),
            _ => {
                self.clock += i64::try_from(self.random.below(3)).unwrap();
                let nanos = u32::try_from(self.random.below(1_000_000_000)).unwrap();
                Utc.timestamp_opt(self.clock, nanos).unwrap()
            }
        }
    }

    fn event(&mut self, topic: &str) -> EventMessage {
        let topic = topic.to_owned();
        let reused = self.ids > 0 && self.random.one_in(8);
        let number = if reused { self.random.below(self.ids) } else { self.ids };
        self.ids += u64::from(!reused);
        let id = Uuid::from_u64_pair(Random(number).next(), number);
        let again = EventMessage { id, topic: topic.clone(), ..blank() };
        if let Some((_, stored)) = self.model.position(&again)
            && !self.random.one_in(4)
        {
            return stored.clone();
        }
        let payload = "x".repeat(usize::try_from(self.random.below(400)).unwrap());
        EventMessage {
            payload: format!("{number} {payload}"),
            timestamp: self.time(),
            priority: EventPriority::ALL[usize::try_from(self.random.below(4)).unwrap()],
            metadata: (0..self.random.below(3)).map(|n| (n.to_string(), id.to_string())).collect(),
            checkpoint_marker: self.random.one_in(30).then(|| format!("m{}", number % 3)),
            ..again
        }
    }

    /// Stores a batch; it is atomic, so the model takes all of it or nothing.
    fn store(&mut self) {
        let topic = TOPICS[usize::try_from(self.random.below(6)).unwrap()];
        let count = if self.random.one_in(3) { 1 + self.random.below(60) } else { 1 };
        let events: Vec<EventMessage> = (0..count).map(|_| self.event(topic)).collect();
        let mut after = self.model.topics.get(topic).cloned().unwrap_or_default();
        let mut expected = Ok(Vec::new());
        for event in &events {
            let known = after.iter().position(|stored| stored.id == event.id);
            match (known, &mut expected) {
                (Some(index), Ok(_)) if after[index] != *event => expected = Err(()),
                (Some(index), Ok(positions)) => positions.push((index as u64 + 1, true)),
                (None, Ok(positions)) => {
                    after.push(event.clone());
                    positions.push((after.len() as u64, false));
                }
                (_, Err(())) => {}
            }
        }
        match (self.store.store_events(&events), expected) {
            (Ok(positions), Ok(expected)) => {
                let positions: Vec<_> =
                    positions.iter().map(|position| (position.seq, position.duplicate)).collect();
                assert_eq!(positions, expected);
                self.model.topics.insert(topic.to_owned(), after);
            }
            (Err(error), Err(())) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            (result, expected) => panic!("{result:?} where the model says {expected:?}"),
        }
    }

    fn pattern(&mut self) -> TopicPattern {
        TopicPattern::new(PATTERNS[usize::try_from(self.random.below(7)).unwrap()]).unwrap()
    }

    fn query(&mut self) {
        let pattern = self.pattern();
        let mut query = EventQuery::new(pattern.clone());
        let mut expected = self.model.all(&pattern);
        let around = |random: &mut Random, clock| {
            let back = i64::try_from(random.below(600)).unwrap();
            Utc.timestamp_opt(clock - back, 0).unwrap()
        };
        if self.random.one_in(2) {
            let from = around(&mut self.random, self.clock);
            query = query.from(from);
            expected.retain(|(event, _)| event.timestamp >= from);
        }
        if self.random.one_in(2) {
            let to = around(&mut self.random, self.clock);
            query = query.to(to);
            expected.retain(|(event, _)| event.timestamp < to);
        }
        if self.random.one_in(4) {
            let after = self.random.below(100);
            query = query.after(after);
            expected.retain(|(_, seq)| *seq > after);
        }
        if self.random.one_in(3) {
            query = query.priority_min(EventPriority::High);
            expected.retain(|(event, _)| event.priority >= EventPriority::High);
        }
        expected
            .sort_by(|(a, x), (b, y)| (a.timestamp, &a.topic, x).cmp(&(b.timestamp, &b.topic, y)));
        if self.random.one_in(2) {
            query = query.order(QueryOrder::NewestFirst);
            expected.reverse();
        }
        let expected: Vec<(EventMessage, u64)> =
            expected.into_iter().map(|(event, seq)| (event.clone(), seq)).collect();
        self.check_pages(&query, &expected);
    }

    /// Reads a query in pages, each with the cursor of the one before.
    fn check_pages(&mut self, query: &EventQuery, expected: &[(EventMessage, u64)]) {
        let page = if self.random.one_in(2) { 1 + self.random.below(40) } else { u64::MAX };
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let mut query = query.clone().limit(page);
            if let Some(cursor) = cursor.take() {
                query = query.cursor(cursor);
            }
            let mut results = self.store.query_events(query).unwrap();
            let before = found.len();
            for event in results.by_ref() {
                let event = event.unwrap();
                found.push((event.event, event.seq));
            }
            if found.len() == before || page == u64::MAX {
                break;
            }
            cursor = results.cursor().unwrap();
        }
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected);
        }
    }

    fn get(&mut self) {
        let number = self.random.below(self.ids + 2);
        let id = Uuid::from_u64_pair(Random(number).next(), number);
        let found = self.store.get_event(id).unwrap();
        let all = TopicPattern::all();
        let expected: Vec<_> =
            self.model.all(&all).into_iter().filter(|(event, _)| event.id == id).collect();
        assert_eq!(found.len(), expected.len());
        for (found, (event, seq)) in found.iter().zip(expected) {
            assert_eq!((&found.event, found.seq), (event, seq));
        }
    }

    fn replay(&mut self) {
        let pattern = self.pattern();
        let after = self.random.below(120);
        let mut left: BTreeMap<String, u64> = BTreeMap::new();
        let replay = self.store.replay(&pattern, StartFrom::After(after)).unwrap();
        for event in replay {
            let event = event.unwrap();
            let events = &self.model.topics[&event.event.topic];
            let next = left.entry(event.event.topic.clone()).or_insert(after + 1);
            assert_eq!(event.seq, *next);
            assert_eq!(event.event, events[usize::try_from(event.seq - 1).unwrap()]);
            *next += 1;
        }
        for (topic, events) in &self.model.topics {
            if pattern.matches(topic) && events.len() as u64 > after {
                assert_eq!(left.get(topic), Some(&(events.len() as u64 + 1)), "{topic}");
            }
        }
    }

    fn marker(&mut self) {
        let topic = TOPICS[usize::try_from(self.random.below(6)).unwrap()];
        let marker = format!("m{}", self.random.below(3));
        let start = StartFrom::Marker(marker.clone());
        let result = self.store.replay(&TopicPattern::exact(topic).unwrap(), start);
        let events = self.model.topics.get(topic).map_or(&[][..], Vec::as_slice);
        let marked =
            events.iter().rposition(|event| event.checkpoint_marker.as_ref() == Some(&marker));
        match marked {
            None => assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound),
            Some(index) => {
                let replayed: Vec<EventMessage> =
                    result.unwrap().map(|event| event.unwrap().event).collect();
                assert_eq!(replayed, events[index..]);
            }
        }
    }

    fn reopen(&mut self) {
        let next = self.engine.reopen();
        if self.random.one_in(2) {
            self.store.close().unwrap();
        } else {
            // As a kill would: whatever the store still does fails, and its close too.
            futures::executor::block_on(self.engine.close()).unwrap();
        }
        self.engine = next;
        self.store = open(&self.engine, self.encrypted);
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0 => self.store.seal().unwrap(),
            1 => self.reopen(),
            2..=4 => self.query(),
            5..=8 => self.get(),
            9 => self.replay(),
            10 => self.marker(),
            _ => self.store(),
        }
    }
}

fn blank() -> EventMessage {
    EventMessage {
        id: Uuid::nil(),
        topic: String::new(),
        timestamp: DateTime::UNIX_EPOCH,
        priority: EventPriority::Normal,
        payload: String::new(),
        metadata: HashMap::new(),
        checkpoint_marker: None,
    }
}

fn open(engine: &MemoryEngine, encrypted: bool) -> RedbManager {
    let options = StoreOptions::with_engine(Arc::new(engine.clone()))
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(encrypted.then(key))
        .shard_count(3)
        .seal_at(8 << 10, 64);
    RedbManager::open(options).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the number of runs is a test's own setting")]
fn a_store_does_what_a_few_maps_do() {
    let runs = std::env::var("FORGEONE_MODEL_RUNS").map_or(24, |runs| runs.parse().unwrap());
    for seed in 1..=runs {
        println!("seed {seed}");
        let mut run = Run::new(seed);
        for _ in 0..300 {
            run.step();
        }
    }
}
