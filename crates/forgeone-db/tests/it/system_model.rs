//! Settings do what a map of lists does.
//!
//! Random operations run against a store and against a model that is too simple to be wrong, with
//! sealing, closing, killing and reopening in between, over a plain engine and over one that is as
//! awkward as the contract allows. Every answer must be equal, and a watch that comes by now and
//! then must get the model's changes, each once and in order.

use crate::support::key;
use crate::system::ANY;
use forgeone_db::{
    Durability, Engine, ErrorKind, MemoryEngine, NewSetting, OpenMode, RedbManager, SetOptions,
    SettingsQuery, StoreOptions, VerifyDepth, WatchFrom,
};
use forgeone_db_engine::StrictEngine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A small generator: the same seed gives the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64, Steele, Lea and Flood 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

const PREFIXES: [&str; 6] = ["", "a", "a/", "flags/", "\u{10ffff}", "nothing"];
const STEMS: [&str; 7] = ["a", "a/", "a/b", "b", "flags/", "\u{e9}", "\u{10ffff}"];

/// Every version of every key; `None` is a removal.
#[derive(Default)]
struct Model {
    settings: BTreeMap<String, Vec<Option<Value>>>,
    facts: BTreeMap<String, String>,
    /// Every change since the last look of the watch: key and version.
    changes: Vec<Vec<(String, u64)>>,
}

impl Model {
    fn present(&self, key: &str) -> Option<(&Value, u64)> {
        let versions = self.settings.get(key)?;
        Some((versions.last()?.as_ref()?, versions.len() as u64))
    }

    /// What setting a key must lead to.
    fn set(&self, setting: &NewSetting) -> Result<u64, ErrorKind> {
        let NewSetting { key, value, options } = setting;
        let present = self.present(key);
        if options.if_version.is_some_and(|wanted| wanted != present.map_or(0, |(_, at)| at)) {
            return Err(ErrorKind::Conflict);
        }
        let same_type =
            |a: &Value, b: &Value| std::mem::discriminant(a) == std::mem::discriminant(b);
        if !options.retype && present.is_some_and(|(now, _)| !same_type(now, value)) {
            return Err(ErrorKind::Invalid);
        }
        Ok(self.settings.get(key).map_or(0, |versions| versions.len() as u64) + 1)
    }
}

struct Run {
    random: Random,
    memory: MemoryEngine,
    strict: Option<u64>,
    store: RedbManager,
    model: Model,
    revision: u64,
}

fn open(memory: &MemoryEngine, strict: Option<u64>) -> RedbManager {
    let engine: Arc<dyn Engine> = match strict {
        Some(seed) => Arc::new(StrictEngine::new(memory.clone(), seed)),
        None => Arc::new(memory.clone()),
    };
    let options = StoreOptions::with_engine(engine)
        .durability(Durability::None)
        .mode(OpenMode::OpenOrCreate)
        .key(key())
        .shard_count(1)
        .seal_at(4 << 10, 40);
    RedbManager::open(options).unwrap()
}

impl Run {
    fn new(seed: u64, strict: Option<u64>) -> Self {
        let memory = MemoryEngine::new();
        let store = open(&memory, strict);
        let revision = store.revision().unwrap();
        Self { random: Random(seed), memory, strict, store, model: Model::default(), revision }
    }

    fn key(&mut self) -> String {
        let stem = self.random.of(&STEMS);
        format!("{stem}{}", self.random.below(5))
    }

    fn value(&mut self) -> Value {
        let number = self.random.below(1000);
        match self.random.below(12) {
            0 => Value::Null,
            1 => json!(number.is_multiple_of(2)),
            2 => json!(["x".repeat(usize::try_from(number).unwrap())]),
            3 => json!({ "b": number, "a": [null, 1.5] }),
            4..=6 => json!(format!("text {number}")),
            _ => json!(number),
        }
    }

    fn setting(&mut self) -> NewSetting {
        let key = self.key();
        let version = self.model.present(&key).map_or(0, |(_, version)| version);
        let if_version = match self.random.below(4) {
            0 => Some(version),
            1 if self.random.one_in(3) => Some(self.random.below(6)),
            _ => None,
        };
        let options = SetOptions { if_version, retype: self.random.one_in(2) };
        NewSetting { key, value: self.value(), options }
    }

    fn set(&mut self) {
        let mut settings = vec![self.setting()];
        if self.random.one_in(4) {
            for _ in 0..self.random.below(6) {
                let setting = self.setting();
                if settings.iter().all(|other| other.key != setting.key) {
                    settings.push(setting);
                }
            }
        }
        let expected: Result<Vec<u64>, ErrorKind> =
            settings.iter().map(|setting| self.model.set(setting)).collect();
        let found = self.store.set_settings(&settings);
        match (found, expected) {
            (Ok(writes), Ok(versions)) => {
                assert!(writes.iter().map(|write| write.version).eq(versions.iter().copied()));
                let keys = settings.iter().map(|setting| setting.key.clone());
                self.model.changes.push(keys.zip(versions).collect());
                for NewSetting { key, value, .. } in settings {
                    self.model.settings.entry(key).or_default().push(Some(value));
                }
            }
            (Err(error), Err(kind)) => assert_eq!(error.kind(), kind, "{error}"),
            (found, expected) => panic!("{found:?} where the model says {expected:?}"),
        }
    }

    fn remove(&mut self) {
        let key = self.key();
        let present = self.model.present(&key).map(|(_, version)| version);
        let if_version = self.random.one_in(3).then(|| self.random.below(6));
        match (self.store.remove_setting(&key, if_version), present) {
            (Ok(write), Some(version)) => {
                assert!(if_version.is_none_or(|wanted| wanted == version));
                assert_eq!(write.version, version + 1);
                self.model.changes.push(vec![(key.clone(), version + 1)]);
                self.model.settings.entry(key).or_default().push(None);
            }
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::NotFound),
            (Err(error), Some(version)) => {
                assert_eq!(error.kind(), ErrorKind::Conflict);
                assert_ne!(if_version, Some(version));
            }
            (found, present) => panic!("{found:?} where the model has {present:?}"),
        }
    }

    fn get(&mut self) {
        let key = self.key();
        let found = self.store.get_setting(&key).unwrap();
        let found = found.as_ref().map(|setting| (&setting.value, setting.version));
        assert_eq!(found, self.model.present(&key), "{key}");
    }

    fn history(&mut self) {
        let key = self.key();
        let found: Vec<_> = self
            .store
            .setting_history(&key)
            .unwrap()
            .map(|version| version.map(|version| (version.version, version.value)).unwrap())
            .collect();
        let versions = self.model.settings.get(&key).cloned().unwrap_or_default();
        let expected: Vec<_> = (1..).zip(versions).collect();
        assert!(found.iter().eq(expected.iter().rev()), "{key}: {found:?}");
    }

    fn list(&mut self) {
        let prefix = self.random.of(&PREFIXES);
        let after = self.random.one_in(2).then(|| self.key());
        let limit = if self.random.one_in(2) { self.random.below(10) } else { u64::MAX };
        let mut query = SettingsQuery::new(prefix).limit(limit);
        if let Some(after) = &after {
            query = query.after(after.clone());
        }
        let found: Vec<_> = self
            .store
            .list_settings(query)
            .map(|setting| setting.map(|one| (one.key, one.value, one.version)).unwrap())
            .collect();
        let expected: Vec<_> = self
            .model
            .settings
            .keys()
            .filter(|key| {
                key.starts_with(prefix) && after.as_ref().is_none_or(|after| *key > after)
            })
            .filter_map(|key| {
                let (value, version) = self.model.present(key)?;
                Some((key.clone(), value.clone(), version))
            })
            .take(usize::try_from(limit).unwrap())
            .collect();
        assert_eq!(found, expected, "{prefix:?} after {after:?}");
    }

    fn facts(&mut self) {
        let name = self.key();
        match self.random.below(3) {
            0 => {
                let text = format!("text {}", self.random.below(1000));
                self.store.set_metadata(&name, &text).unwrap();
                self.model.facts.insert(name, text);
            }
            1 => match (self.store.remove_metadata(&name), self.model.facts.remove(&name)) {
                (Ok(()), Some(_)) => {}
                (Err(error), None) => assert_eq!(error.kind(), ErrorKind::NotFound),
                (found, model) => panic!("{found:?} where the model had {model:?}"),
            },
            _ => {
                let found = self.store.list_metadata("").map(|entry| entry.unwrap());
                let found: Vec<_> = found.map(|entry| (entry.name, entry.text)).collect();
                assert!(found.iter().map(|(name, text)| (name, text)).eq(&self.model.facts));
            }
        }
    }

    fn watch(&mut self) {
        let mut watch = self.store.watch_settings("", WatchFrom::After(self.revision)).unwrap();
        for expected in std::mem::take(&mut self.model.changes) {
            let update = watch.try_next().unwrap().unwrap();
            assert!(update.revision > self.revision);
            self.revision = update.revision;
            let found: Vec<_> =
                update.changes.into_iter().map(|change| (change.key, change.version)).collect();
            assert_eq!(found, expected);
        }
        assert_eq!(watch.try_next().unwrap(), None);
    }

    fn reopen(&mut self) {
        let next = self.memory.reopen();
        if self.random.one_in(2) {
            self.store.close().unwrap();
        } else {
            // As a kill would: whatever the store still does fails, and its close too.
            futures::executor::block_on(self.memory.close()).unwrap();
        }
        self.memory = next;
        self.store = open(&self.memory, self.strict);
    }

    fn step(&mut self) {
        match self.random.below(60) {
            0 => self.store.seal().unwrap(),
            1 => self.reopen(),
            2 => {
                let report = self.store.verify(VerifyDepth::Deep, |_| ()).unwrap();
                assert!(report.is_sound(), "{:#?}", report.findings);
            }
            3..=5 => self.list(),
            6..=8 => self.history(),
            9..=14 => self.get(),
            15..=17 => self.facts(),
            18 => self.watch(),
            19..=29 => self.remove(),
            _ => self.set(),
        }
    }
}

fn run(seed: u64, strict: Option<u64>, steps: u32) {
    println!("seed {seed}, strict {strict:?}");
    let mut run = Run::new(seed, strict);
    for _ in 0..steps {
        run.step();
    }
    run.watch();
    run.store.set_setting("end", &json!(1), ANY).unwrap();
}

#[test]
fn settings_do_what_a_map_of_lists_does() {
    for seed in 1..=12 {
        run(seed, None, 500);
    }
}

#[test]
fn settings_over_the_strict_engine_do_what_a_map_of_lists_does() {
    for seed in 1..=3 {
        run(100 + seed, Some(seed), 300);
    }
}
