//! What `verify` says of sound stores: nothing, at every depth, beside a writer and on readers.

use crate::stock::{STATE_RECORDS, Stock};
use crate::support::{event, options};
use forgeone_db::{
    Finding, FindingSeverity, NewSetting, OpenMode, RedbManager, VerifyDepth, VerifyProgress,
};

#[test]
fn a_sound_store_has_no_findings() {
    for encrypted in [true, false] {
        let stock = Stock::new(encrypted);
        for image in [&stock.older, &stock.killed, &stock.closed] {
            for depth in [VerifyDepth::Quick, VerifyDepth::Standard, VerifyDepth::Deep] {
                let mut seen = 0;
                let report =
                    RedbManager::verify_store(stock.options(image), depth, |at| seen = at.bytes)
                        .unwrap();
                assert!(report.findings.is_empty(), "{:#?}", report.findings);
                assert!(seen > 0 && seen <= report.bytes);
                assert_eq!(report.databases, 3);
            }
        }
        let store = RedbManager::open(stock.options(&stock.closed)).unwrap();
        let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        assert_eq!(report.records, stock.ids.len() as u64 + STATE_RECORDS);
        assert_eq!(report.topics, 4);
        assert!(report.runs >= 8 && report.segments >= 5, "{report:?}");
    }
}

#[test]
fn verify_stays_right_beside_a_writer_that_seals() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).seal_at(1 << 20, 60)).unwrap();
    store.store_event(&event("a", 1)).unwrap();
    let reader = RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..12 {
                let batch: Vec<_> = (0..100)
                    .map(|number| event(&format!("t{}", number % 3), 2 + round * 100 + number))
                    .collect();
                for topic in batch.chunk_by(|a, b| a.topic == b.topic) {
                    store.store_events(topic).unwrap();
                }
            }
        });
        while !writer.is_finished() {
            for store in [&store, &reader] {
                let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
                let worse: Vec<_> = report
                    .findings
                    .iter()
                    .filter(|finding| finding.severity > FindingSeverity::Info)
                    .collect();
                assert!(worse.is_empty(), "{worse:#?}");
            }
        }
        writer.join().unwrap();
    });
    store.seal().unwrap();
    let late = RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
    for store in [&store, &reader, &late] {
        let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
        assert!(report.is_sound(), "{:#?}", report.findings);
    }
}

// L1, I5: with room for few keys the changes of state are read several times, and the verdict is
// the same.
#[test]
fn more_settings_than_there_is_room_for_are_verified_in_several_passes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let small = || options(&path).memory_max(48 << 20);
    let store = RedbManager::open(small()).unwrap();
    for round in 0..12 {
        let settings: Vec<_> = (0..1000)
            .map(|number| NewSetting::new(format!("key {round} {number}"), number))
            .collect();
        store.set_settings(&settings).unwrap();
    }
    store.seal().unwrap();
    let mut again = 0;
    let mut verify = || {
        let report = store.verify(VerifyDepth::Standard, |at| again = at.bytes_again).unwrap();
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        report.index_entries
    };
    assert!(verify() >= 24_000, "settings and their versions");
    assert!(again > 0, "everything fitted");
    store.close().unwrap();
    let mut again_unopened = 0;
    let tell = |at: &VerifyProgress| again_unopened = at.bytes_again;
    let report = RedbManager::verify_store(small(), VerifyDepth::Standard, tell).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
    assert_eq!(again_unopened, again);
}

// Damage in redb's own pages changes no answer, and is told before a write makes it worse.
#[test]
fn damage_that_only_the_engine_can_see_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).shard_count(1)).unwrap();
    for number in 1..200 {
        store.store_event(&event("a", number)).unwrap();
    }
    store.close().unwrap();
    let file = path.join("events_shard_0.redb");
    let sound = std::fs::read(&file).unwrap();
    let verify =
        || RedbManager::verify_store(options(&path), VerifyDepth::Standard, |_| ()).unwrap();
    let report = verify();
    assert!(report.is_sound(), "{:#?}", report.findings);
    assert_eq!(report.engine_checked, report.databases);
    assert_eq!(std::fs::read(&file).unwrap(), sound, "a check changes nothing");
    let mut only_the_engine = 0;
    for page in 1..sound.len() / 4096 {
        // The type of the page, and the number of its entries.
        let mut bytes = sound.clone();
        bytes[page * 4096 + 1] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let report = verify();
        let of_engine = |finding: &&Finding| finding.what.contains("the engine's own pages");
        let found = report.errors().filter(of_engine).count();
        only_the_engine += usize::from(found == 1 && report.errors().count() == 1);
        for finding in report.errors().filter(of_engine) {
            assert_eq!(finding.database.as_deref(), Some("events_shard_0"));
            assert!(finding.remedy.contains("salvage"), "{finding:?}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "a check changes nothing");
    }
    assert!(only_the_engine > 0, "no damage that the layers above do not see");
}
