//! Names: databases and tables are apart, those never written are empty, and usage is each one's.

use super::subject::{Subject, ensure, name, puts, same, start, table};
use super::{Checked, Harness};
use crate::contract::{Batch, DatabaseName, KeyRange};

/// Bytes that no engine compresses away: the top bytes of a linear congruential sequence.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let [top, ..] = state.to_be_bytes();
        top
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub(super) async fn allocated(subject: &Subject, database: &DatabaseName) -> Result<u64, String> {
    let usage = subject.engine.usage(database).await;
    Ok(usage.map_err(|error| format!("usage failed: {error:?}"))?.allocated_bytes)
}

pub(super) async fn unknown_database(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.apply(puts(&database, &table, &[(b"key", b"value")])).await?;
    let unknown = name("never_written")?;
    subject.holds(&unknown, &table, b"key", None).await?;
    subject.table_is(&unknown, &table, &[]).await?;
    let ask = subject.ask(&table, KeyRange::all()).reversed().keys();
    subject.keys_are(&unknown, &ask, &[]).await
}

pub(super) async fn unknown_table(harness: &dyn Harness) -> Checked {
    let (subject, database, events) = start(harness).await?;
    subject.apply(puts(&database, &events, &[(b"key", b"value")])).await?;
    let unknown = table("never_written")?;
    subject.holds(&database, &unknown, b"key", None).await?;
    subject.table_is(&database, &unknown, &[]).await
}

pub(super) async fn reading(harness: &dyn Harness) -> Checked {
    let (subject, database, events) = start(harness).await?;
    for _ in 0..3 {
        subject.holds(&database, &events, b"key", None).await?;
        subject.table_is(&database, &events, &[]).await?;
        subject.gets(&database, Vec::new()).await?;
        same("the bytes allocated by reading", &allocated(&subject, &database).await?, &0)?;
    }
    Ok(())
}

pub(super) async fn databases(harness: &dyn Harness) -> Checked {
    let (subject, _, table) = start(harness).await?;
    let [one, other] = [name("events_shard_1")?, name("events_shard_10")?];
    subject.apply(puts(&one, &table, &[(b"a", b"one"), (b"b", b"one")])).await?;
    subject.apply(puts(&other, &table, &[(b"b", b"other"), (b"c", b"other")])).await?;
    let mut batch = Batch::new(one.clone());
    batch.require_absent(&table, "c").delete_range(&table, KeyRange::new("b", "z"));
    subject.apply(batch).await?;
    subject.table_is(&one, &table, &[(b"a", b"one")]).await?;
    subject.table_is(&other, &table, &[(b"b", b"other"), (b"c", b"other")]).await
}

pub(super) async fn tables(harness: &dyn Harness) -> Checked {
    let (subject, database, events) = start(harness).await?;
    let index = table("event_index")?;
    let mut batch = puts(&database, &events, &[(b"a", b"event"), (b"b", b"event")]);
    batch.put(&index, "b", "index").put(&index, "c", "index");
    subject.apply(batch).await?;
    let mut batch = Batch::new(database.clone());
    batch.require_absent(&events, "c").delete_range(&events, KeyRange::all());
    batch.delete(&events, "c");
    subject.apply(batch).await?;
    subject.table_is(&database, &events, &[]).await?;
    subject.table_is(&database, &index, &[(b"b", b"index"), (b"c", b"index")]).await
}

pub(super) async fn names(harness: &dyn Harness) -> Checked {
    let (subject, ..) = start(harness).await?;
    let long = "a".repeat(64);
    let names = ["a", "aa", "a_", "_", "__", "0", "00", "con", "nul", "events", &long];
    for one in names {
        for other in names {
            let value = format!("{one}/{other}");
            let batch = puts(&name(one)?, &table(other)?, &[(b"key", value.as_bytes())]);
            subject.apply(batch).await?;
        }
    }
    for one in names {
        for other in names {
            let value = format!("{one}/{other}");
            let (database, table) = (name(one)?, table(other)?);
            subject.table_is(&database, &table, &[(b"key", value.as_bytes())]).await?;
        }
    }
    Ok(())
}

pub(super) async fn usage_grows(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    same("the bytes allocated before a write", &allocated(&subject, &database).await?, &0)?;
    let strongest = subject.engine.capability().durability_max;
    let value = noise(10_000, 1);
    subject.apply_with(puts(&database, &table, &[(b"key", &value)]), strongest).await?;
    let found = allocated(&subject, &database).await?;
    ensure(found >= 10_000, || format!("10,000 random bytes are said to take {found}"))
}

pub(super) async fn usage_monotone(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let strongest = subject.engine.capability().durability_max;
    let mut before = 0;
    for number in 0..8_u32 {
        let value = noise(30_000, u64::from(number));
        let batch = puts(&database, &table, &[(&number.to_be_bytes(), &value)]);
        subject.apply_with(batch, strongest).await?;
        let now = allocated(&subject, &database).await?;
        ensure(now >= before, || format!("usage fell from {before} to {now} by adding"))?;
        before = now;
    }
    Ok(())
}

pub(super) async fn usage_apart(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let value = noise(30_000, 1);
    let strongest = subject.engine.capability().durability_max;
    subject.apply_with(puts(&database, &table, &[(b"key", &value)]), strongest).await?;
    let other = name("events_shard_1")?;
    same("the bytes of a database never written", &allocated(&subject, &other).await?, &0)?;
    let before = allocated(&subject, &database).await?;
    subject.apply_with(puts(&other, &table, &[(b"key", &value)]), strongest).await?;
    same("the bytes of the other database", &allocated(&subject, &database).await?, &before)
}
