//! Damaged, foreign and vanished files, and a full medium: typed errors, never a panic.

use super::*;
use forgeone_db_engine::{
    ClosedReason, Direction, Error, ErrorKind, KeyRange, Outcome, Projection,
};
use std::fs;
use std::path::PathBuf;

/// A store with a closed `system.redb` of a few hundred pages, and that file's path and bytes.
fn closed_store() -> (TempDir, PathBuf, Vec<u8>) {
    let place = store();
    let engine = writer(place.path());
    for round in 0..4_u8 {
        let mut batch = Batch::new(database("system"));
        for number in 0..200_u8 {
            batch.put(&table("t"), [number, round].to_vec(), vec![number; 700]);
        }
        now(engine.commit(batch, Durability::Sync)).unwrap();
    }
    close(&engine);
    let path = place.path().join("system.redb");
    let bytes = fs::read(&path).unwrap();
    (place, path, bytes)
}

fn scan_all(engine: &RedbEngine) -> Result<()> {
    for direction in [Direction::Forward, Direction::Reverse] {
        let scan = Read::Scan {
            table: table("t"),
            range: KeyRange::all(),
            direction,
            projection: Projection::Entries,
            entries_max: 4096,
            bytes_max: u64::MAX,
        };
        now(engine.read(&database("system"), scan))?.into_page()?;
    }
    Ok(())
}

fn is_typed(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Corrupt
            | ErrorKind::UpgradeRequired
            | ErrorKind::Internal
            | ErrorKind::Unavailable
            | ErrorKind::InUse
            | ErrorKind::Full
            | ErrorKind::Closed(ClosedReason::Poisoned)
    )
}

/// Everything one can do with a store, over a file that is not what it was.
fn exercise(place: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let engine = reader(place);
    errors.extend(scan_all(&engine).err());
    errors.extend(get(&engine, "system", &[7, 1]).err());
    let engine = writer(place);
    errors.extend(scan_all(&engine).err());
    errors.extend(get(&engine, "system", &[7, 1]).err());
    errors.extend(put(&engine, "system", &[7, 1], b"new").err());
    errors.extend(put(&engine, "system", &[8, 1], b"new").err());
    errors.extend(now(engine.close()).err());
    errors
}

#[test]
fn garbage_is_corrupt() {
    let place = store();
    fs::write(place.path().join("system.redb"), vec![0xA5; 100_000]).unwrap();
    let errors = exercise(place.path());
    assert_eq!(errors.len(), 6);
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

#[test]
fn a_file_of_another_version_is_named_as_such() {
    let (place, path, mut bytes) = closed_store();
    // The version byte of both commit slots.
    bytes[64] = 99;
    bytes[192] = 99;
    fs::write(&path, &bytes).unwrap();
    let error = get(&reader(place.path()), "system", &[7, 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpgradeRequired, "{error}");
    let error = put(&writer(place.path()), "system", &[7, 1], b"v").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UpgradeRequired, "{error}");
}

#[test]
fn truncated_files_are_typed_errors_and_other_databases_work() {
    let (place, path, bytes) = closed_store();
    for len in [1, 8, 100, 319, 320, 4095, 4096, 9000, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        for error in exercise(place.path()) {
            assert!(is_typed(&error), "{len} bytes: {error:?}");
        }
        let engine = writer(place.path());
        put(&engine, "logs_shard_0", b"k", b"v").unwrap();
    }
}

#[test]
fn flipped_bits_are_typed_errors_or_nothing_but_never_a_panic() {
    let (place, path, bytes) = closed_store();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut failed = 0;
    // Bytes of values repeat; what differs from both neighbours is mostly structure.
    let used: Vec<usize> = (1..bytes.len() - 1).filter(|&at| bytes[at] != 0).collect();
    let structure: Vec<usize> = used
        .iter()
        .copied()
        .filter(|&at| bytes[at] != bytes[at - 1] && bytes[at] != bytes[at + 1])
        .collect();
    for round in 0..200 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut damaged = bytes.clone();
        let positions = if round % 2 == 0 { &structure } else { &used };
        let position = positions[usize::try_from(state >> 8).unwrap() % positions.len()];
        damaged[position] ^= 1 << (state & 7);
        fs::write(&path, &damaged).unwrap();
        let errors = exercise(place.path());
        for error in &errors {
            assert!(is_typed(error), "byte {position}: {error:?}");
        }
        failed += usize::from(!errors.is_empty());
    }
    println!("{failed} of 200 flips were noticed");
}

#[test]
fn a_directory_that_vanished_is_a_typed_error() {
    let (place, _, _) = closed_store();
    let engine = writer(place.path());
    let directory = StoreDirectory::open(place.path()).unwrap();
    fs::remove_dir_all(place.path()).unwrap();
    let error = put(&engine, "logs_shard_0", b"k", b"v").unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::NotFound, Outcome::Rejected));
    assert_eq!(get(&engine, "system", &[7, 1]).unwrap(), None);
    assert_eq!(directory.try_lock().unwrap_err().kind(), ErrorKind::NotFound);
    close(&engine);
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let (place, path, _) = closed_store();
    let elsewhere = place.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    for error in exercise(place.path()).iter().take(5) {
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    }
}

/// Every page of a file, bent in the middle: what is found, is found without a panic and without a
/// change to the file, beside whoever has it open.
#[test]
fn a_check_of_pages_finds_what_is_bent_and_changes_nothing() {
    let (place, path, sound) = closed_store();
    let engine = reader(place.path());
    let check = || engine.check_pages(&database("system"));
    assert_eq!(check().unwrap(), Some(()));
    assert_eq!(engine.check_pages(&database("absent")).unwrap(), None);
    let mut found = 0;
    for page in 1..sound.len() / 4096 {
        let mut bytes = sound.clone();
        bytes[page * 4096 + 2048] ^= 1;
        fs::write(&path, &bytes).unwrap();
        match check() {
            Ok(checked) => assert_eq!(checked, Some(())),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                found += 1;
            }
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    // 800 values of 700 bytes lie in more than 100 pages.
    assert!(found > 100, "{found} bent pages of {} were found", sound.len() / 4096);
    fs::write(&path, &sound).unwrap();
    let writer = writer(place.path());
    put(&writer, "system", b"more", b"value").unwrap();
    assert_eq!(check().unwrap(), Some(()), "beside a writer");
    assert_eq!(writer.check_pages(&database("system")).unwrap(), Some(()), "by the writer");
    put(&writer, "system", b"more", b"still").unwrap();
    close(&writer);
}

/// Found by the fuzzer: pages that wait to be freed for ever, for which redb commits for ever.
#[test]
fn a_compaction_of_a_damaged_file_comes_to_an_end() {
    let place = store();
    let engine = writer(place.path());
    for number in 0..40_u8 {
        let mut batch = Batch::new(database("system"));
        batch.put(&table("t"), vec![number], vec![number; usize::from(number) * 10]);
        now(engine.commit(batch, Durability::Sync)).unwrap();
    }
    now(engine.compact(&database("system"))).unwrap();
    close(&engine);
    let path = place.path().join("system.redb");
    let mut bytes = fs::read(&path).unwrap();
    let place_of_harm = 0x2000_300C % bytes.len();
    bytes[place_of_harm] ^= 1;
    fs::write(&path, bytes).unwrap();
    let engine = writer(place.path());
    put(&engine, "system", b"k", b"v").unwrap();
    let error = now(engine.compact(&database("system"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let error = put(&engine, "system", b"k", b"v").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed(ClosedReason::Poisoned), "{error}");
    drop(now(engine.close()));
    // Where redb cannot get over the damage at the next opening either, it says so.
    match get(&writer(place.path()), "system", b"k") {
        Ok(found) => assert_eq!(found.as_deref(), Some(&b"v"[..])),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
    }
}
