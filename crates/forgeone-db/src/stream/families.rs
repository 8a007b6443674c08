//! The index families of each kind of database: what they map, and in which table their runs lie.

use super::record::Record;
use crate::codec::{Cursor, put_varint};
use crate::environment::Timestamp;
use crate::index::{Family, FamilyId, FilterKey};
use forgeone_db_engine::{DatabaseName, Result, TableName};

/// The system topic that carries changes of state.
pub(crate) const SUBJECT_STATE: u64 = 1; // on-disk
pub(crate) const FAMILY_TOPIC_NAMES: u64 = 16; // on-disk
pub(crate) const FAMILY_COUNTERS: u64 = 17; // on-disk
/// The present settings.
pub(crate) const FAMILY_SETTINGS: u64 = 18; // on-disk
/// Every version of a setting, up to a bound.
pub(crate) const FAMILY_SETTING_VERSIONS: u64 = 19; // on-disk
/// The last version of settings that were removed.
pub(crate) const FAMILY_REMOVED_SETTINGS: u64 = 20; // on-disk
/// Facts about the store.
pub(crate) const FAMILY_METADATA: u64 = 21; // on-disk
pub(super) const FAMILY_IDS: u64 = 32; // on-disk
const FAMILY_MARKERS: u64 = 33; // on-disk
const FAMILY_LATE: u64 = 34; // on-disk

/// What kind of records a topic has. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TopicKind {
    /// Events.
    Events,
    /// Log entries.
    Logs,
}

impl TopicKind {
    /// All kinds, in the order of their codes.
    pub(crate) const ALL: [Self; 2] = [Self::Events, Self::Logs];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Events => 1,
            Self::Logs => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The name of the database that is shard `index` of this kind.
    pub(crate) fn shard_name(self, index: u32) -> Result<DatabaseName> {
        let prefix = match self {
            Self::Events => "events_shard_",
            Self::Logs => "logs_shard_",
        };
        DatabaseName::new(format!("{prefix}{index}"))
    }

    /// The tables of such a database.
    pub(crate) fn layout(self) -> Layout {
        match self {
            Self::Events => Layout::records("events", "event_index"),
            Self::Logs => Layout::records("logs", "log_index"),
        }
    }
}

/// The tables of one kind of database.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Where segments lie.
    pub(crate) segments: TableName,
    families: Vec<Family>,
}

fn table(name: &str) -> TableName {
    TableName::new(name).expect("the name is legal")
}

fn family(id: u64, table_name: &str, filter: FilterKey) -> Family {
    Family { id: FamilyId(id), table: table(table_name), filter }
}

impl Layout {
    /// The system database: topic names, counters, settings and metadata.
    pub(crate) fn system() -> Self {
        Self {
            segments: table("state"),
            families: vec![
                family(FAMILY_TOPIC_NAMES, "metadata", FilterKey::Whole),
                family(FAMILY_COUNTERS, "metadata", FilterKey::None),
                family(FAMILY_SETTINGS, "settings", FilterKey::Whole),
                family(FAMILY_SETTING_VERSIONS, "settings", FilterKey::None),
                family(FAMILY_REMOVED_SETTINGS, "settings", FilterKey::Whole),
                family(FAMILY_METADATA, "metadata", FilterKey::Whole),
            ],
        }
    }

    fn records(segments: &str, index: &str) -> Self {
        Self {
            segments: table(segments),
            families: vec![
                family(FAMILY_IDS, index, FilterKey::Prefix(16)),
                family(FAMILY_MARKERS, index, FilterKey::None),
                family(FAMILY_LATE, index, FilterKey::None),
            ],
        }
    }

    /// Whether a family is so small, and so needed for opening, that manifests carry it themselves
    /// instead of runs.
    pub(crate) const fn is_pinned(family: FamilyId) -> bool {
        family.0 == FAMILY_COUNTERS
    }

    pub(crate) fn families(&self) -> &[Family] {
        &self.families
    }

    /// # Errors
    /// `Corrupt` when this kind of database has no such family.
    pub(crate) fn by_id(&self, id: u64) -> Result<&Family> {
        self.families
            .iter()
            .find(|family| family.id == FamilyId(id))
            .ok_or_else(|| crate::codec::corrupt("an index is unknown").with("family", id))
    }

    /// What an index finds, in words.
    pub(crate) const fn purpose(family: u64) -> &'static str {
        match family {
            FAMILY_TOPIC_NAMES => "topics by name",
            FAMILY_COUNTERS => "counters",
            FAMILY_SETTINGS => "settings",
            FAMILY_SETTING_VERSIONS => "versions of settings",
            FAMILY_REMOVED_SETTINGS => "removed settings",
            FAMILY_METADATA => "metadata",
            FAMILY_IDS => "records by id",
            FAMILY_MARKERS => "records by marker",
            FAMILY_LATE => "late records by time",
            _ => "unknown",
        }
    }

    /// (kind, name) to topic.
    pub(crate) fn topic_names(&self) -> Result<&Family> {
        self.by_id(FAMILY_TOPIC_NAMES)
    }

    /// (id, topic) to sequence number.
    pub(crate) fn ids(&self) -> Result<&Family> {
        self.by_id(FAMILY_IDS)
    }

    /// (topic, marker, sequence number), without values.
    pub(crate) fn markers(&self) -> Result<&Family> {
        self.by_id(FAMILY_MARKERS)
    }

    /// (topic, time, sequence number) of late records, without values.
    pub(crate) fn late(&self) -> Result<&Family> {
        self.by_id(FAMILY_LATE)
    }

    pub(crate) fn counters(&self) -> Result<&Family> {
        self.by_id(FAMILY_COUNTERS)
    }
}

/// One entry of an index that follows from a record.
pub(crate) type IndexEntry = (FamilyId, Vec<u8>, Vec<u8>);

/// The index entries of a record.
pub(crate) fn index_entries(subject: u64, sequence: u64, record: &Record) -> Vec<IndexEntry> {
    let mut entries = Vec::with_capacity(1);
    if let Some(id) = &record.id {
        let mut value = Vec::with_capacity(5);
        put_varint(&mut value, sequence);
        entries.push((FamilyId(FAMILY_IDS), id_key(id, subject), value));
    }
    if let Some(marker) = &record.marker {
        entries.push((FamilyId(FAMILY_MARKERS), marker_key(subject, marker, sequence), Vec::new()));
    }
    if record.late {
        let key = late_key(subject, record.time, sequence);
        entries.push((FamilyId(FAMILY_LATE), key, Vec::new()));
    }
    entries
}

pub(crate) fn id_key(id: &[u8], subject: u64) -> Vec<u8> {
    [id, &subject.to_be_bytes()].concat()
}

/// The topic and sequence number of an entry of the id index.
pub(crate) fn parse_id_entry(key: &[u8], value: &[u8]) -> Result<(u64, u64)> {
    let mut cursor = Cursor::new(key);
    cursor.take(super::record::ID_BYTES)?;
    let subject = cursor.u64()?;
    cursor.finish()?;
    Ok((subject, parse_sequence(value)?))
}

/// The topic and sequence number of the record that an entry of any index of records is about.
pub(crate) fn entry_position(family: FamilyId, key: &[u8], value: &[u8]) -> Result<(u64, u64)> {
    if family.0 == FAMILY_IDS {
        return parse_id_entry(key, value);
    }
    Ok((Cursor::new(key).u64()?, key_sequence(key)?))
}

pub(crate) fn parse_sequence(value: &[u8]) -> Result<u64> {
    let mut cursor = Cursor::new(value);
    let sequence = cursor.varint()?;
    cursor.finish()?;
    Ok(sequence)
}

/// The marker's length stands before it, so that no marker's entries are among another's.
pub(crate) fn marker_prefix(subject: u64, marker: &str) -> Vec<u8> {
    let len = u8::try_from(marker.len()).expect("a marker has at most 255 bytes");
    [&subject.to_be_bytes()[..], &[len], marker.as_bytes()].concat()
}

fn marker_key(subject: u64, marker: &str, sequence: u64) -> Vec<u8> {
    [&marker_prefix(subject, marker)[..], &sequence.to_be_bytes()].concat()
}

pub(crate) fn late_key(subject: u64, time: Timestamp, sequence: u64) -> Vec<u8> {
    [&subject.to_be_bytes()[..], &time.to_ordered_bytes(), &sequence.to_be_bytes()].concat()
}

/// The sequence number at the end of an index key.
pub(crate) fn key_sequence(key: &[u8]) -> Result<u64> {
    let tail =
        key.last_chunk().ok_or_else(|| crate::codec::corrupt("an index key is too short"))?;
    Ok(u64::from_be_bytes(*tail))
}

/// The time and sequence number of an entry of the index of late records.
pub(crate) fn parse_late_key(key: &[u8]) -> Result<(Timestamp, u64)> {
    let mut cursor = Cursor::new(key);
    cursor.u64()?;
    let time = Timestamp::from_ordered_bytes(cursor.array()?);
    let sequence = cursor.u64()?;
    cursor.finish()?;
    Ok((time, sequence))
}

/// The key of a topic in the directory: kinds apart, names in order.
pub(crate) fn topic_name_key(kind: TopicKind, name: &str) -> Vec<u8> {
    [&[kind.code()], name.as_bytes()].concat()
}

/// The next topic's id, which is also its first key's.
pub(crate) const COUNTER_NEXT_TOPIC: &[u8] = b"next_topic"; // on-disk
/// Shards of each kind.
pub(crate) const COUNTER_SHARDS: &[u8] = b"shard_count"; // on-disk
/// Bytes the store may occupy.
pub(crate) const COUNTER_MAX_SIZE: &[u8] = b"max_size_bytes"; // on-disk
/// The key of ids that follow from places.
pub(crate) const COUNTER_ID_KEY: &[u8] = b"id_key"; // on-disk
/// The number below which every key is being replaced; absent when none is.
pub(crate) const COUNTER_REKEY: &[u8] = b"rekey"; // on-disk
/// The topic that is being shredded, if one is.
pub(crate) const COUNTER_SHRED: &[u8] = b"shred"; // on-disk
/// The key of tokens, once the system key that it came from was replaced.
pub(crate) const COUNTER_TOKEN_KEY: &[u8] = b"token_key"; // on-disk
