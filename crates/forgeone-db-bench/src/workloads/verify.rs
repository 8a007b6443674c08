//! How fast `verify` reads a sealed store of events and log lines at each depth, of user data and
//! of stored bytes, by the clock and by the time of one core.

use super::loghub::batches;
use super::scratch;
use crate::Result;
use crate::args::Args;
use crate::data::{BATCH, Events};
use crate::lines::many;
use crate::machine::{Size, cpu_time, memory};
use crate::measure::{median, rate, timed};
use crate::report::{READ, Report, Requirement, Row, grouped};
use crate::stores::{ForgeOne, KEY, Store as _};
use forgeone_db::{Key, NewSetting, RedbManager, StoreOptions, VerifyDepth, VerifyReport};
use std::path::Path;
use std::time::Duration;

/// Bytes of records a second of one core that a standard verification must reach.
const RATE_MIN: f64 = 200e6;

/// One verification: what it took.
struct Turn {
    clock: Duration,
    core: Duration,
    report: VerifyReport,
}

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let dir = scratch(args)?;
    let store = ForgeOne::open(&dir.path().join("store"), args.shards, Some(KEY))?;
    let records = fill(args, &store)?;
    let stats = store.manager().stats()?;
    let raw: u64 = stats.databases.iter().map(|database| database.sealed_raw_bytes).sum();
    for depth in [VerifyDepth::Quick, VerifyDepth::Standard, VerifyDepth::Deep] {
        let mut turns = Vec::new();
        // The first turn warms the page cache.
        for turn in 0..=args.rounds {
            let turn_taken = verify(&store, depth, records)?;
            if turn > 0 {
                turns.push(turn_taken);
            }
        }
        tell(report, (&store, depth), (raw, records), &turns);
    }
    store.close()?;
    unopened(args, report, (&store, records), dir.path())?;
    settings(args, report)
}

/// The same at standard depth of the store while it is not open: then the engine checks its own pages
/// as well.
fn unopened(
    args: &Args,
    report: &mut Report,
    (store, records): (&ForgeOne, u64),
    dir: &Path,
) -> Result<()> {
    let options = || StoreOptions::new(dir.join("store")).key(Some(Key::raw(KEY)));
    let mut millis = Vec::new();
    for _ in 0..args.rounds {
        let verify = || Ok(RedbManager::verify_store(options(), VerifyDepth::Standard, |_| {})?);
        let (verified, time) = timed(verify)?;
        if !verified.is_sound() || verified.engine_checked != verified.databases {
            return Err(format!("the store is not sound: {:?}", verified.findings).into());
        }
        millis.push(time.as_secs_f64() * 1e3);
    }
    let bytes = Size::of(dir)?.length;
    report.row(Row {
        workload: "verify",
        engine: store.name(),
        what: format!("standard, not open, with the engine's pages in {} bytes", grouped(bytes)),
        n: records,
        durability: READ,
        unit: "ms",
        values: millis,
        median: 0.0,
    });
    Ok(())
}

/// Many settings, which are verified in several passes where memory is short.
fn settings(args: &Args, report: &mut Report) -> Result<()> {
    let dir = scratch(args)?;
    let store = ForgeOne::open(&dir.path().join("store"), args.shards, Some(KEY))?;
    for first in (0..args.settings).step_by(BATCH) {
        let batch: Vec<_> = (first..args.settings.min(first + BATCH))
            .map(|number| NewSetting::new(format!("bench.setting-{number}"), number))
            .collect();
        store.manager().set_settings(&batch)?;
    }
    store.manager().seal()?;
    let before = memory();
    let (mut most, mut calls, mut again) = (before, 0u64, 0);
    let (verified, time) = timed(|| {
        Ok(store.manager().verify(VerifyDepth::Standard, |at| {
            calls += 1;
            again = at.bytes_again;
            if calls.is_multiple_of(256) {
                most = most.max(memory());
            }
        })?)
    })?;
    if !verified.is_sound() || verified.index_entries < args.settings as u64 {
        return Err(format!("the settings are not sound: {:?}", verified.findings).into());
    }
    let mut row = |what: String, unit, value| {
        report.row(Row {
            workload: "verify",
            engine: store.name(),
            what,
            n: args.settings as u64,
            durability: READ,
            unit,
            values: vec![value],
            median: 0.0,
        });
    };
    row("standard, settings, by the clock".into(), "ms", time.as_secs_f64() * 1e3);
    row("standard, settings, read again".into(), "MB", rate(again, Duration::from_secs(1)) / 1e6);
    let more = rate(most - before, Duration::from_secs(1)) / f64::from(1 << 20);
    row("standard, settings, resident beyond before".into(), "MiB", more);
    store.close()
}

/// Writes events and log lines, seals them, and says how many records there are.
fn fill(args: &Args, store: &ForgeOne) -> Result<u64> {
    let mut events = Events::new(args.seed);
    let calls = args.verify_events.div_ceil(BATCH);
    for index in 0..calls {
        store.put_batch(&events.batch(index))?;
    }
    let lines = many(&args.loghub, args.seed, (args.verify_lines, 16))?;
    let count: usize = lines.values().map(Vec::len).sum();
    for batch in batches(store.manager(), &lines)? {
        store.manager().store_logs(batch)?;
    }
    store.manager().seal()?;
    Ok((calls * BATCH + count) as u64)
}

fn verify(store: &ForgeOne, depth: VerifyDepth, records: u64) -> Result<Turn> {
    let before = cpu_time();
    let (report, clock) = timed(|| Ok(store.manager().verify(depth, |_| {})?))?;
    let core = cpu_time().saturating_sub(before);
    if !report.is_sound() {
        return Err(format!("the store is not sound: {:?}", report.findings).into());
    }
    // Changes of state are records, too.
    if depth > VerifyDepth::Quick && report.records < records {
        return Err(format!("{records} records are there, {} were read", report.records).into());
    }
    Ok(Turn { clock, core, report })
}

fn tell(
    report: &mut Report,
    (store, depth): (&ForgeOne, VerifyDepth),
    (raw, records): (u64, u64),
    turns: &[Turn],
) {
    let name = format!("{depth:?}").to_lowercase();
    let mut row = |what: String, unit, values: Vec<f64>| {
        report.row(Row {
            workload: "verify",
            engine: store.name(),
            what,
            n: records,
            durability: READ,
            unit,
            values,
            median: 0.0,
        });
    };
    let millis = turns.iter().map(|turn| turn.clock.as_secs_f64() * 1e3).collect();
    row(format!("{name}, by the clock"), "ms", millis);
    if depth == VerifyDepth::Quick {
        return;
    }
    let megabytes =
        |bytes: u64, time: Duration| rate(bytes, time.max(Duration::from_millis(1))) / 1e6;
    let of_raw: Vec<f64> = turns.iter().map(|turn| megabytes(raw, turn.core)).collect();
    row(format!("{name}, records before compression"), "MB/s a core", of_raw.clone());
    let stored = turns.iter().map(|turn| megabytes(turn.report.bytes, turn.core)).collect();
    row(format!("{name}, bytes as stored"), "MB/s a core", stored);
    let clock = turns.iter().map(|turn| megabytes(raw, turn.clock)).collect();
    row(format!("{name}, records before compression"), "MB/s by the clock", clock);
    if depth == VerifyDepth::Standard {
        let measured = median(&of_raw);
        report.require(Requirement {
            what: "standard verification, of records before compression, a core".into(),
            required: "at least 200 MB/s".into(),
            measured: format!("{measured:.0} MB/s"),
            holds: measured * 1e6 >= RATE_MIN,
        });
    }
}
