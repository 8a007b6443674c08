//! `events tail` and `logs tail`: records in the order they were stored, and those to come.

use super::missing::Missing;
use crate::args::{LogsTailArgs, TailArgs};
use crate::exit::Failure;
use crate::interrupt::interruption;
use crate::output::{Output, Reader};
use crate::store::Place;
use forgeone_db::{Error, ErrorKind, StartFrom};
use futures::executor::block_on;
use futures::future::{Either, select};
use futures::{FutureExt as _, Stream, StreamExt as _};

pub(super) fn events(place: &Place, args: TailArgs) -> Result<(), Failure> {
    let manager = place.read()?;
    let start = start(args.after, args.marker);
    let subscribed = if args.follow {
        block_on(manager.events().subscribe(&args.topic, start))
    } else {
        block_on(manager.events().replay(&args.topic, start))
    };
    let events = subscribed.map_err(|error| explain(error, "events"))?;
    print(events, args.follow, &mut place.output(), Output::event)
}

pub(super) fn logs(place: &Place, args: LogsTailArgs) -> Result<(), Failure> {
    let shape = place.log_shape(args.format)?;
    let manager = place.read()?;
    let start = start(args.after, args.marker);
    let subscribed = if args.follow {
        block_on(manager.logs().subscribe(&args.topic, start))
    } else {
        block_on(manager.logs().replay(&args.topic, start))
    };
    let entries = subscribed.map_err(|error| explain(error, "logs"))?;
    print(entries, args.follow, &mut place.output(), |output, entry| output.log(entry, shape))
}

fn start(after: Option<u64>, marker: Option<String>) -> StartFrom {
    match (after, marker) {
        (Some(seq), _) => StartFrom::After(seq),
        (None, Some(marker)) => StartFrom::Marker(marker),
        (None, None) => StartFrom::Oldest,
    }
}

fn explain(error: Error, group: &str) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::from(error)
            .hint(format!("`forgeone-db --json {group} query` shows the markers")),
        _ => error.into(),
    }
}

/// What a subscription gives.
type Found<T> = forgeone_db::Result<T>;

fn print<T>(
    mut records: impl Stream<Item = Found<T>> + Unpin,
    endless: bool,
    output: &mut Output,
    mut one: impl FnMut(&mut Output, &T) -> Result<Reader, Failure>,
) -> Result<(), Failure> {
    if endless {
        return follow(records, output, one);
    }
    let mut missing = Missing::default();
    while let Some(record) = block_on(records.next()) {
        match record {
            Ok(record) if one(output, &record)? == Reader::Gone => return Ok(()),
            Ok(_) => {}
            Err(error) => {
                // What was found before is worth having, and comes before what is said of the rest.
                output.flush()?;
                missing.tell(error)?;
            }
        }
    }
    output.flush()?;
    missing.end()
}

/// Prints records until an interruption; flushes whenever there is nothing to print at once.
pub(super) fn follow<T>(
    mut records: impl Stream<Item = Found<T>> + Unpin,
    output: &mut Output,
    mut one: impl FnMut(&mut Output, &T) -> Result<Reader, Failure>,
) -> Result<(), Failure> {
    let mut interrupted = interruption()?;
    let mut missing = Missing::default();
    loop {
        let next = if let Some(next) = records.next().now_or_never() {
            next
        } else {
            if output.flush()? == Reader::Gone {
                return Ok(());
            }
            match block_on(select(records.next(), &mut interrupted)) {
                Either::Left((next, _)) => next,
                Either::Right(_) => return missing.end(),
            }
        };
        let gone = match next {
            None => break,
            Some(Ok(record)) => one(output, &record)? == Reader::Gone,
            Some(Err(error)) => {
                output.flush()?;
                missing.tell(error)?;
                false
            }
        };
        if gone {
            return Ok(());
        }
        if matches!(interrupted.try_recv(), Ok(Some(()))) {
            break;
        }
    }
    output.flush()?;
    missing.end()
}
