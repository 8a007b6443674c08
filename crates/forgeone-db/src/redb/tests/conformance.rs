//! The contract's own suite, on a writer and on a reader that follows one.

use super::*;
use forgeone_db_engine::BoxFuture;
use forgeone_db_engine::conformance::{self, Harness, Subject};
use std::sync::Arc;

/// A writer.
struct Writer;

impl Harness for Writer {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async {
            let place = store();
            Ok(Subject::new(Arc::new(writer(place.path()))).with_place(place))
        })
    }

    fn reopen(&self, closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async {
            let path = closed.place::<TempDir>().unwrap().path();
            Ok(Some(Subject { engine: Arc::new(writer(path)), ..closed }))
        })
    }
}

/// A reader beside a live writer.
struct Follower;

impl Harness for Follower {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async {
            let place = store();
            let (engine, writer) = (reader(place.path()), writer(place.path()));
            Ok(Subject::read_only(Arc::new(engine), Arc::new(writer)).with_place(place))
        })
    }

    fn reopen(&self, closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async {
            let path = closed.place::<TempDir>().unwrap().path();
            let writer: Arc<dyn forgeone_db_engine::Engine> = Arc::new(writer(path));
            let engine = Arc::new(reader(path));
            Ok(Some(Subject { engine, writer: Some(writer), ..closed }))
        })
    }
}

#[test]
fn redb_engine_conforms() {
    conformance::check(&Writer);
}

#[test]
fn redb_engine_conforms_as_a_reader_beside_a_writer() {
    conformance::check(&Follower);
}
