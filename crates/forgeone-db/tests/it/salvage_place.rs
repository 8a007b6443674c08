//! Where a salvage reads and where it writes. Without these tests the half of a store could pass for
//! the whole of one, a salvage beside a writer could tell of losses that are none, or one into the
//! wrong place could damage what it was to save.
//!
//! The new store's directory is copied at every step, as a kill would leave it there; places are
//! taken, nested, locked and cut off by a crash.

use crate::stock::{Stock, options as in_memory};
use crate::support::{event, key, open};
use forgeone_db::{
    Database, Error, ErrorKind, MemoryEngine, NewLogEntry, OpenMode, Outcome, RedbManager, Result,
    SalvageReport, Severity, StoreOptions, TopicKind, VerifyDepth,
};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const EVENTS: u64 = 40;

fn at(path: &Path) -> StoreOptions {
    StoreOptions::new(path).key(key()).lock_wait(Duration::ZERO)
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(std::result::Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn files(path: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// A closed store with events and log lines.
fn store(path: &Path) {
    let store = open(path);
    let events: Vec<_> = (1..=EVENTS).map(|number| event("jobs", number)).collect();
    store.store_events(&events).unwrap();
    let time = crate::support::time(1_700_000_000);
    store.store_log(NewLogEntry::new("web", time, Severity::Info, "a line")).unwrap();
    store.close().unwrap();
}

fn salvage(from: &Path, to: &Path) -> Result<SalvageReport> {
    RedbManager::salvage(at(from), at(to), |_| ())
}

#[track_caller]
fn is_whole(path: &Path) {
    let report =
        futures::executor::block_on(Database::verify_store(at(path), VerifyDepth::Deep, |_| ()));
    assert!(report.unwrap().is_sound());
    let saved = RedbManager::open(at(path).mode(OpenMode::Open)).unwrap();
    assert_eq!(saved.get_event_at("jobs", EVENTS).unwrap().event, event("jobs", EVENTS));
    saved.close().unwrap();
}

#[track_caller]
fn is_no_store(path: &Path) {
    let verify = Database::verify_store(at(path), VerifyDepth::Quick, |_| ());
    let verified = futures::executor::block_on(verify).unwrap_err();
    assert_eq!(verified.kind(), ErrorKind::NotFound, "{verified}");
    for mode in [OpenMode::Read, OpenMode::Open, OpenMode::OpenOrCreate, OpenMode::Create] {
        let error = RedbManager::open(at(path).mode(mode)).unwrap_err();
        let creates = matches!(mode, OpenMode::OpenOrCreate | OpenMode::Create);
        let expected = if creates { ErrorKind::AlreadyExists } else { ErrorKind::NotFound };
        assert_eq!(error.kind(), expected, "{mode:?}: {error}");
        assert!(error.to_string().contains("start it again"), "{mode:?}: {error}");
    }
}

#[test]
fn a_salvage_cut_off_anywhere_leaves_no_store_and_can_be_started_again() {
    let home = tempfile::tempdir().unwrap();
    let (from, out) = (home.path().join("store"), home.path().join("out"));
    store(&from);
    let images = Arc::new(Mutex::new(Vec::new()));
    let keep = {
        let (images, out, home) = (Arc::clone(&images), out.clone(), home.path().to_owned());
        move || {
            let mut images = images.lock().unwrap();
            let image = home.join(format!("image.{}", images.len()));
            copy(&out, &image);
            images.push(image);
        }
    };
    let last = keep.clone();
    RedbManager::salvage_and_keep(
        at(&from),
        at(&out),
        move |_| keep(),
        move |_| {
            last();
            Ok(())
        },
    )
    .unwrap();
    is_whole(&out);
    assert!(!Database::is_unfinished_salvage(&out));
    let images = images.lock().unwrap();
    assert!(images.len() > 4, "{images:?}");
    for image in &*images {
        assert!(Database::is_unfinished_salvage(image), "{image:?}");
        is_no_store(image);
        assert!(salvage(&from, image).unwrap().is_complete());
        is_whole(image);
        assert!(
            fs::read_dir(image).unwrap().all(|entry| {
                !entry.unwrap().file_name().to_string_lossy().contains("salvaging")
            })
        );
        assert_eq!(kind(salvage(&from, image)), ErrorKind::AlreadyExists, "it is a store now");
    }
}

#[test]
fn a_salvage_that_fails_says_that_the_new_store_is_unfinished_and_nothing_of_it_counts() {
    let home = tempfile::tempdir().unwrap();
    let (from, out) = (home.path().join("store"), home.path().join("out"));
    store(&from);
    let full = |_: &SalvageReport| {
        Err(Error::new(ErrorKind::Full, "no room").with_outcome(Outcome::Unknown))
    };
    let failed = RedbManager::salvage_and_keep(at(&from), at(&out), |_| (), full).unwrap_err();
    assert_eq!((failed.kind(), failed.outcome()), (ErrorKind::Full, Outcome::Rejected));
    assert!(failed.get("unfinished").is_some(), "{failed}");
    is_no_store(&out);
    // What somebody else has put there is not removed with it.
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let before = files(&out);
    let refused = salvage(&from, &out).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert!(refused.to_string().contains("notes.txt"), "{refused}");
    assert_eq!(files(&out), before);
    fs::remove_file(out.join("notes.txt")).unwrap();
    salvage(&from, &out).unwrap();
    is_whole(&out);
}

#[test]
fn an_unfinished_store_on_an_engine_does_not_open_either() {
    let stock = Stock::new(true);
    let target = MemoryEngine::new();
    let new = || in_memory(target.reopen(), true);
    let stop = |_: &SalvageReport| Err(Error::new(ErrorKind::Unavailable, "stopped"));
    let source = || stock.options(&stock.closed);
    RedbManager::salvage_and_keep(source(), new(), |_| (), stop).unwrap_err();
    assert_eq!(kind(RedbManager::open(new().mode(OpenMode::Read))), ErrorKind::NotFound);
    assert_eq!(kind(RedbManager::salvage(source(), new(), |_| ())), ErrorKind::AlreadyExists);
    let other = MemoryEngine::new();
    let new = || in_memory(other.reopen(), true);
    RedbManager::salvage(source(), new(), |_| ()).unwrap();
    RedbManager::open(new().mode(OpenMode::Read)).unwrap();
    assert_eq!(kind(RedbManager::salvage(source(), new(), |_| ())), ErrorKind::AlreadyExists);
}

#[test]
fn two_salvages_into_one_directory_are_in_each_others_way() {
    let home = tempfile::tempdir().unwrap();
    let (from, out) = (home.path().join("store"), home.path().join("out"));
    store(&from);
    let second = home.path().join("second");
    copy(&from, &second);
    let (there, found) = (out.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&found);
    let progress = move |_: &forgeone_db::SalvageProgress| {
        seen.lock().unwrap().push(kind(salvage(&second, &there)));
    };
    RedbManager::salvage(at(&from), at(&out), progress).unwrap();
    let found = found.lock().unwrap();
    assert!(!found.is_empty() && found.iter().all(|kind| *kind == ErrorKind::InUse), "{found:?}");
    is_whole(&out);
}

#[test]
fn a_salvage_and_a_writer_exclude_each_other_and_readers_do_not_mind() {
    let home = tempfile::tempdir().unwrap();
    let (from, out) = (home.path().join("store"), home.path().join("out"));
    store(&from);
    let writer = RedbManager::open(at(&from)).unwrap();
    assert_eq!(kind(salvage(&from, &out)), ErrorKind::InUse);
    assert!(!out.exists(), "nothing was made");
    // A wrong key is told before anybody is waited for.
    let wrong = at(&from).key(forgeone_db::Key::raw([9; 32]));
    assert_eq!(kind(RedbManager::salvage(wrong, at(&out), |_| ())), ErrorKind::WrongKey);
    writer.close().unwrap();
    let (there, found) = (from.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&found);
    let progress = move |_: &forgeone_db::SalvageProgress| {
        RedbManager::open(at(&there).mode(OpenMode::Read)).unwrap().close().unwrap();
        seen.lock().unwrap().push(kind(RedbManager::open(at(&there))));
    };
    assert!(RedbManager::salvage(at(&from), at(&out), progress).unwrap().is_complete());
    let found = found.lock().unwrap();
    assert!(!found.is_empty() && found.iter().all(|kind| *kind == ErrorKind::InUse), "{found:?}");
    RedbManager::open(at(&from)).unwrap().close().unwrap();
}

#[test]
fn a_store_that_a_crash_left_is_recovered_under_the_lock_of_the_salvage() {
    let home = tempfile::tempdir().unwrap();
    let (from, killed) = (home.path().join("store"), home.path().join("killed"));
    store(&from);
    let writer = RedbManager::open(at(&from)).unwrap();
    writer.store_event(&event("late", 1)).unwrap();
    copy(&from, &killed);
    writer.close().unwrap();
    let report = salvage(&killed, &home.path().join("out")).unwrap();
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(report.records, EVENTS + 2);
}

#[test]
fn a_new_store_inside_the_damaged_one_is_refused_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let from = home.path().join("store");
    store(&from);
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&from, &link).unwrap();
    let before = files(&from);
    let inside =
        [from.clone(), from.join("out"), from.join("events_shard_0.redb"), link.join("a/b")];
    for out in inside.into_iter().chain([home.path().join("store/../link/out")]) {
        assert_eq!(kind(salvage(&from, &out)), ErrorKind::Invalid, "{out:?}");
    }
    assert_eq!(files(&from), before);
    // Beside it, with the same beginning of the name, is elsewhere.
    assert!(salvage(&from, &home.path().join("store.new")).unwrap().is_complete());
}

#[test]
fn the_users_own_facts_stay_and_every_salvage_adds_its_own() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    store(&path("store"));
    let writer = RedbManager::open(at(&path("store"))).unwrap();
    writer.set_metadata("salvage", "a ship off Texel").unwrap();
    writer.close().unwrap();
    let first = salvage(&path("store"), &path("first")).unwrap();
    let second = salvage(&path("first"), &path("second")).unwrap();
    assert_eq!((&*first.fact, &*second.fact), ("salvage.2", "salvage.3"));
    let saved = RedbManager::open(at(&path("second")).mode(OpenMode::Read)).unwrap();
    let fact = |name: &str| saved.metadata(name).unwrap().unwrap().text;
    assert_eq!(fact("salvage"), "a ship off Texel");
    for (report, name) in [(first, "salvage.2"), (second, "salvage.3")] {
        let digest = blake3::hash(&report.to_json().unwrap()).to_hex();
        assert_eq!(fact(name), format!("from store {}, manifest blake3 {digest}", report.store));
    }
}

#[test]
fn the_quota_is_kept_unless_the_new_store_has_its_own() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    store(&path("store"));
    let writer = RedbManager::open(at(&path("store"))).unwrap();
    futures::executor::block_on(writer.database().set_max_size_bytes(7 << 30)).unwrap();
    writer.close().unwrap();
    let report = salvage(&path("store"), &path("same")).unwrap();
    assert_eq!(report.max_size_bytes, Some(7 << 30));
    let other = at(&path("other")).max_size_bytes(3 << 30);
    RedbManager::salvage(at(&path("store")), other, |_| ()).unwrap();
    let none = salvage(&path("other"), &path("third")).unwrap();
    assert_eq!(none.max_size_bytes, Some(3 << 30));
    let same = RedbManager::open(at(&path("same")).mode(OpenMode::Read)).unwrap();
    assert_eq!(same.stats().unwrap().max_size_bytes, 7 << 30);
}

#[test]
fn a_topic_that_was_shredded_is_renumbered_and_the_report_says_so() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    store(&path("store"));
    let writer = RedbManager::open(at(&path("store"))).unwrap();
    writer.shred_topic(TopicKind::Events, "jobs").unwrap();
    writer.store_event(&event("jobs", 1000)).unwrap();
    writer.settle().unwrap();
    writer.close().unwrap();
    let report = salvage(&path("store"), &path("out")).unwrap();
    assert!(report.is_complete(), "{report:#?}");
    let jobs = report.topics.iter().find(|topic| topic.topic == "jobs").unwrap();
    let kept = &jobs.kept[0];
    assert_eq!((kept.from_seq, kept.to_seq, kept.new_from_seq), (EVENTS + 1, EVENTS + 1, 1));
}
