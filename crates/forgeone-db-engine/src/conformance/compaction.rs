//! Compaction: it gives space back and changes nothing else.
//!
//! Absent on purpose: how much is given back; an engine may have nothing to give.

use super::concurrency::poll_and_drop;
use super::isolation::{allocated, noise};
use super::subject::{Subject, ensure, name, puts, same, start};
use super::{Checked, Harness, Task};
use crate::contract::{Batch, DatabaseName, Durability, KeyRange, TableName};
use crate::error::{ErrorKind, Outcome};
use crate::task::yield_once;

const VALUES: u32 = 40;
const VALUE_BYTES: usize = 20_000;
/// Of so many values one stays.
const KEPT_ONE_IN: u32 = 8;

fn value(number: u32) -> Vec<u8> {
    noise(VALUE_BYTES, u64::from(number))
}

/// Fills a database and empties most of it, so that there is space to give back.
async fn hollow(subject: &Subject, database: &DatabaseName, table: &TableName) -> Checked {
    let strongest = subject.engine.capability().durability_max;
    for number in 0..VALUES {
        let batch = puts(database, table, &[(&number.to_be_bytes(), &value(number))]);
        subject.apply_with(batch, strongest).await?;
    }
    let mut batch = Batch::new(database.clone());
    for number in (0..VALUES).filter(|number| number % KEPT_ONE_IN != 0) {
        batch.delete(table, number.to_be_bytes().to_vec());
    }
    subject.apply_with(batch, strongest).await
}

/// Asserts that what [`hollow`] left is there.
async fn is_hollow(subject: &Subject, database: &DatabaseName, table: &TableName) -> Checked {
    let kept: Vec<_> = (0..VALUES)
        .step_by(KEPT_ONE_IN as usize)
        .map(|number| (number.to_be_bytes(), value(number)))
        .collect();
    let kept: Vec<(&[u8], &[u8])> =
        kept.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    subject.table_is(database, table, &kept).await
}

async fn compact(subject: &Subject, database: &DatabaseName) -> Checked {
    let compacted = subject.compact(database).await;
    compacted.map_err(|error| format!("a compaction failed: {error:?}"))
}

pub(super) async fn no_entry(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let other = super::subject::table("topics")?;
    subject.apply(puts(&database, &other, &[(b"empty", b""), (b"k", b"v")])).await?;
    hollow(&subject, &database, &table).await?;
    for round in [b"1", b"2", b"3"] {
        compact(&subject, &database).await?;
        is_hollow(&subject, &database, &table).await?;
        subject.table_is(&database, &other, &[(b"empty", b""), (b"k", b"v")]).await?;
        let mut batch = puts(&database, &other, &[(b"later", round)]);
        batch.require_equals(&other, "k", "v");
        subject.apply(batch).await?;
        subject.holds(&database, &other, b"later", Some(round)).await?;
        subject.apply(puts(&database, &other, &[(b"k", b"v")])).await?;
        let mut batch = Batch::new(database.clone());
        batch.delete(&other, "later");
        subject.apply(batch).await?;
    }
    Ok(())
}

pub(super) async fn no_growth(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    hollow(&subject, &database, &table).await?;
    let before = allocated(&subject, &database).await?;
    compact(&subject, &database).await?;
    let after = allocated(&subject, &database).await?;
    ensure(after <= before, || format!("a compaction made {after} bytes of {before}"))?;
    ensure(after > 0, || "a compacted database with entries is said to take nothing".to_owned())
}

pub(super) async fn unknown_database(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    for _ in 0..2 {
        compact(&subject, &database).await?;
        same("the bytes of a database never written", &allocated(&subject, &database).await?, &0)?;
        subject.table_is(&database, &table, &[]).await?;
    }
    let mut batch = puts(&database, &table, &[(b"a", b"1")]);
    batch.require_absent(&table, "a");
    subject.apply(batch).await
}

pub(super) async fn durable(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    hollow(&subject, &database, &table).await?;
    compact(&subject, &database).await?;
    let Some(subject) = subject.reopen(harness).await? else { return Ok(()) };
    is_hollow(&subject, &database, &table).await?;
    compact(&subject, &database).await?;
    let Some(subject) = subject.reopen(harness).await? else { return Ok(()) };
    is_hollow(&subject, &database, &table).await
}

pub(super) async fn apart(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let other = name("events_shard_1")?;
    hollow(&subject, &database, &table).await?;
    hollow(&subject, &other, &table).await?;
    let before = allocated(&subject, &other).await?;
    compact(&subject, &database).await?;
    same("the bytes of the other database", &allocated(&subject, &other).await?, &before)?;
    is_hollow(&subject, &other, &table).await
}

const ROUNDS: u32 = 12;

/// Reads and commits two keys that always have one value.
async fn busy(subject: Subject, database: DatabaseName, commits: bool) -> Checked {
    let pair = super::subject::table("pair")?;
    for round in 0..ROUNDS {
        if commits {
            let value = round.to_be_bytes();
            subject.apply(puts(&database, &pair, &[(b"a", &value), (b"b", &value)])).await?;
        }
        let keys = vec![(pair.clone(), "a".into()), (pair.clone(), "b".into())];
        let values = subject.gets(&database, keys).await?;
        same("two keys of one commit", &values.first(), &values.last())?;
        yield_once().await;
    }
    Ok(())
}

/// Compacts again and again; others at work may hold it up, and then it says so.
async fn compacting(subject: Subject, database: DatabaseName) -> Checked {
    for _ in 0..ROUNDS {
        match subject.compact(&database).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                same("the outcome", &error.outcome(), &Outcome::Rejected)?;
            }
            Err(error) => return Err(format!("a compaction failed: {error:?}")),
        }
        yield_once().await;
    }
    Ok(())
}

pub(super) async fn beside(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    hollow(&subject, &database, &table).await?;
    let tasks: Vec<Task> = vec![
        Box::pin(compacting(subject.clone(), database.clone())),
        Box::pin(busy(subject.clone(), database.clone(), true)),
        Box::pin(busy(subject.clone(), database.clone(), false)),
        Box::pin(busy(subject.clone(), name("events_shard_1")?, true)),
    ];
    harness.concurrently(tasks).await.into_iter().collect::<Checked>()?;
    is_hollow(&subject, &database, &table).await?;
    let last = (ROUNDS - 1).to_be_bytes();
    for key in [b"a", b"b"] {
        subject.holds(&database, &super::subject::table("pair")?, key, Some(&last)).await?;
    }
    Ok(())
}

pub(super) async fn dropped(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    hollow(&subject, &database, &table).await?;
    for polls in 0..4 {
        poll_and_drop(subject.compact(&database), polls);
        is_hollow(&subject, &database, &table).await?;
    }
    compact(&subject, &database).await?;
    subject.apply_with(Batch::new(database.clone()), Durability::None).await?;
    let entries = subject.walk(&database, &subject.ask(&table, KeyRange::all())).await?.len();
    same("the entries left", &entries, &(VALUES.div_ceil(KEPT_ONE_IN) as usize))
}
