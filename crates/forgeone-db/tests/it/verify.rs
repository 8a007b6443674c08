//! What `verify` says of sound stores: nothing, at every depth, beside a writer and on readers.

use crate::stock::{STATE_RECORDS, Stock};
use crate::support::{event, options};
use forgeone_db::{FindingSeverity, OpenMode, RedbManager, VerifyDepth};

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
