//! `RedbEngine` runs the suite that every engine runs, on real files, reopening included.

use super::*;
use crate::environment::SystemEnvironment;
use crate::pool::PooledEngine;
use forgeone_db_engine::conformance::{self, Harness, Subject};
use forgeone_db_engine::{BoxFuture, Engine, Error, ErrorKind};
use std::sync::Arc;

/// What stands above the files.
#[derive(Debug, Clone, Copy)]
enum Stack {
    Bare,
    Pooled,
}

impl Stack {
    fn open(self, path: &Path) -> Arc<dyn Engine> {
        let engine: Arc<dyn Engine> = Arc::new(writer(path));
        match self {
            Self::Bare => engine,
            Self::Pooled => {
                Arc::new(PooledEngine::new(engine, Arc::new(SystemEnvironment::new()), 2))
            }
        }
    }
}

impl Harness for Stack {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async {
            let place = store();
            Ok(Subject::new(self.open(place.path())).with_place(place))
        })
    }

    fn reopen(&self, closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async {
            let path = closed.place::<TempDir>().map(|place| place.path().to_owned());
            let path = path.ok_or_else(|| Error::new(ErrorKind::Internal, "no place was kept"))?;
            Ok(Some(Subject { engine: self.open(&path), ..closed }))
        })
    }
}

#[test]
fn redb_engine_meets_the_contract() {
    assert!(conformance::CASES.len() >= 60);
    conformance::check(&Stack::Bare);
}

#[test]
fn pooled_engine_over_redb_meets_the_contract() {
    conformance::check(&Stack::Pooled);
}
