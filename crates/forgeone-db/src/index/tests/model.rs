//! An index must answer as an ordered map does, whatever lies in memtables and in runs. Provoked
//! by random puts, deletes, freezes, flushes and merges, compared with a `BTreeMap` by gets,
//! batches of gets, and scans of random ranges in both directions.

use super::{
    Arc, Bytes, Direction, DomainKey, FilterKey, Fixture, Index, KeyRange, Memtable,
    MemtableSource, Model, Run, Tombstones, collect, expected, sealed_domain, strict,
};
use futures::executor::block_on;
use proptest::prelude::*;
use std::sync::RwLock;

#[derive(Debug, Clone)]
enum Step {
    Put(Bytes, Bytes),
    Delete(Bytes),
    /// The active memtable is frozen.
    Freeze,
    /// The oldest frozen memtable becomes a run.
    Flush,
    /// So many of the newest runs become one.
    Merge(usize),
    Check(Bytes, Option<Bytes>),
}

/// Few keys, so that they meet; some long, so that pages fill and prefixes are shared.
fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        proptest::collection::vec(0u8..3, 0..4).prop_map(Bytes::from),
        (0u8..30, 0usize..3).prop_map(|(last, long)| {
            let mut key = vec![1; long * 700];
            key.push(last);
            Bytes::from(key)
        }),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    (any::<u8>(), prop_oneof![Just(0usize), 1usize..40, Just(5_000), Just(20_000)])
        .prop_map(|(byte, len)| Bytes::from(vec![byte; len]))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (key(), value()).prop_map(|(key, value)| Step::Put(key, value)),
        8 => key().prop_map(Step::Delete),
        2 => Just(Step::Freeze),
        3 => Just(Step::Flush),
        1 => (0usize..5).prop_map(Step::Merge),
        2 => (key(), proptest::option::of(key())).prop_map(|(from, to)| Step::Check(from, to)),
    ]
}

fn filter() -> impl Strategy<Value = FilterKey> {
    prop_oneof![
        Just(FilterKey::None),
        Just(FilterKey::Whole),
        (1u32..4).prop_map(FilterKey::Prefix)
    ]
}

struct Store {
    fixture: Fixture,
    active: Arc<RwLock<Memtable>>,
    frozen: Vec<Arc<RwLock<Memtable>>>,
    runs: Vec<Arc<Run>>,
    model: Model,
}

impl Store {
    fn view(&self) -> Index {
        let mut memtables: Vec<Arc<dyn MemtableSource>> = Vec::new();
        memtables.push(Arc::<RwLock<Memtable>>::clone(&self.active));
        for frozen in &self.frozen {
            memtables.push(Arc::<RwLock<Memtable>>::clone(frozen));
        }
        Index::new(memtables, self.runs.clone())
    }

    async fn apply(&mut self, step: Step) {
        match step {
            Step::Put(key, value) => {
                self.active.write().unwrap().put(key.clone(), value.clone());
                self.model.insert(key, Some(value));
            }
            Step::Delete(key) => {
                self.active.write().unwrap().delete(key.clone());
                self.model.insert(key, None);
            }
            Step::Freeze => {
                let full = std::mem::take(&mut self.active);
                self.frozen.insert(0, full);
            }
            Step::Flush => {
                if let Some(oldest) = self.frozen.pop() {
                    let memtable = std::mem::take(&mut *oldest.write().unwrap());
                    let run = self.fixture.flush(&memtable).await;
                    self.runs.insert(0, run);
                }
            }
            Step::Merge(count) => {
                let count = count.min(self.runs.len());
                let all = count == self.runs.len();
                let tombstones = if all { Tombstones::Drop } else { Tombstones::Keep };
                let merged = self.fixture.merge(&self.runs[..count], tombstones).await.unwrap();
                assert!(!all || merged.tombstones() == 0);
                self.runs.splice(..count, [merged]);
            }
            Step::Check(from, to) => self.check(&from, to).await,
        }
    }

    async fn check(&self, from: &Bytes, to: Option<Bytes>) {
        let index = self.view();
        for (key, value) in &self.model {
            assert_eq!(index.get(key).await.unwrap(), *value);
        }
        let mut keys: Vec<Bytes> = self.model.keys().rev().cloned().collect();
        keys.push(Bytes::from_static(b"absent"));
        keys.push(from.clone());
        let wanted: Vec<_> =
            keys.iter().map(|key| self.model.get(key).cloned().flatten()).collect();
        assert_eq!(index.get_many(&keys).await.unwrap(), wanted);
        for range in [KeyRange { start: from.clone(), end: to }, KeyRange::all()] {
            for direction in [Direction::Forward, Direction::Reverse] {
                let found = collect(&index, &range, direction).await.unwrap();
                assert_eq!(found, expected(&self.model, &range, direction));
            }
        }
        for run in &self.runs {
            for (key, value) in &self.model {
                let held = run.get(key).await.unwrap().is_some();
                let prefixes = (0..=key.len().min(4)).map(|len| &key[..len]);
                for prefix in prefixes.chain([&key[..]]) {
                    assert!(!held || run.may_contain(prefix).await.unwrap(), "{value:?}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn an_index_answers_as_a_map_does(
        steps in proptest::collection::vec(step(), 1..120),
        filter in filter(),
        sealed: bool,
    ) {
        let domain = if sealed { sealed_domain() } else { DomainKey::none() };
        let mut store = Store {
            fixture: Fixture::over(Arc::new(strict()), domain, filter),
            active: Arc::default(),
            frozen: Vec::new(),
            runs: Vec::new(),
            model: Model::new(),
        };
        block_on(async {
            for step in steps {
                store.apply(step).await;
            }
            store.check(&Bytes::new(), None).await;
            for _ in 0..=store.frozen.len() {
                store.apply(Step::Freeze).await;
                store.apply(Step::Flush).await;
            }
            store.apply(Step::Merge(usize::MAX)).await;
            store.check(&Bytes::new(), None).await;
        });
    }
}
