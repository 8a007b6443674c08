//! `topics`: what topics there are.

use crate::args::TopicsCommand;
use crate::exit::{Exit, Failure};
use crate::output::{Bytes, Escaped, Format, Reader};
use crate::store::Place;
use forgeone_db::{TopicInfo, TopicPattern};

pub(super) fn run(place: &Place, command: TopicsCommand) -> Result<(), Failure> {
    match command {
        TopicsCommand::List => list(place),
        TopicsCommand::Describe { topic } => describe(place, &topic),
    }
}

fn list(place: &Place) -> Result<(), Failure> {
    let manager = place.read()?;
    let mut output = place.output();
    for topic in manager.topics(&TopicPattern::all())? {
        if output.either(&topic, line(&topic))? == Reader::Gone {
            return Ok(());
        }
    }
    output.flush()?;
    Ok(())
}

fn line(topic: &TopicInfo) -> String {
    format!(
        "{:>10} events {:>8} to {:<8} {} {}",
        topic.count,
        topic.first_seq,
        topic.last_seq,
        newest(topic),
        Escaped(&topic.topic),
    )
}

fn newest(topic: &TopicInfo) -> String {
    let time = topic.last_timestamp;
    time.map_or_else(|| "-".to_owned(), |time| time.format("%FT%T%.6fZ").to_string())
}

fn describe(place: &Place, name: &str) -> Result<(), Failure> {
    let manager = place.read()?;
    let pattern = TopicPattern::exact(name)?;
    let Some(topic) = manager.topics(&pattern)?.into_iter().next() else {
        let message = format!("there is no topic {}", Escaped(name));
        return Err(Failure::new(Exit::NotFound, message)
            .hint("`forgeone-db topics list` shows those there are"));
    };
    let mut output = place.output();
    if output.format() == Format::Json {
        output.json(&topic)?;
    } else {
        output.line(format_args!("topic          {}", Escaped(&topic.topic)))?;
        output.line(format_args!("shard          {}", topic.shard))?;
        output.line(format_args!("events         {}", topic.count))?;
        output.line(format_args!("first number   {}", topic.first_seq))?;
        output.line(format_args!("last number    {}", topic.last_seq))?;
        output.line(format_args!("newest time    {}", newest(&topic)))?;
        output.line(format_args!("segments       {}", topic.segments))?;
        output.line(format_args!(
            "sealed         {} of {} raw",
            Bytes(topic.sealed_bytes),
            Bytes(topic.sealed_raw_bytes)
        ))?;
    }
    output.flush()?;
    Ok(())
}
