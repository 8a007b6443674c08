//! Exit codes, and the failure that ends a command.

use crate::hints::hint;
use crate::output::say;
use forgeone_db::{Error, ErrorKind, Outcome};
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// What a command ends with. Stable: scripts branch on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Failure = 1,
    Usage = 2,
    NotFound = 3,
    Key = 4,
    Corrupt = 5,
    InUse = 6,
    Full = 7,
    Conflict = 8,
    Unknown = 9,
    UpgradeRequired = 10,
    Denied = 11,
}

impl Exit {
    /// The code of a library error. That a write's outcome is unknown outweighs the reason.
    pub(crate) fn of(error: &Error) -> Self {
        if error.outcome() == Outcome::Unknown {
            return Self::Unknown;
        }
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::WrongKey => Self::Key,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::InUse => Self::InUse,
            ErrorKind::Full => Self::Full,
            ErrorKind::Conflict | ErrorKind::AlreadyExists => Self::Conflict,
            ErrorKind::UpgradeRequired => Self::UpgradeRequired,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Invalid => Self::Usage,
            _ => Self::Failure,
        }
    }
}

/// Why a command failed: one line, the next step, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure of reading or writing what is not the store's.
    pub(crate) fn io(what: impl Display, error: &io::Error) -> Self {
        let (exit, hint) = match error.kind() {
            io::ErrorKind::NotFound => (Exit::NotFound, "check the name"),
            io::ErrorKind::PermissionDenied => (Exit::Denied, "check who owns it, and its mode"),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (Exit::Full, "free space on that disk")
            }
            io::ErrorKind::FileTooLarge => {
                (Exit::Full, "raise the limit on the size of files, as of `ulimit -f`")
            }
            _ => (Exit::Failure, "try again; if it stays, the medium or the system is at fault"),
        };
        Self::new(exit, format!("{what}: {error}")).hint(hint)
    }

    /// What went wrong, without the hint.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what was stored all the same, behind the message.
    pub(crate) fn but(mut self, note: impl Display) -> Self {
        self.message = format!("{}; {note}", self.message);
        self
    }

    /// Prints the failure and gives the code to end with.
    pub(crate) fn report(self) -> ExitCode {
        say(format_args!("error: {}", self.message));
        if let Some(hint) = self.hint {
            say(format_args!("hint: {hint}"));
        }
        ExitCode::from(self.exit as u8)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::new(Exit::of(&error), error.to_string());
        match hint(&error) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
