//! Translation of redb's and the operating system's failures into the project's error.

use super::directory::DATABASE_SUFFIX;
use super::disk::is_full;
use forgeone_db_engine::{ClosedReason, DatabaseName, Error, ErrorKind, Outcome, Result};
use rustix::io::Errno;
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message of the error for a file that a crash left and that nobody has recovered yet.
pub(super) const UNRECOVERED: &str = "the database file awaits recovery by a writer";

const PANIC_TEXT_CHARS_MAX: usize = 200;

/// A panic that was caught below the engine, as text.
#[derive(Debug)]
pub(super) struct Panicked(String);

/// Runs `call` behind the panic boundary.
pub(super) fn guard<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Panicked(text(payload.as_ref())))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    text.chars().take(PANIC_TEXT_CHARS_MAX).collect()
}

impl Panicked {
    /// The error of the call that panicked.
    pub(super) fn into_error(self, kind: ErrorKind) -> Error {
        Error::new(kind, "redb panicked; the file is probably damaged").with("panic", self.0)
    }
}

/// What an operating system error means to the caller.
fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        _ if is_full(error) => ErrorKind::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        io::ErrorKind::NotADirectory => ErrorKind::Invalid,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory => {
            ErrorKind::Corrupt
        }
        // A symbolic link where a file of the store belongs.
        _ if Errno::from_io_error(error) == Some(Errno::LOOP) => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    }
}

/// The error of a failed file operation.
pub(super) fn from_io(error: io::Error, message: &'static str) -> Error {
    Error::new(io_kind(&error), message).with_source(error)
}

/// The error of a database file that cannot be opened, with what lies there and what to do.
pub(super) fn cannot_open(error: io::Error, database: &DatabaseName) -> Error {
    let what = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "a database file may not be opened; give this user the right to read and write it"
        }
        io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory => {
            "what lies in the place of a database file is none; put the file back from a copy"
        }
        _ if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
            "a symbolic link lies in the place of a database file, and none is followed; put the file there itself"
        }
        _ => "a database file cannot be opened",
    };
    from_io(error, what).with("file", format_args!("{database}{DATABASE_SUFFIX}"))
}

/// Whether redb has latched the file: nothing works on the handle until it is closed.
pub(super) fn is_latched(error: &redb::Error) -> bool {
    matches!(error, redb::Error::PreviousIo | redb::Error::LockPoisoned(_))
}

/// Whether redb latches the file when it fails so, or had done it before.
pub(super) fn latches(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(_)) || is_latched(error)
}

/// The kind and message of a redb error, for a caller that wanted to read or open.
pub(super) fn from_redb(error: redb::Error) -> Error {
    let (kind, message) = match &error {
        // A newer format was refused before redb saw the file, and an older one was never written.
        redb::Error::UpgradeRequired(_)
        | redb::Error::Corrupted(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableIsNotMultimap(_)
        | redb::Error::TypeDefinitionChanged { .. } => {
            (ErrorKind::Corrupt, "the database file is damaged")
        }
        redb::Error::Io(error) => (io_kind(error), io_message(error)),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            (ErrorKind::InUse, "another process has the database open")
        }
        redb::Error::RepairAborted => (ErrorKind::Unavailable, UNRECOVERED),
        redb::Error::PreviousIo => (
            ErrorKind::Unavailable,
            "the database file failed earlier and must be reopened before it is used again",
        ),
        redb::Error::DatabaseClosed => {
            (ErrorKind::Closed(ClosedReason::Shutdown), "the engine is closed")
        }
        redb::Error::ValueTooLarge(_) => (ErrorKind::Invalid, "a value is too large"),
        redb::Error::Unsupported => {
            (ErrorKind::Unsupported, "this file system cannot lock ranges of a file")
        }
        _ => (ErrorKind::Internal, "redb failed in an unforeseen way"),
    };
    let error_out = Error::new(kind, message);
    match error {
        redb::Error::Io(source) => error_out.with_source(source),
        other => error_out.with_source(Foreign(other.to_string())),
    }
}

fn io_message(error: &io::Error) -> &'static str {
    match io_kind(error) {
        ErrorKind::Full => "there is no room for the database file to grow",
        ErrorKind::Corrupt => "the database file is damaged",
        ErrorKind::Denied => "the database file may not be used",
        _ => "the database file cannot be read or written",
    }
}

/// The message of the error for bytes that the medium does not give.
pub(super) const UNREADABLE: &str = "the medium cannot read part of the database file";

/// A read that the medium refused is damage, not a passing failure: the same bytes fail again.
pub(super) fn from_redb_read(error: redb::Error) -> Error {
    if let redb::Error::Io(source) = &error
        && Errno::from_io_error(source) == Some(Errno::IO)
    {
        return Error::new(ErrorKind::Corrupt, UNREADABLE).with_source(Foreign(source.to_string()));
    }
    from_redb(error)
}

/// The error of every commit to a database that an earlier failure has latched.
pub(super) fn poisoned() -> Error {
    Error::new(
        ErrorKind::Closed(ClosedReason::Poisoned),
        "an earlier write or sync of the database failed; reopen it before writing again",
    )
    .with_outcome(Outcome::Rejected)
}

/// The error of every write to a database whose file redb does not recover.
pub(super) fn not_recovered() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the engine's own pages are damaged, so it can be read and not written to; write a new store from it: forgeone-db salvage",
    )
    .with_outcome(Outcome::Rejected)
}

/// The error of a commit that could not be begun, since the file had met the end of the disk in a call
/// that nobody heard of.
pub(super) fn met_the_end_of_the_disk() -> Error {
    Error::new(ErrorKind::Full, "there was no room for the database file to grow")
        .with_outcome(Outcome::Unknown)
}

/// The text of a redb error. redb's own type is not kept: it may hold a transaction.
#[derive(Debug)]
struct Foreign(String);

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Foreign {}

/// The error of every call after `close`.
pub(super) fn shutdown() -> Error {
    Error::new(ErrorKind::Closed(ClosedReason::Shutdown), "the engine is closed")
}
