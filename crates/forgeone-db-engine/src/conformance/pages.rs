//! Pages: their sizes, how they join up, and what they say about the rest.

use super::subject::{Ask, Subject, ensure, expect_error, puts, same, start, table};
use super::{Checked, Harness};
use crate::contract::{Batch, DatabaseName, KeyRange, TableName};
use crate::error::ErrorKind;

/// Entries of the table that the cases page through.
const COUNT: u32 = 50;

/// A fresh engine with `COUNT` numbered entries.
async fn numbered(harness: &dyn Harness) -> Result<(Subject, DatabaseName, TableName), String> {
    let (subject, database, table) = start(harness).await?;
    subject.fill((&database, &table), (0, COUNT), b"value").await?;
    Ok((subject, database, table))
}

/// The keys of `first..end`, ascending.
fn keys(first: u32, end: u32) -> Vec<[u8; 4]> {
    (first..end).map(u32::to_be_bytes).collect()
}

async fn walks(
    subject: &Subject,
    database: &DatabaseName,
    ask: Ask,
    expected: &[[u8; 4]],
) -> Checked {
    let ascending: Vec<&[u8]> = expected.iter().map(|key| &key[..]).collect();
    let descending: Vec<&[u8]> = ascending.iter().rev().copied().collect();
    subject.keys_are(database, &ask, &ascending).await?;
    subject.keys_are(database, &ask.reversed(), &descending).await
}

pub(super) async fn entries_max(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = numbered(harness).await?;
    for size in [1, 2, 49, 50, 51, 64] {
        let ask = subject.ask(&table, KeyRange::all()).entries_max(size);
        // The step itself checks the size of the page.
        let page = subject.page(&database, &ask).await?;
        ensure(!page.entries.is_empty(), || "a range with entries gave none".to_owned())?;
        let page = subject.page(&database, &ask.reversed()).await?;
        ensure(!page.entries.is_empty(), || "a range with entries gave none".to_owned())?;
    }
    Ok(())
}

pub(super) async fn join_up(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = numbered(harness).await?;
    for size in [1, 2, 3, 7, 49, 50, 51, 64] {
        let ask = subject.ask(&table, KeyRange::all()).entries_max(size);
        walks(&subject, &database, ask, &keys(0, COUNT)).await?;
        let [start, end] = [10_u32, 40].map(|number| number.to_be_bytes().to_vec());
        let ask = subject.ask(&table, KeyRange::new(start, end)).entries_max(size);
        walks(&subject, &database, ask, &keys(10, 40)).await?;
    }
    Ok(())
}

pub(super) async fn keys_join_up(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = numbered(harness).await?;
    for (size, bytes) in [(1, u64::MAX), (5, 12), (64, 100), (64, u64::MAX)] {
        let ask = subject.ask(&table, KeyRange::all()).keys().entries_max(size).bytes_max(bytes);
        walks(&subject, &database, ask, &keys(0, COUNT)).await?;
    }
    Ok(())
}

pub(super) async fn bytes_max(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = numbered(harness).await?;
    // Each entry has 9 bytes; the step checks that a page ends with the entry that reaches the limit.
    for bytes in [1, 8, 9, 10, 17, 18, 19, 90, 449, 450, 451, u64::MAX] {
        let ask = subject.ask(&table, KeyRange::all()).bytes_max(bytes);
        let page = subject.page(&database, &ask).await?;
        ensure(!page.entries.is_empty(), || format!("no entry in a page of {bytes} bytes"))?;
        walks(&subject, &database, ask, &keys(0, COUNT)).await?;
    }
    Ok(())
}

pub(super) async fn no_bytes(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = numbered(harness).await?;
    let ask = subject.ask(&table, KeyRange::all()).bytes_max(0);
    for ask in [ask.clone(), ask.clone().reversed(), ask.clone().keys()] {
        let page = subject.page(&database, &ask).await?;
        same("the entries in a page of no bytes", &page.entries.len(), &1)?;
    }
    walks(&subject, &database, ask, &keys(0, COUNT)).await
}

pub(super) async fn large_entry(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let large = vec![5; 60_000];
    subject.apply(puts(&database, &table, &[(b"a", &large)])).await?;
    subject.apply(puts(&database, &table, &[(b"b", b"small")])).await?;
    let ask = subject.ask(&table, KeyRange::all()).bytes_max(100);
    let page = subject.page(&database, &ask).await?;
    let values: Vec<&[u8]> = page.entries.iter().map(|entry| &*entry.value).collect();
    ensure(values == [&*large], || format!("a page of {} entries", values.len()))?;
    let entries = subject.walk(&database, &ask.reversed()).await?;
    same("the entries", &entries.len(), &2)
}

pub(super) async fn empty_never_more(harness: &dyn Harness) -> Checked {
    let (subject, database, events) = numbered(harness).await?;
    let empty = [
        subject.ask(&table("never_written")?, KeyRange::all()),
        subject.ask(&events, KeyRange::from(COUNT.to_be_bytes().to_vec())),
        subject.ask(&events, KeyRange::new("", vec![0])),
        subject.ask(&events, KeyRange::new(vec![0, 0, 0, 3], vec![0, 0, 0, 3])),
        subject.ask(&events, KeyRange::new(vec![0, 0, 0, 3, 0], vec![0, 0, 0, 4])),
    ];
    for ask in empty {
        for ask in [ask.clone(), ask.clone().entries_max(1), ask.keys().reversed().bytes_max(0)] {
            let page = subject.page(&database, &ask).await?;
            same("the page", &(page.entries.len(), page.more), &(0, false))?;
        }
    }
    Ok(())
}

pub(super) async fn no_more_is_the_end(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = numbered(harness).await?;
    for size in [1, 10, 49, 50, 64] {
        for (reverse, first) in [(false, 0), (false, 45), (true, 0), (true, 45)] {
            let range = KeyRange::from(u32::to_be_bytes(first).to_vec());
            let ask = subject.ask(&table, range).entries_max(size);
            let ask = if reverse { ask.reversed() } else { ask };
            let page = subject.page(&database, &ask).await?;
            let whole = page.entries.len() == (COUNT - first) as usize;
            ensure(page.more || whole, || {
                format!("{} entries are said to be all of {}", page.entries.len(), COUNT - first)
            })?;
        }
    }
    Ok(())
}

pub(super) async fn last_key_deleted(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = numbered(harness).await?;
    for reverse in [false, true] {
        let ask = subject.ask(&table, KeyRange::all()).entries_max(5);
        let mut ask = if reverse { ask.reversed() } else { ask };
        let before = subject.walk(&database, &ask).await?.len();
        let page = subject.page(&database, &ask).await?;
        let last = page.entries.last().ok_or("a page without entries")?.key.clone();
        let mut batch = Batch::new(database.clone());
        batch.delete(&table, last.clone());
        subject.apply(batch).await?;
        ask.go_on_after(&last);
        let rest = subject.walk(&database, &ask).await?;
        same("the entries of both parts", &(page.entries.len() + rest.len()), &before)?;
    }
    Ok(())
}

pub(super) async fn past_longest(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let length = subject.engine.capability().key_bytes_max as usize;
    let keys = [vec![254; length], vec![255; length - 1], vec![255; length]];
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let entries: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (*key, &b"v"[..])).collect();
    subject.apply(puts(&database, &table, &entries)).await?;
    let ask = subject.ask(&table, KeyRange::all()).entries_max(1);
    subject.keys_are(&database, &ask, &keys).await
}

pub(super) async fn zero(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = numbered(harness).await?;
    let ask = subject.ask(&table, KeyRange::all()).entries_max(0);
    let read = subject.engine.read(&database, ask.read()).await;
    expect_error(read, ErrorKind::Invalid)
}

pub(super) async fn claimed_size(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let size = subject.engine.capability().page_entries_max;
    // Filling the largest page takes seconds on an engine that claims millions.
    let count = size.min(20_000) + 1;
    subject.fill((&database, &table), (0, count), b"").await?;
    let ask = subject.ask(&table, KeyRange::all()).entries_max(size);
    walks(&subject, &database, ask.clone(), &keys(0, count)).await?;
    if let Some(size) = size.checked_add(1) {
        let read = subject.engine.read(&database, ask.entries_max(size).read()).await;
        expect_error(read, ErrorKind::Invalid)?;
    }
    Ok(())
}
