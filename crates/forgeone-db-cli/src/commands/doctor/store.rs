//! The store that is there: its key, its lock, how it was left, and its room.

use super::report::Report;
use crate::exit::Failure;
use crate::output::{Bytes, Escaped, Shown};
use crate::store::Place;
use forgeone_db::redb::{DirectoryState, StoreDirectory};
use forgeone_db::{
    Error, ErrorKind, Key, OpenMode, RedbManager, StoreKeys, StoreOptions, StoreStats,
};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const ASIDE: &str = "copy the directory aside, then run: forgeone-db verify";

/// Says how many databases there are, if there is a store.
pub(super) fn check(
    report: &mut Report,
    place: &Place,
    key: Option<Key>,
) -> Result<Option<u64>, Failure> {
    const CHECK: &str = "store";
    let path = &place.directory;
    let shown = Shown(path);
    match StoreDirectory::inspect(path) {
        Ok(DirectoryState::Absent | DirectoryState::Empty) => {
            report.info(CHECK, format!("there is none in {shown}; forgeone-db init makes one"))?;
            return Ok(None);
        }
        Ok(DirectoryState::Foreign) => {
            let detail = format!("something else lies in {shown}");
            report.fail(CHECK, detail, "name another directory with --dir")?;
            return Ok(None);
        }
        Ok(DirectoryState::Store) => {}
        Err(error) => {
            report.fail(CHECK, error.to_string(), "check who owns the directory, and its mode")?;
            return Ok(None);
        }
    }
    match StoreDirectory::open(path).and_then(|directory| Ok((directory.databases()?, directory))) {
        Ok((databases, directory)) => {
            report.ok(
                CHECK,
                format!("there is one in {shown}, {} database files", databases.len()),
            )?;
            let sound = condition(report, &directory)?;
            let opens = opens(report, path, key.as_ref())?;
            let known = if sound && opens { open(report, place, key)? } else { None };
            // A database that was never written to has no file yet.
            Ok(known.or(Some(databases.len() as u64)))
        }
        Err(error) => {
            report.fail(CHECK, error.to_string(), ASIDE)?;
            Ok(None)
        }
    }
}

/// Lock, leftovers, and whether a crash left something; whether the store can be opened without
/// recovering it.
fn condition(report: &mut Report, directory: &StoreDirectory) -> Result<bool, Failure> {
    let held = lock(report, directory.path())?;
    let leftovers = directory.leftovers().unwrap_or_default();
    match (leftovers.first(), held) {
        (None, _) => report.ok("leftovers", "there are none")?,
        (Some(_), true) => {
            report
                .info("leftovers", format!("{} temporary files, maybe in use", leftovers.len()))?;
        }
        (Some(first), false) => report.warn(
            "leftovers",
            format!(
                "{} files of something interrupted, such as {}",
                leftovers.len(),
                Escaped(first)
            ),
            "they are ignored; remove them once the store has been opened",
        )?,
    }
    if held {
        report.info("closed", "not checked while a process writes")?;
        return Ok(true);
    }
    match directory.unrecovered() {
        Err(error) => {
            report.fail("closed", error.to_string(), ASIDE)?;
            Ok(false)
        }
        Ok(left) if !left.is_empty() => {
            let names: Vec<String> = left.iter().map(ToString::to_string).collect();
            let detail = format!("not closed cleanly: {}", names.join(", "));
            report.warn("closed", detail, "the next command that opens the store recovers it")?;
            Ok(false)
        }
        Ok(_) => {
            report.ok("closed", "no file needs recovery")?;
            Ok(true)
        }
    }
}

/// Whether a process holds the lock.
fn lock(report: &mut Report, path: &Path) -> Result<bool, Failure> {
    const CHECK: &str = "lock";
    let Ok(file) = File::open(path.join("lock")) else {
        report.info(CHECK, "the file is gone; it is made again when the store is opened")?;
        return Ok(false);
    };
    if let Some(process) = holder(&file) {
        report.info(CHECK, format!("process {process} writes to the store"))?;
        return Ok(true);
    }
    // The list of locks does not name processes outside a container. Shared, and given back at
    // once: a writer that starts in this moment waits a little, or is refused.
    match file.try_lock_shared() {
        Ok(()) => {
            drop(file);
            report.ok(CHECK, "nobody writes to the store")?;
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => {
            report.info(CHECK, "another process writes to the store")?;
            Ok(true)
        }
        Err(TryLockError::Error(error)) => {
            let remedy = "use a file system with locks";
            report.fail(CHECK, format!("the lock cannot be tried: {error}"), remedy)?;
            Ok(true)
        }
    }
}

/// The process that the system lists as holding a lock on `file`.
fn holder(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    let name = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let process = words.clone().nth(3)?;
        let held = words.next() == Some("FLOCK") && words.any(|word| word == name);
        held.then(|| process.parse().ok()).flatten()
    })
}

/// Whether the key opens the store.
fn opens(report: &mut Report, path: &Path, key: Option<&Key>) -> Result<bool, Failure> {
    const CHECK: &str = "key";
    match (StoreKeys::read(path, key), key) {
        (Ok(_), None) => {
            report.info(
                CHECK,
                "the store is not encrypted: whoever reads its files reads its events",
            )?;
            Ok(true)
        }
        (Ok(keys), Some(_)) => {
            let slots = keys.list();
            let slot = slots.iter().find(|slot| slot.opened).map_or(0, |slot| slot.slot);
            if slots.len() == 1 {
                report.ok(CHECK, format!("it opens slot {slot}, the only one: keep a copy"))?;
            } else {
                report.ok(CHECK, format!("it opens slot {slot} of {}", slots.len()))?;
            }
            Ok(true)
        }
        (Err(error), None) if error.kind() == ErrorKind::WrongKey => {
            report.info(CHECK, "the store is encrypted; name its key to have more checked")?;
            Ok(false)
        }
        (Err(error), _) => {
            unopened(report, &error)?;
            Ok(false)
        }
    }
}

fn unopened(report: &mut Report, error: &Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::WrongKey => {
            report.fail("key", error.to_string(), "give the key of this store with --key-file")
        }
        ErrorKind::NotFound => report.warn(
            "store",
            "its creation was interrupted before anything was stored",
            "run forgeone-db init again with the same key",
        ),
        ErrorKind::Invalid => report.fail("key", error.to_string(), "leave the key out"),
        ErrorKind::UpgradeRequired => {
            report.fail("store", error.to_string(), "use a newer release of forgeone-db")
        }
        ErrorKind::Corrupt if error.get("lost").is_some() => report.fail(
            "store",
            error.to_string(),
            "copy one of them back from a backup of this store; run no init here",
        ),
        _ => report.fail("store", error.to_string(), ASIDE),
    }
}

/// Opens the store as a reader does, which changes nothing where nothing needs recovery. Says how
/// many databases it has.
fn open(report: &mut Report, place: &Place, key: Option<Key>) -> Result<Option<u64>, Failure> {
    let options = place.bounded(StoreOptions::new(&place.directory).key(key))?.mode(OpenMode::Read);
    let stats = RedbManager::open(options).and_then(|manager| {
        let stats = manager.stats()?;
        manager.close()?;
        Ok(stats)
    });
    match stats {
        Ok(stats) => {
            report.ok("open", format!("{} occupied", Bytes(stats.allocated_bytes)))?;
            quota(report, &stats)?;
            Ok(Some(stats.databases.len() as u64))
        }
        Err(error) => report.fail("open", error.to_string(), ASIDE).map(|()| None),
    }
}

fn quota(report: &mut Report, stats: &StoreStats) -> Result<(), Failure> {
    const CHECK: &str = "quota";
    if stats.max_size_bytes == 0 {
        return report.info(CHECK, "the store has no limit but the disk");
    }
    let left = stats.max_size_bytes.saturating_sub(stats.allocated_bytes);
    let detail = format!("{} left of {}", Bytes(left), Bytes(stats.max_size_bytes));
    if left == 0 {
        return report.fail(CHECK, detail, "raise it: forgeone-db quota N");
    }
    match stats.available_bytes {
        Some(free) if free < left => report.warn(
            CHECK,
            format!("{detail}, and the disk has {}", Bytes(free)),
            "the disk is full first: free space, or lower the limit",
        ),
        _ => report.ok(CHECK, detail),
    }
}
