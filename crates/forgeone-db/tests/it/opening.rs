//! Opening must not read the store. Provoked by counting what opening touches, on a small and on a
//! large store: keyring, heads, manifests and the newest commits, and as often on either.

use crate::stock::{SHARDS, options};
use crate::support::{event, key};
use forgeone_db::{
    Durability, ErrorKind, MemoryEngine, OpenMode, Outcome, RedbManager, StoreOptions,
};
use forgeone_db_engine::FaultyEngine;
use forgeone_db_engine::faulty::{CommitFault, FaultPlan, Repeat};
use forgeone_db_engine::metered::MeteredEngine;
use std::collections::BTreeSet;
use std::sync::Arc;

fn filled(events: u64) -> MemoryEngine {
    let engine = MemoryEngine::new();
    let create = options(engine.clone(), true).mode(OpenMode::Create).shard_count(SHARDS);
    let store = RedbManager::open(create).unwrap();
    for start in (1..=events).step_by(1000) {
        let topic = format!("topic {}", start / 1000 % 5);
        let batch: Vec<_> = (start..start + 1000).map(|number| event(&topic, number)).collect();
        store.store_events(&batch).unwrap();
        if start % 5000 == 1 {
            store.seal().unwrap();
        }
    }
    for number in 0..5 {
        futures::executor::block_on(store.events().create_topic(&format!("topic {number}")))
            .unwrap();
    }
    store.seal().unwrap();
    store.close().unwrap();
    engine
}

#[test]
fn a_store_has_one_id_for_ever_and_no_other_store_has_it() {
    let (one, other) = (filled(0), filled(0));
    let id = |engine: &MemoryEngine, mode| {
        let options = options(engine.reopen(), true).mode(mode);
        RedbManager::open(options).unwrap().database().id()
    };
    assert_eq!(id(&one, OpenMode::Read), id(&one, OpenMode::Open));
    assert_ne!(id(&one, OpenMode::Read), id(&other, OpenMode::Read));
}

/// The tables that opening read, and how many reads it took.
fn touched(engine: &MemoryEngine, mode: OpenMode) -> (BTreeSet<(String, String)>, usize) {
    let metered = Arc::new(MeteredEngine::with_read_log(engine.reopen(), 100_000));
    let options = StoreOptions::with_engine(Arc::<MeteredEngine<_>>::clone(&metered))
        .durability(Durability::None)
        .mode(mode)
        .key(key());
    let store = RedbManager::open(options).unwrap();
    let log = metered.read_log();
    store.close().unwrap();
    let tables =
        log.iter().map(|touch| (touch.database.to_string(), touch.table.to_string())).collect();
    (tables, log.len())
}

#[test]
fn opening_reads_keyring_heads_manifests_and_tails_alone() {
    let small = filled(1_000);
    let large = filled(50_000);
    for mode in [OpenMode::Read, OpenMode::Open] {
        let (tables, reads) = touched(&small, mode);
        let (tables_large, reads_large) = touched(&large, mode);
        for (database, table) in tables.union(&tables_large) {
            let allowed = match database.as_str() {
                "keyring" => vec!["keyring"],
                _ => vec!["head", "checkpoints", "commits"],
            };
            assert!(allowed.contains(&table.as_str()), "{mode:?} read {database}/{table}");
        }
        println!("{mode:?}: {reads} reads of a small store, {reads_large} of a large one");
        let shards = usize::try_from(SHARDS).unwrap() + 1;
        assert!(reads_large <= 3 + 4 * shards * 2, "{reads_large} reads");
        assert!(reads_large <= reads + 2 * shards, "{reads_large} reads, {reads} of a small one");
    }
}

/// contract O1: the commits of an opening hold nothing of the caller's, so nothing may be stored and
/// nothing is to be sent again.
#[test]
fn an_opening_that_fails_in_any_commit_has_rejected_whatever_was_to_come() {
    let stored = filled(1000);
    for kind in [ErrorKind::Full, ErrorKind::Unavailable] {
        let faults = [CommitFault::Before, CommitFault::UnknownNotApplied];
        for fault in faults.into_iter().chain([CommitFault::UnknownApplied]) {
            for commit in 1..=u64::from(SHARDS) + 1 {
                let plan = FaultPlan::new().fail_commit(commit, Repeat::Forever, kind, fault);
                let faulty = Arc::new(FaultyEngine::new(stored.reopen(), plan));
                let options = StoreOptions::with_engine(faulty)
                    .durability(Durability::None)
                    .mode(OpenMode::Open)
                    .key(key());
                let Err(error) = RedbManager::open(options) else {
                    assert!(commit > 1, "an opening commits to every database");
                    continue;
                };
                assert_eq!(error.kind(), kind, "{error}");
                assert_eq!(error.outcome(), Outcome::Rejected, "{fault:?}: {error}");
            }
        }
    }
    RedbManager::open(options(stored.reopen(), true)).unwrap().close().unwrap();
}
