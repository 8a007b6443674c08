//! The engine under test, and the steps that cases are made of.
//!
//! Absent on purpose: judgement of whole cases; a step fails only if no engine may answer so.

use super::{Checked, Harness};
use crate::contract::{
    Batch, DatabaseName, Direction, Durability, Engine, Entry, KeyRange, MaybeSend, MaybeSync,
    Page, Projection, Read, TableName,
};
use crate::error::{Error, ErrorKind, Outcome, Result};
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

/// Pages after which a paging loop counts as endless.
const PAGES_MAX: usize = 100_000;

/// The engine under test.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The engine that the cases talk to.
    pub engine: Arc<dyn Engine>,
    /// Only for an engine that refuses to write: another handle on the same data. Each commit of
    /// each case must then be refused by `engine` as `Unsupported` and `Rejected`, is made through
    /// this handle, and must show through `engine`.
    pub writer: Option<Arc<dyn Engine>>,
    /// What the harness needs to find the data again: a path, a temporary directory, a handle on
    /// the medium. It is dropped after the engine.
    pub place: Place,
}

/// Anything that a harness keeps beside an engine.
#[cfg(not(target_family = "wasm"))]
pub type Place = Arc<dyn Any + Send + Sync>;
/// Anything that a harness keeps beside an engine.
#[cfg(target_family = "wasm")]
pub type Place = Arc<dyn Any>;

impl Subject {
    /// An engine that reads and writes.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, writer: None, place: Arc::new(()) }
    }

    /// Keeps `place` beside the engine, for [`Harness::reopen`], which makes the next subject of it
    /// with `Subject { engine, ..closed }`.
    #[must_use]
    pub fn with_place(self, place: impl Any + MaybeSend + MaybeSync) -> Self {
        Self { place: Arc::new(place), ..self }
    }

    /// The place, if it is a `T`.
    pub fn place<T: Any>(&self) -> Option<&T> {
        self.place.downcast_ref()
    }

    /// An engine that refuses to write, and a writer of the same data.
    pub fn read_only(engine: Arc<dyn Engine>, writer: Arc<dyn Engine>) -> Self {
        Self { engine, writer: Some(writer), place: Arc::new(()) }
    }

    /// A fresh one.
    pub(super) async fn fresh(harness: &dyn Harness) -> Result<Self, String> {
        harness.fresh().await.map_err(|error| format!("no fresh engine: {error:?}"))
    }

    /// Closes all handles and opens the data again; `None` where nothing outlives the handle.
    pub(super) async fn reopen(self, harness: &dyn Harness) -> Result<Option<Self>, String> {
        let durable = self.engine.capability().durability_max > Durability::None;
        self.engine.close().await.map_err(|error| format!("close failed: {error:?}"))?;
        if let Some(writer) = &self.writer {
            writer.close().await.map_err(|error| format!("the writer's close: {error:?}"))?;
        }
        let reopened = harness.reopen(self).await;
        let reopened = reopened.map_err(|error| format!("reopening failed: {error:?}"))?;
        ensure(reopened.is_some() || !durable, || {
            "the engine claims durability, but its harness cannot reopen it".to_owned()
        })?;
        Ok(reopened)
    }

    /// Commits, through the writer if the engine must refuse.
    pub(super) async fn commit(&self, batch: Batch, durability: Durability) -> Result<()> {
        let Some(writer) = &self.writer else {
            return self.engine.commit(batch, durability).await;
        };
        match self.engine.commit(batch.clone(), durability).await {
            Ok(()) => Err(Error::new(ErrorKind::Internal, "an engine said to refuse committed")),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                if error.outcome() != Outcome::Rejected {
                    return Err(error.with("broken", "a refusal that is not Rejected"));
                }
                writer.commit(batch, durability).await
            }
            Err(error) => Err(error),
        }
    }

    /// Compacts, through the writer if the engine must refuse.
    pub(super) async fn compact(&self, database: &DatabaseName) -> Result<()> {
        let Some(writer) = &self.writer else { return self.engine.compact(database).await };
        match self.engine.compact(database).await {
            Ok(()) => Err(Error::new(ErrorKind::Internal, "an engine said to refuse compacted")),
            Err(error) if error.kind() == ErrorKind::Unsupported => writer.compact(database).await,
            Err(error) => Err(error),
        }
    }

    /// Commits without durability, which must succeed.
    pub(super) async fn apply(&self, batch: Batch) -> Checked {
        self.apply_with(batch, Durability::None).await
    }

    /// Commits, which must succeed.
    pub(super) async fn apply_with(&self, batch: Batch, durability: Durability) -> Checked {
        let committed = self.commit(batch, durability).await;
        committed.map_err(|error| format!("a commit with {durability:?} failed: {error:?}"))
    }

    /// Commits without durability, which must be refused with `kind`, outcome `Rejected`.
    pub(super) async fn refuse(&self, batch: Batch, kind: ErrorKind) -> Checked {
        expect_error(self.commit(batch, Durability::None).await, kind)
    }

    /// The values of several keys.
    pub(super) async fn gets(
        &self,
        database: &DatabaseName,
        keys: Vec<(TableName, Bytes)>,
    ) -> Result<Vec<Option<Bytes>>, String> {
        let asked = keys.len();
        let read = self.engine.read(database, Read::Get(keys)).await;
        let values = read.and_then(crate::contract::ReadResult::into_values);
        let values = values.map_err(|error| format!("a get failed: {error:?}"))?;
        same("the number of values", &values.len(), &asked)?;
        Ok(values)
    }

    /// The value of one key.
    pub(super) async fn get(
        &self,
        database: &DatabaseName,
        table: &TableName,
        key: &[u8],
    ) -> Result<Option<Bytes>, String> {
        let key = Bytes::copy_from_slice(key);
        let values = self.gets(database, vec![(table.clone(), key)]).await?;
        Ok(values.into_iter().next().flatten())
    }

    /// Asserts the value of one key.
    pub(super) async fn holds(
        &self,
        database: &DatabaseName,
        table: &TableName,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Checked {
        let found = self.get(database, table, key).await?;
        same("the value", &found.as_deref(), &value)
    }

    /// One page, checked against everything that holds of any page.
    pub(super) async fn page(&self, database: &DatabaseName, ask: &Ask) -> Result<Page, String> {
        let read = self.engine.read(database, ask.read()).await;
        let page = read.and_then(crate::contract::ReadResult::into_page);
        let page = page.map_err(|error| format!("a scan failed: {error:?}"))?;
        ask.check(&page)?;
        Ok(page)
    }

    /// All entries of a range, page by page, as a caller would walk it.
    pub(super) async fn walk(
        &self,
        database: &DatabaseName,
        ask: &Ask,
    ) -> Result<Vec<Entry>, String> {
        let mut ask = ask.clone();
        let mut entries = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.page(database, &ask).await?;
            if let Some(last) = page.entries.last() {
                ask.go_on_after(&last.key);
            }
            entries.extend(page.entries);
            if !page.more {
                return Ok(entries);
            }
        }
        Err(format!("a range has not ended after {PAGES_MAX} pages"))
    }

    /// Asserts all entries of a table, in ascending order.
    pub(super) async fn table_is(
        &self,
        database: &DatabaseName,
        table: &TableName,
        expected: &[(&[u8], &[u8])],
    ) -> Checked {
        let entries = self.walk(database, &self.ask(table, KeyRange::all())).await?;
        let found: Vec<(&[u8], &[u8])> =
            entries.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
        same("the entries of the table", &found.as_slice(), &expected)
    }

    /// Asserts the keys of a range in one direction.
    pub(super) async fn keys_are(
        &self,
        database: &DatabaseName,
        ask: &Ask,
        expected: &[&[u8]],
    ) -> Checked {
        let entries = self.walk(database, ask).await?;
        let found: Vec<&[u8]> = entries.iter().map(|entry| &*entry.key).collect();
        same("the keys of the range", &found.as_slice(), &expected)
    }

    /// A forward scan of entries in the largest pages.
    pub(super) fn ask(&self, table: &TableName, range: KeyRange) -> Ask {
        Ask {
            table: table.clone(),
            range,
            direction: Direction::Forward,
            projection: Projection::Entries,
            entries_max: self.engine.capability().page_entries_max,
            bytes_max: u64::MAX,
        }
    }

    /// Puts `count` entries with keys of four big-endian bytes from `first` on, each with `value`, in
    /// as many batches as it takes.
    pub(super) async fn fill(
        &self,
        (database, table): (&DatabaseName, &TableName),
        (first, count): (u32, u32),
        value: &[u8],
    ) -> Checked {
        let value = Bytes::copy_from_slice(value);
        let capability = self.engine.capability();
        let fitting = capability.batch_bytes_max / (value.len() as u64 + 4);
        let in_batch = u64::from(capability.batch_operations_max).min(fitting).max(1);
        let mut batch = Batch::new(database.clone());
        for number in first..first + count {
            batch.put(table, number.to_be_bytes().to_vec(), value.clone());
            if batch.operations().len() as u64 == in_batch {
                self.apply(std::mem::replace(&mut batch, Batch::new(database.clone()))).await?;
            }
        }
        self.apply(batch).await
    }
}

/// A scan to ask for.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) table: TableName,
    pub(super) range: KeyRange,
    pub(super) direction: Direction,
    pub(super) projection: Projection,
    pub(super) entries_max: u32,
    pub(super) bytes_max: u64,
}

impl Ask {
    pub(super) fn reversed(mut self) -> Self {
        self.direction = Direction::Reverse;
        self
    }

    pub(super) fn keys(mut self) -> Self {
        self.projection = Projection::Keys;
        self
    }

    pub(super) fn entries_max(mut self, entries_max: u32) -> Self {
        self.entries_max = entries_max;
        self
    }

    pub(super) fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    pub(super) fn read(&self) -> Read {
        Read::Scan {
            table: self.table.clone(),
            range: self.range.clone(),
            direction: self.direction,
            projection: self.projection,
            entries_max: self.entries_max,
            bytes_max: self.bytes_max,
        }
    }

    /// Moves on behind the last key of a page, as the contract says.
    pub(super) fn go_on_after(&mut self, last: &[u8]) {
        match self.direction {
            Direction::Forward => self.range.start = [last, &[0]].concat().into(),
            Direction::Reverse => self.range.end = Some(Bytes::copy_from_slice(last)),
        }
    }

    fn check(&self, page: &Page) -> Checked {
        let entries = &page.entries;
        ensure(entries.len() <= self.entries_max as usize, || {
            format!("a page of {} entries, asked for {}", entries.len(), self.entries_max)
        })?;
        ensure(!entries.is_empty() || !page.more, || {
            "a page without entries says that there is more".to_owned()
        })?;
        let ordered = entries.is_sorted_by(|one, other| match self.direction {
            Direction::Forward => one.key < other.key,
            Direction::Reverse => one.key > other.key,
        });
        ensure(ordered, || format!("a page out of order: {entries:?}"))?;
        ensure(entries.iter().all(|entry| self.range.contains(&entry.key)), || {
            format!("a page reaches outside {:?}: {entries:?}", self.range)
        })?;
        let valueless = entries.iter().all(|entry| entry.value.is_empty());
        ensure(valueless || self.projection == Projection::Entries, || {
            "a scan of keys alone returned a value".to_owned()
        })?;
        let all_but_last = entries.split_last().map_or(&[][..], |(_, others)| others);
        let bytes: usize =
            all_but_last.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
        ensure(entries.len() < 2 || (bytes as u64) < self.bytes_max, || {
            format!("a page goes on after {bytes} bytes, asked for {}", self.bytes_max)
        })
    }
}

/// Fails with a message unless `holds`.
pub(super) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(message()) }
}

/// Fails unless `found` is what was expected.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Checked {
    ensure(found == expected, || {
        let (mut found, mut expected) = (format!("{found:?}"), format!("{expected:?}"));
        for text in [&mut found, &mut expected] {
            if let Some((cut, _)) = text.char_indices().nth(400) {
                text.truncate(cut);
                text.push_str("...");
            }
        }
        format!("{what}: found {found}, expected {expected}")
    })
}

/// Fails unless `result` is an error of `kind` whose outcome is `Rejected`.
pub(super) fn expect_error<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) -> Checked {
    match result {
        Err(error) if error.kind() == kind => {
            same("the outcome", &error.outcome(), &Outcome::Rejected)
        }
        other => {
            let mut found = format!("{other:?}");
            if let Some((cut, _)) = found.char_indices().nth(400) {
                found.truncate(cut);
            }
            Err(format!("expected the error {kind:?}, found {found}"))
        }
    }
}

/// The database that most cases use.
pub(super) fn database() -> Result<DatabaseName, String> {
    name("events_shard_0")
}

/// A database by name.
pub(super) fn name(name: &str) -> Result<DatabaseName, String> {
    DatabaseName::new(name).map_err(|error| error.to_string())
}

/// A table by name.
pub(super) fn table(name: &str) -> Result<TableName, String> {
    TableName::new(name).map_err(|error| error.to_string())
}

/// A fresh engine, the usual database and the usual table.
pub(super) async fn start(
    harness: &dyn Harness,
) -> Result<(Subject, DatabaseName, TableName), String> {
    Ok((Subject::fresh(harness).await?, database()?, table("events")?))
}

/// A batch of puts.
pub(super) fn puts(
    database: &DatabaseName,
    table: &TableName,
    entries: &[(&[u8], &[u8])],
) -> Batch {
    let mut batch = Batch::new(database.clone());
    for (key, value) in entries {
        batch.put(table, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    }
    batch
}
