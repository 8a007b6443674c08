//! What does not come although it was asked for: told where it is missing, and in the exit code.

use crate::exit::{Exit, Failure};
use crate::output::say;
use forgeone_db::{Error, ErrorKind};

/// What a command has said of missing records.
#[derive(Debug, Default)]
pub(super) struct Missing {
    damaged: u64,
}

impl Missing {
    /// Says what is missing, if that is what the error is about: what comes behind it comes next.
    ///
    /// # Errors
    /// Any other error, as it is.
    pub(super) fn tell(&mut self, error: Error) -> Result<(), Error> {
        if tell_gap(&error) {
            return Ok(());
        }
        if error.kind() != ErrorKind::Corrupt {
            return Err(error);
        }
        self.damaged += 1;
        say(format_args!("damaged: {error}"));
        Ok(())
    }

    /// # Errors
    /// Exit 5 where something was damaged: what was printed is right, and is not all.
    pub(super) fn end(self) -> Result<(), Failure> {
        if self.damaged == 0 {
            return Ok(());
        }
        let places = if self.damaged == 1 { "place is" } else { "places are" };
        Err(Failure::new(
            Exit::Corrupt,
            format!("{} {places} damaged; everything else was printed", self.damaged),
        )
        .hint("`forgeone-db verify` names what is damaged; copy the directory aside before anything else"))
    }
}

fn tell_gap(error: &Error) -> bool {
    let gap = (error.get("topic"), error.get("from"), error.get("to"), error.get("reason"));
    let (ErrorKind::NotFound, (Some(topic), Some(from), Some(to), Some(reason))) =
        (error.kind(), gap)
    else {
        return false;
    };
    let at = error.get("shredded_at").map_or_else(String::new, |at| format!(" at {at}"));
    say(format_args!("gap: {from} to {to} of topic {topic} were {reason}{at}"));
    true
}
