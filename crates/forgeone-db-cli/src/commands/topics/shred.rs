//! `topics shred`: destroying what a topic holds.

use super::{Kind, Topic, find, unknown};
use crate::args::ShredArgs;
use crate::exit::Failure;
use crate::output::{Bytes, Escaped, say};
use crate::store::{Place, WAIT_SHORT, ask_line, can_ask};
use forgeone_db::{RedbManager, TopicKind, TopicPattern};
use futures::executor::block_on;
use serde::Serialize;

const COVERED: &str = "payloads and metadata of these records cannot be recovered from this store, \
                       nor from copies made of it from now on";
const NOT_COVERED: &str = "not covered: the topic's name; ids, times and counts; earlier copies and \
                           backups; leftovers of old keyring files on the medium (see --help)";

/// What is destroyed, or would be.
#[derive(Debug, Serialize)]
struct Plan<'a> {
    topic: &'a str,
    kind: Kind,
    first_seq: u64,
    last_seq: u64,
    count: u64,
    /// Of those that are sealed, before compression.
    sealed_raw_bytes: u64,
    shredded: bool,
}

impl<'a> Plan<'a> {
    fn of(Topic { kind, info }: &'a Topic) -> Self {
        Self {
            topic: &info.topic,
            kind: *kind,
            first_seq: info.first_seq,
            last_seq: info.last_seq,
            count: info.count,
            sealed_raw_bytes: info.sealed_raw_bytes,
            shredded: false,
        }
    }

    fn what(&self) -> String {
        format!(
            "{} records of {} topic {}, {} to {}, {} sealed",
            self.count,
            self.kind,
            Escaped(self.topic),
            self.first_seq,
            self.last_seq,
            Bytes(self.sealed_raw_bytes),
        )
    }
}

pub(super) fn run(place: &Place, args: &ShredArgs) -> Result<(), Failure> {
    if !args.yes && !can_ask() {
        return show(place, args);
    }
    let manager = place.write(WAIT_SHORT)?;
    if let Some(found) = manager.database().found_key_change() {
        say(format_args!("{found} was cut short; finishing it"));
        block_on(manager.database().finish_key_changes())?;
    }
    let topic = one(&manager, args)?;
    let mut plan = Plan::of(&topic);
    if plan.count == 0 {
        print_nothing(place, &plan)?;
        return Ok(manager.close()?);
    }
    if !args.yes {
        confirm(&plan)?;
    }
    let kind = match plan.kind {
        Kind::Events => TopicKind::Events,
        Kind::Logs => TopicKind::Logs,
    };
    plan.last_seq = manager.shred_topic(kind, &args.topic)?.last_seq;
    plan.shredded = true;
    manager.close()?;
    let mut output = place.output();
    output.either(&plan, format_args!("shredded {}", plan.what()))?;
    output.flush()?;
    say(COVERED);
    say(NOT_COVERED);
    Ok(())
}

/// Shows what would be destroyed, and destroys nothing.
fn show(place: &Place, args: &ShredArgs) -> Result<(), Failure> {
    let manager = place.read()?;
    let topic = one(&manager, args)?;
    let plan = Plan::of(&topic);
    if plan.count == 0 {
        return print_nothing(place, &plan);
    }
    let mut output = place.output();
    output.either(&plan, format_args!("would shred {}", plan.what()))?;
    output.flush()?;
    say(NOT_COVERED);
    Err(Failure::usage("nothing was destroyed").hint("add --yes to destroy it for good"))
}

fn print_nothing(place: &Place, plan: &Plan<'_>) -> Result<(), Failure> {
    let mut output = place.output();
    let topic = Escaped(plan.topic);
    output.either(plan, format_args!("nothing left to shred: topic {topic} holds no records"))?;
    output.flush()?;
    Ok(())
}

/// The topic that is meant.
fn one(manager: &RedbManager, args: &ShredArgs) -> Result<Topic, Failure> {
    let mut found = find(manager, &TopicPattern::exact(&args.topic)?, args.kind)?;
    if found.len() > 1 {
        return Err(Failure::usage("events and logs both have a topic of this name")
            .hint("say which with --kind events or --kind logs"));
    }
    found.pop().ok_or_else(|| unknown(&args.topic, args.kind))
}

/// Asks for the name, which nobody types by accident.
fn confirm(plan: &Plan<'_>) -> Result<(), Failure> {
    say(format_args!("this destroys {} for good", plan.what()));
    say(NOT_COVERED);
    if ask_line("Type the name of the topic to go on:")? == plan.topic {
        return Ok(());
    }
    Err(Failure::usage("that is not the topic's name; nothing was destroyed"))
}
