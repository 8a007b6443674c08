//! Limits: each holds exactly where it is claimed to be.

use super::subject::{Subject, ensure, puts, start};
use super::{Checked, Harness};
use crate::contract::{Batch, DatabaseName, KeyRange, TableName};
use crate::error::ErrorKind;
use bytes::Bytes;

/// The largest value and batch that are tried, in bytes; an engine that claims more is tried here.
const BYTES_TRIED: u64 = 192 << 20;
/// The most operations that are tried.
const OPERATIONS_TRIED: u32 = 200_000;

type Set = (Subject, DatabaseName, TableName);

/// Every way in which a batch can name a key.
fn naming(database: &DatabaseName, table: &TableName, key: &Bytes) -> [Batch; 4] {
    let mut batches = [(); 4].map(|()| Batch::new(database.clone()));
    let [put, delete, absent, equals] = &mut batches;
    put.put(table, key.clone(), "value");
    delete.delete(table, key.clone());
    absent.require_absent(table, key.clone());
    equals.require_equals(table, key.clone(), "value");
    batches
}

async fn refuse_all(
    (subject, database, table): &Set,
    batches: impl IntoIterator<Item = Batch>,
) -> Checked {
    for mut batch in batches {
        batch.put(table, "beside", "value");
        subject.refuse(batch, ErrorKind::Invalid).await?;
    }
    subject.holds(database, table, b"beside", None).await
}

pub(super) async fn key_length(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let (subject, database, table) = &set;
    let length = subject.engine.capability().key_bytes_max as usize;
    let longest = Bytes::from(vec![7; length]);
    let [put, delete, absent, equals] = naming(database, table, &longest);
    for batch in [absent.clone(), put, equals] {
        subject.apply(batch).await?;
    }
    subject.holds(database, table, &longest, Some(b"value")).await?;
    subject.refuse(absent, ErrorKind::Conflict).await?;
    subject.apply(delete).await?;
    subject.holds(database, table, &longest, None).await?;
    let too_long = Bytes::from(vec![7; length + 1]);
    refuse_all(&set, naming(database, table, &too_long)).await?;
    let bound = vec![7; length + 2];
    let mut range = Batch::new(database.clone());
    range.delete_range(table, KeyRange::from(bound));
    refuse_all(&set, [range]).await?;
    let mut range = Batch::new(database.clone());
    range.delete_range(table, KeyRange::new(longest, too_long));
    subject.apply(range).await
}

pub(super) async fn empty_key(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    refuse_all(&set, naming(&set.1, &set.2, &Bytes::new())).await
}

pub(super) async fn value_size(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let (subject, database, table) = &set;
    let claimed = subject.engine.capability().value_bytes_max;
    let size = usize::try_from(claimed.min(BYTES_TRIED)).map_err(|error| error.to_string())?;
    let value = Bytes::from(vec![42; size]);
    let mut batch = Batch::new(database.clone());
    batch.put(table, "k", value.clone());
    subject.apply(batch).await?;
    let found = subject.get(database, table, b"k").await?;
    // Not compared with `same`, which would print it.
    ensure(found.as_ref() == Some(&value), || format!("a value of {size} bytes came back bent"))?;
    drop((found, value));
    if claimed == size as u64 {
        let value = Bytes::from(vec![42; size + 1]);
        let mut put = Batch::new(database.clone());
        put.put(table, "k", value.clone());
        let mut equals = Batch::new(database.clone());
        equals.require_equals(table, "k", value);
        refuse_all(&set, [put, equals]).await?;
        let found = subject.get(database, table, b"k").await?;
        ensure(found.is_some_and(|found| found.len() == size), || {
            "a refused put replaced the value".to_owned()
        })?;
    }
    Ok(())
}

pub(super) async fn operations(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let claimed = subject.engine.capability().batch_operations_max;
    let count = claimed.min(OPERATIONS_TRIED);
    let mut batch = Batch::new(database.clone());
    for number in 0..count {
        batch.put(&table, number.to_be_bytes().to_vec(), "");
    }
    subject.apply(batch.clone()).await?;
    for number in [0, count / 2, count - 1] {
        subject.holds(&database, &table, &number.to_be_bytes(), Some(b"")).await?;
    }
    if count == claimed {
        batch.put(&table, "beside", "value");
        subject.refuse(batch, ErrorKind::Invalid).await?;
        subject.holds(&database, &table, b"beside", None).await?;
    }
    Ok(())
}

pub(super) async fn conditions_count(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let claimed = subject.engine.capability().batch_operations_max;
    let count = claimed.min(OPERATIONS_TRIED);
    let mut batch = Batch::new(database.clone());
    for _ in 1..count {
        batch.require_absent(&table, "absent");
    }
    batch.put(&table, "key", "value");
    subject.apply(batch.clone()).await?;
    subject.holds(&database, &table, b"key", Some(b"value")).await?;
    if count == claimed {
        batch.put(&table, "beside", "value");
        subject.refuse(batch, ErrorKind::Invalid).await?;
        subject.holds(&database, &table, b"beside", None).await?;
    }
    Ok(())
}

/// A batch of exactly `bytes` bytes, in values as large as allowed that share one buffer.
fn sized(set: &Set, bytes: u64) -> Result<(Batch, u32), String> {
    let (subject, database, table) = set;
    let value_max = subject.engine.capability().value_bytes_max.min(BYTES_TRIED / 2);
    let buffer = usize::try_from(value_max.min(bytes)).map_err(|error| error.to_string())?;
    let buffer = Bytes::from(vec![42; buffer]);
    let mut batch = Batch::new(database.clone());
    let mut left = bytes;
    let mut count: u32 = 0;
    while left > 0 {
        // Never leave less than the bytes of a key.
        let value = (buffer.len() as u64).min(left.saturating_sub(4));
        let value = if (1..4).contains(&(left - 4 - value)) { value - 4 } else { value };
        let length = usize::try_from(value).map_err(|error| error.to_string())?;
        batch.put(table, count.to_be_bytes().to_vec(), buffer.slice(..length));
        left -= value + 4;
        count += 1;
    }
    Ok((batch, count))
}

pub(super) async fn batch_bytes(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let (subject, database, table) = &set;
    let claimed = subject.engine.capability().batch_bytes_max;
    let tried = claimed.min(BYTES_TRIED);
    let (batch, count) = sized(&set, tried)?;
    ensure(batch.bytes() == tried, || format!("a batch of {} bytes", batch.bytes()))?;
    subject.apply(batch).await?;
    let found = subject.walk(database, &subject.ask(table, KeyRange::all()).keys()).await?;
    super::subject::same("the entries", &found.len(), &(count as usize))?;
    if tried == claimed {
        let (batch, _) = sized(&set, tried - 6)?;
        refuse_all(&set, [batch]).await?;
    }
    Ok(())
}

pub(super) async fn rejected(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let (subject, database, table) = &set;
    subject.apply(puts(database, table, &[(b"a", b"old")])).await?;
    // `refuse` asserts the kind and the outcome.
    let mut invalid = puts(database, table, &[(b"a", b"new"), (b"b", b"new")]);
    invalid.delete(table, "");
    subject.refuse(invalid, ErrorKind::Invalid).await?;
    let mut conflict = puts(database, table, &[(b"a", b"new"), (b"b", b"new")]);
    conflict.require_absent(table, "a");
    subject.refuse(conflict, ErrorKind::Conflict).await?;
    subject.table_is(database, table, &[(b"a", b"old")]).await
}

pub(super) async fn invalid_first(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let mut batch = Batch::new(database.clone());
    batch.require_equals(&table, "absent", "value").put(&table, "", "value");
    subject.refuse(batch, ErrorKind::Invalid).await
}
