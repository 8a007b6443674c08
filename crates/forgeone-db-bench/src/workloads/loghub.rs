//! Real log lines: how many bytes they take on disk, everything counted.

use super::scratch;
use crate::Result;
use crate::args::Args;
use crate::lines::{Lines, LogSum, Times};
use crate::machine::Size;
use crate::measure::{rate, timed};
use crate::report::{Report, Requirement, Row, SYNC, grouped};
use crate::stores::{ForgeOne, KEY, Store as _};
use forgeone_db::{NewLogEntry, RedbManager, StartFrom, TopicPattern};
use futures::executor::block_on;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Lines of a commit.
const COMMIT: usize = 8000;
/// The text may be so many times what the store grows by, at least.
const SHARE_MIN: f64 = 4.0;

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let Some(lines) = Lines::read(&args.loghub)? else {
        let path = args.loghub.display();
        report.note(format!("`loghub` was skipped: there are no log files in {path}."));
        return Ok(());
    };
    let shard_counts = BTreeSet::from([1, args.shards]);
    for shards in shard_counts {
        for times in [Times::Arrival, Times::Found] {
            measure(args, report, shards, (&lines, times))?;
        }
    }
    Ok(())
}

/// What a store takes: empty, with the lines sealed, and after a compaction.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    empty: Size,
    sealed: Size,
    compacted: Size,
}

fn measure(
    args: &Args,
    report: &mut Report,
    shards: u32,
    (lines, times): (&Lines, Times),
) -> Result<()> {
    let entries = lines.entries(times);
    let expected = LogSum::of(&entries);
    let (mut sizes, mut rates) = (Vec::new(), Vec::new());
    let mut name = String::new();
    for _ in 0..args.rounds {
        let dir = scratch(args)?;
        let path = dir.path().join("store");
        let empty = make_empty(&path, shards)?;
        let store = ForgeOne::open(&path, shards, Some(KEY))?;
        name = store.name();
        let batches = batches(store.manager(), &entries)?;
        let ((), time) = timed(|| {
            batches
                .into_iter()
                .try_for_each(|batch| store.manager().store_logs(batch).map(drop))?;
            Ok(store.manager().seal()?)
        })?;
        rates.push(rate(expected.count, time));
        store.close()?;
        drop(store);
        let sealed = Size::of(&path)?;
        let store = ForgeOne::open(&path, shards, Some(KEY))?;
        store.manager().compact(|_| {})?;
        compare(&store, expected)?;
        store.close()?;
        drop(store);
        sizes.push(Sizes { empty, sealed, compacted: Size::of(&path)? });
    }
    let what = match times {
        Times::Arrival => "arrival times",
        Times::Found => "their own times",
    };
    tell(report, (&name, what), (lines.bytes, expected.count), &sizes);
    report.row(Row {
        workload: "loghub",
        engine: name,
        what: format!("the same, {what}, with sealing everything"),
        n: expected.count,
        durability: SYNC,
        unit: "lines/s",
        values: rates,
        median: 0.0,
    });
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn tell(
    report: &mut Report,
    (engine, times): (&str, &str),
    (bytes, count): (u64, u64),
    sizes: &[Sizes],
) {
    let grown = |at: fn(&Sizes) -> Size, part: fn(Size) -> u64| -> Vec<f64> {
        sizes.iter().map(|sizes| part(at(sizes)) as f64 - part(sizes.empty) as f64).collect()
    };
    let sealed = grown(|sizes| sizes.sealed, |size| size.allocated);
    let compacted = grown(|sizes| sizes.compacted, |size| size.allocated);
    for (state, values) in [("sealed", sealed), ("sealed and compacted", compacted.clone())] {
        report.row(Row {
            workload: "loghub",
            engine: engine.into(),
            what: format!("log lines with {times}, {COMMIT} a commit: growth on disk, {state}"),
            n: count,
            durability: SYNC,
            unit: "bytes",
            values,
            median: 0.0,
        });
    }
    let length = grown(|sizes| sizes.compacted, |size| size.length);
    let most = compacted.iter().chain(&length).copied().fold(0.0, f64::max);
    let share = bytes as f64 / most;
    report.require(Requirement {
        what: format!(
            "{} bytes of log lines with {times}, in 16 topics: growth over an empty {engine}",
            grouped(bytes)
        ),
        required: "at most a quarter, by allocation and by length".into(),
        measured: format!("{} bytes, 1/{share:.2}", crate::report::number(most)),
        holds: share >= SHARE_MIN,
    });
}

/// A store with a topic of one line in every shard, and what it takes closed.
fn make_empty(path: &Path, shards: u32) -> Result<Size> {
    let store = ForgeOne::open(path, shards, Some(KEY))?;
    let manager = store.manager();
    let mut seen = BTreeSet::new();
    for number in 0_u32.. {
        if seen.len() == shards as usize {
            break;
        }
        let topic = format!("tiny-{number}");
        if !seen.contains(&shard_of(manager, &topic)?) {
            let severity = forgeone_db::Severity::Info;
            manager.store_log(NewLogEntry::new(&topic, crate::data::start(), severity, "-"))?;
            seen.insert(shard_of(manager, &topic)?);
        }
    }
    manager.compact(|_| {})?;
    store.close()?;
    drop(store);
    Size::of(path)
}

/// The shard of a topic, which is made if there is none.
fn shard_of(manager: &RedbManager, topic: &str) -> Result<Option<u32>> {
    let pattern = TopicPattern::new(topic)?;
    block_on(manager.logs().create_topic(topic))?;
    Ok(manager.log_topics(&pattern)?.first().map(|topic| topic.shard))
}

/// The lines in commits of 8,000, as they would arrive: all topics by turns. A commit has topics of
/// one shard only.
pub(crate) fn batches(
    manager: &RedbManager,
    entries: &BTreeMap<String, Vec<NewLogEntry>>,
) -> Result<Vec<Vec<NewLogEntry>>> {
    let mut by_shard: BTreeMap<Option<u32>, Vec<&[NewLogEntry]>> = BTreeMap::new();
    for (topic, entries) in entries {
        by_shard.entry(shard_of(manager, topic)?).or_default().push(entries);
    }
    let mut batches = Vec::new();
    for topics in by_shard.into_values() {
        let share = (COMMIT / topics.len()).max(1);
        let rounds = topics.iter().map(|entries| entries.len().div_ceil(share)).max().unwrap_or(0);
        for round in 0..rounds {
            let chunks = topics.iter().filter_map(|entries| entries.chunks(share).nth(round));
            let batch: Vec<NewLogEntry> = chunks.flatten().cloned().collect();
            batches.push((round, batch));
        }
    }
    // The shards by turns, too.
    batches.sort_by_key(|(round, _)| *round);
    Ok(batches.into_iter().map(|(_, batch)| batch).collect())
}

pub(crate) fn compare(store: &ForgeOne, expected: LogSum) -> Result<()> {
    let mut found = LogSum::default();
    for stored in store.manager().replay_logs(&TopicPattern::all(), StartFrom::Oldest)? {
        let entry = stored?.entry;
        if !entry.topic.starts_with("tiny-") {
            found.add(&entry);
        }
    }
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "{}: {} lines were written, {} came back",
        store.name(),
        expected.count,
        found.count
    )
    .into())
}
