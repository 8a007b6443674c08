//! Many producers, one event a call.

use super::{Which, create, ratios, scratch, verify};
use crate::Result;
use crate::args::Args;
use crate::data::{Events, PAYLOAD_BYTES, Sum, TOPICS};
use crate::measure::{median, quantile, rate};
use crate::report::{Report, Requirement, Row, SYNC, number};
use crate::stores::Store;
use forgeone_db::EventMessage;
use std::thread;
use std::time::{Duration, Instant};

/// What the rounds of one engine gave.
#[derive(Debug, Default)]
struct Figures {
    name: String,
    count: u64,
    rates: Vec<f64>,
    middle: Vec<f64>,
    worst: Vec<f64>,
}

/// What one producer did.
struct Produced {
    sum: Sum,
    times: Vec<Duration>,
    last: Option<EventMessage>,
}

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let engines = [
        Which::Encrypted,
        #[cfg(feature = "sqlite")]
        Which::SqliteShared,
        #[cfg(feature = "sqlite")]
        Which::SqliteEach,
        Which::Plain,
    ];
    let mut all: Vec<Figures> = engines.iter().map(|_| Figures::default()).collect();
    for round in 0..args.rounds {
        for (which, figures) in engines.into_iter().zip(&mut all) {
            one(args, round, which, figures)?;
        }
    }
    for figures in &all {
        let row = |what: String, unit, values: &[f64]| Row {
            workload: "single",
            engine: figures.name.clone(),
            what,
            n: figures.count / args.rounds as u64,
            durability: SYNC,
            unit,
            values: values.to_vec(),
            median: 0.0,
        };
        let what =
            format!("{} producers, one event of {PAYLOAD_BYTES} bytes a call", args.producers);
        report.row(row(what, "events/s", &figures.rates));
        report.row(row("the same, middle call".into(), "us", &figures.middle));
        report.row(row("the same, 99 % of calls below".into(), "us", &figures.worst));
    }
    if let [ours, shared, each, _] = &all[..] {
        let better = shared.rates.iter().zip(&each.rates).map(|(one, many)| one.max(*many));
        let ratio = median(&ratios(&ours.rates, &better.collect::<Vec<f64>>()));
        report.require(Requirement {
            what: "one event a call, encrypted, beside SQLite's better way in each round".into(),
            required: "faster".into(),
            measured: format!("{ratio:.2} times"),
            holds: ratio > 1.0,
        });
    }
    Ok(())
}

fn one(args: &Args, round: usize, which: Which, figures: &mut Figures) -> Result<()> {
    let dir = scratch(args)?;
    let store = create(which, &dir, args)?;
    let mut warm = Events::new(args.seed.wrapping_add(u64::MAX / 2));
    let mut sum = Sum::default();
    for index in 0..TOPICS {
        let event = warm.next(index);
        store.put(index, &event)?;
        sum.add(&event);
    }
    let start = Instant::now();
    let produced = produce(args, round, &*store, start)?;
    store.settle()?;
    let time = start.elapsed();
    let mut count = 0;
    let mut times = Vec::new();
    let mut sample = Vec::new();
    for mut producer in produced {
        count += producer.sum.count;
        sum.merge(producer.sum);
        times.append(&mut producer.times);
        sample.extend(producer.last);
    }
    figures.name = store.name();
    figures.count += count;
    figures.rates.push(rate(count, time));
    figures.middle.push(quantile(&mut times, 500));
    figures.worst.push(quantile(&mut times, 990));
    println!("{}: {} events/s", figures.name, number(rate(count, time)));
    verify(&*store, sum, &sample)?;
    store.close()
}

fn produce(args: &Args, round: usize, store: &dyn Store, start: Instant) -> Result<Vec<Produced>> {
    let end = start + Duration::from_secs_f64(args.seconds);
    let produce = |worker: usize| -> Result<Produced> {
        let salt = (round * args.producers + worker) as u64 + 1;
        let mut events = Events::new(args.seed.wrapping_add(salt.wrapping_mul(0x9e37_79b9)));
        let mut produced = Produced { sum: Sum::default(), times: Vec::new(), last: None };
        loop {
            let event = events.next(worker);
            let before = Instant::now();
            if before >= end {
                return Ok(produced);
            }
            store.put(worker, &event)?;
            produced.times.push(before.elapsed());
            produced.sum.add(&event);
            produced.last = Some(event);
        }
    };
    thread::scope(|scope| {
        let produce = &produce;
        let threads: Vec<_> =
            (0..args.producers).map(|worker| scope.spawn(move || produce(worker))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a producer panicked")?)
            .collect()
    })
}
