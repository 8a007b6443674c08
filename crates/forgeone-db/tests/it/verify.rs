//! What `verify` says of sound stores: nothing, at every depth, beside a writer and on readers.

use crate::stock::{STATE_RECORDS, Stock};
use crate::support::{event, open, options};
use forgeone_db::environment::{Environment as _, SystemEnvironment};
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

/// Not a test of anything: prints how fast a store of 200,000 events is verified.
#[test]
#[ignore = "takes long in an unoptimised build; run it by name, with --release"]
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn how_fast_verification_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    for round in 0..200 {
        let topic = format!("topic {}", round % 16);
        let batch: Vec<_> = (1..=1000)
            .map(|number| {
                let mut event = event(&topic, round * 1000 + number);
                let noise = blake3::hash(&event.id.into_bytes()).to_hex();
                event.payload = format!("{} {noise} {noise:.40}", event.payload);
                event
            })
            .collect();
        store.store_events(&batch).unwrap();
    }
    store.seal().unwrap();
    let environment = SystemEnvironment::new();
    for depth in [VerifyDepth::Quick, VerifyDepth::Standard, VerifyDepth::Deep] {
        let start = environment.monotonic();
        let report = store.verify(depth, |_| ()).unwrap();
        let seconds = environment.monotonic().saturating_sub(start).as_secs_f64();
        let raw: u64 =
            store.stats().unwrap().databases.iter().map(|one| one.sealed_raw_bytes).sum();
        let (mut stored, mut raw) = (report.bytes as f64, raw as f64);
        (stored, raw) = (stored / 1e6, raw / 1e6);
        println!(
            "{depth:?}: {seconds:.2} s, {:.0} MB/s stored of {stored:.0} MB, {:.0} MB/s raw, \
             {:.0} records/s",
            stored / seconds,
            raw / seconds,
            report.records as f64 / seconds,
        );
        assert!(report.is_sound());
    }
}
