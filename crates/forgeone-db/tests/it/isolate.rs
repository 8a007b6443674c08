//! A database that cannot be trusted at opening is taken out of use; all others go on, and nothing
//! of it is changed or removed. Provoked by removing, bending or setting back one value that says
//! which records of a shard count.

use crate::stock::{Image, SHARDS, engine, image, options};
use crate::support::event;
use forgeone_db::{
    ErrorKind, EventQuery, KeyRotation, MemoryEngine, OpenMode, Outcome, RedbManager, StartFrom,
    TopicKind, TopicPattern, VerifyDepth,
};

const DAMAGED: &str = "events_shard_0";

/// A store of two shards with a topic in each, and the topics.
fn store() -> (Image, [String; 2]) {
    let engine = MemoryEngine::new();
    let create = options(engine.clone(), true).mode(OpenMode::Create).shard_count(SHARDS);
    let store = RedbManager::open(create).unwrap();
    for number in 0..8 {
        futures::executor::block_on(store.events().create_topic(&format!("t{number}"))).unwrap();
    }
    let all = store.topics(&TopicPattern::all()).unwrap();
    let topic = |shard| all.iter().find(|topic| topic.shard == shard).unwrap().topic.clone();
    let topics = [topic(0), topic(1)];
    for number in 1..=4 {
        store.store_event(&event(&topics[0], number)).unwrap();
        store.store_event(&event(&topics[1], 100 + number)).unwrap();
        if number == 2 {
            store.seal().unwrap();
        }
    }
    store.close().unwrap();
    (image(&engine, SHARDS), topics)
}

fn of(image: &Image, database: &str) -> Image {
    let own = image.iter().filter(|(place, _)| place.0 == database);
    own.map(|(place, value)| (place.clone(), value.clone())).collect()
}

/// The store with a value of the damaged shard bent, for each kind of value that opening reads, and
/// without any of them.
fn damages(sound: &Image) -> Vec<(String, Image)> {
    let mut damages = Vec::new();
    for table in ["head", "checkpoints", "commits"] {
        let mut image = sound.clone();
        let values = image.iter_mut().filter(|(place, _)| place.0 == DAMAGED && place.1 == table);
        let (_, value) = values.last().unwrap();
        let middle = value.len() / 2;
        value[middle] ^= 4;
        damages.push((format!("bent {table}"), image));
    }
    // What a head says of its format and its key is clear, and bent it looks like a later one's.
    for (what, byte) in [("bent version", 0), ("bent key number", 14)] {
        let mut image = sound.clone();
        let mut values = image.iter_mut().filter(|(place, _)| place.0 == DAMAGED);
        let (_, value) = values.find(|(place, _)| place.1 == "head").unwrap();
        value[byte] ^= 32;
        damages.push((what.to_owned(), image));
    }
    let gone = sound.iter().filter(|(place, _)| place.0 != DAMAGED);
    let gone = gone.map(|(place, value)| (place.clone(), value.clone())).collect();
    damages.push(("removed".to_owned(), gone));
    damages
}

#[test]
fn a_damaged_shard_costs_its_own_topics_and_nothing_else() {
    let (sound, [lost, other]) = store();
    for (what, bent) in damages(&sound) {
        for mode in [OpenMode::Read, OpenMode::Open] {
            let engine = engine(&bent);
            let store = RedbManager::open(options(engine.clone(), true).mode(mode)).unwrap();
            // What was asked of the damaged shard is told, once, and what else there is comes.
            let results: Vec<_> = store.query_events(EventQuery::default()).unwrap().collect();
            let (found, errors): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
            let found: Vec<_> = found.into_iter().map(Result::unwrap).collect();
            assert_eq!(found.len(), 4, "{what}");
            assert!(found.iter().all(|found| found.event.topic == other));
            for error in errors.into_iter().map(Result::unwrap_err) {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
                assert_eq!(error.get("database"), Some(DAMAGED), "{what}: {error}");
            }
            let replayed = store.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
            assert_eq!(replayed.flatten().count(), 4, "{what}");
            let corrupt = |kind| assert_eq!(kind, ErrorKind::Corrupt, "{what}");
            corrupt(store.get_event_at(&lost, 1).unwrap_err().kind());
            corrupt(store.get_event(event("", 1).id).unwrap_err().kind());
            corrupt(store.topics(&TopicPattern::all()).unwrap_err().kind());
            assert_eq!(store.get_event_at(&other, 1).unwrap().seq, 1);
            let stats = store.stats().unwrap();
            let damaged: Vec<_> =
                stats.databases.iter().filter(|one| one.damage.is_some()).collect();
            assert!(damaged.len() == 1 && damaged[0].database == DAMAGED, "{what}");
            assert_eq!((stats.quarantined_databases, stats.quarantined_topics > 0), (1, true));
            let report = store.verify(VerifyDepth::Standard, |_| {}).unwrap();
            let named = report.errors().any(|one| one.database.as_deref() == Some(DAMAGED));
            assert!(named, "{what}: {report:#?}");
            if mode == OpenMode::Open {
                write_beside(&store, (&lost, &other), &what);
            }
            store.close().unwrap();
            let after = image(&engine, SHARDS);
            assert!(of(&after, DAMAGED) == of(&bent, DAMAGED), "{what}: it was written to");
        }
    }
}

/// Appends, seals and compacts what is sound, and is refused what is not.
fn write_beside(store: &RedbManager, (lost, other): (&str, &str), what: &str) {
    let error = store.store_event(&event(lost, 50)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Corrupt, Outcome::Rejected), "{what}");
    for number in 200..210 {
        store.store_event(&event(other, number)).unwrap();
    }
    store.seal().unwrap();
    let stored = EventQuery::new(TopicPattern::exact(other).unwrap());
    assert_eq!(store.query_events(stored).unwrap().map(Result::unwrap).count(), 14, "{what}");
    // Keys are changed everywhere or nowhere.
    let rotated = store.rotate_keys(KeyRotation::Data, |_| {}).unwrap_err();
    assert_eq!(rotated.kind(), ErrorKind::Corrupt, "{what}");
    let shredded = store.shred_topic(TopicKind::Events, other).unwrap_err();
    assert_eq!(shredded.kind(), ErrorKind::Corrupt, "{what}");
    assert_eq!(store.compact(|_| {}).unwrap_err().kind(), ErrorKind::Corrupt, "{what}");
    store.set_settings(&[forgeone_db::NewSetting::new("a", 1_u64)]).unwrap();
}

/// What others have seen of it is not forgotten while it is out of use: put back older than that, it
/// is noticed still.
#[test]
fn a_shard_that_was_out_of_use_cannot_come_back_older() {
    let (sound, [lost, _]) = store();
    let older = {
        let engine = engine(&sound);
        let store = RedbManager::open(options(engine.clone(), true)).unwrap();
        let older = of(&image(&engine, SHARDS), DAMAGED);
        store.store_event(&event(&lost, 60)).unwrap();
        store.close().unwrap();
        (older, image(&engine, SHARDS))
    };
    let (older, newest) = older;
    let (_, bent) = damages(&newest).remove(0);
    let engine_now = engine(&bent);
    let store = RedbManager::open(options(engine_now.clone(), true)).unwrap();
    store.close().unwrap();
    let mut back: Image = image(&engine_now, SHARDS);
    back.retain(|place, _| place.0 != DAMAGED);
    back.extend(older);
    let store = RedbManager::open(options(engine(&back), true)).unwrap();
    let error = store.get_event_at(&lost, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_damaged_note_of_the_last_close_keeps_no_store_shut() {
    let (mut bent, _) = store();
    let note = bent.iter_mut().find(|(place, _)| place.2 == b"closed").unwrap();
    note.1[40] ^= 1;
    for mode in [OpenMode::Read, OpenMode::Open] {
        let store = RedbManager::open(options(engine(&bent), true).mode(mode)).unwrap();
        assert_eq!(store.query_events(EventQuery::default()).unwrap().count(), 8);
        let report = store.verify(VerifyDepth::Quick, |_| {}).unwrap();
        assert!(!report.is_sound(), "{mode:?}");
    }
}
