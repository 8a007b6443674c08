//! Gets: values by key, in the order asked.

use super::subject::{expect_error, puts, same, start, table};
use super::{Checked, Harness};
use crate::contract::{Batch, Read};
use crate::error::ErrorKind;
use bytes::Bytes;

/// The most keys that are tried in one get.
const KEYS_TRIED: u32 = 200_000;

pub(super) async fn absent(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.holds(&database, &table, b"key", None).await?;
    subject.apply(puts(&database, &table, &[(b"other", b"value")])).await?;
    subject.holds(&database, &table, b"key", None).await
}

pub(super) async fn order(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.apply(puts(&database, &table, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")])).await?;
    let keys = ["c", "absent", "a", "b"].map(|key| (table.clone(), Bytes::from(key)));
    let found = subject.gets(&database, keys.into()).await?;
    same("the values", &found, &vec![Some("3".into()), None, Some("1".into()), Some("2".into())])
}

pub(super) async fn repeats(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.apply(puts(&database, &table, &[(b"a", b"1")])).await?;
    let keys = ["a", "b", "a", "b", "a"].map(|key| (table.clone(), Bytes::from(key)));
    let found = subject.gets(&database, keys.into()).await?;
    let one = || Some(Bytes::from("1"));
    same("the values", &found, &vec![one(), None, one(), None, one()])
}

pub(super) async fn tables(harness: &dyn Harness) -> Checked {
    let (subject, database, events) = start(harness).await?;
    let topics = table("topics")?;
    let mut batch = Batch::new(database.clone());
    batch.put(&events, "key", "event").put(&topics, "key", "topic");
    subject.apply(batch).await?;
    let tables = [topics, table("never_written")?, events];
    let keys = tables.map(|table| (table, Bytes::from("key")));
    let found = subject.gets(&database, keys.into()).await?;
    same("the values", &found, &vec![Some("topic".into()), None, Some("event".into())])
}

pub(super) async fn empty_value(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.apply(puts(&database, &table, &[(b"empty", b"")])).await?;
    subject.holds(&database, &table, b"empty", Some(b"")).await?;
    subject.holds(&database, &table, b"absent", None).await
}

pub(super) async fn none(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.gets(&database, Vec::new()).await?;
    subject.apply(puts(&database, &table, &[(b"a", b"1")])).await?;
    subject.gets(&database, Vec::new()).await.map(|_| ())
}

pub(super) async fn any_bytes(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    for start in [0, 64, 128, 192] {
        let mut batch = Batch::new(database.clone());
        for byte in start..=start + 63 {
            batch.put(&table, vec![byte], vec![byte, 0, 255, byte]);
        }
        subject.apply(batch).await?;
    }
    let all: Vec<u8> = (0..=255).collect();
    subject.apply(puts(&database, &table, &[(&[0, 255, 10, 13, 34], &all)])).await?;
    subject.holds(&database, &table, &[0, 255, 10, 13, 34], Some(&all)).await?;
    for byte in 0..=255 {
        subject.holds(&database, &table, &[byte], Some(&[byte, 0, 255, byte])).await?;
    }
    Ok(())
}

pub(super) async fn exact(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.apply(puts(&database, &table, &[(b"key", b"value")])).await?;
    for other in [&b"ke"[..], b"key\0", b"keys", b"Key", b"\0key"] {
        subject.holds(&database, &table, other, None).await?;
    }
    subject.holds(&database, &table, b"key", Some(b"value")).await
}

pub(super) async fn as_many_as_claimed(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.fill((&database, &table), (0, 10), b"value").await?;
    let count = subject.engine.capability().get_keys_max.min(KEYS_TRIED);
    let keys = (0..count).map(|key| (table.clone(), key.to_be_bytes().to_vec().into()));
    let found = subject.gets(&database, keys.collect()).await?;
    same("the values found", &found.iter().flatten().count(), &10)
}

pub(super) async fn too_many(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let claimed = subject.engine.capability().get_keys_max;
    let keys = vec![(table, Bytes::from("key")); claimed.min(KEYS_TRIED) as usize + 1];
    if claimed > KEYS_TRIED {
        // The engine claims more than is tried, so this must simply work.
        return subject.gets(&database, keys).await.map(|_| ());
    }
    expect_error(subject.engine.read(&database, Read::Get(keys)).await, ErrorKind::Invalid)
}

pub(super) async fn bad_keys(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let long = subject.engine.capability().key_bytes_max as usize + 1;
    for bad in [Vec::new(), vec![7; long]] {
        let keys = vec![(table.clone(), Bytes::from("key")), (table.clone(), bad.into())];
        let read = subject.engine.read(&database, Read::Get(keys)).await;
        expect_error(read, ErrorKind::Invalid)?;
    }
    subject.holds(&database, &table, &vec![7; long - 1], None).await
}
