//! The topic directory: whether the system database and the shards name the same topics.

use super::moves::Moved;
use super::report::{Finding, FindingSeverity, Ledger, contained};
use super::state::{State, SystemWalk};
use super::walk::{REMEDY_DATABASE, Walk};
use crate::codec::corrupt;
use crate::log::{TOPIC_ID_MIN, TopicIntro};
use crate::stream::{
    COUNTER_REKEY, COUNTER_SHRED, DirectoryEntry, FAMILY_COUNTERS, Shard, TopicKind, next_topic_id,
    parse_directory,
};
use forgeone_db_engine::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// The topics that the shards name.
#[derive(Default)]
pub(super) struct Topics {
    named: Vec<(String, TopicIntro)>,
}

impl Topics {
    /// Takes in what a shard names, and tries every topic's keys.
    pub(super) async fn add_shard(
        &mut self,
        walk: &mut Walk,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let database = walk.context.database.to_string();
        for intro in walk.context.topics.intros() {
            let mut tried = walk.context.topics.keys_of(intro.id);
            // A writer may have wrapped them anew, and forgotten how they were wrapped before.
            let mut moved = Moved::On;
            while tried.is_err() && moved == Moved::On {
                moved = walk.has_moved().await?;
                if moved == Moved::On {
                    tried = walk.context.topics.keys_of(intro.id);
                }
            }
            if let Err(error) = tried {
                if moved == Moved::TooOften {
                    let what = walk.overtaken("the keys of this topic", None);
                    ledger.add(what.in_topic(Some(intro.name.clone())));
                    walk.moves = 0;
                } else {
                    ledger.add(finding(&error, &database, &intro.name));
                }
            }
            self.named.push((database.clone(), intro));
        }
        Ok(())
    }

    /// Compares with the directory. `keyring` is the number of the keyring before it was walked.
    pub(super) async fn check(
        &self,
        (system, keyring): (&SystemWalk, u64),
        (shards, shard_count): (&[Arc<Shard>], u32),
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let database = system.walk.context.database.as_str();
        if ledger.report.depth == super::VerifyDepth::Quick {
            ledger.report.topics = self.named.len() as u64;
            return Ok(());
        }
        let Some(state) = &system.state else {
            tell_unknown(system, ledger);
            return Ok(());
        };
        let entries = parse_directory(state.iter());
        let replaced = is_replaced(&entries, (system, keyring)).await?;
        let changing = replaced || is_changing(state);
        let mut by_id: HashMap<u64, &DirectoryEntry> = HashMap::new();
        let next_id = next_topic_id(state.iter());
        for entry in &entries {
            match entry {
                Ok(entry) => {
                    ledger.report.topics += 1;
                    let twice = by_id.insert(entry.id, entry).is_some();
                    let keys = system.walk.context.topics.keys();
                    let keys = keys.unwrap_keys(entry.wrapped()).map(drop);
                    // They may be wrapped as they were before a change of keys that is done by now.
                    let keys = if replaced { Ok(()) } else { keys };
                    let checked =
                        keys.and_then(|()| check_entry(entry, (shard_count, next_id, twice)));
                    if let Err(error) = checked {
                        ledger.add(finding(&error, database, &entry.name));
                    }
                }
                Err(error) => ledger.add(Finding::of(error, REMEDY_DATABASE).in_database(database)),
            }
        }
        if changing {
            let what = "keys are being replaced, or a topic shredded: some were not compared";
            let remedy = "none needed: the writer goes on with it, or the next one";
            ledger.add(Finding::new(FindingSeverity::Info, what, remedy));
        }
        let mut not_compared = 0;
        for (database, intro) in &self.named {
            let entry = by_id.get(&intro.id);
            let agrees = entry.is_some_and(|entry| {
                shard_of(entry).as_ref() == Some(database)
                    && entry.name == intro.name
                    && entry.kind == intro.kind
            });
            let shard = shards.iter().find(|shard| shard.context().database.as_str() == database);
            let same_keys = match (entry, shard) {
                (Some(entry), Some(shard)) if agrees && !changing => {
                    have_same_keys(entry, intro, system)
                        || have_same_keys(entry, &present_intro(shard, intro).await?, system)
                }
                _ => true,
            };
            if agrees && !same_keys && has_moved(system).await? {
                not_compared += 1;
            } else if !agrees || !same_keys {
                let error = corrupt("a shard and the topic directory disagree about a topic");
                ledger.add(finding(&error.with("topic id", intro.id), database, &intro.name));
            }
        }
        if not_compared > 0 {
            let what = format!("{not_compared} topics changed meanwhile and were not compared");
            ledger.add(Finding::new(FindingSeverity::Info, what, "none needed: verify again"));
        }
        Ok(())
    }
}

/// Says that there is no directory to compare with, unless it was said already.
fn tell_unknown(system: &SystemWalk, ledger: &mut Ledger<'_>) {
    // What a writer kept replacing is not damaged.
    if !system.walk.moved {
        let what = "the topic directory could not be compared with the shards";
        let remedy = "first restore what is damaged of the system database";
        let finding = Finding::new(FindingSeverity::Warning, what, remedy);
        ledger.add(finding.in_database(&system.walk.context.database));
    }
}

/// Whether anything was written to the system database since it was walked, such as a change of keys.
async fn has_moved(system: &SystemWalk) -> Result<bool> {
    let found = contained(system.walk.context.load_head().await)?;
    Ok(found.ok().flatten().is_some_and(|(head, _)| head.number != system.walk.head.number))
}

/// Whether the keyring is another by now than the one of this number. A reader looks for a newer one
/// where a key does not open: a writer elsewhere may have wrapped it.
async fn is_replaced(
    entries: &[Result<DirectoryEntry>],
    (system, keyring): (&SystemWalk, u64),
) -> Result<bool> {
    let context = &system.walk.context;
    let keys = context.topics.keys();
    if entries.iter().flatten().any(|entry| keys.unwrap_keys(entry.wrapped()).is_err()) {
        drop(contained(context.refresh_keys().await)?);
    }
    Ok(keys.number() != keyring)
}

/// The database that a topic lives in, according to the directory.
fn shard_of(entry: &DirectoryEntry) -> Option<String> {
    let database = TopicKind::from_code(entry.kind)?.shard_name(entry.shard);
    database.ok().map(|database| database.to_string())
}

/// Whether the directory notes a change of keys that is under way.
fn is_changing(state: &State) -> bool {
    [COUNTER_REKEY, COUNTER_SHRED]
        .iter()
        .any(|name| state.contains_key(&(FAMILY_COUNTERS, name.to_vec())))
}

fn have_same_keys(entry: &DirectoryEntry, intro: &TopicIntro, system: &SystemWalk) -> bool {
    let keys = system.walk.context.topics.keys();
    let of_entry = keys.unwrap_keys(entry.wrapped());
    let of_intro = keys.unwrap_keys(intro.wrapped());
    match (of_entry, of_intro) {
        (Ok(a), Ok(b)) => {
            a.len() == b.len()
                && a.iter().zip(&b).all(|(a, b)| a.id() == b.id() && a.secret() == b.secret())
        }
        // Each is a finding of its own.
        _ => true,
    }
}

/// The topic as its shard names it by now: keys may have been replaced since the shard was walked.
async fn present_intro(shard: &Shard, intro: &TopicIntro) -> Result<TopicIntro> {
    let load = async {
        let Some((head, _)) = shard.context().load_head().await? else { return Ok(None) };
        let manifest = shard.context().load_manifest(&head).await?;
        Ok(manifest.topics.into_iter().find(|topic| topic.id == intro.id))
    };
    let found = contained(load.await)?.ok().flatten();
    Ok(found.unwrap_or_else(|| intro.clone()))
}

fn check_entry(
    entry: &DirectoryEntry,
    (shards, next_id, twice): (u32, Option<u64>, bool),
) -> Result<()> {
    let what = if twice {
        "two topics have the same id"
    } else if entry.shard >= shards {
        "a topic names a shard that the store does not have"
    } else if TopicKind::from_code(entry.kind).is_none() {
        "a topic is of an unknown kind"
    } else if entry.id < TOPIC_ID_MIN || next_id.is_none_or(|next| entry.id >= next) {
        "a topic has an id that was never given"
    } else {
        return Ok(());
    };
    Err(corrupt(what).with("topic id", entry.id))
}

fn finding(error: &Error, database: &str, topic: &str) -> Finding {
    Finding::of(error, REMEDY_DATABASE).in_database(database).in_topic(Some(topic.to_owned()))
}
