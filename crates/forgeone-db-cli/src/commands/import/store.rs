//! Storing what an export has.

use super::tally::{Count, Tally};
use crate::exit::{Exit, Failure};
use crate::transfer::{Item, Numbered, TopicLine, TopicOf};
use forgeone_db::{
    Error, ErrorKind, EventMessage, LogEntry, MetadataEntry, NewLogEntry, NewSetting, RedbManager,
    SetOptions, Setting, TopicPattern,
};
use futures::executor::block_on;
use futures::future::try_join_all;
use uuid::Uuid;

/// A store that takes an export, one commit after another.
pub(super) struct Store<'a> {
    manager: &'a RedbManager,
    tally: &'a mut Tally,
}

/// A record that is known by an id in its topic.
trait Identified: Clone {
    fn id(&self) -> Uuid;
    fn topic(&self) -> &str;
    /// Stores records, all or none, and tells of each whether it was there before.
    fn store(manager: &RedbManager, records: &[Self]) -> forgeone_db::Result<Vec<bool>>;
    fn count(tally: &mut Tally) -> &mut Count;
}

impl Identified for EventMessage {
    fn id(&self) -> Uuid {
        self.id
    }

    fn topic(&self) -> &str {
        &self.topic
    }

    fn store(manager: &RedbManager, records: &[Self]) -> forgeone_db::Result<Vec<bool>> {
        let stored = manager.store_events(records)?;
        Ok(stored.into_iter().map(|position| position.duplicate).collect())
    }

    fn count(tally: &mut Tally) -> &mut Count {
        &mut tally.events
    }
}

impl Identified for LogEntry {
    fn id(&self) -> Uuid {
        self.id
    }

    fn topic(&self) -> &str {
        &self.topic
    }

    fn store(manager: &RedbManager, records: &[Self]) -> forgeone_db::Result<Vec<bool>> {
        // Every id is given, also the one that elsewhere stands for none: without it a repetition
        // would not be recognised.
        let given = |entry: &Self| NewLogEntry { id: Some(entry.id), ..entry.clone().into() };
        let stored = manager.store_logs(records.iter().map(given).collect())?;
        Ok(stored.into_iter().map(|position| position.duplicate).collect())
    }

    fn count(tally: &mut Tally) -> &mut Count {
        &mut tally.logs
    }
}

/// The records of a commit, by kind.
#[derive(Default)]
struct Sorted {
    topics: Vec<TopicLine>,
    events: Vec<EventMessage>,
    logs: Vec<LogEntry>,
    settings: Vec<Setting>,
    metadata: Vec<MetadataEntry>,
}

impl Sorted {
    fn add(&mut self, item: Item) {
        match item {
            Item::Topic(topic) => self.topics.push(topic),
            Item::Event(event) => self.events.push(event.event),
            Item::Log(log) => self.logs.push(log.entry),
            Item::Setting(setting) => self.settings.push(setting),
            Item::Metadata(entry) => self.metadata.push(entry),
        }
    }
}

impl<'a> Store<'a> {
    pub(super) const fn new(manager: &'a RedbManager, tally: &'a mut Tally) -> Self {
        Self { manager, tally }
    }

    /// Stores what goes together: lines that follow one another.
    pub(super) fn batch(&mut self, batch: Vec<Numbered>) -> Result<(), Failure> {
        let Some(line) = batch.first().map(|first| first.line) else { return Ok(()) };
        let mut sorted = Sorted::default();
        batch.into_iter().for_each(|next| sorted.add(next.item));
        self.records(line, &sorted.events)?;
        self.records(line, &sorted.logs)?;
        let stored = self
            .topics(&sorted.topics)
            .and_then(|()| self.settings(sorted.settings))
            .and_then(|()| self.metadata(&sorted.metadata));
        stored.map_err(|error| explain(error, line))
    }

    /// Stores records of one topic, in their order. A batch with a conflict is halved until the
    /// conflict stands alone: what is before it is stored, and nothing behind it.
    fn records<T: Identified>(&mut self, line: u64, records: &[T]) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        match T::store(self.manager, records) {
            Ok(duplicates) => {
                let present = duplicates.iter().filter(|duplicate| **duplicate).count() as u64;
                let count = T::count(self.tally);
                count.present += present;
                count.imported += duplicates.len() as u64 - present;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Conflict => self.halve(line, records),
            Err(error) => Err(explain(error, line)),
        }
    }

    fn halve<T: Identified>(&mut self, line: u64, records: &[T]) -> Result<(), Failure> {
        if let [record] = records {
            self.tally.conflict(line, record.id(), record.topic())?;
            T::count(self.tally).conflicts += 1;
            return Ok(());
        }
        let (first, second) = records.split_at(records.len() / 2);
        self.records(line, first)?;
        self.records(line + first.len() as u64, second)
    }

    /// Makes topics that are not there, also those without records.
    fn topics(&mut self, topics: &[TopicLine]) -> forgeone_db::Result<()> {
        let manager = self.manager;
        let mut absent = Vec::new();
        for topic in topics {
            if exists(manager, topic)? {
                self.tally.topics.present += 1;
            } else {
                absent.push(topic);
            }
        }
        // Together, so that they share a sync.
        let make = absent.iter().map(|topic| async move {
            match topic.of {
                TopicOf::Events => manager.events().create_topic(&topic.topic).await,
                TopicOf::Logs => manager.logs().create_topic(&topic.topic).await,
            }
        });
        block_on(try_join_all(make))?;
        self.tally.topics.imported += absent.len() as u64;
        Ok(())
    }

    /// Sets the settings that differ, all or none.
    fn settings(&mut self, settings: Vec<Setting>) -> forgeone_db::Result<()> {
        let options = SetOptions { retype: true, ..SetOptions::default() };
        let mut changed = Vec::new();
        for Setting { key, value, .. } in settings {
            if self.manager.get_setting(&key)?.is_some_and(|present| present.value == value) {
                self.tally.settings.present += 1;
            } else {
                changed.push(NewSetting { key, value, options });
            }
        }
        if !changed.is_empty() {
            self.manager.set_settings(&changed)?;
            self.tally.settings.imported += changed.len() as u64;
        }
        Ok(())
    }

    /// Writes down the texts that differ.
    fn metadata(&mut self, entries: &[MetadataEntry]) -> forgeone_db::Result<()> {
        let mut changed = Vec::new();
        for entry in entries {
            if self.manager.metadata(&entry.name)?.is_some_and(|there| there.text == entry.text) {
                self.tally.metadata.present += 1;
            } else {
                changed.push(entry);
            }
        }
        let system = self.manager.system();
        let set = changed.iter().map(|entry| system.set_metadata(&entry.name, &entry.text));
        block_on(try_join_all(set))?;
        self.tally.metadata.imported += changed.len() as u64;
        Ok(())
    }
}

/// Whether there is such a topic.
pub(super) fn exists(manager: &RedbManager, topic: &TopicLine) -> forgeone_db::Result<bool> {
    let name = TopicPattern::exact(&topic.topic)?;
    let found = match topic.of {
        TopicOf::Events => manager.topics(&name)?,
        TopicOf::Logs => manager.log_topics(&name)?,
    };
    Ok(!found.is_empty())
}

/// An error of storing lines from this one on.
fn explain(error: Error, line: u64) -> Failure {
    // The lines are at fault, and not the command line.
    if error.kind() == ErrorKind::Invalid {
        return Failure::new(Exit::Failure, format!("line {line} or one of the next: {error}"))
            .hint("export again");
    }
    Failure::from(error).but(format_args!("what is before line {line} is stored"))
}
