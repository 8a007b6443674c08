//! The memory engine is the reference: if it drifts, every comparison with it is worth nothing.
//! Random batches run against a model of plain maps; handles are closed one by one.

use super::MemoryEngine;
use crate::contract::{Batch, DatabaseName, Durability, Engine as _, KeyRange, Read, TableName};
use crate::error::{ClosedReason, ErrorKind, Result};
use crate::task::block_on;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn names() -> (DatabaseName, TableName) {
    (DatabaseName::new("system").unwrap(), TableName::new("settings").unwrap())
}

fn put(engine: &MemoryEngine, key: &'static str, value: &'static str) -> Result<()> {
    let (database, table) = names();
    let mut batch = Batch::new(database);
    batch.put(&table, key, value);
    block_on(engine.commit(batch, Durability::None))
}

#[test]
fn a_reopened_handle_sees_the_data_and_closes_on_its_own() {
    let (database, table) = names();
    let first = MemoryEngine::new();
    put(&first, "a", "1").unwrap();
    let second = first.reopen();
    let same = first.clone();
    block_on(first.close()).unwrap();
    let closed = ErrorKind::Closed(ClosedReason::Shutdown);
    assert_eq!(put(&first, "b", "2").unwrap_err().kind(), closed);
    assert_eq!(put(&same, "b", "2").unwrap_err().kind(), closed);
    put(&second, "b", "2").unwrap();
    let found = block_on(second.read(&database, Read::get(&table, "a"))).unwrap();
    assert_eq!(found.into_values().unwrap(), [Some("1".into())]);
}

#[test]
fn usage_is_the_sum_of_keys_and_values() {
    let (database, table) = names();
    let engine = MemoryEngine::new();
    let bytes = || block_on(engine.usage(&database)).unwrap().allocated_bytes;
    assert_eq!(bytes(), 0);
    put(&engine, "key", "value").unwrap();
    assert_eq!(bytes(), 8);
    put(&engine, "key", "").unwrap();
    assert_eq!(bytes(), 3);
    let mut batch = Batch::new(database.clone());
    batch.delete_range(&table, KeyRange::all());
    block_on(engine.commit(batch, Durability::None)).unwrap();
    assert_eq!(bytes(), 0);
}

#[test]
fn a_small_value_keeps_no_large_buffer_alive() {
    let (database, table) = names();
    let engine = MemoryEngine::new();
    let large = bytes::Bytes::from(vec![7; 1 << 20]);
    let mut batch = Batch::new(database);
    batch.put(&table, large.slice(0..4), large.slice(4..8));
    block_on(engine.commit(batch, Durability::None)).unwrap();
    assert!(large.is_unique(), "the engine still points into the caller's buffer");
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    RequireAbsent(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::collection::vec(prop_oneof![Just(0), Just(1), Just(127), Just(255)], 1..3);
    prop_oneof![
        4 => (key(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(k, v)| Step::Put(k, v)),
        2 => key().prop_map(Step::Delete),
        1 => (key(), key()).prop_map(|(a, b)| Step::DeleteRange(a.clone().min(b.clone()), a.max(b))),
        1 => key().prop_map(Step::RequireAbsent),
    ]
}

proptest! {
    #[test]
    fn random_batches_leave_what_a_plain_map_holds(
        batches in prop::collection::vec(prop::collection::vec(step(), 0..8), 0..12)
    ) {
        let (database, table) = names();
        let engine = MemoryEngine::new();
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for steps in batches {
            let mut batch = Batch::new(database.clone());
            let mut next = model.clone();
            let mut holds = true;
            for step in steps {
                match step {
                    Step::Put(key, value) => {
                        batch.put(&table, key.clone(), value.clone());
                        next.insert(key, value);
                    }
                    Step::Delete(key) => {
                        batch.delete(&table, key.clone());
                        next.remove(&key);
                    }
                    Step::DeleteRange(start, end) => {
                        batch.delete_range(&table, KeyRange::new(start.clone(), end.clone()));
                        next.retain(|key, _| *key < start || *key >= end);
                    }
                    Step::RequireAbsent(key) => {
                        holds &= !model.contains_key(&key);
                        batch.require_absent(&table, key);
                    }
                }
            }
            let result = block_on(engine.commit(batch, Durability::None));
            prop_assert_eq!(result.is_ok(), holds);
            if holds {
                model = next;
            }
        }
        let scan = Read::Scan {
            table,
            range: KeyRange::all(),
            direction: crate::Direction::Forward,
            projection: crate::Projection::Entries,
            entries_max: 4096,
            bytes_max: u64::MAX,
        };
        let page = block_on(engine.read(&database, scan)).unwrap().into_page().unwrap();
        let found: Vec<_> =
            page.entries.iter().map(|entry| (entry.key.to_vec(), entry.value.to_vec())).collect();
        let bytes: u64 = model.iter().map(|(k, v)| (k.len() + v.len()) as u64).sum();
        prop_assert_eq!(found, model.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(block_on(engine.usage(&database)).unwrap().allocated_bytes, bytes);
    }
}
