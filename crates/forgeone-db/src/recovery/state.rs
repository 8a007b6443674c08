//! The state of a damaged store: its topics, settings, flags and metadata.

use super::out::Out;
use super::source::Source;
use crate::integrity::contained;
use crate::log::{TopicIntro, from_cbor};
use crate::stream::{
    COUNTER_ID_KEY, COUNTER_MAX_SIZE, COUNTER_SHRED, Change, DirectoryEntry, FAMILY_COUNTERS,
    FAMILY_METADATA, FAMILY_REMOVED_SETTINGS, FAMILY_SETTING_VERSIONS, FAMILY_SETTINGS,
    FAMILY_TOPIC_NAMES, IdKey, Shredding, TopicKind, decode_changes, parse_entry, parse_sequence,
};
use forgeone_db_engine::{Direction, KeyRange, Result};
use std::collections::BTreeMap;

/// What users see of the state, and what is therefore made again in the new store.
const SAVED: [u64; 4] =
    [FAMILY_SETTINGS, FAMILY_SETTING_VERSIONS, FAMILY_REMOVED_SETTINGS, FAMILY_METADATA];
/// Entries of an index that one commit of the new store has.
const PAGE_ENTRIES: usize = 256;
/// Changes that are sent to the new store together, so that they share syncs.
const TOGETHER: usize = 256;

/// The topics and ids of a damaged store.
#[derive(Default)]
pub(super) struct Known {
    /// Topics by their keys in the directory.
    topics: BTreeMap<Vec<u8>, DirectoryEntry>,
    /// The topic that was being shredded.
    shredding: Option<Shredding>,
    pub(super) id_key: Option<IdKey>,
    /// What the store may occupy.
    pub(super) max_size_bytes: Option<u64>,
}

impl Known {
    pub(super) fn topics(&self) -> impl Iterator<Item = &DirectoryEntry> {
        self.topics.values()
    }

    /// The topics of one database as it names them. Of one that was being shredded, without the keys
    /// that are to be destroyed.
    pub(super) fn intros(&self, database: &str) -> Vec<TopicIntro> {
        let is_shredded =
            |id| self.shredding.as_ref().is_some_and(|shredding| shredding.topic == id);
        let intro = |entry: &DirectoryEntry| TopicIntro {
            id: entry.id,
            kind: entry.kind,
            name: entry.name.clone(),
            // The newest first.
            wrapped_keys: match entry.wrapped_keys.first() {
                Some(newest) if is_shredded(entry.id) => vec![newest.clone()],
                _ => entry.wrapped_keys.clone(),
            },
        };
        self.topics.values().filter(|entry| is_home(entry, database)).map(intro).collect()
    }

    fn put(&mut self, family: u64, key: &[u8], value: Option<&[u8]>) {
        match (family, value) {
            (FAMILY_TOPIC_NAMES, Some(value)) => {
                if let Ok(entry) = parse_entry(key, value) {
                    self.topics.insert(key.to_vec(), entry);
                }
            }
            (FAMILY_COUNTERS, Some(value)) if key == COUNTER_ID_KEY => {
                self.id_key = <[u8; 32]>::try_from(value).ok().map(IdKey::from_bytes);
            }
            (FAMILY_COUNTERS, Some(value)) if key == COUNTER_MAX_SIZE => {
                self.max_size_bytes = parse_sequence(value).ok();
            }
            (FAMILY_COUNTERS, noted) if key == COUNTER_SHRED => {
                self.shredding = noted.and_then(|noted| from_cbor(noted).ok());
            }
            _ => {}
        }
    }
}

/// Whether a topic lives in a database, as the directory has it.
pub(super) fn is_home(topic: &DirectoryEntry, database: &str) -> bool {
    let home = TopicKind::from_code(topic.kind).map(|kind| kind.shard_name(topic.shard));
    matches!(home, Some(Ok(home)) if home.as_str() == database)
}

/// Reads the system database and makes its settings, flags and facts in the new store.
pub(super) async fn read_state(source: &mut Source, out: &mut Out<'_>) -> Result<Known> {
    let mut known = Known::default();
    source.read_segments(out).await?;
    let sealed = std::mem::take(&mut out.state);
    let mut indexed = Vec::new();
    if out.state_lost && source.manifest.is_some() {
        indexed = take_indexes(source, out, &mut known).await?;
    }
    let wanted = |family: u64| SAVED.contains(&family) && !indexed.contains(&family);
    replay(&sealed, wanted, out, &mut known).await?;
    for entry in source.manifest.iter().flat_map(|manifest| &manifest.pinned) {
        known.put(entry.family, &entry.key, Some(&entry.value));
    }
    source.read_blocks(out).await?;
    let tail = std::mem::take(&mut out.state);
    replay(&tail, |family| SAVED.contains(&family), out, &mut known).await?;
    // Without it nothing says whether all of it was found.
    out.state_lost |= source.manifest.is_none();
    out.report.state_is_whole = !out.state_lost;
    Ok(known)
}

/// Takes the present state from the indexes, where changes are lost; says of which families it
/// could.
async fn take_indexes(source: &Source, out: &mut Out<'_>, known: &mut Known) -> Result<Vec<u64>> {
    let mut indexed = Vec::new();
    for family in SAVED.into_iter().chain([FAMILY_TOPIC_NAMES]) {
        let taken = async {
            let index = source.index(family).await??;
            let mut scan = index.scan(&KeyRange::all(), Direction::Forward);
            let mut entries = Vec::new();
            while let Some(entry) = scan.next().await? {
                entries.push((entry.key.to_vec(), entry.value.to_vec()));
            }
            Ok(entries)
        };
        let entries = match contained(taken.await)? {
            Ok(entries) => entries,
            Err(error) => {
                out.damage(source.context.database.as_str(), &source.locate(error));
                continue;
            }
        };
        indexed.push(family);
        for page in entries.chunks(PAGE_ENTRIES) {
            page.iter().for_each(|(key, value)| known.put(family, key, Some(value)));
            if SAVED.contains(&family) {
                let put = |(key, value): &(Vec<u8>, Vec<u8>)| {
                    Change::put(family, key.clone(), value.clone())
                };
                out.target.system.change(page.iter().map(put).collect()).await?;
                out.report.state_changes += page.len() as u64;
            }
        }
    }
    Ok(indexed)
}

/// Makes changes again, in their order, as many records as there were.
async fn replay(
    payloads: &[Vec<u8>],
    wanted: impl Fn(u64) -> bool,
    out: &mut Out<'_>,
    known: &mut Known,
) -> Result<()> {
    for page in payloads.chunks(TOGETHER) {
        let mut commits = Vec::new();
        for payload in page {
            // What is authentic and no change is a version's that this one does not know.
            let changes = match decode_changes(payload) {
                Ok(changes) => changes,
                Err(error) => {
                    out.state_lost = true;
                    out.damage("system", &error);
                    continue;
                }
            };
            for change in &changes {
                known.put(change.family, &change.key, change.value.as_deref());
            }
            let saved: Vec<Change> =
                changes.into_iter().filter(|change| wanted(change.family)).collect();
            if !saved.is_empty() {
                out.report.state_changes += saved.len() as u64;
                commits.push(out.target.system.change(saved));
            }
        }
        futures::future::try_join_all(commits).await?;
    }
    Ok(())
}
