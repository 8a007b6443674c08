//! Scans: order, bounds, directions and projections.

use super::subject::{Subject, ensure, expect_error, puts, start, table};
use super::{Checked, Harness};
use crate::contract::{DatabaseName, KeyRange, TableName};
use crate::error::ErrorKind;

/// A fresh engine with the keys `b`, `d`, `f` and `h`.
async fn letters(harness: &dyn Harness) -> Result<(Subject, DatabaseName, TableName), String> {
    let (subject, database, table) = start(harness).await?;
    let entries: [(&[u8], &[u8]); 4] = [(b"f", b"3"), (b"b", b"1"), (b"h", b"4"), (b"d", b"2")];
    subject.apply(puts(&database, &table, &entries)).await?;
    Ok((subject, database, table))
}

/// Asserts the keys of a range, walked in both directions.
async fn both_ways(
    (subject, database, table): &(Subject, DatabaseName, TableName),
    range: KeyRange,
    expected: &[&[u8]],
) -> Checked {
    let ask = subject.ask(table, range);
    subject.keys_are(database, &ask, expected).await?;
    let backwards: Vec<&[u8]> = expected.iter().rev().copied().collect();
    subject.keys_are(database, &ask.reversed(), &backwards).await
}

pub(super) async fn unsigned(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let (subject, database, table) = &set;
    let keys: [&[u8]; 6] = [&[0], &[1], &[127], &[128], &[254], &[255]];
    let mut entries: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (*key, &b"v"[..])).collect();
    entries.reverse();
    subject.apply(puts(database, table, &entries)).await?;
    both_ways(&set, KeyRange::all(), &keys).await?;
    both_ways(&set, KeyRange::new(vec![127], vec![255]), &[&[127], &[128], &[254]]).await
}

pub(super) async fn prefix_first(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let (subject, database, table) = &set;
    let keys: [&[u8]; 6] = [b"a", b"a\0", b"a\0\0", b"aa", b"a\xff", b"b"];
    let mut entries: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (*key, &b"v"[..])).collect();
    entries.rotate_left(3);
    subject.apply(puts(database, table, &entries)).await?;
    both_ways(&set, KeyRange::all(), &keys).await
}

pub(super) async fn forward(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = letters(harness).await?;
    let expected: [(&[u8], &[u8]); 4] = [(b"b", b"1"), (b"d", b"2"), (b"f", b"3"), (b"h", b"4")];
    subject.table_is(&database, &table, &expected).await
}

pub(super) async fn reverse(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = letters(harness).await?;
    let ask = subject.ask(&table, KeyRange::all()).reversed();
    subject.keys_are(&database, &ask, &[b"h", b"f", b"d", b"b"]).await?;
    let entries = subject.walk(&database, &ask).await?;
    let values = entries.iter().map(|entry| &*entry.value);
    ensure(values.eq([&b"4"[..], b"3", b"2", b"1"]), || format!("wrong values: {entries:?}"))
}

pub(super) async fn bounds(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    both_ways(&set, KeyRange::new("b", "f"), &[b"b", b"d"]).await?;
    both_ways(&set, KeyRange::new("d", "h"), &[b"d", b"f"]).await?;
    both_ways(&set, KeyRange::new("h", "h\0"), &[b"h"]).await
}

pub(super) async fn foreign_bounds(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    both_ways(&set, KeyRange::new("a", "e"), &[b"b", b"d"]).await?;
    both_ways(&set, KeyRange::new("b\0", "g"), &[b"d", b"f"]).await?;
    both_ways(&set, KeyRange::new("a", "z"), &[b"b", b"d", b"f", b"h"]).await
}

pub(super) async fn open_end(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    both_ways(&set, KeyRange::from("f"), &[b"f", b"h"]).await?;
    both_ways(&set, KeyRange::from("h\0"), &[]).await
}

pub(super) async fn open_start(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    both_ways(&set, KeyRange::new("", "f"), &[b"b", b"d"]).await?;
    both_ways(&set, KeyRange::new("", "b"), &[]).await?;
    both_ways(&set, KeyRange::all(), &[b"b", b"d", b"f", b"h"]).await
}

pub(super) async fn empty_range(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    for bound in ["", "a", "b", "h", "z"] {
        both_ways(&set, KeyRange::new(bound, bound), &[]).await?;
    }
    Ok(())
}

pub(super) async fn between(harness: &dyn Harness) -> Checked {
    let set = letters(harness).await?;
    both_ways(&set, KeyRange::new("b\0", "d"), &[]).await?;
    both_ways(&set, KeyRange::new("x", "z"), &[]).await
}

pub(super) async fn backwards(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = letters(harness).await?;
    for ask in [
        subject.ask(&table, KeyRange::new("f", "b")),
        subject.ask(&table, KeyRange::new("f", "b")).reversed(),
        subject.ask(&table, KeyRange::new("a\0", "a")),
        subject.ask(&table, KeyRange::new("a", "")),
    ] {
        let read = subject.engine.read(&database, ask.read()).await;
        expect_error(read, ErrorKind::Invalid)?;
    }
    Ok(())
}

pub(super) async fn long_bounds(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let (subject, database, table) = &set;
    let longest = vec![9; subject.engine.capability().key_bytes_max as usize];
    subject.apply(puts(database, table, &[(&longest, b"v")])).await?;
    let successor = [&*longest, &[0]].concat();
    both_ways(&set, KeyRange::new(longest.clone(), successor.clone()), &[&longest]).await?;
    both_ways(&set, KeyRange::from(successor.clone()), &[]).await?;
    let beyond = [&*successor, &[0]].concat();
    for range in [KeyRange::from(beyond.clone()), KeyRange::new("", beyond)] {
        let read = subject.engine.read(database, subject.ask(table, range).read()).await;
        expect_error(read, ErrorKind::Invalid)?;
    }
    Ok(())
}

pub(super) async fn keys_only(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = letters(harness).await?;
    let ask = subject.ask(&table, KeyRange::all()).keys();
    subject.keys_are(&database, &ask, &[b"b", b"d", b"f", b"h"]).await?;
    subject.keys_are(&database, &ask.reversed(), &[b"h", b"f", b"d", b"b"]).await
}

pub(super) async fn empty_values(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let entries: [(&[u8], &[u8]); 3] = [(b"a", b""), (b"b", b"2"), (b"c", b"")];
    subject.apply(puts(&database, &table, &entries)).await?;
    subject.table_is(&database, &table, &entries).await
}

pub(super) async fn one_table(harness: &dyn Harness) -> Checked {
    let (subject, database, events) = letters(harness).await?;
    let others = [table("event")?, table("events_")?, table("eventt")?];
    for other in &others {
        subject.apply(puts(&database, other, &[(b"c", b"other")])).await?;
    }
    let set = (subject, database, events);
    both_ways(&set, KeyRange::all(), &[b"b", b"d", b"f", b"h"]).await?;
    for other in others {
        set.0.table_is(&set.1, &other, &[(b"c", b"other")]).await?;
    }
    Ok(())
}
