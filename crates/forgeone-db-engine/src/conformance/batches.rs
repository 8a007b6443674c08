//! Batches: what operations do, in their order, and that a batch is one thing.

use super::subject::{Subject, puts, start, table};
use super::{Checked, Harness};
use crate::contract::{Batch, DatabaseName, KeyRange, TableName};
use crate::error::ErrorKind;

/// A fresh engine with `a`, `b`, `c` and `d`, each with the value `old`.
async fn letters(harness: &dyn Harness) -> Result<(Subject, DatabaseName, TableName), String> {
    let (subject, database, table) = start(harness).await?;
    subject.apply(puts(&database, &table, &OLD)).await?;
    Ok((subject, database, table))
}

const OLD: [(&[u8], &[u8]); 4] = [(b"a", b"old"), (b"b", b"old"), (b"c", b"old"), (b"d", b"old")];

/// Applies what `fill` adds to a batch, and asserts what the table then holds.
async fn then(
    (subject, database, table): &(Subject, DatabaseName, TableName),
    fill: impl FnOnce(&mut Batch),
    expected: &[(&[u8], &[u8])],
) -> Checked {
    let mut batch = Batch::new(database.clone());
    fill(&mut batch);
    subject.apply(batch).await?;
    subject.table_is(database, table, expected).await
}

pub(super) async fn put(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    for number in 0..20_u32 {
        let key = number.to_be_bytes();
        subject.apply(puts(&database, &table, &[(&key, b"value")])).await?;
        subject.holds(&database, &table, &key, Some(b"value")).await?;
        let ask = subject.ask(&table, KeyRange::all());
        let found = subject.walk(&database, &ask).await?.len();
        super::subject::same("the entries seen", &found, &(number as usize + 1))?;
    }
    Ok(())
}

pub(super) async fn replace(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let (subject, database, table) = &set;
    for value in [&b"longer than before"[..], b"s", b"", b"again"] {
        subject.apply(puts(database, table, &[(b"b", value)])).await?;
        let expected: [(&[u8], &[u8]); 4] =
            [(b"a", b"old"), (b"b", value), (b"c", b"old"), (b"d", b"old")];
        subject.table_is(database, table, &expected).await?;
    }
    Ok(())
}

pub(super) async fn delete(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let left: [(&[u8], &[u8]); 2] = [(b"a", b"old"), (b"c", b"old")];
    then(&set, |batch| _ = batch.delete(&set.2, "b").delete(&set.2, "d"), &left).await?;
    set.0.holds(&set.1, &set.2, b"b", None).await
}

pub(super) async fn delete_absent(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    then(&set, |batch| _ = batch.delete(&set.2, "bb").delete(&set.2, "z"), &OLD).await?;
    let never = table("never_written")?;
    then(&set, |batch| _ = batch.delete(&never, "a"), &OLD).await
}

pub(super) async fn empty(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    then(&set, |_| (), &OLD).await?;
    set.0.apply(Batch::new(super::subject::name("never_written")?)).await
}

pub(super) async fn put_delete(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let left: [(&[u8], &[u8]); 3] = [(b"b", b"old"), (b"c", b"old"), (b"d", b"old")];
    let fill = |batch: &mut Batch| {
        batch.put(&set.2, "a", "new").put(&set.2, "z", "new").delete(&set.2, "a");
        batch.delete(&set.2, "z");
    };
    then(&set, fill, &left).await
}

pub(super) async fn delete_put(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let left: [(&[u8], &[u8]); 4] =
        [(b"a", b"new"), (b"b", b"old"), (b"c", b"old"), (b"d", b"old")];
    then(&set, |batch| _ = batch.delete(&set.2, "a").put(&set.2, "a", "new"), &left).await
}

pub(super) async fn last_put(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let fill = |batch: &mut Batch| {
        for value in ["first", "", "third", "last"] {
            batch.put(&set.2, "a", value);
        }
        batch.put(&set.2, "b", "b").delete(&set.2, "b").put(&set.2, "b", "");
    };
    then(&set, fill, &[(b"a", b"last"), (b"b", b"")]).await
}

pub(super) async fn tables(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let (subject, database, events) = &set;
    let topics = table("topics")?;
    let fill = |batch: &mut Batch| {
        batch.put(&topics, "a", "topic").delete_range(events, KeyRange::new("b", "d"));
        batch.put(events, "e", "new").put(&topics, "b", "topic").delete(&topics, "a");
    };
    then(&set, fill, &[(b"a", b"old"), (b"d", b"old"), (b"e", b"new")]).await?;
    subject.table_is(database, &topics, &[(b"b", b"topic")]).await
}

pub(super) async fn range_bounds(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let range = |start: &'static str, end: &'static str| KeyRange::new(start, end);
    let left: [(&[u8], &[u8]); 2] = [(b"a", b"old"), (b"d", b"old")];
    then(&set, |batch| _ = batch.delete_range(&set.2, range("b", "d")), &left).await?;
    then(&set, |batch| _ = batch.delete_range(&set.2, range("a\0", "d")), &left).await?;
    then(&set, |batch| _ = batch.delete_range(&set.2, range("", "a\0")), &[(b"d", b"old")]).await
}

pub(super) async fn range_all(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let left: [(&[u8], &[u8]); 2] = [(b"a", b"old"), (b"b", b"old")];
    then(&set, |batch| _ = batch.delete_range(&set.2, KeyRange::from("c")), &left).await?;
    then(&set, |batch| _ = batch.delete_range(&set.2, KeyRange::all()), &[]).await?;
    let fill = |batch: &mut Batch| _ = batch.put(&set.2, "new", "1");
    then(&set, fill, &[(b"new", b"1")]).await
}

pub(super) async fn range_after_put(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let left: [(&[u8], &[u8]); 2] = [(b"a", b"old"), (b"d", b"old")];
    let fill = |batch: &mut Batch| {
        batch.put(&set.2, "bb", "new").put(&set.2, "c", "new");
        batch.delete_range(&set.2, KeyRange::new("b", "d"));
    };
    then(&set, fill, &left).await
}

pub(super) async fn range_before_put(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let left: [(&[u8], &[u8]); 2] = [(b"b", b"new"), (b"bb", b"new")];
    let fill = |batch: &mut Batch| {
        batch.delete_range(&set.2, KeyRange::all());
        batch.put(&set.2, "b", "new").put(&set.2, "bb", "new");
    };
    then(&set, fill, &left).await
}

pub(super) async fn range_nothing(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let never = table("never_written")?;
    let fill = |batch: &mut Batch| {
        batch.delete_range(&set.2, KeyRange::new("b", "b"));
        batch.delete_range(&set.2, KeyRange::new("b\0", "c"));
        batch.delete_range(&set.2, KeyRange::from("z"));
        batch.delete_range(&never, KeyRange::all());
    };
    then(&set, fill, &OLD).await
}

pub(super) async fn range_backwards(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = letters(harness).await?;
    let mut batch = puts(&database, &table, &[(b"a", b"new")]);
    batch.delete_range(&table, KeyRange::new("c", "b"));
    subject.refuse(batch, ErrorKind::Invalid).await?;
    subject.table_is(&database, &table, &OLD).await
}

/// The most entries that a range delete is tried with; more takes too long.
const RANGE_ENTRIES_TRIED: u32 = 20_000;

/// A fresh engine with as many numbered entries as a range delete may remove, or as many as are
/// tried if that is less, and `extra` ones; with the count without the extra ones.
async fn claimed(
    harness: &dyn Harness,
    extra: u32,
) -> Result<(Subject, DatabaseName, TableName, u32), String> {
    let (subject, database, table) = start(harness).await?;
    let count = subject.engine.capability().range_delete_entries_max.min(RANGE_ENTRIES_TRIED);
    subject.fill((&database, &table), (0, count + extra), b"v").await?;
    Ok((subject, database, table, count))
}

pub(super) async fn range_claimed(harness: &dyn Harness) -> Checked {
    let (subject, database, table, _) = claimed(harness, 0).await?;
    let mut batch = Batch::new(database.clone());
    batch.delete_range(&table, KeyRange::all());
    subject.apply(batch).await?;
    subject.table_is(&database, &table, &[]).await
}

pub(super) async fn range_too_many(harness: &dyn Harness) -> Checked {
    let (subject, database, table, count) = claimed(harness, 1).await?;
    let mut batch = puts(&database, &table, &[(&[0, 0, 0, 0], b"new"), (&[255], b"new")]);
    batch.delete(&table, vec![255]).delete(&table, vec![254]);
    batch.delete_range(&table, KeyRange::all());
    let expected = if subject.engine.capability().range_delete_entries_max == count {
        subject.refuse(batch, ErrorKind::Invalid).await?;
        count as usize + 1
    } else {
        // The engine claims more than is tried, so this must simply work.
        subject.apply(batch).await?;
        return subject.table_is(&database, &table, &[]).await;
    };
    let entries = subject.walk(&database, &subject.ask(&table, KeyRange::all())).await?;
    super::subject::same("the entries left", &entries.len(), &expected)?;
    subject.holds(&database, &table, &[0, 0, 0, 0], Some(b"v")).await
}

pub(super) async fn range_counts_in_order(harness: &dyn Harness) -> Checked {
    let (subject, database, table, _) = claimed(harness, 1).await?;
    let mut batch = Batch::new(database.clone());
    batch.delete(&table, 0_u32.to_be_bytes().to_vec());
    batch.delete_range(&table, KeyRange::all());
    subject.apply(batch).await?;
    subject.table_is(&database, &table, &[]).await
}

pub(super) async fn late_failure(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    let (subject, database, events) = &set;
    let topics = table("topics")?;
    let mut batch = puts(database, events, &[(b"a", b"new"), (b"new", b"new")]);
    batch.delete(events, "b").delete_range(events, KeyRange::new("c", "d"));
    batch.put(&topics, "a", "new").put(&topics, "", "an empty key");
    subject.refuse(batch, ErrorKind::Invalid).await?;
    subject.table_is(database, events, &OLD).await?;
    subject.table_is(database, &topics, &[]).await
}
