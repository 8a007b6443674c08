//! Calls beside each other: one order of commits, whole commits, dropped futures.

use super::subject::{Subject, ensure, name, puts, same, start, table};
use super::{Checked, Harness, Task};
use crate::contract::{Batch, DatabaseName, Durability, KeyRange, Read, TableName};
use crate::error::{ErrorKind, Outcome};
use crate::task::{join_all, yield_once};
use bytes::Bytes;
use std::task::{Context, Waker};

const COMMITTERS: u32 = 16;
const COMMITS_EACH: u32 = 4;
/// Attempts of one committer after which something other than contention is at work: a conflict
/// means that another committer succeeded, and there are 64 successes in all.
const ATTEMPTS_MAX: u32 = 10_000;

/// Reads `head`, and commits the next number under the condition that `head` is still the same.
async fn committer(
    (subject, database, table): (Subject, DatabaseName, TableName),
    number: u32,
) -> Checked {
    let mut done = 0;
    for _ in 0..ATTEMPTS_MAX {
        if done == COMMITS_EACH {
            return Ok(());
        }
        let head = subject.get(&database, &table, b"head").await?;
        let next = match &head {
            None => 1,
            Some(head) => {
                1 + u32::from_be_bytes(
                    (&**head).try_into().map_err(|_| format!("a bent head: {head:?}"))?,
                )
            }
        };
        let mut batch = Batch::new(database.clone());
        match head {
            None => batch.require_absent(&table, "head"),
            Some(head) => batch.require_equals(&table, "head", head),
        };
        batch.put(&table, "head", next.to_be_bytes().to_vec());
        let commits = super::subject::table("commits")?;
        batch.require_absent(&commits, next.to_be_bytes().to_vec());
        batch.put(&commits, next.to_be_bytes().to_vec(), number.to_be_bytes().to_vec());
        // Lets the others read the same head, so that conditions decide.
        yield_once().await;
        match subject.commit(batch, Durability::None).await {
            Ok(()) => done += 1,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                same("the outcome of a conflict", &error.outcome(), &Outcome::Rejected)?;
                yield_once().await;
            }
            Err(error) => return Err(format!("a committer failed: {error:?}")),
        }
    }
    Err(format!("a committer did not finish in {ATTEMPTS_MAX} attempts"))
}

fn committers(set: &(Subject, DatabaseName, TableName)) -> Vec<Task> {
    let task = |number| -> Task { Box::pin(committer(set.clone(), number)) };
    (0..COMMITTERS).map(task).collect()
}

/// Asserts that the commits form one dense order in which each committer has its share.
async fn one_order((subject, database, table): &(Subject, DatabaseName, TableName)) -> Checked {
    let total = COMMITTERS * COMMITS_EACH;
    subject.holds(database, table, b"head", Some(&total.to_be_bytes())).await?;
    let ask = subject.ask(&super::subject::table("commits")?, KeyRange::all());
    let entries = subject.walk(database, &ask).await?;
    let keys = entries.iter().map(|entry| &*entry.key);
    let expected: Vec<_> = (1..=total).map(u32::to_be_bytes).collect();
    ensure(keys.eq(expected.iter().map(|key| &key[..])), || {
        format!("{} commits, expected the numbers 1 to {total}", entries.len())
    })?;
    for number in 0..COMMITTERS {
        let mine = entries.iter().filter(|entry| entry.value == number.to_be_bytes()[..]).count();
        same("the commits of one committer", &mine, &(COMMITS_EACH as usize))?;
    }
    Ok(())
}

pub(super) async fn committers_apart(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    harness.concurrently(committers(&set)).await.into_iter().collect::<Checked>()?;
    one_order(&set).await
}

pub(super) async fn committers_by_turns(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    join_all(committers(&set)).await.into_iter().collect::<Checked>()?;
    one_order(&set).await
}

const ROUNDS: u32 = 50;
const KEYS: u32 = 12;

/// Commits round after round: each sets every key of two tables to the number of the round, and
/// deletes or adds one more.
async fn writer((subject, database, events): (Subject, DatabaseName, TableName)) -> Checked {
    let topics = table("topics")?;
    for round in 1..=ROUNDS {
        let mut batch = Batch::new(database.clone());
        for key in 0..KEYS {
            batch.put(&events, key.to_be_bytes().to_vec(), round.to_be_bytes().to_vec());
            batch.put(&topics, key.to_be_bytes().to_vec(), round.to_be_bytes().to_vec());
        }
        subject.apply(batch).await?;
        yield_once().await;
    }
    Ok(())
}

/// Asserts that values are all of one round, and none of an earlier one than before.
fn one_round<'a>(values: impl Iterator<Item = Option<&'a Bytes>>, last: &mut Bytes) -> Checked {
    let values: Vec<_> = values.collect();
    let first = values.first().copied().flatten();
    ensure(values.iter().all(|value| *value == first), || {
        format!("one read saw parts of several commits: {values:?}")
    })?;
    let first = first.cloned().unwrap_or_default();
    ensure(first >= *last, || format!("a later read saw an earlier state: {first:?}"))?;
    *last = first;
    Ok(())
}

async fn getter((subject, database, events): (Subject, DatabaseName, TableName)) -> Checked {
    let topics = table("topics")?;
    let mut last = Bytes::new();
    for _ in 0..ROUNDS * 2 {
        let mut keys = Vec::new();
        for key in 0..KEYS {
            let key = Bytes::from(key.to_be_bytes().to_vec());
            keys.push((events.clone(), key.clone()));
            keys.push((topics.clone(), key));
        }
        let values = subject.gets(&database, keys).await?;
        one_round(values.iter().map(Option::as_ref), &mut last)?;
        yield_once().await;
    }
    Ok(())
}

async fn pager((subject, database, events): (Subject, DatabaseName, TableName)) -> Checked {
    let mut last = Bytes::new();
    for _ in 0..ROUNDS * 2 {
        let page = subject.page(&database, &subject.ask(&events, KeyRange::all())).await?;
        one_round(page.entries.iter().map(|entry| Some(&entry.value)), &mut last)?;
        yield_once().await;
    }
    Ok(())
}

pub(super) async fn gets_whole(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let tasks: Vec<Task> = vec![
        Box::pin(writer(set.clone())),
        Box::pin(getter(set.clone())),
        Box::pin(getter(set.clone())),
    ];
    harness.concurrently(tasks).await.into_iter().collect::<Checked>()?;
    let set = start(harness).await?;
    let tasks: Vec<Task> = vec![Box::pin(writer(set.clone())), Box::pin(getter(set))];
    join_all(tasks).await.into_iter().collect()
}

pub(super) async fn pages_whole(harness: &dyn Harness) -> Checked {
    let set = start(harness).await?;
    let tasks: Vec<Task> = vec![
        Box::pin(writer(set.clone())),
        Box::pin(pager(set.clone())),
        Box::pin(pager(set.clone())),
    ];
    harness.concurrently(tasks).await.into_iter().collect::<Checked>()?;
    let set = start(harness).await?;
    let tasks: Vec<Task> = vec![Box::pin(writer(set.clone())), Box::pin(pager(set))];
    join_all(tasks).await.into_iter().collect()
}

pub(super) async fn databases(harness: &dyn Harness) -> Checked {
    let (subject, _, table) = start(harness).await?;
    let names = ["system", "logs_shard_0", "blobs_shard_0", "events_shard_0"];
    let mut tasks: Vec<Task> = Vec::new();
    for database in names {
        let (subject, database, table) = (subject.clone(), name(database)?, table.clone());
        tasks.push(Box::pin(async move {
            for number in 0..20_u32 {
                let value = database.as_str().as_bytes();
                let batch = puts(&database, &table, &[(&number.to_be_bytes(), value)]);
                subject.apply(batch).await?;
            }
            Ok(())
        }));
    }
    harness.concurrently(tasks).await.into_iter().collect::<Checked>()?;
    for database in names {
        let ask = subject.ask(&table, KeyRange::all());
        let entries = subject.walk(&name(database)?, &ask).await?;
        let own = entries.iter().filter(|entry| entry.value == database.as_bytes()).count();
        same("the entries of one database", &(entries.len(), own), &(20, 20))?;
    }
    Ok(())
}

/// Polls a future at most `polls` times and drops it; says whether it completed.
pub(super) fn poll_and_drop<T>(future: impl Future<Output = T>, polls: u32) -> bool {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..polls).any(|_| future.as_mut().poll(&mut context).is_ready())
}

pub(super) async fn dropped_commit(harness: &dyn Harness) -> Checked {
    for polls in 0..24 {
        let (subject, database, events) = start(harness).await?;
        subject.apply(puts(&database, &events, &[(b"0", b"old"), (b"1", b"old")])).await?;
        let topics = table("topics")?;
        let mut batch = puts(&database, &events, &[(b"0", b"new"), (b"2", b"new")]);
        batch.put(&topics, "0", "new").delete(&events, "1");
        let done = poll_and_drop(subject.commit(batch, Durability::None), polls);
        // One read, for the commit may still be on its way.
        let keys = ["0", "1", "2"].map(|key| (events.clone(), Bytes::from(key)));
        let keys = keys.into_iter().chain([(topics, "0".into())]).collect();
        let found = subject.gets(&database, keys).await?;
        let found: Vec<_> = found.iter().map(Option::as_deref).collect();
        let none: [Option<&[u8]>; 4] = [Some(b"old"), Some(b"old"), None, None];
        let all: [Option<&[u8]>; 4] = [Some(b"new"), None, Some(b"new"), Some(b"new")];
        ensure(found == all || (found == none && !done), || {
            format!("a commit dropped after {polls} polls (done: {done}) left {found:?}")
        })?;
        subject.apply(puts(&database, &events, &[(b"later", b"works")])).await?;
    }
    Ok(())
}

pub(super) async fn dropped_read(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    subject.apply(puts(&database, &table, &[(b"a", b"1")])).await?;
    for polls in 0..8 {
        let ask = subject.ask(&table, KeyRange::all());
        poll_and_drop(subject.engine.read(&database, ask.read()), polls);
        poll_and_drop(subject.engine.read(&database, Read::get(&table, "a")), polls);
        poll_and_drop(subject.engine.usage(&database), polls);
        subject.table_is(&database, &table, &[(b"a", b"1")]).await?;
    }
    subject.apply(puts(&database, &table, &[(b"b", b"2")])).await?;
    subject.engine.close().await.map_err(|error| format!("close failed: {error:?}"))
}

pub(super) async fn never_polled(harness: &dyn Harness) -> Checked {
    let (subject, database, table) = start(harness).await?;
    let batch = puts(&database, &table, &[(b"a", b"1")]);
    drop(subject.engine.commit(batch.clone(), Durability::None));
    // An engine may begin at the call; then the commit may be there, but whole.
    let found = subject.get(&database, &table, b"a").await?;
    ensure(found.is_none() || found.as_deref() == Some(b"1"), || format!("found {found:?}"))?;
    subject.apply(batch).await?;
    subject.table_is(&database, &table, &[(b"a", b"1")]).await
}
