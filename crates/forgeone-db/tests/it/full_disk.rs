//! A disk that fills up must not need a restart, nor lose what was acknowledged. Provoked on a real
//! file system of a few MiB: filled until it is full, made room on, and filled again, in one process
//! that keeps the store open. Contract F2: every refusal is `Full`, every read goes on, what was of
//! unknown outcome is told truthfully by the same id, and writes go on once there is room.

use crate::support::{event, options};
use forgeone_db::{ErrorKind, EventMessage, Outcome, RedbManager, TopicKind};
use std::fs;
use std::path::Path;
use std::process::Command;

const PLACE: &str = "FORGEONE_DB_TEST_FULL";
/// Bytes of a file beside the store that goes away when the disk is full.
const BALLAST: usize = 1 << 20;

/// Runs [`child`] on a file system of so many MiB. False, with a printed reason, where the system
/// lets no test mount one.
fn on_a_disk_of(mib: u32) -> bool {
    run_on_a_disk_of(mib, "full_disk::child")
}

fn run_on_a_disk_of(mib: u32, child: &str) -> bool {
    let place = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size={mib}m none \"${PLACE}\"");
    let shell = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).env(PLACE, place.path());
        command
    };
    if !shell(&mount).output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: this system does not let a test mount a file system of {mib} MiB");
        return false;
    }
    let status = shell(&format!("{mount} && exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args([child, "--exact", "--nocapture"])
        .status()
        .unwrap();
    assert!(status.success(), "on a disk of {mib} MiB");
    true
}

#[test]
fn a_full_disk_of_16_mib_refuses_and_goes_on_without_a_restart() {
    on_a_disk_of(16);
}

#[test]
fn a_full_disk_of_8_mib_refuses_and_goes_on_without_a_restart() {
    on_a_disk_of(8);
}

/// What is known of a store while its disk fills up.
#[derive(Default)]
struct Known {
    next: u64,
    acknowledged: Vec<EventMessage>,
    unknown: Vec<EventMessage>,
}

impl Known {
    fn make(&mut self, topic: &str) -> EventMessage {
        self.next += 1;
        let mut event = event(topic, self.next);
        event.payload = (0..250).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
        event
    }

    /// Stores events until three in a row are not.
    fn fill(&mut self, store: &RedbManager, topic: &str) {
        let mut failed = 0;
        while failed < 3 {
            let event = self.make(topic);
            match store.store_event(&event) {
                Ok(_) => {
                    failed = 0;
                    self.acknowledged.push(event);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
                    failed += 1;
                    if error.outcome() == Outcome::Unknown {
                        self.unknown.push(event);
                    }
                }
            }
            assert!(self.next < 100_000, "the disk never filled up");
        }
    }

    fn read_everything(&self, store: &RedbManager) {
        for event in &self.acknowledged {
            let found = store.get_event(event.id).unwrap();
            assert!(found.len() == 1 && found[0].event == *event, "nothing acknowledged is lost");
        }
    }

    /// Asks after every event of unknown outcome by storing it again.
    fn settle(&mut self, store: &RedbManager) {
        for event in std::mem::take(&mut self.unknown) {
            let found = store.get_event(event.id).unwrap().len();
            let position = store.store_event(&event).unwrap();
            assert_eq!(position.duplicate, found == 1, "what is there is told as there");
            self.acknowledged.push(event);
        }
    }
}

/// Not a test of its own: what [`on_a_disk_of`] runs.
#[test]
fn child() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let place = Path::new(&place);
    let ballast = place.join("ballast");
    let store = RedbManager::open(options(&place.join("store")).shard_count(1)).unwrap();
    let mut known = Known::default();
    let mut unknown = 0;
    for round in 0..3 {
        let topic = format!("round.{round}");
        fs::write(&ballast, vec![1; BALLAST]).unwrap();
        known.fill(&store, &topic);
        unknown += known.unknown.len();
        known.read_everything(&store);
        fs::remove_file(&ballast).unwrap();
        known.settle(&store);
        known.read_everything(&store);
        store.shred_topic(TopicKind::Events, &topic).unwrap();
        store.compact(|_| {}).unwrap();
        known.acknowledged.clear();
    }
    let last = known.make("last");
    store.store_event(&last).unwrap();
    known.acknowledged.push(last);
    store.close().unwrap();
    let store = RedbManager::open(options(&place.join("store"))).unwrap();
    known.read_everything(&store);
    println!("{} events, {unknown} of unknown outcome", known.next);
}

/// Fills what is left of a disk to the last byte.
fn fill_to_the_last_byte(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    for bytes in [64 << 10, 4096, 1] {
        while std::io::Write::write_all(&mut file, &vec![1; bytes]).is_ok() {}
    }
}

/// contract F2: the reserve is there before it is needed; with no byte free a store is read, verified,
/// closed, opened for writing, shredded and compacted, and takes writes again.
#[test]
fn a_disk_without_a_free_byte_leaves_everything_but_new_data() {
    run_on_a_disk_of(16, "full_disk::no_byte_free");
}

/// Not a test of its own: what the one above runs.
#[test]
fn no_byte_free() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let place = Path::new(&place);
    let options = || options(&place.join("store")).shard_count(1).seal_at(512 << 10, 1000);
    let store = RedbManager::open(options()).unwrap();
    let mut known = Known::default();
    let ballast = place.join("ballast");
    fs::write(&ballast, vec![1; 4 << 20]).unwrap();
    known.fill(&store, "old");
    // A commit that meets the end of the disk while another is sealed takes the reserve.
    fs::remove_file(&ballast).unwrap();
    known.settle(&store);
    let sign = known.make("old");
    store.store_event(&sign).expect("there is room, and a reserve is made of some of it");
    let kept = known.make("kept");
    let set_aside = store.stats().unwrap().reserve_bytes;
    assert!(set_aside >= 512 << 10, "{set_aside} bytes are set aside");
    let junk = place.join("junk");
    fill_to_the_last_byte(&junk);
    assert_eq!(store.stats().unwrap().available_bytes, Some(0));
    known.read_everything(&store);
    assert_eq!(store.store_event(&kept).unwrap_err().kind(), ErrorKind::Full);
    assert!(store.verify(forgeone_db::VerifyDepth::Standard, |_| {}).unwrap().is_sound());
    store.close().unwrap();
    fill_to_the_last_byte(&place.join("more"));
    fs::remove_file(place.join("more")).unwrap();
    let store = RedbManager::open(options()).expect("opening takes the reserve");
    assert_eq!(store.stats().unwrap().reserve_bytes, 0, "it is given back");
    known.read_everything(&store);
    store.shred_topic(TopicKind::Events, "old").unwrap();
    store.compact(|_| {}).unwrap();
    store.store_event(&kept).expect("there is room again, without a restart");
    fs::remove_file(&junk).unwrap();
    known.acknowledged.clear();
    let sign = known.make("new");
    store.store_event(&sign).unwrap();
    assert!(store.stats().unwrap().reserve_bytes > 0, "it is made again");
    known.fill(&store, "new");
    known.read_everything(&store);
    store.close().unwrap();
}

#[test]
fn a_store_sets_aside_no_more_than_it_holds_and_nothing_if_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let open =
        |bytes| RedbManager::open(options(&path).shard_count(1).reserve_bytes(bytes)).unwrap();
    let store = open(64 << 20);
    let mut known = Known::default();
    for _ in 0..40 {
        store.store_event(&known.make("a")).unwrap();
    }
    let stats = store.stats().unwrap();
    assert!((1..=stats.allocated_bytes).contains(&stats.reserve_bytes), "{stats:?}");
    store.close().unwrap();
    assert!(path.join("reserve").exists());
    let store = open(0);
    store.store_event(&known.make("a")).unwrap();
    assert_eq!(store.stats().unwrap().reserve_bytes, 0);
    assert!(!path.join("reserve").exists());
    store.close().unwrap();
}

const LIMITED: &str = "FORGEONE_DB_TEST_LIMITED";

/// The system refuses a write in the middle of a commit, which no watermark sees coming: the shard
/// opens its file anew by itself, has all that was acknowledged, and goes on once it may.
#[test]
fn a_file_that_may_not_grow_heals_in_the_same_process() {
    let place = tempfile::tempdir().unwrap();
    // A soft limit of 4 MiB, which the process may raise; without the signal it is told as an error.
    let status = Command::new("sh")
        .args(["-c", "trap '' 25 && ulimit -S -f 8192 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["full_disk::limited_child", "--exact", "--nocapture"])
        .env(LIMITED, place.path())
        .status()
        .unwrap();
    assert!(status.success());
}

/// contract F2: a shard whose very first write meets the end of the disk is as good as any other.
#[test]
fn a_first_write_that_meets_the_end_of_the_disk_may_be_tried_again() {
    // It ends in the commit that names the topic, in the shard's new file, and in its first commits.
    for blocks in [16, 120, 128, 136, 144, 152] {
        let place = tempfile::tempdir().unwrap();
        let status = Command::new("sh")
            .args(["-c", "trap '' 25 && exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["full_disk::first_write_child", "--exact", "--nocapture"])
            .env(LIMITED, place.path())
            .env(BYTES, (blocks * 512).to_string())
            .status()
            .unwrap();
        assert!(status.success(), "with {blocks} blocks");
    }
}

const BYTES: &str = "FORGEONE_DB_TEST_BYTES";

fn limit_files_to(bytes: &str) {
    let id = std::process::id().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
}

/// Not a test of its own: what the one above runs.
#[test]
fn first_write_child() {
    let (Some(place), Some(bytes)) = (std::env::var_os(LIMITED), std::env::var_os(BYTES)) else {
        return;
    };
    let path = Path::new(&place).join("store");
    let store = RedbManager::open(options(&path).shard_count(1)).unwrap();
    let mut known = Known::default();
    let event = known.make("a");
    limit_files_to(bytes.to_str().unwrap());
    let mut refused = 0;
    for _ in 0..3 {
        if let Err(error) = store.store_event(&event) {
            assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
            refused += 1;
        }
    }
    limit_files_to("unlimited");
    store.store_event(&event).expect("there is room again, without a restart");
    known.acknowledged.push(event);
    known.read_everything(&store);
    store.close().unwrap();
    let store = RedbManager::open(options(&path)).unwrap();
    known.read_everything(&store);
    println!("{refused} of 3 refused");
}

/// Not a test of its own: what `a_file_that_may_not_grow_heals_in_the_same_process` runs.
#[test]
fn limited_child() {
    let Some(place) = std::env::var_os(LIMITED) else { return };
    let path = Path::new(&place).join("store");
    let store = RedbManager::open(options(&path).shard_count(1)).unwrap();
    let mut known = Known::default();
    known.fill(&store, "a");
    assert!(!known.unknown.is_empty(), "the limit is met inside a commit");
    known.read_everything(&store);
    let id = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status();
    assert!(raised.unwrap().success());
    known.settle(&store);
    known.read_everything(&store);
    let sequences: Vec<u64> = store
        .query_events(forgeone_db::EventQuery::default())
        .unwrap()
        .map(|found| found.unwrap().seq)
        .collect();
    let count = known.acknowledged.len() as u64;
    assert!(sequences.iter().copied().eq(1..=count), "dense, and nothing else");
    store.close().unwrap();
    let store = RedbManager::open(options(&path)).unwrap();
    known.read_everything(&store);
    let report = store.verify(forgeone_db::VerifyDepth::Deep, |_| {}).unwrap();
    assert!(report.is_sound(), "{report:?}");
    println!("{count} events, healed");
}
