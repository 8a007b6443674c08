//! `stats`: sizes, counts and ratios.

use super::key;
use super::topics::{self, Topic};
use crate::exit::Failure;
use crate::output::{Bytes, Escaped, Format, Output, Shown};
use crate::store::Place;
use forgeone_db::{StoreStats, TopicPattern};
use serde_json::json;

pub(super) fn run(place: &Place) -> Result<(), Failure> {
    let manager = place.read()?;
    let stats = manager.stats()?;
    let topics = topics::find(&manager, &TopicPattern::all(), None);
    let mut output = place.output();
    if output.format() == Format::Json {
        output.json(&json!({"store": stats}))?;
    } else {
        print_store(&mut output, place, &stats)?;
    }
    // What is damaged is told behind what is known all the same.
    output.flush()?;
    let topics = topics?;
    if output.format() == Format::Json {
        for topic in &topics {
            output.json(&json!({"topic": topic}))?;
        }
    } else {
        print_topics(&mut output, &topics)?;
    }
    output.flush()?;
    Ok(())
}

fn print_store(output: &mut Output, place: &Place, stats: &StoreStats) -> Result<(), Failure> {
    let encrypted = if stats.encrypted { "encrypted" } else { "not encrypted" };
    output.line(format_args!("store {}, {encrypted}", Shown(&place.directory)))?;
    let limit = match stats.max_size_bytes {
        0 => "no limit".to_owned(),
        bytes => format!("limit {}", Bytes(bytes)),
    };
    let free = stats
        .available_bytes
        .map_or_else(String::new, |bytes| format!(", {} free on the disk", Bytes(bytes)));
    let reserve = match stats.reserve_bytes {
        0 => String::new(),
        bytes => format!(", {} set aside for a full disk", Bytes(bytes)),
    };
    output
        .line(format_args!("{} on disk, {limit}{free}{reserve}", Bytes(stats.allocated_bytes)))?;
    if let Some(change) = &stats.key_change {
        let text = format!("{change} is under way or unfinished; {}", key::WHO_FINISHES);
        output.line(Escaped(&text))?;
    }
    if stats.quarantined_databases > 0 {
        output.line(format_args!(
            "out of use because they are damaged: {} databases with {} topics",
            stats.quarantined_databases, stats.quarantined_topics
        ))?;
    }
    output.line("")?;
    output.line(format_args!(
        "{:<18} {:>10} {:>8} {:>8} {:>10} {:>8} {:>10} {:>10} {:>7} {:>6} {:>10}",
        "database",
        "on disk",
        "commits",
        "topics",
        "unsealed",
        "segments",
        "raw",
        "sealed",
        "ratio",
        "runs",
        "indexes"
    ))?;
    for database in &stats.databases {
        output.line(format_args!(
            "{:<18} {:>10} {:>8} {:>8} {:>10} {:>8} {:>10} {:>10} {:>7} {:>6} {:>10}",
            database.database,
            Bytes(database.allocated_bytes),
            database.commits,
            database.topics,
            database.tail_records,
            database.segments,
            Bytes(database.sealed_raw_bytes),
            Bytes(database.sealed_bytes),
            ratio(database.sealed_raw_bytes, database.sealed_bytes),
            database.runs,
            Bytes(database.run_bytes),
        ))?;
    }
    Ok(())
}

fn print_topics(output: &mut Output, topics: &[Topic]) -> Result<(), Failure> {
    if topics.is_empty() {
        return Ok(());
    }
    output.line("")?;
    output.line(format_args!(
        "{:>10} {:<6} {:>8} {:>10} {:>10} {:>7} topic",
        "records", "kind", "segments", "raw", "sealed", "ratio"
    ))?;
    for Topic { kind, info: topic } in topics {
        output.line(format_args!(
            "{:>10} {kind:<6} {:>8} {:>10} {:>10} {:>7} {}",
            topic.count,
            topic.segments,
            Bytes(topic.sealed_raw_bytes),
            Bytes(topic.sealed_bytes),
            ratio(topic.sealed_raw_bytes, topic.sealed_bytes),
            Escaped(&topic.topic),
        ))?;
    }
    Ok(())
}

/// How many times smaller the second is.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn ratio(raw: u64, stored: u64) -> String {
    if stored == 0 { "-".to_owned() } else { format!("{:.2}", raw as f64 / stored as f64) }
}
