//! SQLite with a write-ahead log and `synchronous=FULL`: durable before a commit returns.

use super::Store;
use crate::Result;
use chrono::{DateTime, Utc};
use forgeone_db::EventMessage;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS events (
        id BLOB PRIMARY KEY, topic TEXT NOT NULL, timestamp INTEGER NOT NULL, entry BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS event_index ON events (topic, timestamp);";
const INSERT: &str = "INSERT INTO events VALUES (?1, ?2, ?3, ?4)";

/// One file; each worker has a connection of its own, or all share one.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connections: Vec<Mutex<Connection>>,
}

impl Sqlite {
    pub(crate) fn create(path: &Path, connections: usize) -> Result<Self> {
        let open = || -> Result<Mutex<Connection>> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_mins(2))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(SCHEMA)?;
            Ok(Mutex::new(connection))
        };
        Ok(Self { connections: (0..connections.max(1)).map(|_| open()).collect::<Result<_>>()? })
    }

    fn connection(&self, worker: usize) -> Result<MutexGuard<'_, Connection>> {
        let connection = self.connections.get(worker % self.connections.len().max(1));
        let connection = connection.ok_or("there is no connection")?;
        Ok(connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn insert(&self, worker: usize, events: &[EventMessage]) -> Result<()> {
        let mut connection = self.connection(worker)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for event in events {
                let micros = event.timestamp.timestamp_micros();
                let entry = serde_json::to_vec(event)?;
                insert.execute(params![event.id.as_bytes(), event.topic, micros, entry])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

impl Store for Sqlite {
    fn name(&self) -> String {
        let connections = self.connections.len();
        let plural = if connections == 1 { "connection" } else { "connections" };
        format!("SQLite {}, WAL, FULL ({connections} {plural})", rusqlite::version())
    }

    fn put(&self, worker: usize, event: &EventMessage) -> Result<()> {
        self.insert(worker, std::slice::from_ref(event))
    }

    fn put_batch(&self, events: &[EventMessage]) -> Result<()> {
        self.insert(0, events)
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn get(&self, id: Uuid) -> Result<Option<EventMessage>> {
        let connection = self.connection(0)?;
        let mut select = connection.prepare_cached("SELECT entry FROM events WHERE id = ?1")?;
        let entry: Option<Vec<u8>> =
            select.query_row(params![id.as_bytes()], |row| row.get(0)).optional()?;
        Ok(entry.map(|entry| serde_json::from_slice(&entry)).transpose()?)
    }

    fn scan(&self, each: &mut dyn FnMut(&EventMessage)) -> Result<()> {
        let connection = self.connection(0)?;
        let mut select = connection.prepare_cached("SELECT entry FROM events")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            each(&serde_json::from_slice(row.get_ref(0)?.as_blob()?)?);
        }
        Ok(())
    }

    fn range(
        &self,
        topic: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        each: &mut dyn FnMut(&EventMessage),
    ) -> Result<()> {
        let connection = self.connection(0)?;
        let mut select = connection.prepare_cached(
            "SELECT entry FROM events WHERE topic = ?1 AND timestamp >= ?2 AND timestamp < ?3
             ORDER BY timestamp",
        )?;
        let mut rows =
            select.query(params![topic, from.timestamp_micros(), to.timestamp_micros()])?;
        while let Some(row) = rows.next()? {
            each(&serde_json::from_slice(row.get_ref(0)?.as_blob()?)?);
        }
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}
