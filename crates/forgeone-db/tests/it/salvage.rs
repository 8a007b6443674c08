//! Salvage gets out what is authentic and names everything else. Without these tests a damaged byte
//! could cost more than what it hit, or a loss could go untold. Contract line I4.
//!
//! Values of a small store are bent, cut, or taken away, one at a time, and whole databases with
//! them. What the new store then has, and what the report calls lost, must together be what there
//! was.

use crate::stock::{Image, Place, Stock, ask, options};
use crate::support::event;
use forgeone_db::{
    ErrorKind, EventQuery, MemoryEngine, NewLogEntry, OpenMode, RedbManager, SalvageReport,
    Severity, StoreOptions, TopicKind, TopicPattern, VerifyDepth,
};
use std::collections::{BTreeMap, BTreeSet};

fn salvage(stock: &Stock, bent: &Image) -> forgeone_db::Result<(SalvageReport, MemoryEngine)> {
    let target = MemoryEngine::new();
    let new = options(target.clone(), stock.encrypted);
    let report = RedbManager::salvage(stock.options(bent), new, |_| ())?;
    Ok((report, target))
}

/// What a store has of each topic, by the number it had.
type Contents = BTreeMap<(String, u64), forgeone_db::EventMessage>;

fn contents(stock: &Stock) -> Contents {
    let pair = |(seq, event): &(u64, forgeone_db::EventMessage)| {
        ((event.topic.clone(), *seq), event.clone())
    };
    stock.answers.forward.iter().map(pair).collect()
}

/// Checks that everything there was is either in the new store, unchanged, or called lost. Says how
/// many records are lost.
fn check(stock: &Stock, report: &SalvageReport, target: &MemoryEngine, what: &str) -> u64 {
    let store = RedbManager::open(options(target.reopen(), stock.encrypted)).unwrap();
    let verified = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
    assert!(verified.is_sound(), "{what}: {:#?}", verified.findings);
    let mut lost = 0;
    for ((topic, seq), event) in &contents(stock) {
        let of = report.topics.iter().find(|one| one.topic == *topic);
        let of = of.unwrap_or_else(|| panic!("{what}: {topic} is not told of: {report:#?}"));
        let kept = of.kept.iter().find(|kept| (kept.from_seq..=kept.to_seq).contains(seq));
        let gone = of
            .lost
            .iter()
            .any(|lost| lost.from_seq <= *seq && lost.to_seq.is_none_or(|to| *seq <= to));
        assert!(kept.is_some() != gone, "{what}: {topic} {seq}: {report:#?}");
        let Some(kept) = kept else {
            lost += 1;
            continue;
        };
        let found = store.get_event_at(topic, kept.new_from_seq + (seq - kept.from_seq)).unwrap();
        assert_eq!(found.event, *event, "{what}");
        assert_eq!(store.get_event(event.id).unwrap()[0].event, *event, "{what}");
    }
    let fact = store.metadata(&report.fact).unwrap().unwrap();
    let digest = blake3::hash(&report.to_json().unwrap()).to_hex();
    assert!(fact.text.contains(digest.as_str()), "{what}");
    store.close().unwrap();
    lost
}

#[test]
fn a_sound_store_is_saved_whole_with_its_numbers_ids_and_history() {
    for encrypted in [true, false] {
        let stock = Stock::new(encrypted);
        for whole in [&stock.killed, &stock.closed] {
            let (report, target) = salvage(&stock, whole).unwrap();
            assert!(report.is_complete() && report.state_is_whole, "{report:#?}");
            assert_eq!((report.records, report.records_lost), (stock.ids.len() as u64, 0));
            assert_eq!(check(&stock, &report, &target, "sound"), 0);
            let store = RedbManager::open(options(target.reopen(), encrypted)).unwrap();
            store.remove_metadata("salvage").unwrap();
            assert!(ask(&store, &stock.ids).unwrap() == stock.answers, "everything is as it was");
            let json = report.to_json().unwrap();
            assert_eq!(serde_json::from_slice::<SalvageReport>(&json).unwrap(), report);
        }
    }
}

fn bend(image: &Image, place: &Place, how: u64) -> Image {
    let mut bent = image.clone();
    let value = bent.get_mut(place).unwrap();
    let middle = value.len() / 2;
    match how {
        0 => value[middle] ^= 1,
        1 => value.truncate(middle),
        _ => {
            bent.remove(place);
        }
    }
    bent
}

#[test]
fn every_damaged_value_costs_only_what_it_held_and_is_told() {
    let stock = Stock::new(true);
    let mut by_table: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for image in [&stock.killed, &stock.closed] {
        for place in image.keys().filter(|place| place.1 != "keyring") {
            for how in 0..3 {
                let what = format!("{place:?}, {how}");
                let (report, target) = salvage(&stock, &bend(image, place, how)).unwrap();
                let lost = check(&stock, &report, &target, &what);
                let tally = by_table.entry(place.1.clone()).or_default();
                tally.0 += 1;
                tally.1 = tally.1.max(lost);
                assert!(lost == 0 || !report.is_complete(), "{what}");
                let system = place.0 == "system" && place.1 != "metadata" && place.1 != "settings";
                // Indexes are not read where the records say everything.
                let read = !["event_index", "metadata", "settings"].contains(&place.1.as_str());
                assert!(report.is_complete() != read || system, "{what}: {report:#?}");
            }
        }
    }
    println!("cases and records lost at most, by table: {by_table:?}");
    assert_eq!(by_table["event_index"].1, 0, "an index costs no record");
    assert_eq!(by_table["head"].1, 0, "a head costs no record");
    assert_eq!(by_table["checkpoints"].1, 0, "a manifest costs no record");
    assert!(by_table["events"].1 > 0 && by_table["events"].1 < stock.ids.len() as u64 / 2);
}

#[test]
fn a_missing_database_or_keyring_is_told_and_the_rest_is_saved() {
    let stock = Stock::new(true);
    for database in ["system", "events_shard_0", "events_shard_1"] {
        let mut without = stock.closed.clone();
        without.retain(|place, _| place.0 != database);
        let (report, target) = salvage(&stock, &without).unwrap();
        assert!(!report.is_complete(), "{database}: {report:#?}");
        assert!(report.damage.iter().any(|one| one.database == database), "{report:#?}");
        let lost = check(&stock, &report, &target, database);
        assert_eq!(lost == 0, database == "system", "{database}: {lost}");
        assert_eq!(report.state_is_whole, database != "system");
    }
    let mut without = stock.closed.clone();
    without.retain(|place, _| place.0 != "keyring");
    assert_eq!(salvage(&stock, &without).unwrap_err().kind(), ErrorKind::NotFound);
    let wrong = stock.options(&stock.closed).key(forgeone_db::Key::raw([9; 32]));
    let new = options(MemoryEngine::new(), true);
    let refused = RedbManager::salvage(wrong, new, |_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WrongKey);
}

#[test]
fn an_older_shard_put_back_is_told_and_what_it_has_is_saved() {
    let stock = Stock::new(true);
    let mut mixed = stock.closed.clone();
    mixed.retain(|place, _| place.0 != "events_shard_0");
    let older = stock.older.iter().filter(|(place, _)| place.0 == "events_shard_0");
    mixed.extend(older.map(|(place, value)| (place.clone(), value.clone())));
    let (report, target) = salvage(&stock, &mixed).unwrap();
    assert!(report.damage[0].what.contains("newest commits"), "{report:#?}");
    assert!(check(&stock, &report, &target, "older") > 0);
}

#[test]
fn a_store_on_disk_is_not_touched_and_log_lines_keep_their_ids() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = crate::support::open(&path);
    let line = |n: u64| {
        let at = crate::support::time(1_700_000_000 + i64::try_from(n).unwrap());
        NewLogEntry::new("web", at, Severity::Info, format!("line {n}"))
    };
    let logs: Vec<_> = (1..=500).map(|n| store.store_log(line(n)).unwrap()).collect();
    let events: Vec<_> = (1..=50).map(|n| event("jobs", n)).collect();
    store.store_events(&events).unwrap();
    store.close().unwrap();
    let files = || -> BTreeSet<(std::path::PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    };
    let before = files();
    let new = directory.path().join("new");
    let source = || StoreOptions::new(&path).key(crate::support::key());
    let target = || StoreOptions::new(&new).key(crate::support::key());
    let report = RedbManager::salvage(source(), target(), |_| ()).unwrap();
    assert!(report.is_complete() && report.ids_are_kept, "{report:#?}");
    assert_eq!(files(), before, "the damaged store is only read");
    let saved = RedbManager::open(target().mode(OpenMode::Read)).unwrap();
    for (number, position) in (1..).zip(&logs) {
        let found = saved.get_log(position.id).unwrap();
        assert_eq!((found[0].seq, &found[0].entry.message), (number, &format!("line {number}")));
    }
    assert_eq!(saved.topics(&TopicPattern::all()).unwrap()[0].count, 50);
    let taken = RedbManager::salvage(source(), target(), |_| ()).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
}

/// Puts sealed records of an older image back, where nothing lies now.
fn put_back(image: &mut Image, older: &Image) -> usize {
    let before = image.len();
    for (place, value) in older.iter().filter(|(place, _)| place.1 == "events") {
        image.entry(place.clone()).or_insert_with(|| value.clone());
    }
    image.len() - before
}

#[test]
fn lost_manifests_cost_no_record_and_superseded_segments_double_none() {
    for encrypted in [true, false] {
        let stock = Stock::new(encrypted);
        let mut bent = stock.closed.clone();
        put_back(&mut bent, &stock.older);
        put_back(&mut bent, &stock.killed);
        bent.retain(|place, _| place.1 != "checkpoints");
        let (report, target) = salvage(&stock, &bent).unwrap();
        assert_eq!(check(&stock, &report, &target, "no manifest"), 0);
        assert_eq!((report.records, report.records_lost), (stock.ids.len() as u64, 0));
        // Everything is there, and nobody can say so.
        assert!(!report.is_complete() && !report.state_is_whole, "{report:#?}");
        let told = |lost: &forgeone_db::LostRange| lost.what.contains("there may be more");
        assert!(report.topics.iter().all(|topic| topic.lost.iter().any(told)), "{report:#?}");
    }
}

/// contract K5: what is authentic under a key that was destroyed does not open, wherever it lies.
#[test]
fn without_a_manifest_nothing_that_was_shredded_comes_back() {
    let memory = MemoryEngine::new();
    let create = options(memory.clone(), true).mode(OpenMode::Create).shard_count(1);
    let store = RedbManager::open(create).unwrap();
    for number in 1..=20 {
        store.store_event(&event(["kept", "gone"][usize::from(number % 2 == 0)], number)).unwrap();
    }
    store.seal().unwrap();
    let before = crate::stock::image(&memory, 1);
    store.shred_topic(TopicKind::Events, "gone").unwrap();
    store.settle().unwrap();
    store.close().unwrap();
    let mut bent = crate::stock::image(&memory, 1);
    put_back(&mut bent, &before);
    bent.retain(|place, _| place.0 == "system" || place.1 != "checkpoints");
    let target = MemoryEngine::new();
    let source = options(crate::stock::engine(&bent), true);
    let report = RedbManager::salvage(source, options(target.clone(), true), |_| ()).unwrap();
    assert_eq!(report.records, 10, "{report:#?}");
    let saved = RedbManager::open(options(target.reopen(), true)).unwrap();
    let found = saved.query_events(EventQuery::default()).unwrap();
    assert!(found.map(Result::unwrap).all(|found| found.event.topic == "kept"));
}
