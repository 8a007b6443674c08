//! The error is what every caller sees when something goes wrong: it must stay small, say one
//! line, and keep its cause.

use super::{Error, ErrorKind, Outcome, Status};
use std::error::Error as _;

#[test]
fn an_error_is_as_large_as_a_pointer() {
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

#[test]
fn display_is_one_line_with_context_and_cause() {
    let error = Error::new(ErrorKind::Corrupt, "a block fails its checksum")
        .with("database", "events_shard_0")
        .with("commit", 7)
        .with_source(std::io::Error::other("short read"));
    assert_eq!(
        error.to_string(),
        "a block fails its checksum (database: events_shard_0, commit: 7): short read"
    );
    assert!(error.source().is_some());
    assert_eq!(error.get("commit"), Some("7"));
}

#[test]
fn a_duplicate_keeps_what_callers_branch_on() {
    let error = Error::new(ErrorKind::Full, "disk full")
        .with_op("commit")
        .with_outcome(Outcome::Unknown)
        .with_source(std::io::Error::other("ENOSPC"));
    let copy = error.duplicate();
    assert_eq!(copy.kind(), ErrorKind::Full);
    assert_eq!(copy.outcome(), Outcome::Unknown);
    assert_eq!(copy.status(), Status::Temporary);
    assert_eq!(copy.op(), Some("commit"));
    assert_eq!(copy.to_string(), error.to_string());
}

#[test]
fn the_innermost_operation_name_stays() {
    let error = Error::new(ErrorKind::Invalid, "x").with_op("read").with_op("query");
    assert_eq!(error.op(), Some("read"));
}
