//! Ending what would go on for ever, when a signal asks for it.

use crate::exit::{Exit, Failure};
use futures::channel::oneshot;

/// Gives what resolves at the first interruption. May be called once in the life of the process.
pub(crate) fn interruption() -> Result<oneshot::Receiver<()>, Failure> {
    let (interrupt, interrupted) = oneshot::channel();
    let mut interrupt = Some(interrupt);
    ctrlc::set_handler(move || {
        if let Some(interrupt) = interrupt.take() {
            // Whoever was to be told has ended already.
            let _: Result<(), ()> = interrupt.send(());
        }
    })
    .map_err(|error| Failure::new(Exit::Failure, format!("signals cannot be handled: {error}")))?;
    Ok(interrupted)
}
