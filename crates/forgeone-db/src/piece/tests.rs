//! A member that lies (flipped, missing, short, swapped or replayed parts) must be `Corrupt`.
//! Provoked by changing every stored part through the engine; an honest member must come back
//! byte for byte, alone or beside others in its piece.

use super::strict_store::{Strict, dump, strict, tamper};
use super::{
    Cache, CacheKey, Member, PART_BYTES, PieceReader, PieceRef, PieceWriter, UnitRef, delete_pieces,
};
use crate::codec::Compression;
use crate::crypto::{Binding, DomainKey, KeyId, Lineage, PieceType};
use crate::environment::SystemEnvironment;
use forgeone_db_engine::{DatabaseName, Entry, ErrorKind, Result, TableName};
use futures::FutureExt as _;
use futures::executor::block_on;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PLACE: Binding = Binding {
    lineage: Lineage { store_id: [7; 16], epoch: 1 },
    subject: 1024,
    first: 1,
    last: 9,
    compression: Compression::None,
};

struct Fixture {
    engine: Arc<Strict>,
    database: DatabaseName,
    table: TableName,
    domain: DomainKey,
}

struct Written {
    named: PieceRef,
    units: Vec<(UnitRef, Binding)>,
    bodies: Vec<Vec<u8>>,
}

impl Fixture {
    fn new(domain: DomainKey) -> Self {
        Self {
            engine: Arc::new(strict()),
            database: DatabaseName::new("events_shard_0").unwrap(),
            table: TableName::new("events").unwrap(),
            domain,
        }
    }

    fn writer(&self, piece: u64) -> PieceWriter {
        PieceWriter::new(
            Arc::<Strict>::clone(&self.engine),
            self.database.clone(),
            self.table.clone(),
            piece,
        )
    }

    async fn write(&self, piece: &mut PieceWriter, lens: &[usize]) -> Written {
        let mut member =
            piece.begin(&self.domain, PieceType::Segment, &SystemEnvironment::new()).unwrap();
        let (mut units, mut bodies) = (Vec::new(), Vec::new());
        for (index, len) in lens.iter().enumerate() {
            let body: Vec<u8> =
                (0..*len).map(|at| u8::try_from((at * 31 + index) % 256).unwrap()).collect();
            let binding = Binding { first: index as u64, ..PLACE };
            units.push((member.add_unit(&binding, body.clone()).await.unwrap(), binding));
            bodies.push(body);
        }
        let named = member.finish(b"directory".repeat(20), &PLACE).await.unwrap();
        Written { named, units, bodies }
    }

    async fn open(&self, named: &PieceRef) -> Result<Member> {
        PieceReader::new(
            Arc::<Strict>::clone(&self.engine),
            self.database.clone(),
            self.table.clone(),
        )
        .open(named, &self.domain, PieceType::Segment, &PLACE)
        .await
    }

    /// Reads everything, by single units and all at once.
    async fn read(&self, written: &Written) -> Result<()> {
        let member = self.open(&written.named).await?;
        assert_eq!(member.directory(), b"directory".repeat(20));
        for (index, ((unit, binding), body)) in (0..).zip(written.units.iter().zip(&written.bodies))
        {
            assert_eq!(member.read_unit(index, unit, binding).await?, *body);
        }
        assert_eq!(member.read_units(0, &written.units).await?, written.bodies);
        if written.units.len() > 2 {
            let middle = member.read_units(1, &written.units[1..]).await?;
            assert_eq!(middle, written.bodies[1..]);
        }
        Ok(())
    }

    fn put(&self, key: &bytes::Bytes, value: Option<Vec<u8>>) {
        tamper(&self.engine, &self.database, &self.table, key, value);
    }

    fn dump(&self) -> Vec<Entry> {
        dump(&self.engine, &self.database, &self.table)
    }

    fn refused(&self, written: &[Written], what: &str) {
        let refused = written.iter().filter(|written| match block_on(self.read(written)) {
            Ok(()) => false,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
                assert_eq!(error.get("database"), Some("events_shard_0"), "{what}");
                assert_eq!(error.get("table"), Some("events"), "{what}");
                assert!(error.get("piece").is_some(), "{what}");
                true
            }
        });
        assert!(refused.count() > 0, "{what} was not noticed");
    }
}

fn fixtures() -> [Fixture; 2] {
    [Fixture::new(DomainKey::none()), Fixture::new(DomainKey::new(KeyId(5), [9; 32]))]
}

const LENS: [&[usize]; 4] =
    [&[10, 16_000, 0, 70_000], &[], &[1], &[200_000, PART_BYTES, PART_BYTES - 1, 5]];

#[test]
fn members_that_share_a_piece_come_back() {
    for fixture in fixtures() {
        block_on(async {
            let mut piece = fixture.writer(7);
            let mut written = Vec::new();
            for lens in LENS {
                written.push(fixture.write(&mut piece, lens).await);
            }
            let stats = piece.finish().await.unwrap();
            let stored = fixture.dump();
            assert_eq!(
                stats.bytes,
                stored.iter().map(|entry| entry.value.len() as u64).sum::<u64>()
            );
            for (entry, at) in stored.iter().zip(0..stats.parts) {
                assert_eq!(entry.value.len(), PART_BYTES, "part {at}");
            }
            assert!(stored.len() > stats.parts as usize + 1, "the last part is in chunks");
            for written in &written {
                fixture.read(written).await.unwrap();
            }
        });
    }
}

#[test]
fn a_unit_over_more_parts_than_one_get_may_ask_for_comes_back() {
    let [_, fixture] = fixtures();
    block_on(async {
        let mut piece = fixture.writer(7);
        let written = fixture.write(&mut piece, &[6_000_000, 3]).await;
        piece.finish().await.unwrap();
        fixture.read(&written).await.unwrap();
    });
}

#[test]
fn every_way_a_part_can_lie_is_corrupt() {
    for fixture in fixtures() {
        let written = block_on(async {
            let mut piece = fixture.writer(7);
            let mut written = Vec::new();
            for lens in LENS {
                written.push(fixture.write(&mut piece, lens).await);
            }
            piece.finish().await.unwrap();
            written
        });
        let stored = fixture.dump();
        for (at, Entry { key, value }) in stored.iter().enumerate() {
            for byte in (0..value.len()).step_by(4_999).chain([value.len() - 1]) {
                let mut bent = value.to_vec();
                bent[byte] ^= 1;
                fixture.put(key, Some(bent));
                fixture.refused(&written, &format!("part {at}, byte {byte} flipped"));
            }
            fixture.put(key, None);
            fixture.refused(&written, "a missing part");
            fixture.put(key, Some(value[..value.len() - 1].to_vec()));
            fixture.refused(&written, "a short part");
            if at + 1 < stored.len() {
                fixture.put(key, Some([&value[..], &[0]].concat()));
                fixture.refused(&written, "a long part");
            }
            let other = &stored[(at + 1) % stored.len()].value;
            fixture.put(key, Some(other.to_vec()));
            fixture.refused(&written, "a swapped part");
            fixture.put(key, Some(value.to_vec()));
        }
        for written in &written {
            block_on(fixture.read(written)).unwrap();
        }
    }
}

#[test]
fn an_older_piece_under_the_same_number_is_corrupt() {
    let [_, fixture] = fixtures();
    let write = || {
        block_on(async {
            let mut piece = fixture.writer(7);
            let written = fixture.write(&mut piece, &[100]).await;
            piece.finish().await.unwrap();
            written
        })
    };
    write();
    let old = fixture.dump();
    let new = write();
    block_on(fixture.read(&new)).unwrap();
    fixture.put(&old[0].key, Some(old[0].value.to_vec()));
    fixture.refused(&[new], "a replayed piece");
}

#[test]
fn impossible_references_are_corrupt() {
    let [_, fixture] = fixtures();
    let written = block_on(async {
        let mut piece = fixture.writer(7);
        let written = fixture.write(&mut piece, &[100, 200]).await;
        piece.finish().await.unwrap();
        written
    });
    let good = &written.named;
    let bad = [
        PieceRef { piece: 8, ..good.clone() },
        PieceRef { offset: u64::MAX, ..good.clone() },
        PieceRef { offset: u64::MAX - good.units_bytes, ..good.clone() },
        PieceRef { units_bytes: good.units_bytes + 1, ..good.clone() },
        PieceRef { directory_bytes: u32::MAX, ..good.clone() },
        PieceRef { directory_bytes: 0, ..good.clone() },
        PieceRef { directory_bytes: good.directory_bytes - 1, ..good.clone() },
        PieceRef { hash: [0; 32], ..good.clone() },
    ];
    for named in bad {
        let error = block_on(fixture.open(&named)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{named:?}");
        assert!(error.get("piece").is_some(), "{named:?}");
    }
    let member = block_on(fixture.open(good)).unwrap();
    let (unit, binding) = written.units[0];
    for (index, unit) in [
        (0, UnitRef { offset: u64::MAX, ..unit }),
        (0, UnitRef { len: u32::MAX, ..unit }),
        (0, UnitRef { offset: unit.offset + 1, ..unit }),
        (1, unit),
        (u32::MAX, unit),
    ] {
        let error = block_on(member.read_unit(index, &unit, &binding)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    let apart = [written.units[1], written.units[0]];
    assert_eq!(block_on(member.read_units(0, &apart)).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn references_come_back_from_their_encoding() {
    let unit = UnitRef { offset: 1 << 40, len: 7, tag: [3; 16] };
    let bytes = minicbor::to_vec(unit).unwrap();
    assert_eq!(minicbor::decode::<UnitRef>(&bytes).unwrap(), unit);
    let named = PieceRef { piece: 9, offset: 1, units_bytes: 2, directory_bytes: 3, hash: [4; 32] };
    let bytes = minicbor::to_vec(&named).unwrap();
    assert_eq!(minicbor::decode::<PieceRef>(&bytes).unwrap(), named);
}

#[test]
fn a_deleted_piece_leaves_its_neighbours() {
    let [fixture, _] = fixtures();
    block_on(async {
        for number in [6, 7, 8, u64::MAX] {
            let mut piece = fixture.writer(number);
            fixture.write(&mut piece, &[5_000_000]).await;
            piece.finish().await.unwrap();
        }
        let all = fixture.dump().len();
        let pieces = [7, u64::MAX, 99].map(|number| (fixture.table.clone(), number));
        delete_pieces(&*fixture.engine, &fixture.database, &pieces).await.unwrap();
        let left = fixture.dump();
        assert_eq!(left.len(), all / 2);
        assert!(left.iter().all(|entry| matches!(entry.key[7], 6 | 8)));
    });
}

fn cache_key(piece: u64) -> CacheKey {
    CacheKey {
        database: DatabaseName::new("d").unwrap(),
        table: TableName::new("t").unwrap(),
        piece,
    }
}

#[test]
fn a_cache_keeps_its_budget_and_the_newest() {
    let cache = Cache::new(10_000);
    for offset in 0..1_000 {
        cache.insert(&cache_key(1), offset, Arc::new(vec![0u8; 500]), 500);
        assert!(cache.bytes() <= 10_000);
        assert!(cache.get(&cache_key(1), 0).is_some(), "what is asked for stays");
    }
    assert!(cache.entries() > 5);
    assert!(cache.get(&cache_key(1), 999).is_some());
    assert!(cache.get(&cache_key(1), 500).is_none());
    cache.insert(&cache_key(1), 999, Arc::new(vec![1u8; 20_000]), 20_000);
    assert!(cache.get(&cache_key(1), 999).is_none(), "too large, and the old value is stale");
}

#[test]
fn a_forgotten_piece_is_gone_from_a_cache() {
    let cache = Cache::new(1 << 20);
    for offset in 0..100 {
        cache.insert(&cache_key(1), offset, offset, 8);
        cache.insert(&cache_key(2), offset, offset, 8);
    }
    let both = cache.bytes();
    cache.forget_piece(&cache_key(1));
    assert_eq!(cache.bytes(), both / 2);
    assert_eq!(cache.entries(), 100);
    assert_eq!(cache.get(&cache_key(1), 5), None);
    assert_eq!(cache.get(&cache_key(2), 5), Some(5));
}

#[test]
fn futures_may_cross_threads() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let [_, fixture] = fixtures();
    let mut piece = fixture.writer(1);
    block_on(send(async move {
        let member =
            piece.begin(&fixture.domain, PieceType::Segment, &SystemEnvironment::new()).unwrap();
        let named = member.finish(Vec::new(), &PLACE).await.unwrap();
        piece.finish().await.unwrap();
        fixture.open(&named).await.unwrap();
    }));
}

#[test]
fn adjacent_units_come_with_one_engine_call() {
    let [_, fixture] = fixtures();
    let reads = Arc::new(AtomicUsize::new(0));
    block_on(async {
        let mut piece = fixture.writer(1);
        let written = fixture.write(&mut piece, &[16_000; 8]).await;
        piece.finish().await.unwrap();
        let member = fixture.open(&written.named).await.unwrap();
        let counted = Arc::<AtomicUsize>::clone(&reads);
        fixture.engine.interfere(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Vec::new()
        });
        assert_eq!(member.read_units(0, &written.units).await.unwrap(), written.bodies);
    });
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[test]
fn a_writer_whose_commit_was_dropped_names_nothing_more() {
    let [_, fixture] = fixtures();
    let mut piece = fixture.writer(1);
    let mut member =
        piece.begin(&fixture.domain, PieceType::Segment, &SystemEnvironment::new()).unwrap();
    assert!(member.add_unit(&PLACE, vec![0; 3_000_000]).now_or_never().is_none());
    drop(member);
    assert_eq!(block_on(piece.finish()).unwrap_err().kind(), ErrorKind::Internal);
}
