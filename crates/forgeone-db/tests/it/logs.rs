//! Logs: what comes back, under which id, and what a search finds.
//!
//! Without these a line could come back bent, an id could lead elsewhere after sealing, and a
//! search that passes over units without decoding them could pass over what it should find. The
//! searches are compared with a model that looks at every line, while the sealer runs beside them
//! with limits so small that tail and segments both hold something.

use crate::support::{event, key, open, options, time};
use chrono::{DateTime, Utc};
use forgeone_db::{
    Durability, ErrorKind, LineEnd, LogQuery, MemoryEngine, NewLogEntry, OpenMode, QueryOrder,
    RedbManager, Severity, StartFrom, StoreOptions, StoredLogEntry, TopicPattern, VerifyDepth,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

fn line(topic: &str, seconds: i64, text: &[u8]) -> NewLogEntry {
    NewLogEntry::new(topic, time(1_700_000_000 + seconds), Severity::Info, text)
}

fn clean(store: &RedbManager) {
    let report = store.verify(VerifyDepth::Deep, |_| {}).unwrap();
    // A piece that the sealer is about to name, or has just replaced, is no error.
    assert_eq!(report.errors().count(), 0, "{:?}", report.findings);
}

fn all(store: &RedbManager, query: LogQuery) -> Vec<StoredLogEntry> {
    store.query_logs(query).unwrap().map(Result::unwrap).collect()
}

/// Lines that are hard to keep, with every kind of end.
fn hard_lines() -> Vec<NewLogEntry> {
    let texts: [Vec<u8>; 8] = [
        Vec::new(),
        b"plain".to_vec(),
        b"nul \0 and \x01".to_vec(),
        b"not \xff\xfe text".to_vec(),
        b"carriage \r inside".to_vec(),
        b"ends in cr\r".to_vec(),
        "caf\u{e9} \u{1f980}".as_bytes().to_vec(),
        vec![b'x'; 10 << 20],
    ];
    let ends = [LineEnd::Lf, LineEnd::CrLf, LineEnd::None];
    let with_end = |(index, text): (usize, Vec<u8>)| NewLogEntry {
        line_end: ends[index % 3],
        ..line("hard", i64::try_from(index).unwrap(), &text)
    };
    texts.into_iter().enumerate().map(with_end).collect()
}

#[test]
fn every_line_comes_back_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut store = open(&path);
    let lines = hard_lines();
    let positions = store.store_logs(lines.clone()).unwrap();
    for round in 0..3 {
        let found = all(&store, LogQuery::default());
        assert_eq!(found.len(), lines.len());
        for ((sent, found), position) in lines.iter().zip(&found).zip(&positions) {
            assert_eq!(found.entry.line(), sent.line, "round {round}");
            assert_eq!(found.entry.line_end, sent.line_end);
            assert_eq!((found.seq, found.entry.id), (position.seq, position.id));
            found.entry.check().unwrap();
            assert_eq!(store.get_log(position.id).unwrap(), std::slice::from_ref(found));
            assert_eq!(&store.get_log_at("hard", found.seq).unwrap(), found);
        }
        if round == 0 {
            store.seal().unwrap();
        } else {
            clean(&store);
            store.close().unwrap();
            store = open(&path);
        }
    }
    let ids: HashSet<Uuid> = positions.iter().map(|position| position.id).collect();
    assert_eq!(ids.len(), lines.len());
    assert!(ids.iter().all(|id| id.get_version_num() == 8));
}

#[test]
fn a_line_too_long_is_refused_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"));
    let batch = vec![line("a", 0, b"fits"), line("a", 1, &vec![b'x'; (16 << 20) + 1])];
    assert_eq!(store.store_logs(batch).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(all(&store, LogQuery::default()).len(), 0);
    assert_eq!(store.log_topics(&TopicPattern::all()).unwrap().len(), 0, "nor is there a topic");
}

#[test]
fn what_was_read_can_be_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let mut lines: Vec<_> = (0..50).map(|n| line("a", n, b"text")).collect();
    lines[7].id = Some(Uuid::from_u128(7));
    store.store_logs(lines).unwrap();
    for round in 0..2 {
        for found in all(&store, LogQuery::default()) {
            let again = store.store_log(found.entry.clone()).unwrap();
            assert_eq!((again.seq, again.duplicate), (found.seq, true), "round {round}");
            assert_eq!(again.id, found.entry.id);
            let mut bent = NewLogEntry::from(found.entry.clone());
            bent.line.push(b'!');
            assert_eq!(store.store_log(bent).unwrap_err().kind(), ErrorKind::Conflict);
            let mut end = NewLogEntry::from(found.entry);
            end.line_end = LineEnd::None;
            assert_eq!(store.store_log(end).unwrap_err().kind(), ErrorKind::Conflict);
        }
        store.seal().unwrap();
    }
    // In another topic the id is just an id.
    let mut moved = all(&store, LogQuery::default().limit(1)).remove(0).entry;
    moved.topic = "b".to_owned();
    let position = store.store_log(moved.clone()).unwrap();
    assert_eq!((position.seq, position.duplicate, position.id), (1, false, moved.id));
    assert_eq!(store.get_log(moved.id).unwrap().len(), 2);
    assert_eq!(all(&store, LogQuery::default()).len(), 51);
    // And so it is in another store.
    let other = open(&directory.path().join("other"));
    for _ in 0..2 {
        for found in all(&store, LogQuery::default()) {
            other.store_log(found.entry).unwrap();
        }
    }
    let texts = |store: &RedbManager| -> Vec<_> {
        all(store, LogQuery::default()).into_iter().map(|found| (found.entry, found.seq)).collect()
    };
    assert_eq!(texts(&other), texts(&store), "importing twice is importing once");
    clean(&store);
    clean(&other);
}

#[test]
fn logs_and_events_of_one_name_are_apart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"));
    let stored = event("same", 1);
    store.store_event(&stored).unwrap();
    let mut log = line("same", 1, b"line");
    log.id = Some(stored.id);
    store.store_log(log).unwrap();
    assert_eq!(store.get_event(stored.id).unwrap().len(), 1);
    assert_eq!(store.get_log(stored.id).unwrap().len(), 1);
    assert_eq!(store.topics(&TopicPattern::all()).unwrap()[0].last_seq, 1);
    assert_eq!(store.log_topics(&TopicPattern::all()).unwrap()[0].last_seq, 1);
    let mut events = store.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    events.next().unwrap().unwrap();
    let token = events.token().unwrap().unwrap();
    let other = store.replay_logs(&TopicPattern::all(), StartFrom::Token(token));
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Invalid, "a token of events is not for logs");
    store.seal().unwrap();
    clean(&store);
}

#[test]
fn replay_starts_at_a_marker() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"));
    for n in 0..20 {
        let mut entry = line("a", n, b"text");
        entry.checkpoint_marker = (n % 5 == 3).then(|| format!("deploy-{}", n / 10));
        store.store_log(entry).unwrap();
    }
    for _ in 0..2 {
        for (marker, seqs) in [("deploy-0", 9..=20), ("deploy-1", 19..=20)] {
            let start = StartFrom::Marker(marker.to_owned());
            let replay = store.replay_logs(&TopicPattern::all(), start).unwrap();
            assert!(replay.map(|found| found.unwrap().seq).eq(seqs), "{marker}");
        }
        let none = StartFrom::Marker("none".to_owned());
        let error = store.replay_logs(&TopicPattern::all(), none).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        store.seal().unwrap();
    }
}

#[test]
fn a_reader_sees_what_a_writer_logs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let reader = RedbManager::open(options(&path).mode(OpenMode::Read)).unwrap();
    for n in 0..30 {
        let position = store.store_log(line("a", n, format!("line {n}").as_bytes())).unwrap();
        let found = all(&reader, LogQuery::default().contains(&format!("line {n}")));
        assert_eq!(found.last().unwrap().entry.id, position.id, "the reader derives the same id");
        assert_eq!(reader.get_log(position.id).unwrap().len(), 1);
        if n % 10 == 9 {
            store.seal().unwrap();
        }
    }
    let refused = reader.store_log(line("a", 0, b"x")).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64, Steele, Lea and Flood 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let index = self.below(of.len().try_into().unwrap());
        of[usize::try_from(index).unwrap()].clone()
    }
}

const TOPICS: [&str; 4] = ["web.a", "web.b", "db", "web.a.slow"];
const WORDS: [&str; 6] = ["alpha", "beta", "GET /x", "timeout", "took 17 ms", "\u{e9}t\u{e9}"];

fn random_entry(random: &mut Random, clock: &mut i64) -> NewLogEntry {
    *clock += i64::try_from(random.below(3)).unwrap();
    let late = if random.below(6) == 0 { i64::try_from(random.below(40)).unwrap() } else { 0 };
    let words: Vec<&str> = (0..random.below(4)).map(|_| random.pick(&WORDS)).collect();
    let mut entry = line(random.pick(&TOPICS), *clock - late, &[]);
    entry.line = words.join(" ").into_bytes();
    if random.below(9) == 0 {
        entry.line.insert(0, 0xff);
    }
    entry.severity = Severity::from_number(u8::try_from(random.below(24)).unwrap() + 1).unwrap();
    entry.line_end = LineEnd::from_code(u8::try_from(random.below(3)).unwrap()).unwrap();
    entry.id = (random.below(5) == 0).then(|| Uuid::from_u128(u128::from(random.below(1 << 60))));
    if random.below(3) == 0 {
        let host = random.pick(&WORDS).to_owned();
        entry.metadata = HashMap::from([("host".to_owned(), host)]);
    }
    entry
}

/// A question, and the same asked of one line.
struct Question {
    query: LogQuery,
    topics: TopicPattern,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    severity: Severity,
    text: Option<&'static str>,
    regex: Option<Expression>,
    host: Option<&'static str>,
    order: QueryOrder,
}

fn has(line: &[u8], text: &str) -> bool {
    text.is_empty() || line.windows(text.len()).any(|window| window == text.as_bytes())
}

/// An expression, and the same in plain code.
type Expression = (&'static str, fn(&[u8]) -> bool);

const REGEXES: [Expression; 4] = [
    ("time(out|r)", |line| has(line, "timeout")),
    (r"took \d+ ms$", |line| line.ends_with(b"took 17 ms")),
    ("(?i)ALPHA|get", |line| has(line, "alpha") || has(line, "GET")),
    (r"^beta", |line| line.starts_with(b"beta")),
];

fn question(random: &mut Random, clock: i64) -> Question {
    let topics = random.pick(&["web.*", ">", "db", "web.>"]);
    let topics = TopicPattern::new(topics).unwrap();
    let mut query = LogQuery::new(topics.clone());
    let mut moment = || {
        let span = u64::try_from(clock).unwrap() + 1;
        let at = time(1_700_000_000 + i64::try_from(random.below(span)).unwrap());
        (random.below(3) == 0).then_some(at)
    };
    let (from, to) = (moment(), moment());
    if let Some(from) = from {
        query = query.from(from);
    }
    if let Some(to) = to {
        query = query.to(to);
    }
    let mut severity = Severity::Trace;
    if random.below(2) == 0 {
        severity = Severity::from_number(u8::try_from(random.below(24)).unwrap() + 1).unwrap();
        query = query.severity_min(severity);
    }
    let text = (random.below(2) == 0).then(|| random.pick(&WORDS));
    if let Some(text) = text {
        query = query.contains(text);
    }
    let regex = (random.below(3) == 0).then(|| random.pick(&REGEXES));
    if let Some((regex, _)) = regex {
        query = query.regex(regex).unwrap();
    }
    let host = (random.below(4) == 0).then(|| random.pick(&WORDS));
    if let Some(host) = host {
        query = query.metadata("host", host);
    }
    let order = random.pick(&[QueryOrder::OldestFirst, QueryOrder::NewestFirst]);
    Question { query: query.order(order), topics, from, to, severity, text, regex, host, order }
}

impl Question {
    fn answer(&self, model: &[(NewLogEntry, u64)]) -> Vec<(String, u64)> {
        let wanted = |(entry, _): &&(NewLogEntry, u64)| {
            self.topics.matches(&entry.topic)
                && self.from.is_none_or(|from| entry.timestamp >= from)
                && self.to.is_none_or(|to| entry.timestamp < to)
                && entry.severity >= self.severity
                && self.text.is_none_or(|text| has(&entry.line, text))
                && self.regex.is_none_or(|(_, matches)| matches(&entry.line))
                && self
                    .host
                    .is_none_or(|host| entry.metadata.get("host").is_some_and(|h| h == host))
        };
        let mut found: Vec<_> = model.iter().filter(wanted).collect();
        found.sort_by_key(|(entry, seq)| (entry.timestamp, entry.topic.clone(), *seq));
        if self.order == QueryOrder::NewestFirst {
            found.reverse();
        }
        found.into_iter().map(|(entry, seq)| (entry.topic.clone(), *seq)).collect()
    }
}

fn places(found: &[StoredLogEntry]) -> Vec<(String, u64)> {
    found.iter().map(|found| (found.entry.topic.clone(), found.seq)).collect()
}

fn live(seed: u64) {
    let mut random = Random(seed);
    let engine = MemoryEngine::new();
    let options = StoreOptions::with_engine(Arc::new(engine))
        .durability(Durability::None)
        .mode(OpenMode::Create)
        .key(key())
        .shard_count(2)
        .seal_at(4 << 10, 64);
    let store = RedbManager::open(options).unwrap();
    let mut model: Vec<(NewLogEntry, u64)> = Vec::new();
    let mut clock = 0;
    for _ in 0..40 {
        let entries: Vec<_> =
            (0..random.below(30)).map(|_| random_entry(&mut random, &mut clock)).collect();
        for entry in entries {
            let position = store.store_log(entry.clone()).unwrap();
            if !position.duplicate {
                model.push((entry, position.seq));
            }
        }
        if random.below(10) == 0 {
            store.seal().unwrap();
        }
        let question = question(&mut random, clock);
        let wanted = question.answer(&model);
        let found = all(&store, question.query.clone());
        assert_eq!(places(&found), wanted, "seed {seed}: {:?}", question.query);
        for found in &found {
            let sent = model
                .iter()
                .find(|(entry, seq)| entry.topic == found.entry.topic && *seq == found.seq);
            assert_eq!(found.entry.line(), sent.unwrap().0.line, "seed {seed}");
        }
        // The same in pages, each from the cursor of the one before.
        let page = random.below(7) + 1;
        let (mut paged, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut query = question.query.clone().limit(page);
            if let Some(cursor) = cursor.take() {
                query = query.cursor(cursor);
            }
            let mut results = store.query_logs(query).unwrap();
            let found: Vec<_> = results.by_ref().map(Result::unwrap).collect();
            if found.is_empty() {
                break;
            }
            cursor = results.cursor().unwrap();
            paged.extend(places(&found));
        }
        assert_eq!(paged, wanted, "seed {seed}: pages of {page}");
    }
    clean(&store);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the number of runs is a test's own setting")]
fn a_search_finds_what_looking_at_every_line_finds() {
    let runs = std::env::var("FORGEONE_MODEL_RUNS").map_or(8, |runs| runs.parse().unwrap());
    for seed in 0..runs {
        live(seed);
    }
}
