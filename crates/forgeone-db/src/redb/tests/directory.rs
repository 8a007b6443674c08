//! The store's directory: its facts, its lock, its small files.

use super::*;
use crate::redb::{DirectoryState, SystemTimer};
use forgeone_db_engine::ErrorKind;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

#[test]
fn inspection_tells_nothing_empty_store_and_foreign_apart() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("a/b/store");
    assert_eq!(StoreDirectory::inspect(&path).unwrap(), DirectoryState::Absent);
    assert_eq!(StoreDirectory::open(&path).unwrap_err().kind(), ErrorKind::NotFound);
    StoreDirectory::create(&path).unwrap();
    assert_eq!(StoreDirectory::inspect(&path).unwrap(), DirectoryState::Store);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(path.join("lock")).unwrap().permissions().mode() & 0o777, 0o600);
    StoreDirectory::create(&path).expect("an interrupted creation can be taken up again");
    assert_eq!(StoreDirectory::inspect(place.path()).unwrap(), DirectoryState::Foreign);
    assert_eq!(StoreDirectory::create(place.path()).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let empty = TempDir::new().unwrap();
    assert_eq!(StoreDirectory::inspect(empty.path()).unwrap(), DirectoryState::Empty);
    StoreDirectory::create(empty.path()).unwrap();
    let file = place.path().join("file");
    fs::write(&file, b"x").unwrap();
    assert_eq!(StoreDirectory::inspect(&file).unwrap(), DirectoryState::Foreign);
    assert_eq!(StoreDirectory::create(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn small_files_are_replaced_whole_over_whatever_was_left() {
    let place = store();
    let directory = StoreDirectory::open(place.path()).unwrap();
    assert_eq!(directory.read("keyring.0").unwrap(), None);
    directory.replace("keyring.0", b"one").unwrap();
    fs::write(place.path().join("keyring.0.new"), b"left by a crash").unwrap();
    assert_eq!(directory.read("keyring.0").unwrap().unwrap(), "one");
    directory.replace("keyring.0", b"two").unwrap();
    assert_eq!(directory.read("keyring.0").unwrap().unwrap(), "two");
    directory.remove("keyring.0").unwrap();
    directory.remove("keyring.0").unwrap();
    assert_eq!(directory.read("keyring.0").unwrap(), None);
}

#[test]
fn odd_small_files_are_typed_errors() {
    let place = store();
    let directory = StoreDirectory::open(place.path()).unwrap();
    fs::write(place.path().join("closed"), vec![0; (1 << 20) + 1]).unwrap();
    assert_eq!(directory.read("closed").unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(
        directory.replace("closed", &vec![0; (1 << 20) + 1]).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    fs::create_dir(place.path().join("keyring.1")).unwrap();
    assert_eq!(directory.read("keyring.1").unwrap_err().kind(), ErrorKind::Corrupt);
    symlink(place.path().join("closed"), place.path().join("keyring.0")).unwrap();
    assert_eq!(directory.read("keyring.0").unwrap_err().kind(), ErrorKind::Denied);
    directory.replace("keyring.0", b"x").unwrap();
    assert_eq!(fs::metadata(place.path().join("closed")).unwrap().len(), (1 << 20) + 1);
    for name in ["", "lock", "../x", "a/b", "system.redb", "x.new", ".hidden", "UPPER"] {
        assert_eq!(directory.read(name).unwrap_err().kind(), ErrorKind::Invalid, "{name}");
    }
}

#[test]
fn opening_and_locking_change_no_byte_and_no_time() {
    let place = store();
    let lock = place.path().join("lock");
    let state = || {
        let (file, directory) = (fs::metadata(&lock).unwrap(), fs::metadata(&place).unwrap());
        (file.len(), file.modified().unwrap(), directory.modified().unwrap())
    };
    let before = state();
    let directory = StoreDirectory::open(place.path()).unwrap();
    drop(directory.try_lock().unwrap().unwrap());
    assert_eq!(state(), before);
}

#[test]
fn the_lock_is_waited_for_and_then_refused() {
    let place = store();
    let directory = StoreDirectory::open(place.path()).unwrap();
    let held = directory.try_lock().unwrap().unwrap();
    assert!(directory.try_lock().unwrap().is_none());
    let timer = SystemTimer::new();
    let refused = directory.lock(Duration::from_millis(50), &timer).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InUse);
    assert!(crate::redb::Timer::now(&timer) >= Duration::from_millis(50));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            crate::redb::Timer::pause(&SystemTimer::new(), Duration::from_millis(30));
            drop(held);
        });
        directory.lock(Duration::from_secs(20), &timer).unwrap();
    });
}
