//! `scrub`: verify over and over, within a rate.

use super::verify;
use crate::args::ScrubArgs;
use crate::exit::{Exit, Failure};
use crate::interrupt::interruption;
use crate::output::{Format, Output, Reader, say};
use crate::store::Place;
use forgeone_db::{ScrubOptions, VerifyReport};
use futures::StreamExt as _;
use futures::channel::mpsc;
use futures::executor::block_on;
use futures::future::{Either, select};
use std::time::Duration;

pub(super) fn run(place: &Place, args: &ScrubArgs) -> Result<(), Failure> {
    let manager = place.read()?;
    let mut options =
        ScrubOptions::default().bytes_per_second(args.rate).pause(Duration::from_secs(args.pause));
    if args.once {
        options = options.rounds_max(1);
    }
    let mut interrupted = interruption()?;
    let (sender, mut rounds) = mpsc::unbounded();
    let scrub = manager.scrub(options, move |round| {
        let round = round.cloned().map_err(ToString::to_string);
        // Whoever was to print it has ended already.
        drop(sender.unbounded_send(round));
    })?;
    let mut output = place.output();
    let mut last = None;
    while let Either::Left((Some(round), _)) = block_on(select(rounds.next(), &mut interrupted)) {
        match round {
            Ok(report) => {
                let printed = print(&mut output, &report)?;
                last = Some(report);
                if printed == Reader::Gone {
                    break;
                }
            }
            Err(text) => say(format_args!("this round did not go through: {text}")),
        }
    }
    scrub.stop();
    let failed = scrub.wait().failed;
    manager.close()?;
    if let Some(report) = last.filter(|report| !report.is_sound()) {
        return Err(verify::damaged(&report));
    }
    match failed {
        Some(text) => Err(Failure::new(Exit::Failure, format!("the store was not read: {text}"))),
        None => Ok(()),
    }
}

fn print(output: &mut Output, report: &VerifyReport) -> Result<Reader, Failure> {
    if output.format() == Format::Json {
        output.json(report)?;
    } else {
        verify::print(output, report)?;
    }
    output.flush()
}
