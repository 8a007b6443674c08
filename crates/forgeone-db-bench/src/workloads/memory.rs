//! A long ingest in a process of its own: the most memory it takes, and how long opening takes.

use super::scratch;
use crate::Result;
use crate::args::Args;
use crate::data::{BATCH, Events, PAYLOAD_BYTES, Random, Sum, start, topic};
use crate::machine::{Size, memory, peak_memory};
use crate::measure::{quantile, rate, timed};
use crate::report::{READ, Report, Requirement, Row, SYNC};
use crate::stores::{ForgeOne, KEY, Store as _};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use uuid::Uuid;

/// The most memory that the process may take.
const MEMORY_MAX: u64 = 150 << 20;
const GETS: usize = 2000;
const RANGES: usize = 16;

/// What the child tells its parent.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    name: String,
    events: u64,
    rate: f64,
    /// Bytes at their most: after the ingest, after the reads, and after opening once more.
    peak_ingest: u64,
    peak: u64,
    peak_reopened: u64,
    /// Resident before anything was opened.
    before: u64,
    disk: u64,
    close_ms: f64,
    open_ms: f64,
    hit_us: [f64; 2],
    miss_us: [f64; 2],
    range_rate: f64,
}

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let dir = scratch(args)?;
    let output = Command::new(std::env::current_exe()?)
        .arg("--memory-child")
        .arg(dir.path().join("store"))
        .args(["--memory-events", &args.memory_events.to_string()])
        .args(["--shards", &args.shards.to_string(), "--seed", &args.seed.to_string()])
        .arg("--dir")
        .arg(&args.dir)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the process of `memory` failed".into());
    }
    let told: Told = serde_json::from_slice(&output.stdout)?;
    let mut row = |what: &str, durability, unit, value| {
        report.row(Row {
            workload: "memory",
            engine: told.name.clone(),
            what: what.into(),
            n: told.events,
            durability,
            unit,
            values: vec![value],
            median: 0.0,
        });
    };
    let what = format!("1,000 events of {PAYLOAD_BYTES} bytes a call");
    row(&what, SYNC, "events/s", told.rate);
    row("most memory resident, ingest", SYNC, "MiB", mib(told.peak_ingest));
    row("most memory resident, ingest and reads", SYNC, "MiB", mib(told.peak));
    let what = "most memory resident, closed and opened again as well";
    row(what, READ, "MiB", mib(told.peak_reopened));
    row("resident before the store was opened", READ, "MiB", mib(told.before));
    row("allocated on disk, per event", SYNC, "bytes", per(told.disk, told.events));
    row("closing", SYNC, "ms", told.close_ms);
    row("opening after a close", READ, "ms", told.open_ms);
    let [middle, worst] = told.hit_us;
    row("get by random id, middle", READ, "us", middle);
    row("get by random id, 99 % below", READ, "us", worst);
    let [middle, worst] = told.miss_us;
    row("get by an unknown id, middle", READ, "us", middle);
    row("get by an unknown id, 99 % below", READ, "us", worst);
    row("ranges of 20 s in one topic", READ, "events/s", told.range_rate);
    report.require(Requirement {
        what: format!("most memory resident, ingest of {} events and reads", told.events),
        required: "below 150 MiB".into(),
        measured: format!("{:.1} MiB", mib(told.peak)),
        holds: told.peak < MEMORY_MAX,
    });
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn per(bytes: u64, count: u64) -> f64 {
    bytes as f64 / count as f64
}

/// What the process does that is measured.
pub(crate) fn child(args: &Args, path: &Path) -> Result<()> {
    let before = memory();
    let store = ForgeOne::open(path, args.shards, Some(KEY))?;
    let mut random = Random::new(args.seed ^ 0xfeed);
    let mut events = Events::new(args.seed);
    let mut ids: Vec<Uuid> = Vec::with_capacity(GETS);
    let batches = args.memory_events.div_ceil(BATCH);
    let ((), time) = timed(|| {
        for index in 0..batches {
            let batch = events.batch(index);
            store.put_batch(&batch)?;
            if random.below(batches) < GETS {
                ids.extend(batch.get(random.below(BATCH)).map(|event| event.id));
            }
        }
        store.settle()
    })?;
    let count = (batches * BATCH) as u64;
    let peak_ingest = peak_memory();
    let name = store.name();
    let mut hits = gets(&store, &ids, 1)?;
    let unknown: Vec<Uuid> = (0..GETS).map(|_| random.uuid()).collect();
    let mut misses = gets(&store, &unknown, 0)?;
    let seconds = i64::try_from(batches)?;
    let mut sum = Sum::default();
    let ((), ranges) = timed(|| {
        (0..RANGES).try_for_each(|index| {
            let last = usize::try_from((seconds - 20).max(1))?;
            let from = start() + TimeDelta::seconds(i64::try_from(random.below(last))?);
            store.range(&topic(index), from, from + TimeDelta::seconds(20), &mut |event| {
                sum.add(event);
            })
        })
    })?;
    let peak = peak_memory();
    // Everything is there: the topics say how many, and numbers have no gaps.
    let found: u64 = store
        .manager()
        .topics(&forgeone_db::TopicPattern::all())?
        .iter()
        .map(|topic| topic.count)
        .sum();
    if found != count {
        return Err(format!("{count} events were written, and {found} are there").into());
    }
    let ((), close) = timed(|| store.close())?;
    drop(store);
    let (store, open) = timed(|| ForgeOne::open(path, args.shards, Some(KEY)))?;
    let first = ids.first().copied();
    gets(&store, first.as_slice(), 1)?;
    store.close()?;
    drop(store);
    let peak_reopened = peak_memory();
    let told = Told {
        name,
        events: count,
        rate: rate(count, time),
        peak_ingest,
        peak,
        peak_reopened,
        before,
        disk: Size::of(path)?.allocated,
        close_ms: close.as_secs_f64() * 1e3,
        open_ms: open.as_secs_f64() * 1e3,
        hit_us: [quantile(&mut hits, 500), quantile(&mut hits, 990)],
        miss_us: [quantile(&mut misses, 500), quantile(&mut misses, 990)],
        range_rate: rate(sum.count, ranges),
    };
    println!("{}", serde_json::to_string(&told)?);
    Ok(())
}

fn gets(store: &ForgeOne, ids: &[Uuid], expected: usize) -> Result<Vec<Duration>> {
    ids.iter()
        .map(|id| {
            let (found, time) = timed(|| Ok(store.manager().get_event(*id)?))?;
            if found.len() != expected || found.iter().any(|stored| stored.event.id != *id) {
                return Err(format!("get of {id} found {}", found.len()).into());
            }
            Ok(time)
        })
        .collect()
}
