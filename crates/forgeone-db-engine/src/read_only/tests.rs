//! A handle opened to look must not change what it looks at, not even by an empty commit.

use super::ReadOnlyEngine;
use crate::contract::{Batch, DatabaseName, Durability, Engine as _, TableName};
use crate::error::{ClosedReason, ErrorKind, Outcome};
use crate::memory::MemoryEngine;
use crate::task::block_on;

#[test]
fn every_commit_is_refused_and_says_why() {
    let engine = ReadOnlyEngine::new(MemoryEngine::new());
    let database = DatabaseName::new("system").unwrap();
    let mut put = Batch::new(database.clone());
    put.put(&TableName::new("head").unwrap(), "k", "v");
    for batch in [Batch::new(database.clone()), put.clone()] {
        let error = block_on(engine.commit(batch, Durability::None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.outcome(), Outcome::Rejected);
        assert!(error.to_string().contains("read-only"), "{error}");
        assert_eq!(error.get("database"), Some("system"));
    }
    let error = block_on(engine.compact(&database)).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unsupported, Outcome::Rejected));
    assert_eq!(block_on(engine.inner().usage(&database)).unwrap().allocated_bytes, 0);
    block_on(engine.close()).unwrap();
    let error = block_on(engine.commit(put, Durability::None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed(ClosedReason::Shutdown));
}

#[test]
fn display_prints_the_stack() {
    assert_eq!(ReadOnlyEngine::new(MemoryEngine::new()).to_string(), "read_only(memory)");
}
