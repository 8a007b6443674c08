//! After a kill one flipped bit can make an engine open cleanly on the commit before the newest.
//! Provoked by copying a store's directory while it is open, and flipping the bits of the first
//! page of one database's file, one at a time: the answer must be right, or a typed error, and
//! never a shorter log.

use crate::support::{event, options};
use forgeone_db::{Error, ErrorKind, EventQuery, OpenMode, RedbManager, TopicPattern};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Bytes of the file's header: what it keeps of the file, and two commit slots.
const HEADER_BYTES: usize = 320;
const PAGE_BYTES: usize = 4096;
/// The byte that says which of the two slots counts, and whether the file was closed.
const FLAGS: Range<usize> = 9..10;

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn ask(path: &Path) -> Result<usize, Error> {
    let store = RedbManager::open(options(path).mode(OpenMode::Open).memory_max(64 << 20))?;
    let found = store.query_events(EventQuery::default())?.collect::<Result<Vec<_>, _>>();
    drop(store);
    Ok(found?.len())
}

fn is_typed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Corrupt
            | ErrorKind::UpgradeRequired
            | ErrorKind::Unavailable
            | ErrorKind::Internal
            | ErrorKind::Closed(_)
    )
}

#[test]
fn no_bit_of_a_kill_images_first_page_makes_the_log_shorter() {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live");
    let store = RedbManager::open(options(&live).shard_count(2)).unwrap();
    for number in 0..8 {
        futures::executor::block_on(store.events().create_topic(&format!("t{number}"))).unwrap();
    }
    let all = store.topics(&TopicPattern::all()).unwrap();
    let topic = |shard| all.iter().find(|topic| topic.shard == shard).unwrap().topic.clone();
    for number in 1..4 {
        store.store_event(&event(&topic(0), number)).unwrap();
    }
    // The other shard's block says how far the first one had come.
    store.store_event(&event(&topic(1), 4)).unwrap();
    let killed = directory.path().join("killed");
    copy(&live, &killed);
    assert_eq!(ask_copy(&killed, directory.path(), None).unwrap(), 4);

    let bits = |bytes: Range<usize>| bytes.flat_map(|byte| (0..8).map(move |bit| (byte, bit)));
    let header = bits(0..HEADER_BYTES).step_by(STEP).chain(bits(FLAGS));
    let rest = (HEADER_BYTES..PAGE_BYTES).step_by(997).map(|byte| (byte, byte % 8));
    let (mut right, mut errors) = (0, BTreeMap::<String, u64>::new());
    for (byte, bit) in header.chain(rest) {
        let asked = catch_unwind(AssertUnwindSafe(|| {
            ask_copy(&killed, directory.path(), Some((byte, bit)))
        }));
        match asked.unwrap_or_else(|_| panic!("byte {byte} bit {bit}: a panic")) {
            Ok(count) => {
                assert_eq!(count, 4, "byte {byte} bit {bit}: a shorter log");
                right += 1;
            }
            Err(error) => {
                assert!(is_typed(error.kind()), "byte {byte} bit {bit}: {error:?}");
                // What a shard was taken out of use for says more than that it was.
                let what = error.get("damage").unwrap_or(error.message());
                let what = format!("{:?}: {what}", error.kind());
                *errors.entry(what).or_default() += 1;
            }
        }
    }
    println!("right: {right}, {errors:#?}");
    let rolled_back = errors.keys().any(|what| what.contains("older than another has seen it"));
    assert!(right > 0 && rolled_back, "{errors:?}");
}

/// Every how manieth bit of the header is tried, besides those of its flags. Of all 2,560 (and 39
/// of the rest of the page) 1,398 gave the right answer, 4 another version, 1,197 `Corrupt`; one of
/// these opened cleanly on the commit before the newest, which the other shard had witnessed.
const STEP: usize = 67;

fn ask_copy(killed: &Path, within: &Path, bit: Option<(usize, usize)>) -> Result<usize, Error> {
    let bent = within.join("bent");
    copy(killed, &bent);
    if let Some((byte, bit)) = bit {
        let file = bent.join("events_shard_0.redb");
        let mut bytes = fs::read(&file).unwrap();
        bytes[byte] ^= 1 << bit;
        fs::write(&file, bytes).unwrap();
    }
    let asked = ask(&bent);
    fs::remove_dir_all(&bent).unwrap();
    asked
}
