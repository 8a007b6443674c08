//! What the tests of this module share: a family in memory, sealed or not.

mod bulk;
mod edges;
mod model;
mod tamper;

use super::{
    Family, FamilyId, FilterKey, Index, IndexContext, Memtable, MemtableSource, Run, RunRef,
    Tombstones, merge, write_run,
};
use crate::crypto::{DomainKey, KeyId, KeyStore, Lineage};
use crate::environment::SystemEnvironment;
use crate::piece::UnitCache;
use crate::piece::strict_store::{Strict, dump, strict, tamper};
use bytes::Bytes;
use forgeone_db_engine::{
    DatabaseName, Direction, Engine, Entry, KeyRange, MemoryEngine, Result, TableName,
};
use std::collections::BTreeMap;
use std::sync::Arc;

type Model = BTreeMap<Bytes, Option<Bytes>>;

struct Fixture {
    context: IndexContext,
    family: Family,
    next_piece: u64,
}

impl Fixture {
    fn over(engine: Arc<dyn Engine>, domain: DomainKey, filter: FilterKey) -> Self {
        let context = IndexContext {
            engine,
            database: DatabaseName::new("events_shard_0").unwrap(),
            keys: KeyStore::of_system(domain),
            lineage: Lineage { store_id: [7; 16], epoch: 1 },
            environment: Arc::new(SystemEnvironment::new()),
            units: Arc::new(UnitCache::new(16 << 20)),
            batch_bytes: 4 << 20,
        };
        let table = TableName::new("event_index").unwrap();
        Self { context, family: Family { id: FamilyId(17), table, filter }, next_piece: 1 }
    }

    fn sealed(filter: FilterKey) -> Self {
        Self::over(Arc::new(MemoryEngine::new()), sealed_domain(), filter)
    }

    fn piece(&mut self) -> u64 {
        self.next_piece += 1;
        self.next_piece
    }

    async fn write(&mut self, memtable: &Memtable) -> RunRef {
        let number = self.piece();
        let mut piece = self.context.piece_writer(&self.family.table, number);
        let named = write_run(&self.context, &self.family, memtable, &mut piece).await.unwrap();
        piece.finish().await.unwrap();
        named
    }

    async fn open(&self, named: &RunRef) -> Result<Arc<Run>> {
        Run::open(&self.context, &self.family, named).await.map(Arc::new)
    }

    async fn flush(&mut self, memtable: &Memtable) -> Arc<Run> {
        let named = self.write(memtable).await;
        self.open(&named).await.unwrap()
    }

    async fn merge(&mut self, runs: &[Arc<Run>], tombstones: Tombstones) -> Result<Arc<Run>> {
        let number = self.piece();
        let mut piece = self.context.piece_writer(&self.family.table, number);
        let named =
            merge(&self.context, &self.family, runs, (tombstones, &|_, _| true), &mut piece)
                .await?;
        piece.finish().await?;
        self.open(&named).await
    }

    /// A cache that has seen nothing.
    fn cold(&mut self) {
        self.context.units = Arc::new(UnitCache::new(16 << 20));
    }
}

fn sealed_domain() -> DomainKey {
    DomainKey::new(KeyId::SYSTEM, [9; 32])
}

async fn collect(index: &Index, range: &KeyRange, direction: Direction) -> Result<Vec<Entry>> {
    let mut scan = index.scan(range, direction);
    let mut entries = Vec::new();
    while let Some(entry) = scan.next().await? {
        entries.push(entry);
    }
    Ok(entries)
}

fn expected(model: &Model, range: &KeyRange, direction: Direction) -> Vec<Entry> {
    let inside = model.iter().filter(|(key, _)| range.contains(key));
    let mut entries: Vec<_> = inside
        .filter_map(|(key, value)| Some(Entry { key: key.clone(), value: value.clone()? }))
        .collect();
    if direction == Direction::Reverse {
        entries.reverse();
    }
    entries
}

/// A repeatable stream of numbers (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random key of 20 bytes.
    fn key(&mut self) -> Bytes {
        let mut key = Vec::with_capacity(24);
        for _ in 0..3 {
            key.extend_from_slice(&self.next().to_be_bytes());
        }
        key.truncate(20);
        key.into()
    }
}
