//! No answer may rest on the engine's word. Provoked by deleting, cutting, bending, swapping,
//! replaying and duplicating every stored value, at rest and while the store is open; every
//! answer must then be exactly right or a typed error, and `verify` must name what reads refuse.

use crate::stock::{Answers, Image, Place, STATE_RECORDS, Stock, ask, engine, open_and_ask};
use forgeone_db::{
    Durability, Error, ErrorKind, FindingSeverity, OpenMode, RedbManager, StoreOptions, VerifyDepth,
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
        // Without any copy of the keyring there is no store.
        ErrorKind::WrongKey | ErrorKind::NotFound => keyring,
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

/// A way in which an engine lies about one answer.
#[derive(Debug, Clone, Copy)]
enum Lie {
    Drop,
    Cut,
    Bend,
    /// The value that the same table gave before.
    Swap,
    /// The value that an older copy of the store has in the place.
    Replay,
}

const LIES: [Lie; 5] = [Lie::Drop, Lie::Cut, Lie::Bend, Lie::Swap, Lie::Replay];

/// What a lying engine remembers.
struct Liar {
    lie: Lie,
    /// The first read that is lied about, and whether all that follow are, too.
    at: u64,
    forever: bool,
    reads: u64,
    before: BTreeMap<String, Vec<u8>>,
    older: Arc<Image>,
}

impl Liar {
    fn answer(&mut self, database: &DatabaseName, read: &Read, result: &mut ReadResult) {
        let now = self.reads == self.at || (self.forever && self.reads > self.at);
        self.reads += 1;
        match (read, result) {
            (Read::Get(keys), ReadResult::Values(values)) => {
                for ((table, key), value) in keys.iter().zip(values) {
                    let place = (database.to_string(), table.to_string(), key.to_vec());
                    let bent = value.as_ref().map(|value| self.bend(&place, value));
                    let kept = value.as_ref().map(|value| value.to_vec());
                    kept.into_iter().for_each(|kept| {
                        self.before.insert(place.1.clone(), kept);
                    });
                    if let (true, Some(bent)) = (now, bent) {
                        *value = bent.map(Into::into);
                    }
                }
            }
            (Read::Scan { table, .. }, ReadResult::Page(page)) if now => {
                let Some(last) = page.entries.pop() else { return };
                let place = (database.to_string(), table.to_string(), last.key.to_vec());
                if let Some(bent) = self.bend(&place, &last.value) {
                    let value = bent.into();
                    page.entries.push(forgeone_db_engine::contract::Entry { value, ..last });
                } else {
                    page.more = false;
                }
            }
            _ => {}
        }
    }

    fn bend(&self, place: &Place, value: &[u8]) -> Option<Vec<u8>> {
        match self.lie {
            Lie::Drop => None,
            Lie::Cut => Some(value[..value.len() / 2].to_vec()),
            Lie::Bend => {
                let mut bent = value.to_vec();
                let at = usize::try_from(self.at).unwrap() * 31 % bent.len().max(1);
                bent.get_mut(at).into_iter().for_each(|byte| *byte ^= 4);
                Some(bent)
            }
            Lie::Swap => Some(self.before.get(&place.1).map_or(value.to_vec(), Clone::clone)),
            Lie::Replay => Some(self.older.get(place).map_or(value.to_vec(), Clone::clone)),
        }
    }
}

fn lie_to(stock: &Stock, liar: Liar, (opening, mode): (bool, OpenMode), tally: &mut Tally) -> u64 {
    let what = format!("{:?} at {}, forever {}, {mode:?}", liar.lie, liar.at, liar.forever);
    let memory = engine(&stock.killed);
    let faulty = Arc::new(FaultyEngine::new(memory.reopen(), FaultPlan::new()));
    let options = StoreOptions::with_engine(Arc::<FaultyEngine<_>>::clone(&faulty))
        .durability(Durability::None)
        .key(stock.encrypted.then(crate::support::key))
        .mode(mode);
    tally.cases += 1;
    let reads_before = faulty.counts().reads;
    let mut liar = Some(liar);
    let mut install = || {
        let mut liar = liar.take().unwrap();
        faulty.tamper(move |database, read, result| liar.answer(database, read, result));
    };
    if opening {
        install();
    }
    let mut check = |result: forgeone_db::Result<()>| match result {
        Ok(()) => tally.right += 1,
        Err(error) => {
            assert!(is_expected(&error, true), "{what}: {error:?}");
            *tally.refused.entry(format!("{:?}", error.kind())).or_default() += 1;
        }
    };
    let store = match RedbManager::open(options) {
        Ok(store) => store,
        Err(error) => {
            check(Err(error));
            return 0;
        }
    };
    if !opening {
        install();
    }
    let reads_open = faulty.counts().reads;
    check(ask(&store, &stock.ids).map(|answers| assert!(answers == stock.answers, "{what}")));
    let reads = faulty.counts().reads - if opening { reads_before } else { reads_open };
    faulty.clear_tamper();
    let store = if opening {
        // What did not look like itself when it was opened stays out of use until it is reopened.
        store.close().unwrap();
        let again = crate::stock::options(memory.reopen(), stock.encrypted).mode(mode);
        RedbManager::open(again).unwrap()
    } else {
        store
    };
    let honest = ask(&store, &stock.ids).unwrap();
    assert!(honest == stock.answers, "{what}: a lie stayed behind");
    store.close().unwrap();
    reads
}

#[test]
fn an_engine_that_lies_while_the_store_is_open_is_not_believed() {
    let mut tally = Tally::default();
    for encrypted in [true, false] {
        let stock = Stock::new(encrypted);
        let older = Arc::new(stock.older.clone());
        let liar = |lie, at, forever| {
            let older = Arc::clone(&older);
            Liar { lie, at, forever, reads: 0, before: BTreeMap::new(), older }
        };
        let ways = [
            (true, OpenMode::Open),
            (false, OpenMode::Open),
            (true, OpenMode::Read),
            (false, OpenMode::Read),
        ];
        for way in ways {
            let reads = lie_to(&stock, liar(Lie::Drop, u64::MAX, false), way, &mut tally);
            assert!(reads > 20, "{reads}");
            // A reader asks for heads all the time: most of its reads are alike.
            let step = if way.1 == OpenMode::Read { 41 } else { 2 };
            for lie in LIES {
                for at in (0..reads).step_by(step) {
                    lie_to(&stock, liar(lie, at, false), way, &mut tally);
                    lie_to(&stock, liar(lie, at, true), way, &mut tally);
                }
            }
        }
    }
    println!("lies: {tally:?}");
    assert!(tally.refused["Corrupt"] > 800, "{tally:?}");
}

#[test]
fn verify_names_the_topic_and_the_records_that_are_damaged() {
    let stock = Stock::new(true);
    let store = RedbManager::open(stock.options(&stock.closed)).unwrap();
    store.close().unwrap();
    let mut named = 0;
    for place in stock.closed.keys().filter(|place| place.1 == "events") {
        let mut bent = stock.closed.clone();
        bent.get_mut(place).unwrap()[10] ^= 1;
        let options = stock.options(&bent);
        let report = RedbManager::verify_store(options, VerifyDepth::Standard, |_| ()).unwrap();
        let errors: Vec<_> = report.errors().collect();
        assert!(!errors.is_empty(), "{place:?}");
        for error in errors {
            assert_eq!(error.severity, FindingSeverity::Error);
            assert_eq!(error.database.as_deref(), Some(&*place.0), "{error:?}");
            assert_eq!(error.table.as_deref(), Some("events"), "{error:?}");
            assert!(error.topic.is_some() && error.from_seq <= error.to_seq, "{error:?}");
            assert!(!error.remedy.is_empty());
            named += error.to_seq.unwrap() - error.from_seq.unwrap() + 1;
        }
        // Everything else was still looked at.
        let lost: u64 = report.errors().map(|e| e.to_seq.unwrap() - e.from_seq.unwrap() + 1).sum();
        assert_eq!(report.records + lost, stock.ids.len() as u64 + STATE_RECORDS, "{report:#?}");
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<forgeone_db::VerifyReport>(&json).unwrap(), report);
    }
    assert!(named > 10);
}
