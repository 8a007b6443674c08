//! No answer may rest on the engine's word. Provoked by deleting, cutting, bending, swapping,
//! replaying and duplicating every stored value, at rest and while the store is open; every
//! answer must then be exactly right or a typed error, and `verify` must name what reads refuse.

use crate::stock::{Answers, Image, Place, Stock, ask, engine, open_and_ask, options};
use forgeone_db::{
    Error, ErrorKind, FindingSeverity, OpenMode, RedbManager, StoreOptions, VerifyDepth,
};
use forgeone_db_engine::faulty::{FaultPlan, FaultyEngine};
use forgeone_db_engine::{DatabaseName, Read, ReadResult};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

#[derive(Debug, Default)]
struct Tally {
    cases: u64,
    right: u64,
    refused: BTreeMap<String, u64>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.right += other.right;
        for (kind, count) in &other.refused {
            *self.refused.entry(kind.clone()).or_default() += count;
        }
    }
}

/// One way in which a store was damaged.
struct Case {
    what: String,
    keyring: bool,
    image: Image,
}

fn is_expected(error: &Error, keyring: bool) -> bool {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::UpgradeRequired => true,
        ErrorKind::WrongKey => keyring,
        // Without any copy of the keyring there is no store.
        ErrorKind::NotFound => keyring,
        _ => false,
    }
}

fn judge(stock: &Stock, case: &Case, tally: &mut Tally) {
    let what = &case.what;
    let asked =
        catch_unwind(AssertUnwindSafe(|| open_and_ask(stock.options(&case.image), &stock.ids)));
    let asked = asked.unwrap_or_else(|_| panic!("{what}: a panic"));
    tally.cases += 1;
    match asked {
        Ok(answers) => {
            assert!(answers == stock.answers, "{what}: a wrong answer: {}", diff(stock, &answers));
            tally.right += 1;
        }
        Err(error) => {
            assert!(is_expected(&error, case.keyring), "{what}: {error:?}");
            *tally.refused.entry(format!("{:?}", error.kind())).or_default() += 1;
            let report =
                RedbManager::verify_store(stock.options(&case.image), VerifyDepth::Deep, |_| ());
            match report {
                Ok(report) => assert!(!report.is_sound(), "{what}: verify is blind to {error}"),
                Err(error) => assert!(is_expected(&error, case.keyring), "{what}: {error:?}"),
            }
        }
    }
}

fn diff(stock: &Stock, answers: &Answers) -> String {
    format!(
        "{} and {} of {} events",
        answers.forward.len(),
        answers.reverse.len(),
        stock.answers.forward.len()
    )
}

/// Every way in which the value at `place` is damaged.
fn damages(stock: &Stock, image: &Image, place: &Place) -> Vec<(String, Option<Vec<u8>>)> {
    let value = &image[place];
    let len = value.len();
    let mut ways: Vec<(String, Option<Vec<u8>>)> = vec![
        ("deleted".into(), None),
        ("cut by one".into(), Some(value[..len.saturating_sub(1)].to_vec())),
        ("emptied".into(), Some(Vec::new())),
        ("grown by one".into(), Some([&value[..], &[0]].concat())),
    ];
    let step = (len / 9).max(1);
    for at in (0..len).step_by(step).chain([1, 2, 16, 90, len - 1]).filter(|at| *at < len) {
        let mut bent = value.clone();
        bent[at] ^= 1 << (at % 8);
        ways.push((format!("bit in byte {at} of {len} flipped"), Some(bent)));
    }
    let (database, table, key) = place;
    let siblings: Vec<&Place> = image
        .keys()
        .filter(|other| other.0 == *database && other.1 == *table && *other != place)
        .collect();
    let step = (siblings.len() / 5).max(1);
    for other in siblings.iter().step_by(step) {
        ways.push((format!("replaced by {:?}", other.2), Some(image[*other].clone())));
    }
    for other in image.keys().filter(|other| other.0 != *database && other.1 == *table) {
        if other.2 == *key {
            ways.push((format!("replaced by that of {}", other.0), Some(image[other].clone())));
        }
    }
    for (name, copy) in [("older", &stock.older), ("killed", &stock.killed)] {
        if let Some(before) = copy.get(place).filter(|before| *before != value) {
            ways.push((format!("replaced by its {name} value"), Some(before.clone())));
        }
    }
    ways
}

fn sweep(stock: &Stock, image: &Image, name: &str) -> Tally {
    let mut tally = Tally::default();
    for place in image.keys() {
        let head = format!("{name}, {}/{}/{:?}", place.0, place.1, place.2);
        let keyring = place.0 == "keyring";
        for (what, value) in damages(stock, image, place) {
            let mut bent = image.clone();
            match value {
                Some(value) => bent.insert(place.clone(), value),
                None => bent.remove(place),
            };
            let case = Case { what: format!("{head}: {what}"), keyring, image: bent };
            judge(stock, &case, &mut tally);
        }
        let mut next = place.2.clone();
        *next.last_mut().unwrap() = next.last().unwrap().wrapping_add(1);
        for key in [[&place.2[..], &[0]].concat(), next] {
            let what = format!("{head}: also under {key:?}");
            let mut bent = image.clone();
            bent.entry((place.0.clone(), place.1.clone(), key)).or_insert(image[place].clone());
            judge(stock, &Case { what, keyring, image: bent }, &mut tally);
        }
    }
    tally
}

fn sweep_all(encrypted: bool) {
    let stock = Stock::new(encrypted);
    let mut all = Tally::default();
    for (name, image) in [("killed", &stock.killed), ("closed", &stock.closed)] {
        let tally = sweep(&stock, image, name);
        println!("{name}, encrypted {encrypted}, {} values: {tally:?}", image.len());
        all.add(&tally);
    }
    assert!(all.cases > 1_000, "{all:?}");
    assert!(all.refused["Corrupt"] * 2 > all.cases, "{all:?}");
}

#[test]
fn every_damaged_value_of_an_encrypted_store_is_refused_or_harmless() {
    sweep_all(true);
}

#[test]
fn every_damaged_value_of_a_plain_store_is_refused_or_harmless() {
    sweep_all(false);
}
