//! Durability: as much as claimed, and an error for more.

use super::subject::{Subject, ensure, expect_error, name, puts, same, start};
use super::{Checked, Harness};
use crate::contract::{Batch, Durability, KeyRange};
use crate::error::ErrorKind;

/// Whether the engine claims to sync. If not, asserts that it says so and writes nothing.
async fn syncs(subject: &Subject) -> Result<bool, String> {
    if subject.engine.capability().durability_max >= Durability::Sync {
        return Ok(true);
    }
    let (database, table) = (name("unsynced")?, super::subject::table("events")?);
    let batch = puts(&database, &table, &[(b"key", b"value")]);
    let refused = subject.engine.commit(batch, Durability::Sync).await;
    expect_error(refused, ErrorKind::Unsupported)?;
    subject.table_is(&database, &table, &[]).await?;
    Ok(false)
}

pub(super) async fn beyond(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    if syncs(&subject).await? {
        // There is no level above this one to ask for, so it must work.
        let batch = puts(&database, &table, &[(b"key", b"value")]);
        subject.apply_with(batch, Durability::Sync).await?;
    }
    Ok(())
}

pub(super) async fn visible(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let strongest = subject.engine.capability().durability_max;
    for (key, durability) in [(b"1", Durability::None), (b"2", strongest), (b"3", Durability::None)]
    {
        subject.apply_with(puts(&database, &table, &[(key, b"v")]), durability).await?;
        subject.holds(&database, &table, key, Some(b"v")).await?;
    }
    subject.table_is(&database, &table, &[(b"1", b"v"), (b"2", b"v"), (b"3", b"v")]).await
}

pub(super) async fn survives(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    if !syncs(&subject).await? {
        return Ok(());
    }
    let batch = puts(&database, &table, &[(b"a", b"1"), (b"b", b"")]);
    subject.apply_with(batch, Durability::Sync).await?;
    let Some(subject) = subject.reopen(harness).await? else { return Ok(()) };
    subject.table_is(&database, &table, &[(b"a", b"1"), (b"b", b"")]).await?;
    let mut batch = puts(&database, &table, &[(b"c", b"3")]);
    batch.require_equals(&table, "a", "1");
    subject.apply_with(batch, Durability::Sync).await?;
    let Some(subject) = subject.reopen(harness).await? else { return Ok(()) };
    subject.table_is(&database, &table, &[(b"a", b"1"), (b"b", b""), (b"c", b"3")]).await
}

pub(super) async fn earlier(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    if !syncs(&subject).await? {
        return Ok(());
    }
    for number in 0..10_u32 {
        let batch = puts(&database, &table, &[(&number.to_be_bytes(), b"none")]);
        subject.apply_with(batch, Durability::None).await?;
    }
    // An empty commit makes what was before it durable like any other.
    subject.apply_with(Batch::new(database.clone()), Durability::Sync).await?;
    let Some(subject) = subject.reopen(harness).await? else { return Ok(()) };
    let found = subject.walk(&database, &subject.ask(&table, KeyRange::all())).await?;
    same("the earlier commits found", &found.len(), &10)
}

pub(super) async fn deletion(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    if !syncs(&subject).await? {
        return Ok(());
    }
    let entries: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4")];
    subject.apply_with(puts(&database, &table, &entries), Durability::Sync).await?;
    let mut batch = Batch::new(database.clone());
    batch.delete(&table, "a").delete_range(&table, KeyRange::new("c", "d"));
    subject.apply_with(batch, Durability::Sync).await?;
    let Some(subject) = subject.reopen(harness).await? else { return Ok(()) };
    subject.table_is(&database, &table, &[(b"b", b"2"), (b"d", b"4")]).await
}

pub(super) async fn prefix(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let synced = if syncs(&subject).await? { 5 } else { 0 };
    for number in 0..10_u32 {
        let level = if number + 1 == synced { Durability::Sync } else { Durability::None };
        let key = number.to_be_bytes();
        subject.apply_with(puts(&database, &table, &[(&key, b"v")]), level).await?;
    }
    let Some(subject) = subject.reopen(harness).await? else { return Ok(()) };
    let found = subject.walk(&database, &subject.ask(&table, KeyRange::all())).await?;
    let dense = (0_u32..).zip(&found).all(|(number, entry)| entry.key == number.to_be_bytes()[..]);
    ensure(dense && found.len() >= synced as usize, || {
        format!("{synced} commits were synced, and after reopening there are {found:?}")
    })
}

pub(super) async fn databases(harness: &dyn Harness) -> Checked {
    let (subject, _, table) = start(harness).await?;
    if !syncs(&subject).await? {
        return Ok(());
    }
    let databases = [name("system")?, name("logs_shard_0")?, name("logs_shard_1")?];
    for database in &databases {
        let value = database.as_str().as_bytes();
        subject.apply_with(puts(database, &table, &[(b"key", value)]), Durability::Sync).await?;
    }
    let Some(subject) = subject.reopen(harness).await? else { return Ok(()) };
    for database in &databases {
        let value = database.as_str().as_bytes();
        subject.table_is(database, &table, &[(b"key", value)]).await?;
    }
    Ok(())
}
