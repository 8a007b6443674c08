//! Something else in the place of a shard's file: a directory, a symbolic link, a file that this user
//! may not open, as after a restore gone wrong. Without this one such file keeps the whole store shut.
//! Provoked on a store of two shards; the system database is the one that nothing goes without.

use crate::support::{event, options};
use forgeone_db::{ErrorKind, EventQuery, OpenMode, RedbManager, VerifyDepth};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

const TOPICS: [&str; 4] = ["a", "b", "c", "d"];

/// Puts something in the place of the file `path`, which lies at `aside` then.
type Replace = fn(path: &Path, aside: &Path);

fn directory(path: &Path, _: &Path) {
    fs::create_dir(path).unwrap();
}

fn dangling(path: &Path, aside: &Path) {
    symlink(aside.with_extension("nowhere"), path).unwrap();
}

fn linked(path: &Path, aside: &Path) {
    symlink(aside, path).unwrap();
}

fn forbidden(path: &Path, aside: &Path) {
    fs::copy(aside, path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
}

/// Each, with a part of what is told; without modes for a user whom none stops.
fn replacements(place: &Path) -> Vec<(Replace, &'static str)> {
    let mut all: Vec<(Replace, _)> = vec![
        (directory, "is none; put the file back"),
        (dangling, "symbolic link"),
        (linked, "symbolic link"),
    ];
    let probe = place.join("probe");
    fs::write(&probe, "").unwrap();
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(&probe).is_err() {
        all.push((forbidden, "give this user the right"));
    } else {
        println!("modes stop nobody here: a file without permission is not tried");
    }
    all
}

fn store(path: &Path) {
    let store = RedbManager::open(options(path).shard_count(2)).unwrap();
    for (number, topic) in (1..=40).zip(TOPICS.iter().cycle()) {
        store.store_event(&event(topic, number)).unwrap();
    }
    store.close().unwrap();
}

/// contract F3: that shard alone is out of use, what is told of it names the file and what to do, and
/// nothing of it is touched.
#[test]
fn what_is_no_file_in_the_place_of_a_shards_costs_that_shard_alone() {
    let place = tempfile::tempdir().unwrap();
    for (number, (replace, told)) in replacements(place.path()).into_iter().enumerate() {
        let path = place.path().join(format!("store.{number}"));
        store(&path);
        let (file, aside) = (path.join("events_shard_0.redb"), path.with_extension("aside"));
        fs::rename(&file, &aside).unwrap();
        replace(&file, &aside);
        let before = (fs::symlink_metadata(&file).unwrap().file_type(), fs::read(&aside).unwrap());
        for mode in [OpenMode::Read, OpenMode::Open] {
            let store = RedbManager::open(options(&path).mode(mode)).unwrap();
            let found = store.query_events(EventQuery::default()).unwrap();
            let (found, errors): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
            assert!((1..40).contains(&found.len()), "{told}: {}", found.len());
            assert!(!errors.is_empty());
            for error in errors.into_iter().filter_map(Result::err) {
                let text = error.to_string();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
                assert!(text.contains("events_shard_0.redb") && text.contains(told), "{text}");
            }
            if mode == OpenMode::Open {
                let write = |topic: &str| store.store_event(&event(topic, 1000)).map(|_| ());
                let written: Vec<_> = TOPICS.into_iter().map(write).collect();
                assert!(written.iter().any(Result::is_ok) && written.iter().any(Result::is_err));
            }
            let report = store.verify(VerifyDepth::Standard, |_| ()).unwrap();
            assert!(!report.is_sound());
            let of = |name: &Option<String>| name.as_deref() == Some("events_shard_0");
            assert!(report.errors().all(|finding| of(&finding.database)), "{report:#?}");
            store.close().unwrap();
        }
        let report = RedbManager::verify_store(
            options(&path).mode(OpenMode::Read),
            VerifyDepth::Standard,
            |_| (),
        );
        let findings: Vec<_> = report.unwrap().errors().map(|one| one.what.clone()).collect();
        assert!(findings.iter().any(|what| what.contains(told)), "{findings:?}");
        let after = (fs::symlink_metadata(&file).unwrap().file_type(), fs::read(&aside).unwrap());
        assert!(before == after, "{told}: the file was touched");
    }
}

/// Nothing goes without the system database, and the error says what lies there.
#[test]
fn what_is_no_file_in_the_place_of_the_system_database_is_named() {
    let place = tempfile::tempdir().unwrap();
    for (number, (replace, told)) in replacements(place.path()).into_iter().enumerate() {
        let path = place.path().join(format!("store.{number}"));
        store(&path);
        let (file, aside) = (path.join("system.redb"), path.with_extension("aside"));
        fs::rename(&file, &aside).unwrap();
        replace(&file, &aside);
        for mode in [OpenMode::Read, OpenMode::Open] {
            let error = RedbManager::open(options(&path).mode(mode)).err().unwrap();
            let text = error.to_string();
            assert!(text.contains("system.redb") && text.contains(told), "{text}");
        }
    }
}

/// A file that may not be read may well be whole, and a salvage without it would be taken for all
/// there was: it ends instead, says what to do, and goes through when that is done.
#[test]
fn a_salvage_waits_for_a_file_that_it_may_not_read() {
    let place = tempfile::tempdir().unwrap();
    for (number, (replace, told)) in replacements(place.path()).into_iter().enumerate().skip(1) {
        let path = place.path().join(format!("store.{number}"));
        store(&path);
        let (file, aside) = (path.join("events_shard_0.redb"), path.with_extension("aside"));
        fs::rename(&file, &aside).unwrap();
        replace(&file, &aside);
        let target = place.path().join(format!("saved.{number}"));
        let salvage = || RedbManager::salvage(options(&path), options(&target), |_| ());
        let error = salvage().err().unwrap();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Denied, "{text}");
        assert!(text.contains("events_shard_0.redb") && text.contains(told), "{text}");
        assert!(RedbManager::open(options(&target).mode(OpenMode::Read)).is_err());
        fs::remove_file(&file).unwrap();
        fs::rename(&aside, &file).unwrap();
        assert!(salvage().unwrap().is_complete());
    }
}
