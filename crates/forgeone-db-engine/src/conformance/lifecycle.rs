//! Close: what it waits for, and what comes after it.

use super::subject::{Subject, ensure, expect_error, puts, start};
use super::{Checked, Harness};
use crate::contract::{Batch, BoxFuture, DatabaseName, Durability, KeyRange, Read, TableName};
use crate::error::{ClosedReason, ErrorKind, Result};
use crate::task::join_all;

/// A call of any kind, its answer dropped.
type Late<'a> = BoxFuture<'a, Result<()>>;

const SHUTDOWN: ErrorKind = ErrorKind::Closed(ClosedReason::Shutdown);

async fn close(subject: &Subject) -> Checked {
    subject.engine.close().await.map_err(|error| format!("close failed: {error:?}"))
}

/// Asserts that every call is `Closed(Shutdown)`.
async fn all_closed((subject, database, table): &(Subject, DatabaseName, TableName)) -> Checked {
    let engine = &subject.engine;
    expect_error(engine.read(database, Read::get(table, "a")).await, SHUTDOWN)?;
    let scan = subject.ask(table, KeyRange::all()).read();
    expect_error(engine.read(database, scan).await, SHUTDOWN)?;
    let batch = puts(database, table, &[(b"a", b"2")]);
    expect_error(engine.commit(batch, Durability::None).await, SHUTDOWN)?;
    expect_error(engine.commit(Batch::new(database.clone()), Durability::None).await, SHUTDOWN)?;
    expect_error(engine.usage(database).await, SHUTDOWN)?;
    expect_error(engine.compact(database).await, SHUTDOWN)
}

pub(super) async fn closed(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    close(&set.0).await?;
    all_closed(&set).await?;
    let set = start(harness).await?;
    set.0.apply(puts(&set.1, &set.2, &[(b"a", b"1")])).await?;
    close(&set.0).await?;
    all_closed(&set).await
}

pub(super) async fn twice(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    set.0.apply(puts(&set.1, &set.2, &[(b"a", b"1")])).await?;
    for _ in 0..3 {
        close(&set.0).await?;
        all_closed(&set).await?;
    }
    Ok(())
}

pub(super) async fn late(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let (subject, database, table) = &set;
    let engine = &subject.engine;
    let batch = puts(database, table, &[(b"a", b"1")]);
    let read = engine.read(database, Read::get(table, "a"));
    let commit = engine.commit(batch, Durability::None);
    let usage = engine.usage(database);
    let compact = engine.compact(database);
    // An engine may begin at the call, and then close waits for it: joined, so that it can.
    let closing: Late<'_> = engine.close();
    let read: Late<'_> = Box::pin(async { read.await.map(drop) });
    let usage: Late<'_> = Box::pin(async { usage.await.map(drop) });
    for (call, result) in
        join_all(vec![closing, read, commit, usage, compact]).await.into_iter().enumerate()
    {
        match result {
            Ok(()) => {}
            Err(_) if call == 0 => return Err("close failed".to_owned()),
            // A handle that refuses commits may have refused this one before it was closed.
            Err(error) if subject.writer.is_some() && error.kind() == ErrorKind::Unsupported => {}
            error => expect_error(error, SHUTDOWN)?,
        }
    }
    all_closed(&set).await
}

pub(super) async fn closed_first(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    close(&subject).await?;
    let mut batch = Batch::new(database.clone());
    batch.put(&table, "", "value");
    expect_error(subject.engine.commit(batch, Durability::None).await, SHUTDOWN)?;
    expect_error(subject.engine.read(&database, Read::get(&table, "")).await, SHUTDOWN)
}

pub(super) async fn race(harness: &dyn Harness) -> Checked {
    for commit_first in [true, false] {
        let (subject, database, table) = start(harness).await?;
        let strongest = subject.engine.capability().durability_max;
        let batch = puts(&database, &table, &[(b"a", b"1"), (b"b", b"2")]);
        let commit: BoxFuture<'_, Result<()>> = Box::pin(subject.commit(batch, strongest));
        let closing = subject.engine.close();
        let calls = if commit_first { vec![commit, closing] } else { vec![closing, commit] };
        let mut results = join_all(calls).await;
        if !commit_first {
            results.reverse();
        }
        let closed = results.pop().ok_or("no result")?;
        closed.map_err(|error| format!("close failed: {error:?}"))?;
        let committed = results.pop().ok_or("no result")?;
        let done = committed.is_ok();
        if !done {
            expect_error(committed, SHUTDOWN)?;
        }
        let Some(subject) = subject.reopen(harness).await? else { continue };
        let found = subject.walk(&database, &subject.ask(&table, KeyRange::all())).await?.len();
        let durable = strongest > Durability::None;
        ensure(found == 0 || found == 2, || format!("half a commit: {found} of 2 entries"))?;
        ensure(!(done && durable) || found == 2, || "an acknowledged commit is gone".to_owned())?;
        ensure(done || found == 0, || "a rejected commit is there".to_owned())?;
    }
    Ok(())
}

pub(super) async fn fresh(harness: &dyn Harness) -> Checked {
    for _ in 0..2 {
        let (subject, database, table) = start(harness).await?;
        subject.table_is(&database, &table, &[]).await?;
        subject.apply(puts(&database, &table, &[(b"a", b"1")])).await?;
    }
    Ok(())
}
