//! What the suite needs to know about an engine.
//!
//! Absent on purpose: what the engine can do; the suite takes that from its capability.

use super::Subject;
use crate::contract::{BoxFuture, MaybeSend, MaybeSync};
use crate::error::Result;
use crate::task;

/// What a check found: nothing wrong, or what was expected and what was found.
pub type Checked = Result<(), String>;

/// A task of a case that runs beside others.
pub type Task = BoxFuture<'static, Checked>;

/// Makes engines for the suite.
pub trait Harness: MaybeSend + MaybeSync {
    /// A new, empty, open engine that shares nothing with those made before.
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>>;

    /// Opens again what `closed` held. The suite has closed its engine and its writer. `None` if
    /// nothing outlives the handle: right only for an engine whose `durability_max` is
    /// [`Durability::None`](crate::Durability::None).
    fn reopen(&self, closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>>;

    /// Runs tasks beside each other, and returns what each found once all are done. As provided:
    /// each on a thread of its own, which blocks the caller's; on WebAssembly by turns. An engine
    /// whose futures need a runtime overrides this to spawn on it.
    fn concurrently(&self, tasks: Vec<Task>) -> BoxFuture<'_, Vec<Checked>> {
        #[cfg(not(target_family = "wasm"))]
        return Box::pin(async move { on_threads(tasks) });
        #[cfg(target_family = "wasm")]
        return Box::pin(task::join_all(tasks));
    }
}

#[cfg(not(target_family = "wasm"))]
fn on_threads(tasks: Vec<Task>) -> Vec<Checked> {
    use std::thread::{Builder, scope};
    scope(|threads| {
        let start = |(index, task): (usize, Task)| {
            Builder::new()
                .name(format!("conformance-{index}"))
                .spawn_scoped(threads, move || task::block_on(task))
        };
        let started: Vec<_> = tasks.into_iter().enumerate().map(start).collect();
        let finish = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, Checked>>| {
            let joined = thread.map_err(|error| error.to_string())?.join();
            joined.unwrap_or_else(|payload| {
                Err(format!("a task panicked: {}", task::panic_text(&*payload)))
            })
        };
        started.into_iter().map(finish).collect()
    })
}
