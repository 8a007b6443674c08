//! A suite that passes everything proves nothing. Each engine here breaks one promise; each must be
//! caught by a case whose name says which.

use crate::volatile::VolatileEngine;
use bytes::Bytes;
use forgeone_db_engine::conformance::{self, Harness, Subject};
use forgeone_db_engine::strict::MINIMUM_LIMITS;
use forgeone_db_engine::{
    Batch, BoxFuture, Capability, DatabaseName, Direction, Durability, Engine, Entry, Error,
    ErrorKind, KeyRange, MemoryEngine, Operation, Outcome, Precondition, Projection, Read,
    ReadResult, Result, TableName, Usage,
};
use futures::executor::block_on;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Small, so that each run takes milliseconds.
const LIMITS: Capability = Capability { range_delete_entries_max: 100, ..MINIMUM_LIMITS };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    EmptyIsAbsent,
    Unordered,
    ReverseIgnored,
    EndIncluded,
    StartExcluded,
    KeysCarryValues,
    EmptyPageSaysMore,
    NeverMore,
    PageTooLong,
    BytesIgnored,
    AnswersInKeyOrder,
    NotAtomic,
    OperationsReversed,
    ConditionsIgnored,
    ConditionsAfterwards,
    ConflictIsUnknown,
    RangeDeleteUnbounded,
    SyncIsQuietlyLess,
    LimitsUnchecked,
    LimitsOneLower,
    TablesShared,
    DatabasesShared,
    UsageAlwaysSomething,
    CloseForgotten,
    SecondCloseFails,
    PanicsOnEmptyRange,
    TornReads,
    DropTearsCommit,
    NamelessDisplay,
    CompactionLoses,
    CompactionTears,
    CompactionGrows,
    CompactionCreates,
    CompactionReachesOthers,
    CompactionAfterClose,
}

#[derive(Debug)]
struct Broken(MemoryEngine, Flaw, AtomicU32);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.1 == Flaw::NamelessDisplay { "" } else { "broken" })
    }
}

impl Broken {
    /// Two reads instead of one.
    async fn read_torn(
        &self,
        database: &DatabaseName,
        keys: &[(TableName, Bytes)],
    ) -> Result<ReadResult> {
        let (first, second) = keys.split_at(keys.len() / 2);
        let first = self.0.read(database, Read::Get(first.to_vec())).await?;
        yield_now().await;
        let second = self.0.read(database, Read::Get(second.to_vec())).await?;
        let (mut values, rest) = (first.into_values()?, second.into_values()?);
        values.extend(rest);
        Ok(ReadResult::Values(values))
    }

    async fn read_flawed(&self, database: DatabaseName, mut request: Read) -> Result<ReadResult> {
        let flaw = self.1;
        if flaw == Flaw::TornReads
            && let Read::Get(keys) = &request
        {
            return self.read_torn(&database, keys).await;
        }
        if let Read::Get(keys) = &mut request {
            match flaw {
                Flaw::AnswersInKeyOrder => keys.sort(),
                Flaw::TablesShared => {
                    let first = TableName::new("shared")?;
                    for (table, _) in keys {
                        *table = first.clone();
                    }
                }
                _ => {}
            }
        }
        if let Read::Scan { table, range, direction, projection, entries_max, bytes_max } =
            &mut request
        {
            assert!(
                flaw != Flaw::PanicsOnEmptyRange || range.end.as_ref() != Some(&range.start),
                "range start is equal to its end"
            );
            match flaw {
                Flaw::ReverseIgnored => *direction = Direction::Forward,
                Flaw::KeysCarryValues => *projection = Projection::Entries,
                Flaw::PageTooLong if *entries_max < 64 => *entries_max += 1,
                Flaw::BytesIgnored => *bytes_max = u64::MAX,
                Flaw::TablesShared => *table = TableName::new("shared")?,
                Flaw::EndIncluded => {
                    if let Some(end) = &mut range.end
                        && end.len() < 8
                    {
                        *end = [end, &b"\0"[..]].concat().into();
                    }
                }
                Flaw::StartExcluded if !range.start.is_empty() && range.start.len() < 8 => {
                    let start = [&range.start, &b"\0"[..]].concat();
                    if range.end.as_ref().is_none_or(|end| **end >= *start) {
                        range.start = start.into();
                    }
                }
                _ => {}
            }
        }
        let mut result = self.0.read(&database, request).await?;
        match &mut result {
            ReadResult::Page(page) => match flaw {
                Flaw::EmptyPageSaysMore => page.more = true,
                Flaw::NeverMore => page.more = false,
                Flaw::Unordered => page.entries.sort_by_key(|Entry { key, .. }| key.len()),
                _ => {}
            },
            ReadResult::Values(values) if flaw == Flaw::EmptyIsAbsent => {
                for value in values {
                    value.take_if(|value| value.is_empty());
                }
            }
            ReadResult::Values(_) => {}
        }
        Ok(result)
    }

    async fn commit_flawed(&self, batch: Batch, durability: Durability) -> Result<()> {
        let (database, conditions, mut operations) = batch.clone().into_parts();
        let plain = |conditions: &[Precondition], operations: &[Operation]| {
            rebuilt(&database, conditions, operations)
        };
        match self.1 {
            Flaw::NotAtomic | Flaw::DropTearsCommit => {
                self.0.commit(plain(&conditions, &[]), durability).await?;
                for operation in &operations {
                    self.0.commit(plain(&[], std::slice::from_ref(operation)), durability).await?;
                    if self.1 == Flaw::DropTearsCommit {
                        yield_now().await;
                    }
                }
                Ok(())
            }
            Flaw::OperationsReversed => {
                operations.reverse();
                self.0.commit(plain(&conditions, &operations), durability).await
            }
            Flaw::ConditionsIgnored => {
                batch.check(durability, &self.capability())?;
                self.0.commit(plain(&[], &operations), durability).await
            }
            Flaw::ConditionsAfterwards => {
                self.0.commit(plain(&[], &operations), durability).await?;
                self.0.commit(plain(&conditions, &[]), durability).await
            }
            Flaw::ConflictIsUnknown => self.0.commit(batch, durability).await.map_err(|error| {
                let conflict = error.kind() == ErrorKind::Conflict;
                if conflict { error.with_outcome(Outcome::Unknown) } else { error }
            }),
            Flaw::SyncIsQuietlyLess => self.0.commit(batch, Durability::None).await,
            Flaw::TablesShared => {
                let shared = TableName::new("shared")?;
                for operation in &mut operations {
                    match operation {
                        Operation::Put { table, .. }
                        | Operation::Delete { table, .. }
                        | Operation::DeleteRange { table, .. } => *table = shared.clone(),
                    }
                }
                self.0.commit(plain(&[], &operations), durability).await
            }
            _ => self.0.commit(batch, durability).await,
        }
    }

    async fn compact_flawed(&self, database: DatabaseName) -> Result<()> {
        let (table, key) = (TableName::new("events")?, 8_u32.to_be_bytes().to_vec());
        let mut batch = Batch::new(database.clone());
        match self.1 {
            Flaw::CompactionLoses => batch.delete(&table, key),
            Flaw::CompactionCreates => batch.put(&TableName::new("free")?, "list", "of pages"),
            Flaw::CompactionTears => {
                // Moves an entry in two steps, between which a dropped future leaves nothing.
                let read = self.0.read(&database, Read::get(&table, key.clone())).await?;
                let Some(Some(value)) = read.into_values()?.pop() else { return Ok(()) };
                batch.delete(&table, key.clone());
                self.0.commit(batch, Durability::None).await?;
                yield_now().await;
                let mut batch = Batch::new(database);
                batch.put(&table, key, value);
                return self.0.commit(batch, Durability::None).await;
            }
            Flaw::CompactionGrows | Flaw::CompactionReachesOthers => {
                self.2.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Flaw::CompactionAfterClose => return Ok(()),
            _ => return self.0.compact(&database).await,
        };
        self.0.commit(batch, Durability::None).await
    }

    fn named(&self, database: &DatabaseName) -> DatabaseName {
        match self.1 {
            Flaw::DatabasesShared => DatabaseName::new("shared").unwrap(),
            _ => database.clone(),
        }
    }
}

fn rebuilt(
    database: &DatabaseName,
    conditions: &[Precondition],
    operations: &[Operation],
) -> Batch {
    let mut batch = Batch::new(database.clone());
    for condition in conditions.iter().cloned() {
        match condition {
            Precondition::Absent { table, key } => batch.require_absent(&table, key),
            Precondition::Equals { table, key, value } => batch.require_equals(&table, key, value),
        };
    }
    for operation in operations.iter().cloned() {
        match operation {
            Operation::Put { table, key, value } => batch.put(&table, key, value),
            Operation::Delete { table, key } => batch.delete(&table, key),
            Operation::DeleteRange { table, range } => batch.delete_range(&table, range),
        };
    }
    batch
}

async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

impl Engine for Broken {
    fn capability(&self) -> Capability {
        let mut capability = self.0.capability();
        match self.1 {
            Flaw::LimitsUnchecked => capability.key_bytes_max -= 1,
            Flaw::LimitsOneLower => capability.page_entries_max += 1,
            Flaw::RangeDeleteUnbounded => capability.range_delete_entries_max = 64,
            _ => {}
        }
        capability
    }

    fn read(&self, database: &DatabaseName, request: Read) -> BoxFuture<'_, Result<ReadResult>> {
        Box::pin(self.read_flawed(self.named(database), request))
    }

    fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
        let named = self.named(batch.database());
        let batch = rebuilt(&named, batch.preconditions(), batch.operations());
        Box::pin(self.commit_flawed(batch, durability))
    }

    fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
        let database = self.named(database);
        Box::pin(async move {
            let mut usage = self.0.usage(&database).await?;
            if self.1 == Flaw::UsageAlwaysSomething {
                usage.allocated_bytes += 4096;
            }
            // A compaction that rewrites everything beside the old and leaves both.
            usage.allocated_bytes <<= self.2.load(Ordering::Relaxed).min(8);
            Ok(usage)
        })
    }

    fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.compact_flawed(self.named(database)))
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            if self.1 == Flaw::SecondCloseFails {
                self.0.usage(&DatabaseName::new("any")?).await?;
            }
            if self.1 == Flaw::CloseForgotten { Ok(()) } else { self.0.close().await }
        })
    }
}

struct Breaks(Flaw);

impl Harness for Breaks {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async {
            Ok(Subject::new(Arc::new(Broken(
                MemoryEngine::with_limits(LIMITS),
                self.0,
                AtomicU32::new(0),
            ))))
        })
    }

    fn reopen(&self, _closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async { Ok(None) })
    }
}

/// Asserts that the flaw is caught by a case whose name holds `words`.
fn caught(flaw: Flaw, words: &str) {
    let report = block_on(conformance::run(&Breaks(flaw)));
    let found = report.failures().any(|failure| failure.name.contains(words));
    assert!(found, "{flaw:?} should break a case of {words:?}: {report}");
}

#[test]
fn flaws_of_reads_are_caught() {
    caught(Flaw::EmptyIsAbsent, "an empty value is present");
    caught(Flaw::AnswersInKeyOrder, "in the order asked");
    caught(Flaw::Unordered, "before its extensions");
    caught(Flaw::ReverseIgnored, "a reverse scan");
    caught(Flaw::EndIncluded, "excludes its end");
    caught(Flaw::StartExcluded, "includes its start");
    caught(Flaw::KeysCarryValues, "keys alone");
    caught(Flaw::EmptyPageSaysMore, "without entries never says");
    caught(Flaw::NeverMore, "no more is the last");
    caught(Flaw::PageTooLong, "never exceeds the entries");
    caught(Flaw::BytesIgnored, "reaches its bytes");
    caught(Flaw::PanicsOnEmptyRange, "ends where it starts");
    caught(Flaw::TornReads, "a get sees each commit whole");
}

#[test]
fn flaws_of_commits_are_caught() {
    caught(Flaw::NotAtomic, "fails at its last operation");
    caught(Flaw::DropTearsCommit, "a dropped commit");
    caught(Flaw::OperationsReversed, "the last of several puts");
    caught(Flaw::ConditionsIgnored, "sixteen committers taking turns");
    caught(Flaw::ConditionsAfterwards, "before the operations");
    caught(Flaw::ConflictIsUnknown, "two conflicting commits");
    caught(Flaw::RangeDeleteUnbounded, "one entry too many");
    caught(Flaw::SyncIsQuietlyLess, "more durability than claimed");
}

#[test]
fn flaws_of_limits_names_and_handles_are_caught() {
    caught(Flaw::LimitsUnchecked, "a key is valid up to");
    caught(Flaw::LimitsOneLower, "a page size is valid up to");
    caught(Flaw::TablesShared, "tables are apart");
    caught(Flaw::DatabasesShared, "databases are apart");
    caught(Flaw::UsageAlwaysSomething, "reading creates nothing");
    caught(Flaw::CloseForgotten, "after close every call");
    caught(Flaw::SecondCloseFails, "a second close");
    caught(Flaw::NamelessDisplay, "says what it is");
}

#[test]
fn flaws_of_compaction_are_caught() {
    caught(Flaw::CompactionLoses, "compaction changes no entry");
    caught(Flaw::CompactionTears, "a dropped compaction leaves every entry");
    caught(Flaw::CompactionGrows, "compaction does not grow");
    caught(Flaw::CompactionCreates, "compaction of a database that was never written");
    caught(Flaw::CompactionReachesOthers, "leaves the others alone");
    caught(Flaw::CompactionAfterClose, "after close every call");
}

struct Lying;

impl Harness for Lying {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async { Ok(VolatileEngine::lying().subject()) })
    }

    fn reopen(&self, closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        Box::pin(async { VolatileEngine::lying().reopen(closed).await.map(Some) })
    }
}

#[test]
fn an_engine_that_acknowledges_without_syncing_is_caught() {
    let report = block_on(conformance::run(&Lying));
    for words in ["survives reopening", "earlier ones durable", "prefix of the commits"] {
        assert!(report.failures().any(|failure| failure.name.contains(words)), "{report}");
    }
}

struct Absent;

impl Harness for Absent {
    fn fresh(&self) -> BoxFuture<'_, Result<Subject>> {
        Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "no engine today")) })
    }

    fn reopen(&self, _closed: Subject) -> BoxFuture<'_, Result<Option<Subject>>> {
        panic!("nothing to reopen")
    }
}

#[test]
fn without_an_engine_every_case_fails_and_the_report_says_so() {
    let report = block_on(conformance::run(&Absent));
    assert_eq!(report.failures().count(), conformance::CASES.len());
    assert!(report.to_string().starts_with("0 of "), "{report}");
    let caught = std::panic::catch_unwind(|| report.assert_passed());
    assert!(caught.is_err());
    assert!(KeyRange::all().contains(b"any"));
}
