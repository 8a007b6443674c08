//! Reading: everything, by id, and by topic and time.

use super::{Which, create, scratch};
use crate::Result;
use crate::args::Args;
use crate::data::{BATCH, Events, Random, Sum, start, topic};
use crate::measure::{rate, timed};
use crate::report::{READ, Report, Row};
use crate::stores::Store;
use chrono::TimeDelta;
use tempfile::TempDir;
use uuid::Uuid;

const ENGINES: [Which; 2] = [Which::Encrypted, Which::Literal];
/// Seconds of a time range; with an event each millisecond in 16 topics, batch after batch.
const RANGE_SECONDS: i64 = 20;

#[derive(Debug, Default)]
struct Figures {
    scan: Vec<f64>,
    hit: Vec<f64>,
    miss: Vec<f64>,
    range: Vec<f64>,
}

/// What is asked for.
struct Questions {
    sum: Sum,
    ids: Vec<Uuid>,
    unknown: Vec<Uuid>,
    seconds: i64,
}

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let mut stores: Vec<(Box<dyn Store>, TempDir, Figures)> = Vec::new();
    for which in ENGINES {
        let dir = scratch(args)?;
        stores.push((create(which, &dir, args)?, dir, Figures::default()));
    }
    let questions = fill(args, &stores)?;
    for round in 0..args.rounds {
        let mut sums = Vec::new();
        for (store, _, figures) in &mut stores {
            sums.push(ask(&**store, &questions, args.seed + round as u64, figures)?);
        }
        if sums.windows(2).any(|pair| pair.first() != pair.last()) {
            return Err("time ranges differ between engines".into());
        }
    }
    for (store, _, figures) in &stores {
        let row = |what: &str, unit, values: &[f64]| Row {
            workload: "read",
            engine: store.name(),
            what: what.into(),
            n: questions.sum.count,
            durability: READ,
            unit,
            values: values.to_vec(),
            median: 0.0,
        };
        report.row(row("everything, decoded", "events/s", &figures.scan));
        report.row(row("get by random id, one thread", "gets/s", &figures.hit));
        report.row(row("get by an unknown id, one thread", "gets/s", &figures.miss));
        let what = "ranges of 20 s in one topic, in the order of time";
        report.row(row(what, "events/s", &figures.range));
        store.close()?;
    }
    Ok(())
}

fn fill(args: &Args, stores: &[(Box<dyn Store>, TempDir, Figures)]) -> Result<Questions> {
    let mut events = Events::new(args.seed);
    let mut random = Random::new(args.seed ^ 0x1d5);
    let (mut sum, mut ids) = (Sum::default(), Vec::new());
    let per_batch = 20;
    for index in 0..args.events.div_ceil(BATCH) {
        let batch = events.batch(index);
        for event in &batch {
            sum.add(event);
        }
        for _ in 0..per_batch {
            ids.extend(batch.get(random.below(BATCH)).map(|event| event.id));
        }
        for (store, _, _) in stores {
            store.put_batch(&batch)?;
        }
    }
    stores.iter().try_for_each(|(store, _, _)| store.settle())?;
    for index in (1..ids.len()).rev() {
        ids.swap(index, random.below(index + 1));
    }
    let unknown = ids.iter().map(|_| random.uuid()).collect();
    let seconds = i64::try_from(sum.count / 1000)?;
    Ok(Questions { sum, ids, unknown, seconds })
}

/// Asks everything once; gives the sum over the time ranges.
fn ask(store: &dyn Store, questions: &Questions, seed: u64, figures: &mut Figures) -> Result<Sum> {
    let Questions { sum, ids, unknown, seconds } = questions;
    let mut found = Sum::default();
    let ((), time) = timed(|| store.scan(&mut |event| found.add(event)))?;
    sum.expect(found, &store.name())?;
    figures.scan.push(rate(found.count, time));
    let ((), time) = timed(|| {
        ids.iter().try_for_each(|id| match store.get(*id)? {
            Some(event) if event.id == *id => Ok(()),
            _ => Err(format!("{}: {id} did not come back", store.name()).into()),
        })
    })?;
    figures.hit.push(rate(ids.len() as u64, time));
    let ((), time) = timed(|| {
        unknown.iter().try_for_each(|id| match store.get(*id)? {
            None => Ok(()),
            Some(_) => Err(format!("{}: {id} was never stored", store.name()).into()),
        })
    })?;
    figures.miss.push(rate(unknown.len() as u64, time));
    let mut random = Random::new(seed);
    let mut ranges = Sum::default();
    let ((), time) = timed(|| {
        (0..50).try_for_each(|_| {
            let last = usize::try_from((seconds - RANGE_SECONDS).max(1))?;
            let from = start() + TimeDelta::seconds(i64::try_from(random.below(last))?);
            let to = from + TimeDelta::seconds(RANGE_SECONDS);
            let name = topic(random.below(16));
            store.range(&name, from, to, &mut |event| ranges.add(event))
        })
    })?;
    figures.range.push(rate(ranges.count, time));
    Ok(ranges)
}
