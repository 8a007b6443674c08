//! Settings, flags and facts about the store, as users meet them. What goes wrong without this: two
//! callers that both believe they won, a version that means two values, a watcher that misses a
//! change or sees one twice, a listing that skips keys.

use crate::support::{key, open, options};
use forgeone_db::{
    Durability, ErrorKind, Flag, FlagReason, FlagState, FlagVariant, MemoryEngine, NewSetting,
    OpenMode, RedbManager, SetOptions, SettingsQuery, StoreOptions, VerifyDepth, WatchFrom,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

pub(crate) const ANY: SetOptions = SetOptions { if_version: None, retype: false };

pub(crate) fn if_version(version: u64) -> SetOptions {
    SetOptions { if_version: Some(version), retype: false }
}

/// A store in memory, small tails, so that much is sealed.
fn in_memory(engine: &MemoryEngine, mode: OpenMode) -> RedbManager {
    let options = StoreOptions::with_engine(Arc::new(engine.clone()))
        .durability(Durability::None)
        .mode(mode)
        .key(key())
        .shard_count(1)
        .seal_at(16 << 10, 200);
    RedbManager::open(options).unwrap()
}

fn store() -> RedbManager {
    in_memory(&MemoryEngine::new(), OpenMode::Create)
}

fn reader(path: &Path) -> RedbManager {
    RedbManager::open(options(path).mode(OpenMode::Read)).unwrap()
}

fn keys(store: &RedbManager, query: impl Into<SettingsQuery>) -> Vec<String> {
    store.list_settings(query).map(|setting| setting.unwrap().key).collect()
}

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(result: forgeone_db::Result<T>, kind: ErrorKind) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    format!("{error} {error:?}")
}

#[test]
fn versions_count_up_and_survive_sealing_and_reopening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    assert_eq!(store.get_setting("a").unwrap(), None);
    assert_eq!(store.set_setting("a", &json!(1), ANY).unwrap().version, 1);
    let second = store.set_setting("a", &json!(1), ANY).unwrap();
    assert_eq!(second.version, 2, "an equal value is a version too");
    assert_eq!(store.revision().unwrap(), second.revision);
    store.seal().unwrap();
    assert_eq!(store.set_setting("a", &json!(3), ANY).unwrap().version, 3);
    store.close().unwrap();

    let store = open(&path);
    let setting = store.get_setting("a").unwrap().unwrap();
    assert_eq!((setting.value, setting.version), (json!(3), 3));
    let history: Vec<_> = store
        .setting_history("a")
        .unwrap()
        .map(|version| version.unwrap())
        .map(|version| (version.version, version.value))
        .collect();
    assert_eq!(history, [(3, Some(json!(3))), (2, Some(json!(1))), (1, Some(json!(1)))]);
    for depth in [VerifyDepth::Quick, VerifyDepth::Standard, VerifyDepth::Deep] {
        let report = store.verify(depth, |_| ()).unwrap();
        assert!(report.is_sound(), "{:#?}", report.findings);
    }
}

#[test]
fn a_lost_compare_and_set_names_the_present_version_and_changes_nothing() {
    let store = store();
    assert_kind(store.set_setting("a", &json!(1), if_version(1)), ErrorKind::Conflict);
    store.set_setting("a", &json!(1), if_version(0)).unwrap();
    let text = assert_kind(store.set_setting("a", &json!(2), if_version(0)), ErrorKind::Conflict);
    assert!(text.contains("version=1") || text.contains("version: 1"), "{text}");
    assert_eq!(store.set_setting("a", &json!(2), if_version(1)).unwrap().version, 2);
    assert_kind(store.remove_setting("a", Some(1)), ErrorKind::Conflict);
    assert_eq!(store.get_setting("a").unwrap().unwrap().version, 2);
}

#[test]
fn a_removed_setting_goes_on_behind_its_last_version() {
    let store = store();
    assert_kind(store.remove_setting("a", None), ErrorKind::NotFound);
    store.set_setting("a", &json!("one"), ANY).unwrap();
    assert_eq!(store.remove_setting("a", Some(1)).unwrap().version, 2);
    assert_eq!(store.get_setting("a").unwrap(), None);
    assert_eq!(keys(&store, ""), [""; 0]);
    assert_kind(store.remove_setting("a", None), ErrorKind::NotFound);
    store.seal().unwrap();
    // It does not exist, so its type is free and its expected version is 0.
    assert_eq!(store.set_setting("a", &json!(7), if_version(0)).unwrap().version, 3);
    store.seal().unwrap();
    assert_eq!(store.remove_setting("a", None).unwrap().version, 4);
    assert_eq!(store.set_setting("a", &json!(8), ANY).unwrap().version, 5);
    let history: Vec<_> =
        store.setting_history("a").unwrap().map(|version| version.unwrap().value).collect();
    assert_eq!(history, [Some(json!(8)), None, Some(json!(7)), None, Some(json!("one"))]);
}

#[test]
fn a_value_keeps_its_type_unless_that_is_asked_for() {
    let store = store();
    let kinds =
        [json!(null), json!(true), json!(1.5), json!("secret"), json!([1]), json!({"a": 1})];
    for (index, present) in kinds.iter().enumerate() {
        for (other, given) in kinds.iter().enumerate() {
            let key = format!("{index}/{other}");
            store.set_setting(&key, present, ANY).unwrap();
            let set = store.set_setting(&key, given, ANY);
            if index == other {
                set.unwrap();
            } else {
                let text = assert_kind(set, ErrorKind::Invalid);
                assert!(!text.contains("secret"), "{text}");
                let retype = SetOptions { if_version: Some(1), retype: true };
                store.set_setting(&key, given, retype).unwrap();
            }
            assert_eq!(store.get_setting(&key).unwrap().unwrap().value, *given);
        }
    }
    store.set_setting("typed", &json!("secret"), ANY).unwrap();
    let text = assert_kind(store.get_setting_as::<u32>("typed"), ErrorKind::Invalid);
    assert!(text.contains("u32") && text.contains("string") && text.contains("typed"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(store.get_setting_as::<String>("typed").unwrap().unwrap(), "secret");
    assert_eq!(store.get_setting_as::<String>("none").unwrap(), None);
}

#[test]
fn keys_and_values_beyond_their_limits_are_refused() {
    let store = store();
    let long = "k".repeat(255);
    store.set_setting(&long, &json!(1), ANY).unwrap();
    assert_eq!(store.get_setting(&long).unwrap().unwrap().version, 1);
    for key in ["", "a\nb", "a\0", &"k".repeat(256)] {
        assert_kind(store.set_setting(key, &json!(1), ANY), ErrorKind::Invalid);
        assert_kind(store.get_setting(key), ErrorKind::Invalid);
        assert_kind(store.remove_setting(key, None), ErrorKind::Invalid);
    }
    let largest = json!("x".repeat((1 << 20) - 2));
    store.set_setting("large", &largest, ANY).unwrap();
    assert_eq!(store.get_setting("large").unwrap().unwrap().value, largest);
    let larger = json!("x".repeat((1 << 20) - 1));
    assert_kind(store.set_setting("large", &larger, ANY), ErrorKind::Invalid);

    let before = store.revision().unwrap();
    let twice = [NewSetting::new("d", 1), NewSetting::new("d", 2)];
    assert_kind(store.set_settings(&twice), ErrorKind::Invalid);
    let all: Vec<_> = (0..17).map(|n| NewSetting::new(format!("l{n}"), largest.clone())).collect();
    assert_kind(store.set_settings(&all), ErrorKind::Invalid);
    let written = store.set_settings(&all[..15]).unwrap();
    assert_eq!(written.len(), 15);
    assert_eq!(store.revision().unwrap(), before + 1);
    // What is as large as a call may be is sealed, verified and read like anything else.
    store.seal().unwrap();
    let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
    let mut watch = store.watch_settings("l", WatchFrom::After(before)).unwrap();
    let update = watch.try_next().unwrap().unwrap();
    assert_eq!((update.changes.len(), update.revision), (15, before + 1));
    assert!(update.changes.iter().all(|change| change.value.as_ref() == Some(&largest)));
}

#[test]
fn many_settings_are_set_together_or_not_at_all() {
    let store = store();
    store.set_setting("b", &json!(1), ANY).unwrap();
    let mut batch =
        [NewSetting::new("a", 1), NewSetting::new("b", "text"), NewSetting::new("c", 1)];
    assert_kind(store.set_settings(&batch), ErrorKind::Invalid);
    assert_eq!(keys(&store, ""), ["b"]);
    batch[1].value = json!(2);
    let written = store.set_settings(&batch).unwrap();
    assert_eq!(written.iter().map(|one| one.version).collect::<Vec<_>>(), [1, 2, 1]);
    assert!(written.iter().all(|one| one.revision == written[0].revision));
    assert_eq!(store.set_settings(&[]).unwrap(), []);
}

#[test]
fn threads_on_one_key_stand_in_one_order_and_lose_nothing() {
    const THREADS: u64 = 16;
    const EACH: u64 = 200;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).seal_at(64 << 10, 1000)).unwrap();
    store.set_setting("n", &json!(0), ANY).unwrap();
    let mut seen = BTreeSet::new();
    let mut conflicts = 0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let (mut won, mut conflicts) = (Vec::new(), 0u64);
                    while won.len() < usize::try_from(EACH).unwrap() {
                        let now = store.get_setting("n").unwrap().unwrap();
                        let next = json!(now.value.as_u64().unwrap() + 1);
                        match store.set_setting("n", &next, if_version(now.version)) {
                            Ok(write) => won.push((write.version, write.revision)),
                            Err(error) if error.kind() == ErrorKind::Conflict => conflicts += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    (won, conflicts)
                })
            })
            .collect();
        for thread in threads {
            let (won, lost) = thread.join().unwrap();
            conflicts += lost;
            seen.extend(won);
        }
    });
    println!("{conflicts} conflicts");
    let setting = store.get_setting("n").unwrap().unwrap();
    assert_eq!(setting.value, json!(THREADS * EACH));
    // Every version was given once, and in the order of revisions.
    assert!(seen.iter().map(|(version, _)| *version).eq(2..=THREADS * EACH + 1));
    assert!(seen.iter().map(|(_, revision)| revision).is_sorted());
    store.close().unwrap();
    let store = open(&path);
    assert_eq!(store.get_setting("n").unwrap().unwrap().value, json!(THREADS * EACH));
    let newest = store.setting_history("n").unwrap().take(1000);
    for (version, expected) in newest.zip((0..=THREADS * EACH).rev()) {
        assert_eq!(version.unwrap().value, Some(json!(expected)));
    }
}

#[test]
fn unconditional_writers_of_one_key_get_every_version_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let commits = |store: &RedbManager| store.stats().unwrap().databases[0].commits;
    let before = commits(&store);
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..100 {
                    store.set_setting("n", &json!(thread * 1000 + n), ANY).unwrap();
                }
            });
        }
    });
    assert_eq!(store.get_setting("n").unwrap().unwrap().version, 1600);
    let made = commits(&store) - before;
    println!("1600 changes of one key in {made} commits");
    assert!(made < 800, "callers that come together share a sync");
}

#[test]
fn the_newest_thousand_versions_are_kept() {
    let store = store();
    for n in 1..=1234 {
        store.set_setting("n", &json!(n), ANY).unwrap();
    }
    // Others with keys around it keep theirs.
    store.set_setting("n ", &json!("a"), ANY).unwrap();
    store.set_setting("n!", &json!("b"), ANY).unwrap();
    store.seal().unwrap();
    let versions: Vec<u64> =
        store.setting_history("n").unwrap().map(|version| version.unwrap().version).collect();
    assert!(versions.iter().copied().eq((235..=1234).rev()));
    assert_eq!(store.setting_history("n ").unwrap().count(), 1);
    assert_eq!(store.setting_history("").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn listing_goes_by_bytes_and_by_pages() {
    let store = store();
    let all = [
        "A",
        "a",
        "a!",
        "a/",
        "a/1",
        "a/10",
        "a/2",
        "a/\u{7ff}",
        "a/\u{ffff}",
        "a/\u{10ffff}",
        "a/\u{10ffff}\u{10ffff}",
        "a0",
        "b",
        "\u{e9}",
        "\u{10ffff}",
    ];
    for (turn, key) in all.iter().rev().enumerate() {
        store.set_setting(key, &json!(turn), ANY).unwrap();
        if turn % 4 == 0 {
            store.seal().unwrap();
        }
    }
    store.set_setting("a/gone", &json!(1), ANY).unwrap();
    store.remove_setting("a/gone", None).unwrap();
    assert_eq!(keys(&store, ""), all);
    for prefix in ["a", "a/", "a/\u{10ffff}", "\u{10ffff}", "A", "zzz", "a/1"] {
        let expected: Vec<_> = all.iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(keys(&store, prefix).iter().collect::<Vec<_>>(), expected, "{prefix}");
        let mut paged: Vec<String> = Vec::new();
        loop {
            let mut query = SettingsQuery::new(prefix).limit(2);
            if let Some(last) = paged.last() {
                query = query.after(last.clone());
            }
            let page = keys(&store, query);
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 2);
            paged.extend(page);
        }
        assert_eq!(paged.iter().collect::<Vec<_>>(), expected, "{prefix}");
    }
    assert_eq!(keys(&store, SettingsQuery::new("a/").after("b")), [""; 0]);
    assert_eq!(keys(&store, SettingsQuery::new("b").after("a")), ["b"]);
}

#[test]
fn a_hundred_thousand_keys_are_listed_in_pages() {
    const KEYS: usize = 100_000;
    let engine = MemoryEngine::new();
    let options = StoreOptions::with_engine(Arc::new(engine.clone()))
        .durability(Durability::None)
        .mode(OpenMode::Create)
        .key(key());
    let store = RedbManager::open(options).unwrap();
    let name = |n: usize| format!("key/{n:06}");
    for first in (0..KEYS).step_by(5000) {
        // Not in order, so that runs overlap.
        let batch: Vec<_> = (first..first + 5000)
            .map(|n| NewSetting::new(name(n * 7919 % KEYS), n as u64))
            .collect();
        store.set_settings(&batch).unwrap();
        if first % 20_000 == 0 {
            store.seal().unwrap();
        }
    }
    let mut found = 0;
    loop {
        let mut query = SettingsQuery::new("key/").limit(1000);
        if found > 0 {
            query = query.after(name(found - 1));
        }
        let page = keys(&store, query);
        if page.is_empty() {
            break;
        }
        assert_eq!(page.len(), 1000);
        for key in page {
            assert_eq!(key, name(found));
            found += 1;
        }
    }
    assert_eq!(found, KEYS);
    let report = store.verify(VerifyDepth::Deep, |_| ()).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
}

#[test]
fn a_watch_that_falls_far_behind_sees_each_change_once_and_in_order() {
    const CHANGES: u64 = 10_000;
    let store = store();
    store.set_setting("w/n", &json!(0), ANY).unwrap();
    let mut watch = store.watch_settings("w/", WatchFrom::Now).unwrap();
    assert_eq!(watch.try_next().unwrap(), None);
    std::thread::scope(|scope| {
        let (mut behind, writer) = (1, &store);
        let writing = scope.spawn(move || {
            for n in 1..=CHANGES {
                writer.set_setting("w/n", &json!(n), ANY).unwrap();
                if n % 3 == 0 {
                    writer.set_setting("other", &json!(n), ANY).unwrap();
                }
            }
        });
        // It reads a little, then nothing until everything is written.
        for update in watch.by_ref().take(5) {
            assert_eq!(update.unwrap().changes[0].value, Some(json!(behind)));
            behind += 1;
        }
        writing.join().unwrap();
        let mut revision = 0;
        for n in behind..=CHANGES {
            let update = watch.next().unwrap().unwrap();
            assert!(update.revision > revision);
            revision = update.revision;
            assert_eq!(update.changes.len(), 1);
            assert_eq!(update.changes[0].key, "w/n");
            assert_eq!(update.changes[0].value, Some(json!(n)));
        }
        assert_eq!(watch.try_next().unwrap(), None);
        assert_eq!(watch.revision(), store.revision().unwrap());
    });
}

#[test]
fn a_watch_goes_on_after_reopening_from_its_revision() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let mut watch = store.watch_settings("", WatchFrom::Now).unwrap();
    for n in 1..=10 {
        store.set_setting("a", &json!(n), ANY).unwrap();
    }
    for n in 1..=4 {
        assert_eq!(watch.next().unwrap().unwrap().changes[0].value, Some(json!(n)));
    }
    let revision = watch.revision();
    drop(watch);
    store.remove_setting("a", None).unwrap();
    store.seal().unwrap();
    store.close().unwrap();

    let store = open(&path);
    store.set_settings(&[NewSetting::new("a", 12), NewSetting::new("b", 13)]).unwrap();
    let mut watch = store.watch_settings("", WatchFrom::After(revision)).unwrap();
    for n in 5..=10 {
        assert_eq!(watch.next().unwrap().unwrap().changes[0].value, Some(json!(n)));
    }
    assert_eq!(watch.next().unwrap().unwrap().changes[0].value, None);
    let last = watch.next().unwrap().unwrap();
    let values: Vec<_> = last.changes.iter().map(|change| change.value.clone().unwrap()).collect();
    assert_eq!(values, [json!(12), json!(13)]);
    assert_eq!(watch.try_next().unwrap(), None);

    let ahead = store.revision().unwrap() + 1;
    let result = store.watch_settings("", WatchFrom::After(ahead));
    assert_kind(result.map(|_| ()), ErrorKind::Invalid);
    let all = store.watch_settings("a", WatchFrom::After(0)).unwrap().take(12);
    assert!(all.map(|update| update.unwrap().changes[0].version).eq(1..=12));
}

#[test]
fn a_reader_on_another_handle_reads_and_watches_beside_a_writer_that_seals() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = RedbManager::open(options(&path).seal_at(4 << 10, 30)).unwrap();
    store.set_setting("n", &json!(0), ANY).unwrap();
    let reader = reader(&path);
    assert_kind(reader.set_setting("n", &json!(1), ANY), ErrorKind::Unsupported);
    assert_kind(reader.set_metadata("n", "x"), ErrorKind::Unsupported);
    let mut watch = reader.watch_settings("n", WatchFrom::Now).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=500 {
                let written = store.set_setting("n", &json!(n), ANY).unwrap();
                store.set_setting(&format!("k/{n:04}"), &json!(n), ANY).unwrap();
                assert_eq!(written.version, n + 1);
            }
        });
        scope.spawn(|| {
            let mut least = 0;
            while least < 500 {
                let now = reader.get_setting("n").unwrap().unwrap().value.as_u64().unwrap();
                assert!(now >= least);
                least = now;
                let keys = keys(&reader, "k/");
                assert!(
                    keys.iter()
                        .eq(&(1..=keys.len()).map(|n| format!("k/{n:04}")).collect::<Vec<_>>())
                );
                assert!(keys.len() as u64 + 1 >= least, "{} of {least}", keys.len());
                let history = reader.setting_history("n").unwrap();
                assert!(
                    history.map(|one| one.unwrap().version).take(20).is_sorted_by(|a, b| a > b)
                );
            }
        });
        for n in 1..=500 {
            assert_eq!(watch.next().unwrap().unwrap().changes[0].value, Some(json!(n)));
        }
    });
}

#[test]
fn flags_give_the_same_key_the_same_answer() {
    let store = store();
    let at = |percent| Flag::new(FlagState::Percentage { percent });
    let on = |store: &RedbManager| -> BTreeSet<u32> {
        (0..4000)
            .filter(|user| store.evaluate_flag("new", &format!("user {user}")).unwrap().on)
            .collect()
    };
    assert_eq!(store.evaluate_flag("new", "x").unwrap().reason, FlagReason::Unknown);
    let mut before = BTreeSet::new();
    for percent in [0.0, 0.5, 10.0, 33.33, 90.0, 100.0] {
        store.set_flag("new", &at(percent)).unwrap();
        let now = on(&store);
        assert!(before.is_subset(&now), "raising the percentage never turns a key off");
        assert_eq!(now, on(&store));
        let share = f64::from(u32::try_from(now.len()).unwrap()) / 40.0;
        assert!((share - percent).abs() < 2.5, "{share} for {percent}");
        before = now;
    }
    store.switch_flag("new", FlagState::Off).unwrap();
    assert_eq!(store.evaluate_flag("new", "x").unwrap().reason, FlagReason::Off);
    store.switch_flag("new", FlagState::On).unwrap();
    assert!(store.evaluate_flag("new", "x").unwrap().on);

    let variants = [("a", 1), ("b", 3), ("none", 0)]
        .map(|(name, weight)| FlagVariant { name: name.to_owned(), weight });
    let flag = Flag { variants: variants.to_vec(), description: "d".to_owned(), ..at(50.0) };
    store.set_flag("split", &flag).unwrap();
    let (mut a, mut b) = (0, 0);
    for user in 0..4000 {
        let value = store.evaluate_flag("split", &user.to_string()).unwrap();
        match value.variant.as_deref() {
            Some("a") => a += 1,
            Some("b") => b += 1,
            Some(other) => panic!("{other}"),
            None => assert!(!value.on),
        }
    }
    assert!((1800..2200).contains(&(a + b)), "{a} {b}");
    assert!((400..600).contains(&a), "{a} {b}");
    store.switch_flag("split", FlagState::On).unwrap();
    let switched = store.get_flag("split").unwrap().unwrap();
    assert_eq!((switched.variants.len(), &*switched.description), (3, "d"));
}

#[test]
fn a_flag_that_is_none_is_off_and_says_so() {
    let store = store();
    let malformed = [
        json!(5),
        json!({"state": "maybe"}),
        json!({"state": "percentage"}),
        json!({"state": "percentage", "percent": 101}),
        json!({"state": "on", "variants": [{"name": "a", "weight": -1}]}),
        json!({"state": "on", "variants": [{"name": "a", "weight": 0}]}),
    ];
    for (index, value) in malformed.iter().enumerate() {
        let name = format!("bad{index}");
        store.set_setting(&format!("flags/{name}"), value, ANY).unwrap();
        let found = store.evaluate_flag(&name, "x").unwrap();
        assert_eq!((found.on, found.reason), (false, FlagReason::Malformed), "{value}");
        assert_kind(store.get_flag(&name), ErrorKind::Invalid);
        assert_kind(store.switch_flag(&name, FlagState::On), ErrorKind::Invalid);
    }
    assert_eq!(store.evaluate_flag("", "x").unwrap().reason, FlagReason::Unknown);
    assert_eq!(store.get_flag("nobody").unwrap(), None);
    assert_kind(store.remove_flag("nobody"), ErrorKind::NotFound);
    for percent in [-0.1, 100.1, f64::NAN] {
        let flag = Flag::new(FlagState::Percentage { percent });
        assert_kind(store.set_flag("bad", &flag), ErrorKind::Invalid);
    }
    let flags: Vec<_> = store.list_flags().map(|flag| flag.unwrap()).collect();
    assert_eq!(flags.len(), malformed.len());
    assert!(flags.iter().all(|flag| flag.flag.is_none()));
    // Setting a flag repairs it, whatever was there.
    store.set_flag("bad0", &Flag::new(FlagState::On)).unwrap();
    assert!(store.evaluate_flag("bad0", "x").unwrap().on);
    store.set_setting("flags/hand", &json!({"state": "on"}), ANY).unwrap();
    assert!(store.evaluate_flag("hand", "x").unwrap().on);
    store.remove_flag("hand").unwrap();
    assert_eq!(store.evaluate_flag("hand", "x").unwrap().reason, FlagReason::Unknown);
}

#[test]
fn answers_of_flags_never_change_between_releases() {
    // Recorded once: whoever changes the hash turns features on and off for everybody.
    let keys = [("new", "user 1"), ("new", "user 2"), ("other", "user 1"), ("", "")];
    assert_eq!(keys.map(|(name, key)| bucket(name, key)), [2703, 6333, 735, 2049]);
}

/// The bucket of a key, found from outside: one hundredth of a percent more has it in.
fn bucket(name: &str, key: &str) -> u32 {
    let has = |buckets: u32| {
        let percent = f64::from(buckets) / 100.0;
        Flag::new(FlagState::Percentage { percent }).evaluate(name, key).on
    };
    (0..10_000).find(|bucket| !has(*bucket) && has(bucket + 1)).unwrap()
}

#[test]
fn facts_about_the_store_are_kept_and_the_last_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    assert_eq!(store.metadata("owner").unwrap(), None);
    store.set_metadata("owner", "one").unwrap();
    store.seal().unwrap();
    let written = store.set_metadata("owner", "two\nlines \u{e9}").unwrap();
    store.set_metadata("site/room", "").unwrap();
    store.set_metadata("site/row", &"x".repeat(64 << 10)).unwrap();
    assert_kind(store.set_metadata("a", &"x".repeat((64 << 10) + 1)), ErrorKind::Invalid);
    assert_kind(store.set_metadata("a\n", "x"), ErrorKind::Invalid);
    assert_kind(store.remove_metadata("nothing"), ErrorKind::NotFound);
    store.close().unwrap();
    let store = open(&path);
    assert_eq!(store.metadata("owner").unwrap().unwrap(), written);
    let names = |prefix: &str| -> Vec<String> {
        store.list_metadata(prefix).map(|entry| entry.unwrap().name).collect()
    };
    assert_eq!(names(""), ["owner", "site/room", "site/row"]);
    assert_eq!(names("site/"), ["site/room", "site/row"]);
    store.remove_metadata("site/row").unwrap();
    assert_eq!(names("site/"), ["site/room"]);
    // Settings and facts are apart.
    assert_eq!(store.get_setting("owner").unwrap(), None);
}

#[test]
fn nothing_is_answered_after_a_close() {
    let store = store();
    store.set_setting("a", &json!(1), ANY).unwrap();
    let system = store.system().clone();
    store.close().unwrap();
    let closed = |kind| matches!(kind, ErrorKind::Closed(_));
    assert!(closed(store.get_setting("a").unwrap_err().kind()));
    assert!(closed(store.set_setting("a", &json!(1), ANY).unwrap_err().kind()));
    assert!(closed(store.list_settings("").next().unwrap().unwrap_err().kind()));
    let watch = futures::executor::block_on(system.watch("", WatchFrom::Now));
    assert!(closed(watch.unwrap_err().kind()));
}

#[test]
fn a_watch_as_a_stream_gives_what_comes() {
    use futures::StreamExt as _;
    let store = store();
    futures::executor::block_on(async {
        let watch = store.system().watch("a", WatchFrom::Now).await.unwrap();
        let mut watch = Box::pin(watch.into_stream());
        store.system().set("a", &json!(1), ANY).await.unwrap();
        assert_eq!(watch.next().await.unwrap().unwrap().changes[0].value, Some(json!(1)));
        store.close().unwrap();
        assert!(matches!(watch.next().await.unwrap().unwrap_err().kind(), ErrorKind::Closed(_)));
        assert!(watch.next().await.is_none());
    });
}

#[test]
fn a_store_with_a_long_tail_can_be_given_more_shards() {
    let engine = MemoryEngine::new();
    let options = |engine: &MemoryEngine| {
        StoreOptions::with_engine(Arc::new(engine.clone()))
            .durability(Durability::None)
            .mode(OpenMode::OpenOrCreate)
            .key(key())
    };
    let store = RedbManager::open(options(&engine).shard_count(1)).unwrap();
    for n in 0..300 {
        store.set_setting("n", &json!(n), ANY).unwrap();
    }
    store.close().unwrap();
    // With limits that the tail is far beyond, nobody may wait for a sealer that does not run yet.
    let engine = engine.reopen();
    let store = RedbManager::open(options(&engine).shard_count(2).seal_at(1 << 10, 10)).unwrap();
    assert_eq!(store.database().shard_count(), 2);
    assert_eq!(store.get_setting("n").unwrap().unwrap().value, json!(299));
}

#[test]
fn values_larger_than_their_compressed_form_do_not_pile_up_in_memory() {
    // Default limits: by compressed size alone, nothing here would be sealed.
    let options = StoreOptions::with_engine(Arc::new(MemoryEngine::new()))
        .durability(Durability::None)
        .mode(OpenMode::Create)
        .key(key());
    let store = RedbManager::open(options).unwrap();
    let value: Value = json!("x".repeat(1_000_000));
    for n in 0..60 {
        store.set_setting(&format!("k{n}"), &value, ANY).unwrap();
    }
    store.settle().unwrap();
    assert!(store.stats().unwrap().databases[0].runs > 0);
    assert_eq!(keys(&store, "").len(), 60);
}
