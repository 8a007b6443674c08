//! Preconditions: checked inside the commit, and nothing written when one fails.

use super::subject::{Subject, ensure, puts, start, table};
use super::{Checked, Harness};
use crate::contract::{Batch, DatabaseName, Durability, TableName};
use crate::error::{ErrorKind, Outcome};
use crate::task::join_all;

const OLD: [(&[u8], &[u8]); 2] = [(b"empty", b""), (b"full", b"value")];

/// A fresh engine with an empty and a full value.
async fn two(harness: &dyn Harness) -> Result<(Subject, DatabaseName, TableName), String> {
    let (subject, database, table) = start(harness).await?;
    subject.apply(puts(&database, &table, &OLD)).await?;
    Ok((subject, database, table))
}

/// A batch that would write `new`, replace `full` and delete `empty`.
fn writing(database: &DatabaseName, table: &TableName) -> Batch {
    let mut batch = puts(database, table, &[(b"new", b"new"), (b"full", b"new")]);
    batch.delete(table, "empty");
    batch
}

/// Asserts that the batch with the conditions that `require` adds is a conflict and writes nothing.
async fn conflicts(harness: &dyn Harness, require: impl FnOnce(&mut Batch, &TableName)) -> Checked {
    let (subject, database, table) = two(harness).await?;
    let mut batch = writing(&database, &table);
    require(&mut batch, &table);
    subject.refuse(batch, ErrorKind::Conflict).await?;
    subject.table_is(&database, &table, &OLD).await
}

/// Asserts that the batch with the conditions that `require` adds is applied.
async fn holds(harness: &dyn Harness, require: impl FnOnce(&mut Batch, &TableName)) -> Checked {
    let (subject, database, table) = two(harness).await?;
    let mut batch = writing(&database, &table);
    require(&mut batch, &table);
    subject.apply(batch).await?;
    subject.table_is(&database, &table, &[(b"full", b"new"), (b"new", b"new")]).await
}

pub(super) async fn absent_holds(harness: &dyn Harness) -> Checked {
    holds(harness, |batch, table| {
        batch.require_absent(table, "new").require_absent(table, "ful");
    })
    .await?;
    let (subject, database, table) = start(harness).await?;
    let mut batch = puts(&database, &table, &[(b"first", b"1")]);
    batch.require_absent(&table, "first");
    subject.apply(batch).await?;
    subject.table_is(&database, &table, &[(b"first", b"1")]).await
}

pub(super) async fn absent_fails(harness: &dyn Harness) -> Checked {
    conflicts(harness, |batch, table| _ = batch.require_absent(table, "full")).await
}

pub(super) async fn absent_empty(harness: &dyn Harness) -> Checked {
    conflicts(harness, |batch, table| _ = batch.require_absent(table, "empty")).await
}

pub(super) async fn equals_holds(harness: &dyn Harness) -> Checked {
    holds(harness, |batch, table| _ = batch.require_equals(table, "full", "value")).await
}

pub(super) async fn equals_other(harness: &dyn Harness) -> Checked {
    conflicts(harness, |batch, table| _ = batch.require_equals(table, "full", "other")).await?;
    conflicts(harness, |batch, table| _ = batch.require_equals(table, "full", "")).await
}

pub(super) async fn equals_absent(harness: &dyn Harness) -> Checked {
    conflicts(harness, |batch, table| _ = batch.require_equals(table, "absent", "value")).await?;
    let (subject, database, table) = start(harness).await?;
    let mut batch = puts(&database, &table, &[(b"first", b"1")]);
    batch.require_equals(&table, "first", "1");
    subject.refuse(batch, ErrorKind::Conflict).await?;
    subject.table_is(&database, &table, &[]).await
}

pub(super) async fn equals_empty(harness: &dyn Harness) -> Checked {
    holds(harness, |batch, table| _ = batch.require_equals(table, "empty", "")).await?;
    conflicts(harness, |batch, table| _ = batch.require_equals(table, "absent", "")).await?;
    conflicts(harness, |batch, table| _ = batch.require_equals(table, "empty", "\0")).await
}

pub(super) async fn equals_prefix(harness: &dyn Harness) -> Checked {
    conflicts(harness, |batch, table| _ = batch.require_equals(table, "full", "valu")).await?;
    conflicts(harness, |batch, table| _ = batch.require_equals(table, "full", "value\0")).await
}

pub(super) async fn before_operations(harness: &dyn Harness) -> Checked {
    // Each condition speaks of a key that the batch itself changes.
    holds(harness, |batch, table| {
        batch.require_absent(table, "new").require_equals(table, "full", "value");
        batch.require_equals(table, "empty", "");
    })
    .await?;
    conflicts(harness, |batch, table| _ = batch.require_equals(table, "full", "new")).await?;
    conflicts(harness, |batch, table| _ = batch.require_absent(table, "empty")).await
}

pub(super) async fn one_of_many(harness: &dyn Harness) -> Checked {
    for wrong in 0..10 {
        conflicts(harness, |batch, table| {
            for turn in 0..10 {
                let value = if turn == wrong { "other" } else { "value" };
                batch.require_equals(table, "full", value);
            }
        })
        .await?;
    }
    Ok(())
}

pub(super) async fn alone(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = two(harness).await?;
    let mut batch = Batch::new(database.clone());
    batch.require_equals(&table, "full", "value").require_absent(&table, "new");
    subject.apply(batch.clone()).await?;
    batch.require_absent(&table, "full");
    subject.refuse(batch, ErrorKind::Conflict).await?;
    subject.table_is(&database, &table, &OLD).await
}

pub(super) async fn across_tables(harness: &dyn Harness) -> Checked {
    let (subject, database, events) = two(harness).await?;
    let head = table("head")?;
    let mut batch = puts(&database, &head, &[(b"head", b"1")]);
    batch.require_equals(&events, "full", "value").require_absent(&head, "full");
    subject.apply(batch).await?;
    let mut batch = puts(&database, &events, &[(b"new", b"new")]);
    batch.require_equals(&head, "head", "2");
    subject.refuse(batch, ErrorKind::Conflict).await?;
    subject.table_is(&database, &events, &OLD).await?;
    subject.table_is(&database, &head, &[(b"head", b"1")]).await
}

pub(super) async fn contradiction(harness: &dyn Harness) -> Checked {
    conflicts(harness, |batch, table| {
        batch.require_equals(table, "full", "value").require_absent(table, "full");
    })
    .await?;
    conflicts(harness, |batch, table| {
        batch.require_equals(table, "full", "value").require_equals(table, "full", "other");
    })
    .await
}

pub(super) async fn two_conflicting(harness: &dyn Harness) -> Checked {
    for _ in 0..10 {
        let (subject, database, table) = two(harness).await?;
        let commits = ["one", "two"].map(|value| {
            let mut batch = Batch::new(database.clone());
            batch.require_equals(&table, "full", "value").put(&table, "full", value);
            subject.commit(batch, Durability::None)
        });
        let [one, two] = commits;
        let results = join_all(vec![Box::pin(one), Box::pin(two)]).await;
        let winners: Vec<_> = results.iter().map(Result::is_ok).collect();
        let lost = results.iter().filter_map(|result| result.as_ref().err()).all(|error| {
            error.kind() == ErrorKind::Conflict && error.outcome() == Outcome::Rejected
        });
        ensure(lost && (winners == [true, false] || winners == [false, true]), || {
            format!("two commits with one condition: {results:?}")
        })?;
        let value: &[u8] = if winners == [true, false] { b"one" } else { b"two" };
        subject.holds(&database, &table, b"full", Some(value)).await?;
    }
    Ok(())
}
