//! Stores whose every byte is authentic and that contradict themselves all the same, as a fault in
//! the sealer would leave them. Provoked by installing manifests that no sealer writes.

use super::{VerifyDepth, VerifyReport};
use crate::db::Database;
use crate::log::{BehindHead, BlockDraft, Manifest, SectionDraft};
use crate::options::{OpenMode, StoreOptions};
use crate::stream::{RecordBatch, decode_section};
use crate::{EventMessage, Key, NewSetting};
use chrono::TimeZone as _;
use forgeone_db_engine::{
    Batch, DatabaseName, Durability, Engine as _, ErrorKind, MemoryEngine, Read, TableName,
};
use futures::executor::block_on;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn event(topic: &str, number: u64) -> EventMessage {
    let late = if number.is_multiple_of(5) { 1_000_000 } else { 0 };
    let seconds = 1_700_000_000 + i64::try_from(number).unwrap() - late;
    EventMessage {
        id: uuid::Uuid::from_u128(number.into()),
        topic: topic.to_owned(),
        timestamp: chrono::Utc.timestamp_opt(seconds, 0).unwrap(),
        priority: crate::EventPriority::Normal,
        payload: format!("event {number}"),
        metadata: HashMap::new(),
        checkpoint_marker: number.is_multiple_of(7).then(|| "mark".to_owned()),
    }
}

/// Three changes of state: every family of settings and facts has an entry in each round's run.
async fn change_state(store: &Database, round: u64) {
    let system = store.system();
    let gone = format!("gone {round}");
    let settings = [
        NewSetting::new("long", format!("{round} {}", "x".repeat(100))),
        NewSetting::new(gone.clone(), round),
    ];
    system.set_many(&settings).await.unwrap();
    system.remove(&gone, None).await.unwrap();
    system.set_metadata("round", &round.to_string()).await.unwrap();
}

/// Two rounds of 20 events in one topic, each sealed; then `bend` changes the manifest of the
/// database with the given index.
fn verified(database: usize, bend: impl FnOnce(&mut Manifest)) -> VerifyReport {
    block_on(async {
        let options = StoreOptions::with_engine(Arc::new(MemoryEngine::new()))
            .durability(Durability::None)
            .key(Key::raw([7; 32]))
            .shard_count(1)
            .mode(OpenMode::Create);
        let store = Database::open(options).await.unwrap();
        for round in 0..2 {
            let batch: Vec<_> = (1..=20).map(|n| event("topic", round * 20 + n)).collect();
            store.events().publish_batch(&batch).await.unwrap();
            change_state(&store, round).await;
            store.seal().await.unwrap();
        }
        let writer = &store.writers()[database];
        let mut manifest = Manifest::clone(&writer.shard().state().manifest);
        manifest.number += 1;
        bend(&mut manifest);
        let head = writer.log().install(&manifest).await.unwrap();
        {
            let mut state = writer.shard().state_mut();
            state.adopt(&head);
            state.manifest = Arc::new(manifest);
        }
        let report = store.verify(VerifyDepth::Deep, |_| ()).await.unwrap();
        store.close().await.unwrap();
        report
    })
}

fn messages(report: &VerifyReport) -> Vec<String> {
    report.errors().map(|finding| finding.what.clone()).collect()
}

#[test]
fn a_manifest_without_a_fault_gives_no_findings() {
    let report = verified(1, |_| ());
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!(report.records, 40 + 2 + 6);
}

#[test]
fn entries_missing_from_an_index_are_named_by_topic_and_number() {
    for (family, from, to) in [(32, 21, 40), (33, 21, 35), (34, 25, 40)] {
        let report = verified(1, |manifest| {
            let newest = manifest.runs.iter().position(|run| run.family.0 == family).unwrap();
            manifest.runs.remove(newest);
        });
        let named: Vec<_> = report
            .errors()
            .filter(|finding| finding.what.contains("an index lacks a record"))
            .collect();
        assert!(!named.is_empty(), "{family}: {report:#?}");
        for finding in &named {
            assert_eq!(finding.topic.as_deref(), Some("topic"));
            assert_eq!(finding.table.as_deref(), Some("event_index"));
            assert_eq!(finding.from_seq, finding.to_seq);
        }
        assert_eq!(named.iter().filter_map(|finding| finding.from_seq).min(), Some(from));
        assert_eq!(named.iter().filter_map(|finding| finding.from_seq).max(), Some(to));
    }
}

#[test]
fn entries_that_no_record_gives_are_named() {
    let report = verified(1, |manifest| manifest.segments.clear());
    let extra = |what: &&String| what.contains("an entry that no record gives");
    assert!(messages(&report).iter().filter(extra).count() >= 40, "{report:#?}");
}

#[test]
fn topics_and_counters_that_disagree_are_named() {
    let report = verified(1, |manifest| manifest.topics[0].name = "another".to_owned());
    assert!(messages(&report)[0].contains("disagree about a topic"), "{report:#?}");
    assert_eq!(report.errors().next().unwrap().topic.as_deref(), Some("another"));
    let report = verified(1, |manifest| manifest.topics[0].wrapped_keys[0][90] ^= 1);
    assert!(!report.is_sound(), "{report:#?}");
    let report = verified(0, |manifest| manifest.pinned.truncate(1));
    assert!(messages(&report)[0].contains("an index of state differs"), "{report:#?}");
    let report = verified(0, |manifest| manifest.runs.clear());
    assert!(messages(&report)[0].contains("an index of state differs"), "{report:#?}");
}

#[test]
fn settings_and_facts_that_differ_from_their_changes_are_named() {
    for (family, table) in [(18, "settings"), (19, "settings"), (20, "settings"), (21, "metadata")]
    {
        for newest in [true, false] {
            let report = verified(0, |manifest| {
                let runs = || manifest.runs.iter().enumerate();
                let of_family: Vec<usize> = runs()
                    .filter(|(_, run)| run.family.0 == family)
                    .map(|(index, _)| index)
                    .collect();
                assert_eq!(of_family.len(), 2);
                manifest.runs.remove(of_family[usize::from(!newest)]);
            });
            // Values that the newest run replaces are not missed, and need not be.
            let hidden = [18, 21].contains(&family) && !newest;
            assert_eq!(report.is_sound(), hidden, "{family} {newest}: {report:#?}");
            for error in report.errors() {
                assert!(error.what.contains("an index of state differs"), "{error:?}");
                assert_eq!(error.table.as_deref(), Some(table));
            }
        }
    }
}

#[test]
fn times_that_lead_a_search_astray_are_named() {
    let report = verified(1, |manifest| manifest.segments[0].seconds_max += 1);
    assert!(messages(&report)[0].contains("other times than its segment"), "{report:#?}");
}

#[test]
fn a_segment_of_another_range_is_refused() {
    let report = verified(1, |manifest| manifest.segments[0].last -= 1);
    assert!(!report.is_sound());
}

/// Adds the 19th record of the one topic, which is its newest by time, to the end once more.
async fn store_twice(store: &Database) {
    let writer = &store.writers()[1];
    let (log, shard) = (writer.log(), writer.shard());
    let topics = &shard.context().topics;
    let subject = topics.intros()[0].id;
    let head = log.head().await;
    let (block, _, _) = shard.context().load_parts(head.number).await.unwrap();
    let batch = decode_section(&block.sections[0], &block).unwrap();
    let mut record = batch.get(19).unwrap().clone();
    record.late = false;
    let encoded = RecordBatch::encode(21, &[record], &[]);
    let section = SectionDraft {
        subject,
        first: 21,
        count: 1,
        key: topics.present_key(subject).unwrap(),
        ids: encoded.ids,
        columns: encoded.columns,
    };
    let draft = BlockDraft {
        stamp: head.stamp + 100,
        time: block.time,
        witnesses: Vec::new(),
        topics: Vec::new(),
        sections: vec![section],
    };
    log.append(draft).await.unwrap();
}

// Issue 4, point 1: duplicated records are found, and told as what they are.
#[test]
fn a_record_that_is_there_twice_is_named_as_that_and_its_twin_too() {
    block_on(async {
        let engine = MemoryEngine::new();
        let options = || {
            StoreOptions::with_engine(Arc::new(engine.reopen()))
                .durability(Durability::None)
                .key(Key::raw([7; 32]))
                .shard_count(1)
                .mode(OpenMode::OpenOrCreate)
        };
        let store = Database::open(options()).await.unwrap();
        let batch: Vec<_> = (1..=20).map(|number| event("topic", number)).collect();
        store.events().publish_batch(&batch).await.unwrap();
        store_twice(&store).await;
        drop(store);
        let store = Database::open(options()).await.unwrap();
        for sealed in [false, true] {
            for depth in [VerifyDepth::Standard, VerifyDepth::Deep] {
                let report = store.verify(depth, |_| ()).await.unwrap();
                let twins: Vec<_> = report
                    .errors()
                    .filter(|finding| finding.what.contains("a record is there twice"))
                    .collect();
                assert_eq!(twins.len(), 1, "sealed {sealed}, {depth:?}: {report:#?}");
                let told = (twins[0].from_seq, twins[0].what.contains("also at: 21"));
                let other = (twins[0].from_seq, twins[0].what.contains("also at: 19"));
                assert!(told == (Some(19), true) || other == (Some(21), true), "{twins:#?}");
                assert_eq!(twins[0].topic.as_deref(), Some("topic"));
                assert_eq!(twins[0].index, None, "no index built anew mends it");
            }
            store.seal().await.unwrap();
        }
        store.close().await.unwrap();
    });
}

fn options(engine: &MemoryEngine) -> StoreOptions {
    StoreOptions::with_engine(Arc::new(engine.reopen()))
        .durability(Durability::None)
        .key(Key::raw([7; 32]))
        .shard_count(1)
        .mode(OpenMode::OpenOrCreate)
}

/// Bends the last byte of a block of the events.
async fn bend_block(engine: &MemoryEngine, number: u64) {
    let database = DatabaseName::new("events_shard_0").unwrap();
    let table = TableName::new("commits").unwrap();
    let key = number.to_be_bytes().to_vec();
    let read = engine.read(&database, Read::get(&table, key.clone())).await.unwrap();
    let mut block = read.into_values().unwrap().remove(0).unwrap().to_vec();
    *block.last_mut().unwrap() ^= 1;
    let mut batch = Batch::new(database);
    batch.put(&table, key, block);
    engine.commit(batch, Durability::None).await.unwrap();
}

/// What is set aside, as a build reads it that does not know what `lost` says: records that cannot be
/// read, and not one fewer.
#[test]
fn what_is_set_aside_is_a_damaged_segment_to_older_builds() {
    block_on(async {
        let engine = MemoryEngine::new();
        let store = Database::open(options(&engine)).await.unwrap();
        for round in 0..3 {
            let batch: Vec<_> = (1..=4).map(|n| event("topic", round * 4 + n)).collect();
            store.events().publish_batch(&batch).await.unwrap();
        }
        store.close().await.unwrap();
        bend_block(&engine, 2).await;
        let store = Database::open(options(&engine)).await.unwrap();
        store.seal().await.unwrap();
        let shard = store.writers()[1].shard();
        let mut manifest = Manifest::clone(&shard.state().manifest);
        let lost: Vec<_> = manifest.segments.iter().filter(|one| one.lost.is_some()).collect();
        assert!(lost.len() == 1 && (lost[0].first, lost[0].last) == (5, 8), "{lost:#?}");
        manifest.segments.iter_mut().for_each(|segment| segment.lost = None);
        shard.state_mut().replace_manifest(manifest);
        for sequence in 1..=12 {
            let read = store.events().get_at("topic", sequence).await;
            if (5..=8).contains(&sequence) {
                let error = read.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                assert_eq!((error.get("from"), error.get("to")), (Some("5"), Some("8")), "{error}");
            } else {
                assert_eq!(read.unwrap().event, event("topic", sequence));
            }
        }
        store.close().await.unwrap();
    });
}

/// A database that goes on after a full disk without being opened anew must have what it had: a loss that
/// was known when the store was opened is no reason to stand still, another one is.
#[test]
fn what_was_lost_since_the_store_was_opened_is_not_healed() {
    block_on(async {
        let engine = MemoryEngine::new();
        let store = Database::open(options(&engine)).await.unwrap();
        for number in 1..=3 {
            store.events().publish(&event("topic", number)).await.unwrap();
        }
        store.close().await.unwrap();
        bend_block(&engine, 1).await;
        let store = Database::open(options(&engine)).await.unwrap();
        let shard = store.writers()[1].shard();
        let load = || shard.context().load(BehindHead::Nothing);
        let loaded = load().await.unwrap().unwrap();
        shard.check_losses(&loaded).unwrap();
        bend_block(&engine, 3).await;
        let loaded = load().await.unwrap().unwrap();
        let error = shard.check_losses(&loaded).unwrap_err();
        assert_eq!((error.kind(), error.get("from")), (ErrorKind::Corrupt, Some("3")), "{error}");
        store.close().await.unwrap();
    });
}
