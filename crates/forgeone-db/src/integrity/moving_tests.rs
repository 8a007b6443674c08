//! Verification beside a writer in another process that never rests. Without this a sound store is
//! called damaged, or damage hides behind a busy writer. Provoked by an engine that answers a reader
//! as if what it asks for had just been dropped, after a writer has installed another manifest.

use super::tests::event;
use super::{FindingSeverity, VerifyDepth, VerifyReport};
use crate::Key;
use crate::db::Database;
use crate::log::Manifest;
use crate::options::{OpenMode, StoreOptions};
use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, MemoryEngine, Page, Projection,
    Read, ReadResult, Result, Usage,
};
use futures::executor::block_on;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Looks at every read; true if nothing is there any more.
type Hook = Box<dyn FnMut(&DatabaseName, &Read) -> bool + Send>;

/// A reader's view of a store that somebody else changes between any two reads.
struct MovingEngine {
    memory: MemoryEngine,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl fmt::Debug for MovingEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MovingEngine")
    }
}

impl fmt::Display for MovingEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("moving")
    }
}

impl Engine for MovingEngine {
    fn capability(&self) -> Capability {
        self.memory.capability()
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        let gone = self.hook.lock().unwrap().as_mut().is_some_and(|hook| hook(database, &request));
        if !gone {
            return self.memory.read(database, request);
        }
        let empty = match request {
            Read::Get(keys) => ReadResult::Values(vec![None; keys.len()]),
            Read::Scan { .. } => ReadResult::Page(Page::default()),
        };
        Box::pin(async move { Ok(empty) })
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        self.memory.commit(batch, durability)
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        self.memory.usage(database)
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        self.memory.compact(database)
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.memory.close()
    }
}

fn options(engine: Arc<dyn Engine>, mode: OpenMode) -> StoreOptions {
    StoreOptions::with_engine(engine)
        .durability(Durability::None)
        .key(Key::raw([7; 32]))
        .shard_count(1)
        .mode(mode)
}

fn tables(request: &Read) -> Vec<&str> {
    match request {
        Read::Get(keys) => keys.iter().map(|(table, _)| table.as_str()).collect(),
        Read::Scan { table, .. } => vec![table.as_str()],
    }
}

/// Verifies a store of two topics from a reader, which has the hook that is made for its writer.
fn verified_beside(hook_for: impl FnOnce(&Arc<Database>) -> Hook) -> VerifyReport {
    let memory = MemoryEngine::new();
    let writer = options(Arc::new(memory.reopen()), OpenMode::Create);
    let store = Arc::new(block_on(Database::open(writer)).unwrap());
    block_on(async {
        for round in 0..2 {
            let batch: Vec<_> = (1..=20).map(|n| event("topic", round * 20 + n)).collect();
            store.events().publish_batch(&batch).await.unwrap();
            store.system().set_metadata("round", &round.to_string()).await.unwrap();
            store.seal().await.unwrap();
        }
    });
    let hook = Arc::new(Mutex::new(None));
    let moving = MovingEngine { memory: memory.reopen(), hook: Arc::clone(&hook) };
    let reader = block_on(Database::open(options(Arc::new(moving), OpenMode::Read))).unwrap();
    *hook.lock().unwrap() = Some(hook_for(&store));
    let report = block_on(reader.verify(VerifyDepth::Deep, |_| ())).unwrap();
    *hook.lock().unwrap() = None;
    report
}

/// Verifies: whenever the reader reads from `table` of the database with the given index, what it asks
/// for is gone, and a writer has installed what `change` makes of the manifest. Says also how often that
/// was.
fn verified(
    database: usize,
    gone: &'static str,
    mut change: impl FnMut(&mut Manifest) + Send + 'static,
) -> (VerifyReport, u64) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let report = verified_beside(|store| {
        let other = Arc::clone(store);
        let watched = store.writers()[database].shard().context().database.clone();
        let mut manifest = Manifest::clone(&store.writers()[database].shard().state().manifest);
        Box::new(move |database: &DatabaseName, request: &Read| {
            if *database != watched || !tables(request).contains(&gone) {
                return false;
            }
            manifest.number += 1;
            change(&mut manifest);
            counter.fetch_add(1, Ordering::Relaxed);
            on_another_thread(|| {
                let writer =
                    other.writers().iter().find(|w| w.shard().context().database == watched);
                block_on(writer.unwrap().log().install(&manifest)).unwrap();
            });
            true
        })
    });
    (report, count.load(Ordering::Relaxed))
}

/// This thread is at work in an executor.
fn on_another_thread(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

fn left_out<'a>(report: &'a VerifyReport, what: &str) -> Vec<&'a super::Finding> {
    let findings = report.findings.iter();
    findings
        .filter(|one| one.severity == FindingSeverity::Info)
        .filter(|one| one.what.contains("a writer kept replacing it") && one.what.contains(what))
        .collect()
}

/// Segments under other numbers each time, as after a seal that rewrites them.
fn rewrite(manifest: &mut Manifest) {
    manifest.segments.iter_mut().for_each(|segment| segment.piece.piece += 1000);
}

// I5: a writer that moves on is no damage, and what was not compared is said.
#[test]
fn records_that_a_writer_replaces_all_the_time_are_left_out_and_not_damaged() {
    let (report, moves) = verified(1, "events", rewrite);
    assert!(report.is_sound(), "{report:#?}");
    let told = left_out(&report, "these records");
    assert_eq!(told[0].topic.as_deref(), Some("topic"), "{report:#?}");
    let numbers: Vec<_> = told.iter().map(|one| (one.from_seq, one.to_seq)).collect();
    assert_eq!((numbers[0].0, numbers[numbers.len() - 1].1), (Some(1), Some(40)));
    assert!(told[0].remedy.contains("run verify again"));
    assert!(moves < 1000, "{moves} moves");
    // The rest went on.
    assert!(report.runs > 0 && report.databases == 2, "{report:#?}");
}

#[test]
fn an_index_that_a_writer_replaces_all_the_time_is_left_out_and_not_damaged() {
    let (report, moves) = verified(1, "event_index", |manifest| {
        manifest.runs.iter_mut().for_each(|run| run.piece.piece += 1000);
    });
    assert!(report.is_sound(), "{report:#?}");
    assert!(left_out(&report, "with the records").len() >= 3, "{report:#?}");
    assert_eq!(report.records, 40 + 2 + 2);
    assert!(moves < 1000, "{moves} moves");
}

#[test]
fn manifests_that_a_writer_replaces_all_the_time_are_left_out_and_not_damaged() {
    for database in [0, 1] {
        let (report, moves) = verified(database, "checkpoints", |_| ());
        assert!(report.is_sound(), "{report:#?}");
        assert_eq!(left_out(&report, "nothing of this database").len(), 1, "{report:#?}");
        assert!(moves < 1000, "{moves} moves");
    }
}

#[test]
fn a_system_database_that_is_replaced_all_the_time_is_said_to_be_left_out() {
    let (report, _) = verified(0, "state", rewrite);
    assert!(report.is_sound(), "{report:#?}");
    assert!(!left_out(&report, "what its changes come to").is_empty(), "{report:#?}");
    let all_info = report.findings.iter().all(|one| one.severity == FindingSeverity::Info);
    assert!(all_info, "{report:#?}");
}

// I5: damage does not hide behind a writer that installs manifests all the time.
#[test]
fn what_is_still_named_after_it_could_not_be_read_is_damaged_however_busy_the_writer() {
    let (report, moves) = verified(1, "events", |_| ());
    let lost: Vec<_> = report.errors().map(|one| (one.from_seq, one.to_seq)).collect();
    assert!(lost.iter().any(|(from, _)| *from == Some(1)), "{report:#?}");
    assert!(lost.iter().any(|(_, to)| *to == Some(40)), "{report:#?}");
    assert!(moves < 1000, "{moves} moves");
    let (report, _) = verified(1, "event_index", |_| ());
    let damaged: Vec<_> = report.errors().filter_map(|one| one.index).collect();
    assert!(damaged.len() >= 3, "{report:#?}");
}

// I5: a walk ends however fast the writer, and a block that was committed meanwhile is nothing foreign.
#[test]
fn a_writer_that_commits_all_the_time_does_not_keep_a_verification_from_its_end() {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let report = verified_beside(|store| {
        let other = Arc::clone(store);
        Box::new(move |database: &DatabaseName, request: &Read| {
            let is_keys = matches!(request, Read::Scan { projection: Projection::Keys, .. });
            if database.as_str().starts_with("events") && is_keys && tables(request) == ["commits"]
            {
                let number = 100 + counter.fetch_add(1, Ordering::Relaxed);
                on_another_thread(|| {
                    block_on(other.events().publish(&event("topic", number))).unwrap();
                });
            }
            false
        })
    });
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!(left_out(&report, "the end of the blocks").len(), 1, "{report:#?}");
    assert!(count.load(Ordering::Relaxed) < 1000);
}
