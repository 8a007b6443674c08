//! A document that says other than the code is worse than none, and bytes that change by accident
//! lose stores. Two stores are made with fixed randomness and a fixed clock, one with a key and
//! one without; what they leave on disk must be what `docs/format.md` shows, and the table of
//! constants there must be the constants of the sources.
//!
//! On a mismatch the blocks to paste are printed. Paste them only if the format was to change.

use crate::environment::{Environment, SystemEnvironment, Task, Timestamp};
use crate::logs::NewLogEntry;
use crate::model::{EventMessage, EventPriority, LineEnd, Severity, TopicPattern};
use crate::options::{OpenMode, StoreOptions};
use crate::redb::{RedbEngine, RedbOptions, StoreDirectory};
use crate::{EventQuery, Key, RedbManager, Result, StartFrom};
use bytes::Bytes;
use chrono::DateTime;
use forgeone_db_engine::{
    DatabaseName, Direction, Engine as _, KeyRange, Projection, Read, TableName,
};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

const DOC: &str = include_str!("../../../docs/format.md");
const HEX_LINE_BYTES: usize = 32;
const TABLES: [&str; 9] = [
    "checkpoints",
    "commits",
    "event_index",
    "events",
    "head",
    "log_index",
    "logs",
    "metadata",
    "state",
];

/// The same randomness and time in every run.
#[derive(Debug)]
struct Fixed {
    calls: AtomicU64,
    threads: SystemEnvironment,
}

impl Environment for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: 1_767_323_045, nanos: 6 }
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    /// BLAKE3 of the number of the call. Calls come one after another: each is waited for.
    fn fill_random(&self, bytes: &mut [u8]) -> Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        blake3::Hasher::new().update(&call.to_be_bytes()).finalize_xof().fill(bytes);
        Ok(())
    }

    fn spawn(&self, name: &str, task: Box<dyn FnOnce() + Send>) -> Result<Task> {
        self.threads.spawn(name, task)
    }
}

fn event(number: u8, seconds: i64, marker: Option<&str>) -> EventMessage {
    EventMessage {
        id: Uuid::from_bytes([0xe0 + number; 16]),
        topic: "t".to_owned(),
        timestamp: DateTime::from_timestamp(seconds, 5).unwrap(),
        priority: EventPriority::High,
        payload: format!("p{number}"),
        metadata: marker.iter().map(|_| ("k".to_owned(), "v".to_owned())).collect(),
        checkpoint_marker: marker.map(str::to_owned),
    }
}

/// What a store has on disk, by `store/moment/place`; tokens as text.
type Found = BTreeMap<String, Vec<u8>>;

/// Makes a store, stores an event and a late one with metadata and a marker, seals, and closes.
fn make(store: &str, key: Option<Key>) -> Found {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let environment = Fixed { calls: AtomicU64::new(0), threads: SystemEnvironment::new() };
    let options = StoreOptions::new(&path)
        .mode(OpenMode::Create)
        .shard_count(1)
        .key(key)
        .environment(Arc::new(environment));
    let opened = RedbManager::open(options).unwrap();
    let mut found = Found::new();
    opened.store_event(&event(1, 1_700_000_001, None)).unwrap();
    opened.store_event(&event(2, 1_700_000_000, Some("m"))).unwrap();
    let line = |seconds, text: &str| {
        let time = DateTime::from_timestamp(seconds, 0).unwrap();
        let mut entry = NewLogEntry::new("l", time, Severity::Warn, text);
        entry.line_end = LineEnd::CrLf;
        entry
    };
    let mut given = line(1_700_000_003, "given");
    given.id = Some(Uuid::from_bytes([0xe3; 16]));
    opened.store_logs(vec![line(1_700_000_002, "derived"), given]).unwrap();
    dump(&format!("{store}/tail"), &path, &mut found);

    let mut results = opened.query_events(EventQuery::new(TopicPattern::all())).unwrap();
    results.next().unwrap().unwrap();
    let cursor = results.cursor().unwrap().unwrap();
    found.insert(format!("{store}/token/query"), cursor.into_bytes());
    let mut replay = opened.replay(&TopicPattern::all(), StartFrom::Oldest).unwrap();
    replay.next().unwrap().unwrap();
    let token = replay.token().unwrap().unwrap();
    found.insert(format!("{store}/token/subscription"), token.into_bytes());

    opened.seal().unwrap();
    opened.close().unwrap();
    dump(&format!("{store}/sealed"), &path, &mut found);
    found
}

fn dump(at: &str, path: &Path, found: &mut Found) {
    for name in ["keyring.0", "keyring.1", "closed"] {
        if let Ok(bytes) = fs::read(path.join(name)) {
            found.insert(format!("{at}/{name}"), bytes);
        }
    }
    let directory = StoreDirectory::open(path).unwrap();
    let databases = directory.databases().unwrap();
    let engine = RedbEngine::open_reader(directory, RedbOptions::default()).unwrap();
    for database in databases {
        for table in TABLES {
            for (key, value) in entries(&engine, &database, table) {
                let key = hex(&key, usize::MAX);
                found.insert(format!("{at}/{database}/{table}/{key}"), value.to_vec());
            }
        }
    }
}

fn entries(engine: &RedbEngine, database: &DatabaseName, table: &str) -> Vec<(Bytes, Bytes)> {
    let scan = Read::Scan {
        table: TableName::new(table).unwrap(),
        range: KeyRange::all(),
        direction: Direction::Forward,
        projection: Projection::Entries,
        entries_max: 1000,
        bytes_max: 1 << 30,
    };
    let page = futures::executor::block_on(engine.read(database, scan)).unwrap();
    let page = page.into_page().unwrap();
    assert!(!page.more, "the tables of these stores are small");
    page.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

fn hex(bytes: &[u8], per_line: usize) -> String {
    let mut out = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % per_line == 0 {
            out.push('\n');
        }
        write!(out, "{byte:02x}").unwrap();
    }
    out
}

/// Whether a value is shown byte by byte, beside standing in the list of hashes.
fn is_shown(name: &str) -> bool {
    let shown = [
        "plain/tail/keyring.0",
        "plain/tail/system/commits/",
        "plain/tail/events_shard_0/",
        "plain/sealed/closed",
        "plain/sealed/events_shard_0/events/",
        "plain/sealed/events_shard_0/event_index/",
        "plain/sealed/events_shard_0/checkpoints/",
        "plain/sealed/logs_shard_0/logs/",
        "sealed/tail/events_shard_0/head/",
        "sealed/tail/events_shard_0/commits/0000000000000001",
    ];
    shown.iter().any(|prefix| name.starts_with(prefix))
}

fn wanted_blocks() -> BTreeMap<String, String> {
    let mut blocks = BTreeMap::new();
    let stores = [make("plain", None), make("sealed", Some(Key::raw([7; 32])))];
    let mut hashes = String::new();
    for (name, bytes) in stores.into_iter().flatten() {
        if name.contains("/token/") {
            blocks.insert(name, String::from_utf8(bytes).unwrap());
            continue;
        }
        let hash = blake3::hash(&bytes);
        writeln!(hashes, "{} {:5} {name}", &hash.to_hex()[..16], bytes.len()).unwrap();
        if is_shown(&name) {
            blocks.insert(name, hex(&bytes, HEX_LINE_BYTES));
        }
    }
    blocks.insert("hashes".to_owned(), hashes.trim_end().to_owned());
    blocks
}

/// The fenced blocks of the document that have a name, by name.
fn blocks_of(doc: &str) -> BTreeMap<String, String> {
    let mut blocks = BTreeMap::new();
    let mut lines = doc.lines();
    while let Some(line) = lines.next() {
        let Some((_, name)) = line.strip_prefix("```").and_then(|line| line.split_once("name="))
        else {
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        let twice = blocks.insert(name.to_owned(), body.join("\n"));
        assert!(twice.is_none(), "docs/format.md has two blocks with the name {name}");
    }
    blocks
}

#[test]
fn the_bytes_in_the_document_are_the_bytes_on_disk() {
    let wanted = wanted_blocks();
    let mut shown = blocks_of(DOC);
    shown.remove("constants");
    let mut wrong = String::new();
    for (name, body) in &wanted {
        if shown.remove(name).as_ref() != Some(body) {
            let kind = if name == "hashes" || name.contains("/token/") { "text" } else { "hex" };
            write!(wrong, "```{kind} name={name}\n{body}\n```\n\n").unwrap();
        }
    }
    let left: Vec<String> = shown.into_keys().collect();
    assert!(wrong.is_empty(), "docs/format.md lacks, or has otherwise:\n\n{wrong}");
    assert!(left.is_empty(), "docs/format.md shows what is not on disk: {left:?}");
}

#[test]
fn the_constants_in_the_document_are_the_constants_in_the_sources() {
    let mut sources = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    let known = HashMap::from([("TAG_BYTES", 16)]);
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            let Some(line) = line.trim_end().strip_suffix("; // on-disk") else { continue };
            let (_, line) = line.split_once("const ").expect("only constants are marked");
            let (name, rest) = line.split_once(": ").unwrap();
            let (_, value) = rest.split_once(" = ").unwrap();
            let twice = wanted.insert(name.to_owned(), shown_value(value, &known));
            assert!(twice.is_none(), "two constants on disk have the name {name}");
        }
    }
    let mut body = String::new();
    for (name, value) in &wanted {
        writeln!(body, "{name} = {value}").unwrap();
    }
    let shown = blocks_of(DOC).remove("constants").unwrap_or_default();
    assert!(
        shown == body.trim_end(),
        "docs/format.md has other constants:\n\n```text name=constants\n{body}```\n"
    );
}

fn collect(directory: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("format_tests.rs")
        {
            out.push(path);
        }
    }
}

/// A constant's value: what is a number is worked out, what is text stays as it is written.
fn shown_value(expression: &str, known: &HashMap<&str, u64>) -> String {
    number(expression, known).map_or_else(
        || expression.trim_start_matches(['*', '&', 'b']).to_owned(),
        |value| value.to_string(),
    )
}

/// Sums, products and shifts of whole numbers, without parentheses.
fn number(expression: &str, known: &HashMap<&str, u64>) -> Option<u64> {
    if let Some((left, right)) = expression.split_once(" << ") {
        return Some(number(left, known)? << number(right, known)?);
    }
    if let Some((left, right)) = expression.split_once(" + ") {
        return Some(number(left, known)? + number(right, known)?);
    }
    if let Some((left, right)) = expression.split_once(" * ") {
        return Some(number(left, known)? * number(right, known)?);
    }
    let word = expression.trim().replace('_', "");
    match (expression.trim(), word.strip_prefix("0b")) {
        ("u32::MAX", _) => Some(u32::MAX.into()),
        (_, Some(bits)) => u64::from_str_radix(bits, 2).ok(),
        (name, None) => known.get(name).copied().or_else(|| word.parse().ok()),
    }
}
