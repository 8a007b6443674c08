//! redb with the layout that the specification's words suggest: id to serialized entry, and an
//! index by topic and timestamp.

use super::Store;
use crate::Result;
use chrono::{DateTime, Utc};
use forgeone_db::EventMessage;
use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    WriteTransaction,
};
use std::path::Path;
use uuid::Uuid;

const EVENTS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("events");
const INDEX: TableDefinition<'_, (&str, i64, [u8; 16]), ()> = TableDefinition::new("event_index");

/// A redb file with redb's own defaults, its page cache of 1 GiB among them.
#[derive(Debug)]
pub(crate) struct Literal {
    database: Database,
}

impl Literal {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let database = Database::create(path)?;
        let transaction = database.begin_write()?;
        transaction.open_table(EVENTS)?;
        transaction.open_table(INDEX)?;
        transaction.commit()?;
        Ok(Self { database })
    }
}

fn insert(transaction: &WriteTransaction, events: &[EventMessage]) -> Result<()> {
    let mut table = transaction.open_table(EVENTS)?;
    let mut index = transaction.open_table(INDEX)?;
    for event in events {
        let (id, micros) = (event.id.into_bytes(), event.timestamp.timestamp_micros());
        table.insert(id, serde_json::to_vec(event)?.as_slice())?;
        index.insert((event.topic.as_str(), micros, id), ())?;
    }
    Ok(())
}

impl Store for Literal {
    fn name(&self) -> String {
        "redb 4.6, literal layout".into()
    }

    fn put(&self, _worker: usize, event: &EventMessage) -> Result<()> {
        self.put_batch(std::slice::from_ref(event))
    }

    fn put_batch(&self, events: &[EventMessage]) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        insert(&transaction, events)?;
        transaction.commit()?;
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn get(&self, id: Uuid) -> Result<Option<EventMessage>> {
        let table = self.database.begin_read()?.open_table(EVENTS)?;
        let Some(value) = table.get(id.into_bytes())? else { return Ok(None) };
        Ok(Some(serde_json::from_slice(value.value())?))
    }

    fn scan(&self, each: &mut dyn FnMut(&EventMessage)) -> Result<()> {
        let table = self.database.begin_read()?.open_table(EVENTS)?;
        for entry in table.iter()? {
            each(&serde_json::from_slice(entry?.1.value())?);
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
        let transaction = self.database.begin_read()?;
        let (table, index) = (transaction.open_table(EVENTS)?, transaction.open_table(INDEX)?);
        let start = (topic, from.timestamp_micros(), [0; 16]);
        let end = (topic, to.timestamp_micros(), [0; 16]);
        for entry in index.range(start..end)? {
            let (_, _, id) = entry?.0.value();
            if let Some(value) = table.get(id)? {
                each(&serde_json::from_slice(value.value())?);
            }
        }
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}
