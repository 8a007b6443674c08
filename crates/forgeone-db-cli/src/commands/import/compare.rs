//! What an import would do.

use super::store::exists;
use super::tally::{Count, Tally};
use crate::exit::Failure;
use crate::transfer::{Item, Numbered};
use forgeone_db::RedbManager;

/// A store that is compared with an export, and not changed.
pub(super) struct Compare<'a> {
    manager: &'a RedbManager,
    tally: &'a mut Tally,
}

/// What would become of a record.
enum Fate {
    Imported,
    Present,
    Conflict,
}

impl Fate {
    /// That of a record whose id stands for `present` in its topic, if for anything.
    fn of<T: PartialEq>(record: &T, present: Option<&T>) -> Self {
        match present {
            None => Self::Imported,
            Some(present) if present == record => Self::Present,
            Some(_) => Self::Conflict,
        }
    }

    const fn unless(present: bool) -> Self {
        if present { Self::Present } else { Self::Imported }
    }
}

impl<'a> Compare<'a> {
    pub(super) const fn new(manager: &'a RedbManager, tally: &'a mut Tally) -> Self {
        Self { manager, tally }
    }

    pub(super) fn batch(&mut self, batch: Vec<Numbered>) -> Result<(), Failure> {
        for Numbered { line, item, .. } in batch {
            let fate = self.fate(&item)?;
            if let (Fate::Conflict, Some(topic)) = (&fate, item.topic()) {
                let id = match &item {
                    Item::Event(event) => event.event.id,
                    Item::Log(log) => log.entry.id,
                    _ => uuid::Uuid::nil(),
                };
                self.tally.conflict(line, id, topic)?;
            }
            let Count { imported, present, conflicts } = self.count(&item);
            *match fate {
                Fate::Imported => imported,
                Fate::Present => present,
                Fate::Conflict => conflicts,
            } += 1;
        }
        Ok(())
    }

    fn fate(&self, item: &Item) -> forgeone_db::Result<Fate> {
        let manager = self.manager;
        Ok(match item {
            Item::Topic(topic) => Fate::unless(exists(manager, topic)?),
            Item::Event(event) => {
                let found = manager.get_event(event.event.id)?;
                let mut found = found.iter().map(|found| &found.event);
                Fate::of(&event.event, found.find(|found| found.topic == event.event.topic))
            }
            Item::Log(log) => {
                let found = manager.get_log(log.entry.id)?;
                let mut found = found.iter().map(|found| &found.entry);
                Fate::of(&log.entry, found.find(|found| found.topic == log.entry.topic))
            }
            Item::Setting(setting) => {
                let present = manager.get_setting(&setting.key)?;
                Fate::unless(present.is_some_and(|present| present.value == setting.value))
            }
            Item::Metadata(entry) => {
                let present = manager.metadata(&entry.name)?;
                Fate::unless(present.is_some_and(|present| present.text == entry.text))
            }
        })
    }

    const fn count(&mut self, item: &Item) -> &mut Count {
        match item {
            Item::Topic(_) => &mut self.tally.topics,
            Item::Event(_) => &mut self.tally.events,
            Item::Log(_) => &mut self.tally.logs,
            Item::Setting(_) => &mut self.tally.settings,
            Item::Metadata(_) => &mut self.tally.metadata,
        }
    }
}
