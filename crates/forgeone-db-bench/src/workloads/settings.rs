//! Settings: loading very many keys, then pages and single ones among them.

use super::scratch;
use crate::Result;
use crate::args::Args;
use crate::data::Random;
use crate::machine::Size;
use crate::measure::{quantile, rate, timed};
use crate::report::{READ, Report, Requirement, Row, SYNC};
use crate::stores::{ForgeOne, KEY, Store as _};
use forgeone_db::{NewSetting, RedbManager, SetOptions, SettingsQuery};
use serde_json::{Value, json};
use std::time::Duration;

/// Keys set by one call.
const BATCH: usize = 1000;
/// Settings of a page.
const PAGE: usize = 1000;
const PAGES: usize = 200;
const GETS: usize = 5000;
const SETS: usize = 500;
/// The longest that the middle one of all pages may take, in microseconds.
const PAGE_US_MAX: f64 = 10_000.0;

fn key(number: usize) -> String {
    format!("service/{:03}/option/{number:08}", number % 997)
}

fn value(number: usize) -> Value {
    json!({"limit": number, "enabled": number.is_multiple_of(2), "owner": "team"})
}

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let count = args.settings.max(PAGE);
    let dir = scratch(args)?;
    let store = ForgeOne::open(&dir.path().join("store"), args.shards, Some(KEY))?;
    let name = store.name();
    let mut row = |what: &str, durability, unit, value| {
        report.row(Row {
            workload: "settings",
            engine: name.clone(),
            what: what.into(),
            n: count as u64,
            durability,
            unit,
            values: vec![value],
            median: 0.0,
        });
    };
    let ((), time) = timed(|| load(&store, count))?;
    row("new keys, 1,000 a call", SYNC, "settings/s", rate(count as u64, time));
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    row(
        "allocated on disk",
        SYNC,
        "bytes/setting",
        Size::of(dir.path())?.allocated as f64 / count as f64,
    );

    let mut keys: Vec<String> = (0..count).map(key).collect();
    keys.sort_unstable();
    let mut random = Random::new(args.seed);
    let mut pages = pages(store.manager(), &keys, &mut random)?;
    let middle = quantile(&mut pages, 500);
    row("page of 1,000 behind a random key, middle", READ, "us", middle);
    row("page of 1,000 behind a random key, 99 % below", READ, "us", quantile(&mut pages, 990));
    let mut gets = gets(store.manager(), count, &mut random)?;
    row("get by random key, middle", READ, "us", quantile(&mut gets, 500));
    row("get by random key, 99 % below", READ, "us", quantile(&mut gets, 990));
    let mut sets = sets(store.manager(), count, &mut random)?;
    row("set of a random key, one a call, middle", SYNC, "us", quantile(&mut sets, 500));
    row("set of a random key, one a call, 99 % below", SYNC, "us", quantile(&mut sets, 990));
    store.close()?;
    report.require(Requirement {
        what: format!("a page of 1,000 among {count} settings, middle"),
        required: "below 10 ms".into(),
        measured: format!("{:.2} ms", middle / 1000.0),
        holds: middle < PAGE_US_MAX,
    });
    Ok(())
}

/// Sets all keys, in an order that is not theirs.
fn load(store: &ForgeOne, count: usize) -> Result<()> {
    for first in (0..count).step_by(BATCH) {
        let batch: Vec<NewSetting> = (first..(first + BATCH).min(count))
            .map(|number| NewSetting::new(key(number), value(number)))
            .collect();
        store.manager().set_settings(&batch)?;
    }
    store.settle()
}

fn pages(store: &RedbManager, keys: &[String], random: &mut Random) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let at = random.below(keys.len());
        let Some(after) = keys.get(at) else { continue };
        let query = SettingsQuery::new("service/").after(after.as_str()).limit(PAGE as u64);
        let (found, time) = timed(|| {
            let page: std::result::Result<Vec<_>, _> = store.list_settings(query).collect();
            Ok(page?)
        })?;
        let expected = keys.iter().skip(at + 1).take(PAGE);
        if !found.iter().map(|setting| &setting.key).eq(expected) {
            return Err("a page has other settings than were set".into());
        }
        times.push(time);
    }
    Ok(times)
}

fn gets(store: &RedbManager, count: usize, random: &mut Random) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(GETS);
    for _ in 0..GETS {
        let number = random.below(count);
        let key = key(number);
        let (found, time) = timed(|| Ok(store.get_setting(&key)?))?;
        if found.is_none_or(|setting| setting.value != value(number)) {
            return Err(format!("the setting {key} did not come back").into());
        }
        times.push(time);
    }
    Ok(times)
}

fn sets(store: &RedbManager, count: usize, random: &mut Random) -> Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(SETS);
    for _ in 0..SETS {
        let number = random.below(count);
        let set = || Ok(store.set_setting(&key(number), &value(number), SetOptions::default())?);
        let (written, time) = timed(set)?;
        if written.version < 2 {
            return Err("a setting lost a version".into());
        }
        times.push(time);
    }
    Ok(times)
}
