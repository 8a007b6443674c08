//! `PooledEngine` must be an engine like any other, and keep blocking reads off its callers.

use super::PooledEngine;
use crate::environment::SystemEnvironment;
use forgeone_db_engine::conformance::{self, Harness, Subject};
use forgeone_db_engine::{BoxFuture, Engine, MemoryEngine, Result};
use std::sync::Arc;

fn pooled(engine: MemoryEngine) -> Arc<dyn Engine> {
    Arc::new(PooledEngine::new(Arc::new(engine), Arc::new(SystemEnvironment::new()), 2))
}

struct Pooled;

impl Harness for Pooled {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async {
            let engine = MemoryEngine::new();
            Ok(Subject::new(pooled(engine.reopen())).with_place(engine))
        })
    }

    fn reopen(&self, closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async {
            let engine = closed.place::<MemoryEngine>().map(MemoryEngine::reopen);
            Ok(engine.map(|engine| Subject { engine: pooled(engine), ..closed }))
        })
    }
}

#[test]
fn pooled_engine_meets_the_contract() {
    conformance::check(&Pooled);
}
