//! What an engine says about itself.

use super::subject::{ensure, puts, same, start};
use super::{Checked, Harness};
use std::fmt::Debug;

/// Asserts a lower bound.
fn at_least<T: PartialOrd + Debug + Copy>(what: &str, found: T, least: T) -> Checked {
    ensure(found >= least, || format!("{what} is {found:?}, the contract demands {least:?}"))
}

pub(super) async fn minimums(harness: &dyn Harness) -> Checked {
    let (subject, ..) = start(harness).await?;
    let capability = subject.engine.capability();
    at_least("key_bytes_max", capability.key_bytes_max, 32)?;
    at_least("value_bytes_max", capability.value_bytes_max, 64 << 10)?;
    at_least("value_bytes_preferred", capability.value_bytes_preferred, 1)?;
    at_least("batch_operations_max", capability.batch_operations_max, 64)?;
    let entry = capability.value_bytes_max.saturating_add(u64::from(capability.key_bytes_max));
    at_least("batch_bytes_max", capability.batch_bytes_max, entry)?;
    at_least("range_delete_entries_max", capability.range_delete_entries_max, 64)?;
    at_least("get_keys_max", capability.get_keys_max, 64)?;
    at_least("page_entries_max", capability.page_entries_max, 64)
}

pub(super) async fn constant(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let before = subject.engine.capability();
    subject.apply(puts(&database, &table, &[(b"key", b"value")])).await?;
    same("the capability after a commit", &subject.engine.capability(), &before)?;
    subject.engine.close().await.map_err(|error| format!("close failed: {error:?}"))?;
    same("the capability after close", &subject.engine.capability(), &before)
}

pub(super) async fn display(harness: &dyn Harness) -> Checked {
    let (subject, ..) = start(harness).await?;
    let shown = subject.engine.to_string();
    ensure(!shown.is_empty() && shown.lines().count() == 1 && shown.trim() == shown, || {
        format!("an engine displays as {shown:?}")
    })?;
    ensure(!format!("{:?}", subject.engine).is_empty(), || "an empty debug text".to_owned())
}
