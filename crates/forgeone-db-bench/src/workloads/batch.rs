//! One producer, 1,000 events of one topic a call, the topics in turn.

use super::{Which, create, ratios, sample_of, scratch, verify};
use crate::Result;
use crate::args::Args;
use crate::data::{BATCH, Events, PAYLOAD_BYTES, Sum};
use crate::machine::Size;
use crate::measure::{median, rate, timed};
use crate::report::{Report, Requirement, Row, SYNC, number};
use forgeone_db::EventMessage;

/// How many times redb's rate with the literal layout is required.
const TIMES_MIN: f64 = 5.0;
const ENGINES: [Which; 3] = [Which::Encrypted, Which::Literal, Which::Plain];

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let mut events = Events::new(args.seed);
    let batches: Vec<Vec<EventMessage>> =
        (0..args.events.div_ceil(BATCH)).map(|index| events.batch(index)).collect();
    let mut sum = Sum::default();
    batches.iter().flatten().for_each(|event| sum.add(event));
    let all: Vec<EventMessage> =
        batches.iter().filter_map(|batch| batch.first()).cloned().collect();
    let sample = sample_of(&all, args.seed);
    drop(all);

    let mut figures: [(String, Vec<f64>, Vec<f64>); 3] = Default::default();
    for _ in 0..args.rounds {
        for (which, (name, rates, bytes)) in ENGINES.into_iter().zip(&mut figures) {
            let dir = scratch(args)?;
            let store = create(which, &dir, args)?;
            *name = store.name();
            let ((), time) = timed(|| {
                batches.iter().try_for_each(|batch| store.put_batch(batch))?;
                store.settle()
            })?;
            rates.push(rate(sum.count, time));
            println!("{name}: {} events/s", number(rate(sum.count, time)));
            verify(&*store, sum, &sample)?;
            store.close()?;
            drop(store);
            #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
            bytes.push(Size::of(dir.path())?.allocated as f64 / sum.count as f64);
        }
    }
    for (name, rates, bytes) in &figures {
        let row = |what: String, unit, values: &[f64]| Row {
            workload: "batch",
            engine: name.clone(),
            what,
            n: sum.count,
            durability: SYNC,
            unit,
            values: values.to_vec(),
            median: 0.0,
        };
        let what = format!("1,000 events of {PAYLOAD_BYTES} bytes a call");
        report.row(row(what, "events/s", rates));
        report.row(row("allocated on disk afterwards".into(), "bytes/event", bytes));
    }
    let [(_, ours, _), (_, literal, _), _] = &figures;
    let ratio = ratios(ours, literal);
    report.require(Requirement {
        what: "batches, encrypted, beside redb with the literal layout".into(),
        required: format!("at least {TIMES_MIN} times"),
        measured: format!("{:.2} times", median(&ratio)),
        holds: median(&ratio) >= TIMES_MIN,
    });
    Ok(())
}
