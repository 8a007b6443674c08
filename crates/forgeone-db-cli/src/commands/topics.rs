//! `topics`: what topics there are, of events and of logs.

mod shred;

use crate::args::TopicsCommand;
use crate::exit::{Exit, Failure};
use crate::output::{Bytes, Escaped, Format, Output, Reader};
use crate::store::Place;
use clap::ValueEnum;
use forgeone_db::{RedbManager, TopicInfo, TopicPattern};
use serde::Serialize;
use std::fmt;

/// What a topic holds. One name may be used by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Events
    Events,
    /// Log entries
    Logs,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Events => "events",
            Self::Logs => "logs",
        })
    }
}

/// A topic and what it holds.
#[derive(Debug, Serialize)]
pub(super) struct Topic {
    pub(super) kind: Kind,
    #[serde(flatten)]
    pub(super) info: TopicInfo,
}

/// The topics of one kind or of both, by name.
pub(super) fn find(
    manager: &RedbManager,
    topics: &TopicPattern,
    kind: Option<Kind>,
) -> Result<Vec<Topic>, Failure> {
    let mut found = Vec::new();
    if kind.is_none_or(|kind| kind == Kind::Events) {
        let topics = manager.topics(topics)?;
        found.extend(topics.into_iter().map(|info| Topic { kind: Kind::Events, info }));
    }
    if kind.is_none_or(|kind| kind == Kind::Logs) {
        let topics = manager.log_topics(topics)?;
        found.extend(topics.into_iter().map(|info| Topic { kind: Kind::Logs, info }));
    }
    found.sort_by(|a, b| (&a.info.topic, a.kind).cmp(&(&b.info.topic, b.kind)));
    Ok(found)
}

pub(super) fn run(place: &Place, command: TopicsCommand) -> Result<(), Failure> {
    match command {
        TopicsCommand::List { kind } => list(place, kind),
        TopicsCommand::Describe { topic, kind } => describe(place, &topic, kind),
        TopicsCommand::Shred(args) => shred::run(place, &args),
    }
}

fn list(place: &Place, kind: Option<Kind>) -> Result<(), Failure> {
    let manager = place.read()?;
    let mut output = place.output();
    for topic in find(&manager, &TopicPattern::all(), kind)? {
        if output.either(&topic, line(&topic))? == Reader::Gone {
            return Ok(());
        }
    }
    output.flush()?;
    Ok(())
}

fn line(topic: &Topic) -> String {
    let Topic { kind, info } = topic;
    format!(
        "{:>10} {kind:<6} {:>8} to {:<8} {} {}",
        info.count,
        info.first_seq,
        info.last_seq,
        newest(info),
        Escaped(&info.topic),
    )
}

fn newest(topic: &TopicInfo) -> String {
    let time = topic.last_timestamp;
    time.map_or_else(|| "-".to_owned(), |time| time.format("%FT%T%.6fZ").to_string())
}

fn describe(place: &Place, name: &str, kind: Option<Kind>) -> Result<(), Failure> {
    let manager = place.read()?;
    let found = find(&manager, &TopicPattern::exact(name)?, kind)?;
    if found.is_empty() {
        return Err(unknown(name, kind));
    }
    let mut output = place.output();
    for (index, topic) in found.iter().enumerate() {
        if output.format() == Format::Json {
            output.json(topic)?;
            continue;
        }
        if index > 0 {
            output.line("")?;
        }
        describe_one(&mut output, topic)?;
    }
    output.flush()?;
    Ok(())
}

fn unknown(name: &str, kind: Option<Kind>) -> Failure {
    let of = kind.map_or_else(String::new, |kind| format!(" of {kind}"));
    let message = format!("there is no topic {}{of}", Escaped(name));
    Failure::new(Exit::NotFound, message).hint("`forgeone-db topics list` shows those there are")
}

fn describe_one(output: &mut Output, topic: &Topic) -> Result<(), Failure> {
    let Topic { kind, info } = topic;
    output.line(format_args!("topic          {}", Escaped(&info.topic)))?;
    output.line(format_args!("kind           {kind}"))?;
    output.line(format_args!("shard          {}", info.shard))?;
    output.line(format_args!("{kind:<14} {}", info.count))?;
    output.line(format_args!("first number   {}", info.first_seq))?;
    output.line(format_args!("last number    {}", info.last_seq))?;
    output.line(format_args!("newest time    {}", newest(info)))?;
    output.line(format_args!("segments       {}", info.segments))?;
    output.line(format_args!(
        "sealed         {} of {} raw",
        Bytes(info.sealed_bytes),
        Bytes(info.sealed_raw_bytes)
    ))?;
    Ok(())
}
