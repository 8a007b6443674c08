//! Sizes and moments at the edge: empty runs, huge values, a cache too small for one page,
//! memtables that grow under a scan, and scans that go on after an error.

use super::super::filter::{Filter, FilterBuilder, FilterSeed};
use super::super::page::{Page, PageBuilder};
use super::{
    Arc, Bytes, Direction, Entry, FilterKey, Fixture, Index, KeyRange, Memtable, MemtableSource,
    Model, RunRef, Strict, Tombstones, UnitCache, collect, dump, expected, sealed_domain, strict,
    tamper,
};
use crate::index::{CachePolicy, KEY_BYTES_MAX, RunWriter, Slot, VALUE_BYTES_MAX};
use forgeone_db_engine::ErrorKind;
use futures::executor::block_on;
use std::sync::Mutex;

const BOTH: [Direction; 2] = [Direction::Forward, Direction::Reverse];

#[test]
fn an_empty_run_knows_nothing() {
    for filter in [FilterKey::None, FilterKey::Whole, FilterKey::Prefix(4)] {
        let mut fixture = Fixture::sealed(filter);
        block_on(async {
            let run = fixture.flush(&Memtable::new()).await;
            assert_eq!(run.named().entries, 0);
            assert_eq!(run.get(b"").await.unwrap(), None);
            assert_eq!(run.get(b"key").await.unwrap(), None);
            assert!(!run.may_contain(b"").await.unwrap());
            let merged = fixture.merge(&[run], Tombstones::Drop).await.unwrap();
            let index = Index::new(Vec::new(), vec![merged]);
            for direction in BOTH {
                assert!(collect(&index, &KeyRange::all(), direction).await.unwrap().is_empty());
            }
        });
    }
}

#[test]
fn a_merge_that_drops_everything_is_an_empty_run() {
    let mut fixture = Fixture::sealed(FilterKey::Whole);
    block_on(async {
        let (mut old, mut new) = (Memtable::new(), Memtable::new());
        old.put("key", "value");
        new.delete("key");
        let runs = [fixture.flush(&new).await, fixture.flush(&old).await];
        let kept = fixture.merge(&runs, Tombstones::Keep).await.unwrap();
        assert_eq!(kept.get(b"key").await.unwrap(), Some(Slot::Tombstone));
        let dropped = fixture.merge(&runs, Tombstones::Drop).await.unwrap();
        assert_eq!(dropped.named().entries, 0);
    });
}

#[test]
fn values_of_a_mebibyte_come_back_beside_small_ones() {
    let engine = Arc::new(strict());
    let mut fixture = Fixture::over(engine, sealed_domain(), FilterKey::Whole);
    let noise: Vec<u8> =
        (0..1u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let mut model = Model::new();
    let mut memtable = Memtable::new();
    for number in 0..200u8 {
        let value = match number % 64 {
            7 => Bytes::from(noise.clone()),
            9 => Bytes::from(vec![number; 1 << 20]),
            _ => Bytes::from(vec![number; 100]),
        };
        let key = Bytes::from(vec![number]);
        memtable.put(key.clone(), value.clone());
        model.insert(key, Some(value));
    }
    block_on(async {
        let run = fixture.flush(&memtable).await;
        let merged = fixture.merge(&[run], Tombstones::Drop).await.unwrap();
        let index = Index::new(Vec::new(), vec![merged]);
        for (key, value) in &model {
            assert_eq!(index.get(key).await.unwrap(), *value);
        }
        for direction in BOTH {
            let found = collect(&index, &KeyRange::all(), direction).await.unwrap();
            assert!(found == expected(&model, &KeyRange::all(), direction));
        }
    });
}

#[test]
fn entries_beyond_the_limits_are_refused() {
    let fixture = Fixture::sealed(FilterKey::None);
    block_on(async {
        let mut piece = fixture.context.piece_writer(&fixture.family.table, 1);
        let mut run = RunWriter::begin(&fixture.context, &fixture.family, &mut piece).unwrap();
        run.push(&[1; KEY_BYTES_MAX], Some(b"")).await.unwrap();
        for (key, value, kind) in [
            (vec![2; KEY_BYTES_MAX + 1], Vec::new(), ErrorKind::Invalid),
            (vec![2], vec![0; VALUE_BYTES_MAX + 1], ErrorKind::Invalid),
            (vec![1; KEY_BYTES_MAX], Vec::new(), ErrorKind::Internal),
            (vec![0], Vec::new(), ErrorKind::Internal),
        ] {
            assert_eq!(run.push(&key, Some(&value)).await.unwrap_err().kind(), kind);
        }
    });
}

#[test]
fn runs_of_several_families_share_a_piece() {
    let mut fixture = Fixture::sealed(FilterKey::Whole);
    block_on(async {
        let mut piece = fixture.context.piece_writer(&fixture.family.table, 1);
        let mut named: Vec<RunRef> = Vec::new();
        for id in 0..5u64 {
            fixture.family.id.0 = id;
            let mut run = RunWriter::begin(&fixture.context, &fixture.family, &mut piece).unwrap();
            for number in 0..2_000 * id {
                run.push(&number.to_be_bytes(), Some(&id.to_be_bytes())).await.unwrap();
            }
            named.push(run.finish().await.unwrap());
        }
        piece.finish().await.unwrap();
        for named in &named {
            fixture.family.id = named.family;
            let run = fixture.open(named).await.unwrap();
            let index = Index::new(Vec::new(), vec![run]);
            let found = collect(&index, &KeyRange::all(), Direction::Forward).await.unwrap();
            assert_eq!(found.len() as u64, named.entries);
            assert!(found.iter().all(|entry| *entry.value == named.family.0.to_be_bytes()));
            // A run does not open as one of another family.
            fixture.family.id.0 += 1;
            let error = fixture.open(named).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    });
}

#[test]
fn a_cache_without_room_changes_no_answer() {
    for budget in [0, 1, 40_000] {
        let mut fixture = Fixture::sealed(FilterKey::Whole);
        fixture.context.units = Arc::new(UnitCache::new(budget));
        let mut memtable = Memtable::new();
        for number in 0..5_000u32 {
            memtable.put(number.to_be_bytes().to_vec(), vec![0; 50]);
        }
        block_on(async {
            let run = fixture.flush(&memtable).await;
            for number in (0..6_000u32).step_by(7) {
                let found = run.get(&number.to_be_bytes()).await.unwrap();
                assert_eq!(found.is_some(), number < 5_000);
                assert!(fixture.context.units.bytes() <= budget);
            }
            let index = Index::new(Vec::new(), vec![run]);
            for direction in BOTH {
                let found = collect(&index, &KeyRange::all(), direction).await.unwrap();
                assert_eq!(found.len(), 5_000);
            }
            assert!(fixture.context.units.bytes() <= budget);
        });
    }
}

#[test]
fn a_scan_sees_what_was_there_while_a_memtable_grows() {
    let fixture = Fixture::sealed(FilterKey::None);
    let active = Arc::new(Mutex::new(Memtable::new()));
    for number in (0..5_000u32).step_by(2) {
        active.lock().unwrap().put(number.to_be_bytes().to_vec(), "old");
    }
    let source: Arc<dyn MemtableSource> = Arc::<Mutex<Memtable>>::clone(&active);
    let index = Index::new(vec![source], Vec::new());
    for direction in BOTH {
        let mut scan = index.scan(&KeyRange::all(), direction);
        let mut seen: Vec<Entry> = Vec::new();
        block_on(async {
            let mut added = 1u32;
            while let Some(entry) = scan.next().await.unwrap() {
                active.lock().unwrap().put(added.to_be_bytes().to_vec(), "new");
                added = (added + 2) % 5_000;
                seen.push(entry);
            }
        });
        let old = seen.iter().filter(|entry| *entry.value == *b"old").count();
        assert_eq!(old, 2_500);
        assert!(seen.is_sorted_by(|a, b| match direction {
            Direction::Forward => a.key < b.key,
            Direction::Reverse => a.key > b.key,
        }));
    }
    drop(fixture);
}

#[test]
fn a_scan_that_failed_never_ends_quietly() {
    let engine = Arc::new(strict());
    let mut fixture =
        Fixture::over(Arc::<Strict>::clone(&engine), sealed_domain(), FilterKey::None);
    let mut memtable = Memtable::new();
    for number in 0..80_000u32 {
        memtable.put(
            number.to_be_bytes().to_vec(),
            number.wrapping_mul(0x9e37_79b9).to_be_bytes().to_vec(),
        );
    }
    let run = block_on(fixture.flush(&memtable));
    let stored = dump(&engine, &fixture.context.database, &fixture.family.table);
    tamper(&engine, &fixture.context.database, &fixture.family.table, &stored[1].key, None);
    block_on(async {
        let index = Index::new(Vec::new(), vec![Arc::clone(&run)]);
        for direction in BOTH {
            let mut scan = index.scan(&KeyRange::all(), direction);
            let mut found = 0;
            let error = loop {
                match scan.next().await {
                    Ok(entry) => assert!(entry.is_some(), "the scan ended quietly"),
                    Err(error) => break error,
                }
                found += 1;
            };
            assert!(found > 0 && found < 80_000);
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(scan.next().await.is_err());
        }
        let mut cursor = run.scan(KeyRange::all(), Direction::Forward, CachePolicy::Bypass);
        while cursor.next().await.is_ok_and(|more| more) {}
        assert!(cursor.next().await.is_err());
    });
}

#[test]
fn filters_of_any_number_of_keys_forget_none() {
    for count in (0..70u32).chain([100, 255, 256, 1_000, 4_095, 65_535, 65_536]) {
        let seed = FilterSeed([3; 32]);
        let mut builder = FilterBuilder::new(FilterKey::Whole, seed.clone());
        for number in 0..count {
            assert!(builder.push(&number.to_be_bytes()).is_none());
        }
        let Some(filter) = builder.take() else {
            assert_eq!(count, 0);
            continue;
        };
        assert_eq!(filter.keys, count);
        assert!(!filter.bytes.is_empty(), "no filter of {count} keys was found");
        let filter = Filter::new(&filter.bytes).unwrap();
        for number in 0..count {
            assert!(filter.may_contain(seed.hash(&number.to_be_bytes())));
        }
    }
}

#[test]
fn a_filter_holds_65_536_distinct_keys_and_no_more() {
    let mut builder = FilterBuilder::new(FilterKey::Prefix(4), FilterSeed([3; 32]));
    for number in 0..131_072u32 {
        let key = [&(number / 2).to_be_bytes()[..], &[1]].concat();
        assert!(builder.push(&key).is_none());
    }
    let full = builder.push(&65_536u32.to_be_bytes()).unwrap();
    assert_eq!((full.keys, full.first), (65_536, vec![0; 4]));
    let rest = builder.take().unwrap();
    assert_eq!((rest.keys, rest.first), (1, vec![0, 1, 0, 0]));
}

/// The query is part of the format: a filter written today must be read by every later version.
#[test]
fn a_filter_drawn_by_hand_is_read_as_documented() {
    // Seed 0, one segment length of 4 and first segments of 4: twelve fingerprints.
    let mut bytes = vec![0; 8];
    bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 4]);
    bytes.extend_from_slice(&[0; 24]);
    // MurmurHash3's finaliser maps 1 to this.
    let mixed = 0xb456_bcfc_34c2_cb2c_u64;
    let fingerprint = ((mixed ^ (mixed >> 32)) & 0xffff) as u16;
    let h0 = usize::try_from((u128::from(mixed) * 4) >> 64).unwrap();
    let h1 = (h0 + 4) ^ ((mixed >> 18) & 3) as usize;
    let h2 = (h0 + 8) ^ (mixed & 3) as usize;
    assert_eq!((h0, h1, h2), (2, 6, 10));
    assert!(!Filter::new(&bytes).unwrap().may_contain(1));
    for at in [h0, h1, h2] {
        let mut filled = bytes.clone();
        filled[16 + at * 2..][..2].copy_from_slice(&fingerprint.to_be_bytes());
        assert!(Filter::new(&filled).unwrap().may_contain(1));
    }
    assert!(Filter::new(&bytes[1..]).is_err());
    assert!(Filter::new(&bytes[..38]).is_err());
    assert!(Filter::new(&[]).unwrap().may_contain(1), "no bytes rule nothing out");
}

#[test]
fn malformed_pages_are_corrupt_and_never_panic() {
    let mut builder = PageBuilder::default();
    for number in 0..100u8 {
        builder.push(&[5, number], (number % 3 > 0).then_some(&[number; 3])).unwrap();
    }
    let page = builder.take();
    let walk = |bytes: Vec<u8>| {
        let Ok(page) = Page::new(Arc::new(bytes)) else { return };
        let _ = page.get(&[5, 50]).is_ok();
        let (mut at, mut key) = (0, Vec::new());
        while let Ok(place) = page.entry(at, &mut key) {
            at = place.next;
        }
        for block in 0..page.blocks().min(1_000) {
            let _ = page.block_start(block).is_ok();
        }
    };
    for byte in 0..page.bytes.len() {
        for bit in 0..8 {
            let mut bent = page.bytes.clone();
            bent[byte] ^= 1 << bit;
            walk(bent);
        }
        walk(page.bytes[..byte].to_vec());
    }
}
