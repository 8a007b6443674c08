//! The next step after each kind of error. The library says what is wrong; what to type is the
//! command line's business.

use forgeone_db::{ClosedReason, Error, ErrorKind, Outcome};

/// What to do about an error.
pub(crate) fn hint(error: &Error) -> Option<&'static str> {
    if error.outcome() == Outcome::Unknown {
        return Some(
            "the write may or may not be stored; send it again with the same ids to find out",
        );
    }
    if error.get("unfinished").is_some() {
        return Some("start the salvage again with the same OUT, which begins anew, or remove OUT");
    }
    Some(match error.kind() {
        ErrorKind::NotFound if error.get("path").is_some() => {
            "name the store with --dir or FORGEONE_DB_DIR, or make one with `forgeone-db init`"
        }
        ErrorKind::NotFound => "`forgeone-db topics list` shows what there is",
        ErrorKind::AlreadyExists => {
            "use the store that is there, or name another directory with --dir"
        }
        ErrorKind::Conflict => {
            "an id stands for one content in its topic; give the new record an id of its own"
        }
        ErrorKind::Denied => "check who owns the directory and its files, and their modes",
        ErrorKind::InUse => {
            "one process writes at a time: end the other one, or wait for it with --wait SECONDS"
        }
        ErrorKind::WrongKey => {
            "give the right key with --key-file, FORGEONE_DB_KEY_FILE or FORGEONE_DB_KEY"
        }
        ErrorKind::Corrupt if error.get("lost").is_some() => {
            "copy what is lost back from a backup of this store, any one copy will do; without it nothing \
             can be read"
        }
        ErrorKind::Corrupt => {
            "`forgeone-db verify` names what is damaged; copy the directory aside before anything else"
        }
        ErrorKind::UpgradeRequired => "use a newer release of forgeone-db",
        ErrorKind::Full => "free space on the disk, or raise the limit with `forgeone-db quota N`",
        ErrorKind::Unavailable => "try again",
        ErrorKind::Closed(ClosedReason::Fenced) => "another writer has taken over; start again",
        ErrorKind::Closed(_) => "start the command again; the store recovers when it is opened",
        ErrorKind::Unsupported => "`forgeone-db stats` says what kind of store this is",
        ErrorKind::Internal => "this is a defect: please report it with the line above",
        _ => return None,
    })
}
