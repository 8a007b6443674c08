//! The topic directory: whether the system database and the shards name the same topics.

use super::report::{Finding, FindingSeverity, Ledger};
use super::state::SystemWalk;
use super::walk::{REMEDY_DATABASE, Walk};
use crate::codec::corrupt;
use crate::log::{TOPIC_ID_MIN, TopicIntro};
use crate::stream::{DirectoryEntry, TopicKind, next_topic_id, parse_directory};
use forgeone_db_engine::Error;
use std::collections::HashMap;

/// The topics that the shards name.
#[derive(Default)]
pub(super) struct Topics {
    named: Vec<(String, TopicIntro)>,
}

impl Topics {
    /// Takes in what a shard names, and tries every topic's key.
    pub(super) fn add_shard(&mut self, walk: &Walk, ledger: &mut Ledger<'_>) {
        let database = walk.context.database.to_string();
        for topic in walk.context.topics.all() {
            if let Err(error) = walk.context.topics.present_key(topic.intro.id) {
                ledger.add(finding(&error, &database, &topic.intro.name));
            }
            self.named.push((database.clone(), topic.intro.clone()));
        }
    }

    /// Compares with the directory.
    pub(super) fn check(&self, system: &SystemWalk, shards: u32, ledger: &mut Ledger<'_>) {
        let database = system.walk.context.database.as_str();
        if ledger.report.depth == super::VerifyDepth::Quick {
            ledger.report.topics = self.named.len() as u64;
            return;
        }
        let Some(state) = &system.state else {
            let what = "the topic directory could not be compared with the shards";
            let remedy = "first restore what is damaged of the system database";
            let finding = Finding::new(FindingSeverity::Warning, what, remedy);
            ledger.add(finding.in_database(database));
            return;
        };
        let entries = parse_directory(state.iter());
        let mut by_id: HashMap<u64, &DirectoryEntry> = HashMap::new();
        let next_id = next_topic_id(state.iter());
        for entry in &entries {
            match entry {
                Ok(entry) => {
                    ledger.report.topics += 1;
                    let twice = by_id.insert(entry.id, entry).is_some();
                    if let Some(error) = check_entry(entry, (shards, next_id, twice), system) {
                        ledger.add(finding(&error, database, &entry.name));
                    }
                }
                Err(error) => ledger.add(Finding::of(error, REMEDY_DATABASE).in_database(database)),
            }
        }
        for (database, intro) in &self.named {
            let entry = by_id.get(&intro.id);
            let agrees = entry.is_some_and(|entry| {
                shard_of(entry).as_ref() == Some(database)
                    && entry.name == intro.name
                    && entry.kind == intro.kind
                    && entry.wrapped_key == intro.wrapped_key
            });
            if !agrees {
                let error = corrupt("a shard and the topic directory disagree about a topic");
                ledger.add(finding(&error.with("topic id", intro.id), database, &intro.name));
            }
        }
    }
}

/// The database that a topic lives in, according to the directory.
fn shard_of(entry: &DirectoryEntry) -> Option<String> {
    let database = TopicKind::from_code(entry.kind)?.shard_name(entry.shard);
    database.ok().map(|database| database.to_string())
}

fn check_entry(
    entry: &DirectoryEntry,
    (shards, next_id, twice): (u32, Option<u64>, bool),
    system: &SystemWalk,
) -> Option<Error> {
    let keys = system.walk.context.topics.keys();
    if let Err(error) = keys.unwrap_key(&entry.wrapped_key) {
        return Some(error);
    }
    let what = if twice {
        "two topics have the same id"
    } else if entry.shard >= shards {
        "a topic names a shard that the store does not have"
    } else if TopicKind::from_code(entry.kind).is_none() {
        "a topic is of an unknown kind"
    } else if entry.id < TOPIC_ID_MIN || next_id.is_none_or(|next| entry.id >= next) {
        "a topic has an id that was never given"
    } else {
        return None;
    };
    Some(corrupt(what).with("topic id", entry.id))
}

fn finding(error: &Error, database: &str, topic: &str) -> Finding {
    Finding::of(error, REMEDY_DATABASE).in_database(database).in_topic(Some(topic.to_owned()))
}
