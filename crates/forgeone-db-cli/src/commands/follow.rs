//! `events tail`: events in the order they were stored, and those to come.

use crate::args::TailArgs;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Reader};
use crate::store::Place;
use forgeone_db::{ErrorKind, EventSubscription, StartFrom};
use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{Either, select};

pub(super) fn run(place: &Place, args: TailArgs) -> Result<(), Failure> {
    let manager = place.read()?;
    let start = match (args.after, args.marker) {
        (Some(seq), _) => StartFrom::After(seq),
        (None, Some(marker)) => StartFrom::Marker(marker),
        (None, None) => StartFrom::Oldest,
    };
    let subscribed = if args.follow {
        block_on(manager.events().subscribe(&args.topic, start))
    } else {
        block_on(manager.events().replay(&args.topic, start))
    };
    let mut subscription = subscribed.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Failure::from(error).hint("`forgeone-db --json events query` shows the markers")
        }
        _ => error.into(),
    })?;
    let mut output = place.output();
    if args.follow {
        follow(&mut subscription, &mut output)
    } else {
        while let Some(event) = block_on(subscription.next())? {
            if output.event(&event)? == Reader::Gone {
                return Ok(());
            }
        }
        output.flush()?;
        Ok(())
    }
}

/// Prints events until an interruption; flushes whenever there is nothing to print at once.
fn follow(subscription: &mut EventSubscription, output: &mut Output) -> Result<(), Failure> {
    let (interrupt, mut interrupted) = oneshot::channel();
    let mut interrupt = Some(interrupt);
    ctrlc::set_handler(move || {
        if let Some(interrupt) = interrupt.take() {
            // Whoever was to be told has ended already.
            let _: Result<(), ()> = interrupt.send(());
        }
    })
    .map_err(|error| Failure::new(Exit::Failure, format!("signals cannot be handled: {error}")))?;
    loop {
        let next = if let Some(next) = subscription.next().now_or_never() {
            next
        } else {
            if output.flush()? == Reader::Gone {
                return Ok(());
            }
            let next = std::pin::pin!(subscription.next());
            match block_on(select(next, &mut interrupted)) {
                Either::Left((next, _)) => next,
                Either::Right(_) => return Ok(()),
            }
        };
        let Some(event) = next? else { break };
        if output.event(&event)? == Reader::Gone {
            return Ok(());
        }
        if matches!(interrupted.try_recv(), Ok(Some(()))) {
            break;
        }
    }
    output.flush()?;
    Ok(())
}
