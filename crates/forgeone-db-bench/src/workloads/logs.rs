//! Log lines, 8,000 a commit in 16 topics, beside appending the same text to a file.

use super::loghub::{batches, compare};
use super::{ratios, scratch};
use crate::Result;
use crate::args::Args;
use crate::data::TOPICS;
use crate::lines::{LogSum, many};
use crate::measure::{median, rate, spread, timed};
use crate::report::{Report, Row, SYNC, grouped, number};
use crate::stores::{ForgeOne, KEY, Store as _};
use forgeone_db::NewLogEntry;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    let entries = many(&args.loghub, args.seed, (args.log_lines, TOPICS))?;
    let expected = LogSum::of(&entries);
    let bytes: usize = entries.values().flatten().map(text_bytes).sum();
    let (mut ours, mut file, mut commits) = (Vec::new(), Vec::new(), 0);
    let mut name = String::new();
    for _ in 0..args.rounds {
        let dir = scratch(args)?;
        let store = ForgeOne::open(&dir.path().join("store"), args.shards, Some(KEY))?;
        name = store.name();
        let batches = batches(store.manager(), &entries)?;
        commits = batches.len();
        let texts: Vec<Vec<u8>> = batches.iter().map(|batch| text(batch)).collect();
        let ((), time) = timed(|| {
            batches
                .into_iter()
                .try_for_each(|batch| store.manager().store_logs(batch).map(drop))?;
            store.settle()
        })?;
        ours.push(rate(expected.count, time));
        compare(&store, expected)?;
        store.close()?;
        file.push(rate(expected.count, append(&dir.path().join("text"), &texts)?));
        println!("{:?} and {:?} lines/s", ours.last(), file.last());
    }
    let row = |engine: &str, what: String, values: &[f64]| Row {
        workload: "logs",
        engine: engine.into(),
        what,
        n: expected.count,
        durability: SYNC,
        unit: "lines/s",
        values: values.to_vec(),
        median: 0.0,
    };
    let size = grouped(bytes as u64);
    let what = format!("8,000 lines a commit, 16 topics, {size} bytes, until no sealing is owed");
    report.row(row(&name, what, &ours));
    report.row(row("a plain file", format!("the same text, {commits} fdatasyncs"), &file));
    let ratio = ratios(&ours, &file);
    let (least, most) = spread(&ratio);
    report.note(format!(
        "logs: {} times the rate of a plain file ({} to {}), encrypted, indexed by topic and time, \
         one producer.",
        number(median(&ratio)),
        number(least),
        number(most)
    ));
    Ok(())
}

fn text_bytes(entry: &NewLogEntry) -> usize {
    entry.line.len() + entry.line_end.as_bytes().len()
}

fn text(batch: &[NewLogEntry]) -> Vec<u8> {
    let mut text = Vec::with_capacity(batch.iter().map(text_bytes).sum());
    for entry in batch {
        text.extend_from_slice(&entry.line);
        text.extend_from_slice(entry.line_end.as_bytes());
    }
    text
}

/// Appends each text and syncs the file.
fn append(path: &Path, texts: &[Vec<u8>]) -> Result<Duration> {
    let mut file = File::create(path)?;
    let ((), time) = timed(|| {
        for text in texts {
            file.write_all(text)?;
            file.sync_data()?;
        }
        Ok(())
    })?;
    Ok(time)
}
