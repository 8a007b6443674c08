//! Searches in log lines, beside `grep` over the same text in a file. Both find everything in the
//! page cache, and must find the same.

use super::loghub::batches;
use super::{ratios, scratch};
use crate::Result;
use crate::args::Args;
use crate::data::{Random, TOPICS};
use crate::lines::many;
use crate::measure::{median, spread, timed};
use crate::report::{READ, Report, Row, number};
use crate::stores::{ForgeOne, KEY, Store as _};
use forgeone_db::{LogQuery, NewLogEntry, Severity};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

/// A word that no line has by itself, and what follows it in the lines that have it.
const NEEDLE: &str = "qzneedlezq";
const NEEDLES: usize = 7;

/// One search and what grep is asked instead.
struct Search {
    what: &'static str,
    query: LogQuery,
    grep: Option<[&'static str; 2]>,
}

fn searches() -> Result<Vec<Search>> {
    let query = LogQuery::default;
    Ok(vec![
        Search {
            what: "a rare word",
            query: query().contains(NEEDLE),
            grep: Some(["-cF", NEEDLE]),
        },
        Search {
            what: "a regex that starts with a literal",
            query: query().regex("qzneedle[a-z]+ [0-9]+")?,
            grep: Some(["-cE", "qzneedle[a-z]+ [0-9]+"]),
        },
        Search {
            what: "a regex that does not",
            query: query().regex("[a-z]+needlezq [0-9]")?,
            grep: Some(["-cE", "[a-z]+needlezq [0-9]"]),
        },
        Search {
            what: "severity error and above",
            query: query().severity_min(Severity::Error),
            grep: None,
        },
    ])
}

pub(crate) fn run(args: &Args, report: &mut Report) -> Result<()> {
    for topics in [TOPICS, 1] {
        let mut entries = many(&args.loghub, args.seed, (args.search_lines, topics))?;
        hide_needles(&mut entries, args.seed);
        measure(args, report, topics, &entries)?;
    }
    Ok(())
}

/// Puts the word at the end of some lines.
fn hide_needles(entries: &mut BTreeMap<String, Vec<NewLogEntry>>, seed: u64) {
    let mut random = Random::new(seed ^ 0x5ea_4c4);
    let mut lines: Vec<&mut NewLogEntry> = entries.values_mut().flatten().collect();
    for number in 0..NEEDLES.min(lines.len()) {
        let at = random.below(lines.len());
        let entry = lines.swap_remove(at);
        entry.line.extend_from_slice(format!(" {NEEDLE} {number}").as_bytes());
    }
}

fn measure(
    args: &Args,
    report: &mut Report,
    topics: usize,
    entries: &BTreeMap<String, Vec<NewLogEntry>>,
) -> Result<()> {
    let dir = scratch(args)?;
    let store = ForgeOne::open(&dir.path().join("store"), args.shards, Some(KEY))?;
    for batch in batches(store.manager(), entries)? {
        store.manager().store_logs(batch)?;
    }
    store.manager().seal()?;
    let text = dir.path().join("text");
    write_text(&text, entries)?;
    let severe = entries.values().flatten().filter(|entry| entry.severity >= Severity::Error);
    let severe = severe.count() as u64;
    let count = entries.values().map(|entries| entries.len() as u64).sum();
    let place = if topics == 1 { "one topic".to_owned() } else { format!("{topics} topics") };
    for search in searches()? {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // The first turn warms both up.
        for turn in 0..=args.rounds.max(5) {
            let (found, time) = timed(|| hits(&store, &search.query))?;
            let (expected, their_time) = match search.grep {
                Some(pattern) => timed(|| grep(&text, pattern))?,
                None => (severe, std::time::Duration::ZERO),
            };
            if found != expected {
                let what = search.what;
                return Err(format!("{what}: {found} lines found, {expected} expected").into());
            }
            if turn > 0 {
                ours.push(time.as_secs_f64() * 1e3);
                theirs.push(their_time.as_secs_f64() * 1e3);
            }
        }
        let row = |engine: String, values: &[f64]| Row {
            workload: "search",
            engine,
            what: format!("{} in {place}", search.what),
            n: count,
            durability: READ,
            unit: "ms",
            values: values.to_vec(),
            median: 0.0,
        };
        report.row(row(store.name(), &ours));
        if let Some([flags, _]) = search.grep {
            report.row(row(format!("grep {flags}, LC_ALL=C"), &theirs));
            let ratio = ratios(&theirs, &ours);
            let (least, most) = spread(&ratio);
            report.note(format!(
                "search, {} in {place}: {} times as fast as grep ({} to {}).",
                search.what,
                number(median(&ratio)),
                number(least),
                number(most)
            ));
        }
    }
    store.close()
}

fn hits(store: &ForgeOne, query: &LogQuery) -> Result<u64> {
    let mut count = 0;
    for found in store.manager().query_logs(query.clone())? {
        found?;
        count += 1;
    }
    Ok(count)
}

fn grep(text: &Path, [flags, pattern]: [&str; 2]) -> Result<u64> {
    let output =
        Command::new("grep").env("LC_ALL", "C").args([flags, pattern]).arg(text).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

fn write_text(path: &Path, entries: &BTreeMap<String, Vec<NewLogEntry>>) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for entry in entries.values().flatten() {
        file.write_all(&entry.line)?;
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(())
}
