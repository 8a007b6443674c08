//! The library's own modules, where they find the checker's primitives under `super::sync`.

#[path = "../../crates/forgeone-db/src/stream/notify.rs"]
pub(crate) mod notify;
#[path = "../../crates/forgeone-db/src/stream/queue.rs"]
pub(crate) mod queue;

pub(crate) use crate::sync;
