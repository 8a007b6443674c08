//! Real log lines as events: how many bytes they take on disk.

use super::scratch;
use crate::Result;
use crate::args::Args;
use crate::data::{Random, Sum, start};
use crate::machine::allocated;
use crate::measure::{rate, timed};
use crate::report::{Report, Row, SYNC, grouped};
use crate::stores::{ForgeOne, KEY, Store as _};
use chrono::TimeDelta;
use forgeone_db::{EventMessage, EventPriority, TopicPattern};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Lines of a commit.
const COMMIT: usize = 8000;

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(&args.loghub) else {
        let path = args.loghub.display();
        report.note(format!("`loghub` was skipped: there is no folder {path} (`--loghub DIR`)."));
        return Ok(());
    };
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort_unstable();
    let text = Text::read(&files, args.seed)?;
    for shards in [1, args.shards] {
        measure(args, report, shards, &text)?;
    }
    Ok(())
}

/// The lines of all files as events, by topic.
struct Text {
    topics: BTreeMap<String, Vec<EventMessage>>,
    /// Bytes of all files, line ends included.
    bytes: u64,
    sum: Sum,
}

impl Text {
    fn read(files: &[PathBuf], seed: u64) -> Result<Self> {
        let mut random = Random::new(seed);
        let mut text = Self { topics: BTreeMap::new(), bytes: 0, sum: Sum::default() };
        for path in files {
            let content = std::fs::read(path)?;
            text.bytes += content.len() as u64;
            let lines = String::from_utf8_lossy(&content);
            let topic = topic_of(path);
            for (index, line) in (0..).zip(lines.lines()) {
                let event = EventMessage {
                    id: random.uuid(),
                    topic: topic.clone(),
                    timestamp: start() + TimeDelta::milliseconds(index * 17),
                    priority: EventPriority::Normal,
                    payload: line.to_owned(),
                    metadata: HashMap::new(),
                    checkpoint_marker: None,
                };
                text.sum.add(&event);
                text.topics.entry(topic.clone()).or_default().push(event);
            }
        }
        Ok(text)
    }
}

fn topic_of(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    format!("logs.{}", stem.trim_end_matches("_2k").to_lowercase())
}

fn measure(args: &Args, report: &mut Report, shards: u32, text: &Text) -> Result<()> {
    let (mut sizes, mut rates) = (Vec::new(), Vec::new());
    let mut name = String::new();
    for _ in 0..args.rounds {
        let dir = scratch(args)?;
        let path = dir.path().join("store");
        // Empty, but with a file for each shard: each has had a topic and a clean close.
        let store = ForgeOne::open(&path, shards, Some(KEY))?;
        store.close()?;
        drop(store);
        let empty = allocated(&path)?;
        let store = ForgeOne::open(&path, shards, Some(KEY))?;
        name = store.name();
        let batches = batches(&store, text)?;
        let ((), time) = timed(|| {
            batches.iter().try_for_each(|batch| store.put_batch(batch))?;
            Ok(store.manager().seal()?)
        })?;
        let mut found = Sum::default();
        store.scan(&mut |event| found.add(event))?;
        text.sum.expect(found, &name)?;
        store.close()?;
        drop(store);
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        sizes.push((allocated(&path)? - empty) as f64);
        rates.push(rate(text.sum.count, time));
    }
    let row = |what: &str, unit, values: Vec<f64>| Row {
        workload: "loghub",
        engine: name.clone(),
        what: what.into(),
        n: text.sum.count,
        durability: SYNC,
        unit,
        values,
        median: 0.0,
    };
    let smallest = sizes.iter().copied().fold(f64::INFINITY, f64::min);
    let what = "log lines as events, 8,000 a commit: growth on disk after seal and close";
    report.row(row(what, "bytes", sizes));
    report.row(row("the same, with sealing everything", "lines/s", rates));
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let share = text.bytes as f64 / smallest;
    report.note(format!(
        "loghub: {} bytes of text with line ends, {share:.2} times what {name} grew by; each line \
         also carries a random id of 16 bytes.",
        grouped(text.bytes)
    ));
    Ok(())
}

/// The lines in commits of 8,000; a commit has topics of one shard only.
fn batches(store: &ForgeOne, text: &Text) -> Result<Vec<Vec<EventMessage>>> {
    let mut by_shard: BTreeMap<u32, Vec<EventMessage>> = BTreeMap::new();
    for (topic, events) in &text.topics {
        let manager = store.manager();
        let pattern = TopicPattern::new(topic)?;
        // The first line makes the topic, and shows where it lives.
        manager.store_events(events.get(..1).unwrap_or_default())?;
        let shard = manager.topics(&pattern)?.first().map_or(0, |topic| topic.shard);
        let rest = events.iter().skip(1).cloned();
        by_shard.entry(shard).or_default().extend(rest);
    }
    Ok(by_shard
        .into_values()
        .flat_map(|events| events.chunks(COMMIT).map(<[EventMessage]>::to_vec).collect::<Vec<_>>())
        .collect())
}
