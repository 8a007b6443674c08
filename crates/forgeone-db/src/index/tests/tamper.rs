//! A run that lies must be `Corrupt`, never another or a shorter answer. Provoked by flipping,
//! dropping, cutting, swapping and replaying every stored part, and by references that name
//! something else; every read either answers as before or is `Corrupt` and says where.

use super::{
    Arc, Bytes, Direction, DomainKey, FilterKey, Fixture, Index, KeyRange, Memtable, Model,
    Numbers, RunRef, Strict, Tombstones, collect, dump, expected, sealed_domain, strict, tamper,
};
use crate::crypto::{KeyId, KeyStore};
use forgeone_db_engine::{Error, ErrorKind, Result};
use futures::executor::block_on;

struct Case {
    engine: Arc<Strict>,
    fixture: Fixture,
    runs: Vec<RunRef>,
    model: Model,
}

impl Case {
    fn new(domain: DomainKey) -> Self {
        let engine = Arc::new(strict());
        let mut fixture = Fixture::over(Arc::<Strict>::clone(&engine), domain, FilterKey::Whole);
        let mut numbers = Numbers(1);
        let mut model = Model::new();
        let mut runs = Vec::new();
        for _ in 0..2 {
            let mut memtable = Memtable::new();
            for _ in 0..6_000 {
                let key = numbers.key();
                memtable.put(key.clone(), key.clone());
                model.insert(key.clone(), Some(key));
            }
            runs.insert(0, block_on(fixture.write(&memtable)));
        }
        Self { engine, fixture, runs, model }
    }

    /// Reads everything in every way with a cold cache; a lie must show in one of them.
    fn read(&mut self) -> Result<()> {
        self.fixture.cold();
        block_on(async {
            let mut runs = Vec::new();
            for named in &self.runs {
                runs.push(self.fixture.open(named).await?);
            }
            let index = Index::new(Vec::new(), runs.clone());
            let all = KeyRange::all();
            for direction in [Direction::Forward, Direction::Reverse] {
                let found = collect(&index, &all, direction).await?;
                assert!(found == expected(&self.model, &all, direction));
            }
            let keys: Vec<Bytes> = self.model.keys().step_by(40).cloned().collect();
            let found = index.get_many(&keys).await?;
            assert!(found.iter().zip(&keys).all(|(found, key)| found.as_ref() == Some(key)));
            self.fixture.merge(&runs, Tombstones::Drop).await?;
            // A damaged filter costs a lookup its shortcut and no answer; verification names it.
            for run in &runs {
                run.audit().await?;
            }
            Ok(())
        })
    }

    fn put(&self, key: &Bytes, value: Option<Vec<u8>>) {
        let table = &self.fixture.family.table;
        tamper(&self.engine, &self.fixture.context.database, table, key, value);
    }

    fn refused(&mut self, what: &str) {
        let Err(error) = self.read() else { panic!("{what} was not noticed") };
        check(&error, what);
    }
}

fn check(error: &Error, what: &str) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    assert_eq!(error.get("database"), Some("events_shard_0"), "{what}: {error}");
    assert_eq!(error.get("table"), Some("event_index"), "{what}: {error}");
    assert!(error.get("piece").is_some(), "{what}: {error}");
}

fn cases() -> [Case; 2] {
    [Case::new(sealed_domain()), Case::new(DomainKey::none())]
}

#[test]
fn every_way_a_part_of_a_run_can_lie_is_corrupt() {
    for mut case in cases() {
        let database = case.fixture.context.database.clone();
        let stored = dump(&case.engine, &database, &case.fixture.family.table);
        assert!(stored.len() >= 6);
        case.read().unwrap();
        for (at, entry) in stored.iter().enumerate() {
            let (key, value) = (&entry.key, &entry.value);
            for byte in (0..value.len()).step_by(9_973).chain([value.len() - 1]) {
                let mut bent = value.to_vec();
                bent[byte] ^= 0x40;
                case.put(key, Some(bent));
                case.refused(&format!("part {at}: byte {byte} flipped"));
            }
            case.put(key, None);
            case.refused(&format!("part {at}: missing"));
            case.put(key, Some(value[..value.len() - 1].to_vec()));
            case.refused(&format!("part {at}: cut short"));
            case.put(key, Some(Vec::new()));
            case.refused(&format!("part {at}: empty"));
            case.put(key, Some(stored[(at + 1) % stored.len()].value.to_vec()));
            case.refused(&format!("part {at}: another part in its place"));
            case.put(key, Some(value.to_vec()));
        }
        case.read().unwrap();
    }
}

#[test]
fn an_older_run_in_the_place_of_a_newer_one_is_corrupt() {
    for mut case in cases() {
        let database = case.fixture.context.database.clone();
        let stored = dump(&case.engine, &database, &case.fixture.family.table);
        let piece = |number: u64| number.to_be_bytes();
        let [newer, older] = [case.runs[0].piece.piece, case.runs[1].piece.piece];
        for entry in stored.iter().filter(|entry| entry.key.starts_with(&piece(older))) {
            let key = [&piece(newer)[..], &entry.key[8..]].concat();
            case.put(&key.into(), Some(entry.value.to_vec()));
        }
        case.refused("an older run under a newer one's number");
    }
}

#[test]
fn references_that_name_something_else_are_corrupt() {
    for mut case in cases() {
        let good = case.runs[0].clone();
        let other = case.runs[1].clone();
        let bad = [
            RunRef { entries: good.entries - 1, ..good.clone() },
            RunRef { entries: good.entries + 1, ..good.clone() },
            RunRef { first_key: good.first_key[..19].to_vec(), ..good.clone() },
            RunRef { last_key: vec![0xff; 20], ..good.clone() },
            RunRef { piece: other.piece.clone(), ..good.clone() },
            RunRef { family: crate::index::FamilyId(18), ..good.clone() },
        ];
        for named in bad {
            let error = block_on(case.fixture.open(&named)).unwrap_err();
            check(&error, &format!("{:?}", named.piece));
        }
        case.runs[0] = good.clone();
        case.read().unwrap();

        let context = &mut case.fixture.context;
        let keep = context.clone();
        context.lineage.epoch += 1;
        check(&block_on(case.fixture.open(&good)).unwrap_err(), "another epoch");
        case.fixture.context = keep.clone();
        case.fixture.context.keys = KeyStore::of_system(DomainKey::new(KeyId::SYSTEM, [8; 32]));
        check(&block_on(case.fixture.open(&good)).unwrap_err(), "another key");
        case.fixture.context = keep;
        case.read().unwrap();
    }
}
