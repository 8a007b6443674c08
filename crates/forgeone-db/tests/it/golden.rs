//! Stores that an earlier build has written, as files that never change: what is written today must
//! be readable for ever, and a format of tomorrow must be refused and left alone (T16).
//!
//! Each is a pair in `tests/golden`: `NAME.store.zst`, the files of the store in one compressed
//! file, and `NAME.json`, what it holds. `FORGEONE_DB_GOLDEN=NAME cargo test -p forgeone-db --test
//! it stores_of_every_earlier_format` writes `NAME-encrypted` and `NAME-plain`; then name them in
//! [`STORES`]. A pair that was released is never changed.

use crate::support::{event, key, time};
use chrono::TimeDelta;
use forgeone_db::{
    ErrorKind, EventQuery, Flag, FlagState, Key, KeyRotation, LogQuery, NewLogEntry, NewSetting,
    OpenMode, RedbManager, Severity, StoreOptions, TopicKind, VerifyDepth,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every store there is, and whether it has a key.
const STORES: [(&str, bool); 2] = [("v1-encrypted", true), ("v1-plain", false)];

/// The files of a store by name.
type Files = BTreeMap<String, Vec<u8>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn options(path: &Path, encrypted: bool) -> StoreOptions {
    StoreOptions::new(path).key(encrypted.then(key))
}

fn files(path: &Path) -> Files {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

fn write_files(path: &Path, files: &Files) {
    fs::create_dir_all(path).unwrap();
    for (name, bytes) in files {
        fs::write(path.join(name), bytes).unwrap();
    }
}

/// `length of the name u32 | name | length u32 | bytes` for each file, compressed together.
fn pack(files: &Files) -> Vec<u8> {
    let mut out = Vec::new();
    for part in files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes]) {
        out.extend_from_slice(&u32::try_from(part.len()).unwrap().to_be_bytes());
        out.extend_from_slice(part);
    }
    zstd::bulk::compress(&out, 19).unwrap()
}

fn unpack(packed: &[u8]) -> Files {
    let raw = zstd::bulk::decompress(packed, 64 << 20).unwrap();
    let (mut rest, mut parts) = (&raw[..], Vec::new());
    while let Some((len, after)) = rest.split_first_chunk() {
        let (part, after) = after.split_at(u32::from_be_bytes(*len) as usize);
        parts.push(part.to_vec());
        rest = after;
    }
    let pair = |pair: &[Vec<u8>]| (String::from_utf8(pair[0].clone()).unwrap(), pair[1].clone());
    parts.chunks(2).map(pair).collect()
}

/// Unpacks a store into a directory of its own.
fn unpacked(name: &str) -> (tempfile::TempDir, PathBuf, Files) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let packed = fs::read(folder().join(format!("{name}.store.zst"))).unwrap();
    let files = unpack(&packed);
    write_files(&path, &files);
    (directory, path, files)
}

/// A store with every kind of data there is: sealed and not, late, marked, shredded, rotated.
fn make(path: &Path, encrypted: bool) {
    let create = options(path, encrypted).mode(OpenMode::Create).shard_count(1);
    let store = RedbManager::open(create).unwrap();
    for round in 0..3_u64 {
        let mut events: Vec<_> =
            (1..=8).map(|number| event("orders.new", round * 10 + number)).collect();
        events[3].timestamp -= TimeDelta::days(1);
        events[5].checkpoint_marker = Some("mark".to_owned());
        store.store_events(&events).unwrap();
        store.store_event(&event("secrets", 100 + round)).unwrap();
        let line = |number| {
            let text = format!("line {number} of round {round}");
            let mut line = NewLogEntry::new("app", time(number), Severity::Warn, text);
            line.metadata.insert("host".to_owned(), "a".to_owned());
            line
        };
        store.store_logs((0..5).map(line).collect()).unwrap();
        store
            .set_settings(&[NewSetting::new("limit", round), NewSetting::new("gone", "soon")])
            .unwrap();
        store.remove_setting("gone", None).unwrap();
        store.set_metadata("owner", "somebody").unwrap();
        if round < 2 {
            store.seal().unwrap();
        }
        if round == 0 && encrypted {
            store.rotate_keys(KeyRotation::Data, |_| ()).unwrap();
        }
    }
    store.set_flag("beta", &Flag::new(FlagState::On)).unwrap();
    if encrypted {
        store.shred_topic(TopicKind::Events, "secrets").unwrap();
    }
    store.settle().unwrap();
    store.compact(|_| ()).unwrap();
    // What is not sealed when the store is closed.
    store.store_event(&event("orders.paid", 1000)).unwrap();
    store.close().unwrap();
}

/// Everything that a store holds.
fn contents(store: &RedbManager) -> serde_json::Value {
    fn all<T: serde::Serialize>(
        results: impl Iterator<Item = forgeone_db::Result<T>>,
    ) -> serde_json::Value {
        serde_json::to_value(results.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
    }
    serde_json::json!({
        "events": all(store.query_events(EventQuery::default()).unwrap()),
        "logs": all(store.query_logs(LogQuery::default()).unwrap()),
        "settings": all(store.list_settings("")),
        "history": all(store.setting_history("limit").unwrap()),
        "gone": all(store.setting_history("gone").unwrap()),
        "metadata": all(store.list_metadata("")),
    })
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a new pair is written on request")]
fn stores_of_every_earlier_format_hold_what_they_held() {
    if let Ok(name) = std::env::var("FORGEONE_DB_GOLDEN") {
        return write_new(&name);
    }
    for (name, encrypted) in STORES {
        let (_directory, path, files_before) = unpacked(name);
        let wanted = fs::read(folder().join(format!("{name}.json"))).unwrap();
        let wanted: serde_json::Value = serde_json::from_slice(&wanted).unwrap();
        let reader = RedbManager::open(options(&path, encrypted).mode(OpenMode::Read)).unwrap();
        assert_eq!(contents(&reader), wanted, "{name}");
        reader.close().unwrap();
        assert_eq!(files(&path), files_before, "{name}: a reader changed a file");
        let report =
            RedbManager::verify_store(options(&path, encrypted), VerifyDepth::Standard, |_| ());
        assert_eq!(report.unwrap().errors().count(), 0, "{name}");
        // Today's release goes on where that one ended.
        let writer = RedbManager::open(options(&path, encrypted).mode(OpenMode::Open)).unwrap();
        assert_eq!(writer.store_event(&event("orders.paid", 1001)).unwrap().seq, 2, "{name}");
        assert!(writer.store_event(&event("orders.new", 1)).unwrap().duplicate, "{name}");
        writer.seal().unwrap();
        writer.close().unwrap();
    }
}

#[test]
fn a_store_of_a_later_format_is_refused_and_left_alone() {
    for (name, encrypted) in STORES {
        let (_directory, path, mut files_before) = unpacked(name);
        for copy in ["keyring.0", "keyring.1"] {
            let Some(keyring) = files_before.get_mut(copy) else { continue };
            let content = keyring.len() - 32;
            // Behind the magic stands the version.
            keyring[9] += 1;
            let checksum = *blake3::hash(&keyring[..content]).as_bytes();
            keyring[content..].copy_from_slice(&checksum);
        }
        write_files(&path, &files_before);
        for mode in [OpenMode::Open, OpenMode::Read, OpenMode::OpenOrCreate] {
            let error = RedbManager::open(options(&path, encrypted).mode(mode)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UpgradeRequired, "{name}: {error}");
            assert_eq!(files(&path), files_before, "{name}");
        }
    }
}

/// K1, for stores of every earlier format.
#[test]
fn a_wrong_key_leaves_every_byte_as_it_is() {
    for (name, encrypted) in STORES {
        let (_directory, path, files_before) = unpacked(name);
        // None is right for a store without a key.
        let wrong = [Some([8; 32]), None];
        for wrong in wrong.into_iter().filter(|wrong| wrong.is_some() || encrypted) {
            for mode in [OpenMode::Open, OpenMode::Read, OpenMode::OpenOrCreate] {
                let options = StoreOptions::new(&path).key(wrong.map(Key::raw)).mode(mode);
                let kind = RedbManager::open(options).unwrap_err().kind();
                let wanted = if encrypted { ErrorKind::WrongKey } else { ErrorKind::Invalid };
                assert_eq!(kind, wanted, "{name}");
                assert_eq!(files(&path), files_before, "{name}");
            }
        }
    }
}

fn write_new(name: &str) {
    for encrypted in [true, false] {
        let name = format!("{name}-{}", if encrypted { "encrypted" } else { "plain" });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        make(&path, encrypted);
        let reader = RedbManager::open(options(&path, encrypted).mode(OpenMode::Read)).unwrap();
        let held = serde_json::to_vec_pretty(&contents(&reader)).unwrap();
        reader.close().unwrap();
        fs::create_dir_all(folder()).unwrap();
        fs::write(folder().join(format!("{name}.json")), held).unwrap();
        let packed = pack(&files(&path));
        println!("{name}: {} bytes", packed.len());
        fs::write(folder().join(format!("{name}.store.zst")), packed).unwrap();
    }
}
