//! What a salvage has saved, and what it has not.

use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything a salvage did: what is in the new store and what is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SalvageReport {
    /// The id of the store that was read.
    pub store: String,
    /// Records of topics in the new store.
    pub records: u64,
    /// Records known to be lost; of [`uncounted_topics`](SalvageReport::uncounted_topics) there may be
    /// more.
    pub records_lost: u64,
    /// Changes of settings, flags and metadata that were made again.
    pub state_changes: u64,
    /// Whether all changes of settings, flags and metadata could be read. If not, what is there now
    /// was taken from the indexes as far as those could be read.
    pub state_is_whole: bool,
    /// Whether entries without an id of their own have kept the ids that followed from their place.
    pub ids_are_kept: bool,
    /// What the store was allowed to occupy, and the new one is unless it was made with a quota of its
    /// own; 0 is no limit, and none a quota that is lost: then the new store has none either.
    #[serde(default)]
    pub max_size_bytes: Option<u64>,
    /// The name of the fact about the new store that has the hash of this report.
    #[serde(default)]
    pub fact: String,
    /// Each topic, by kind and name.
    pub topics: Vec<SalvagedTopic>,
    /// What could not be read, place by place, at most 10,000.
    pub damage: Vec<SalvageDamage>,
    /// Damaged places beyond those.
    pub damage_dropped: u64,
}

impl SalvageReport {
    /// Whether nothing is lost.
    pub fn is_complete(&self) -> bool {
        self.state_is_whole
            && self.damage.is_empty()
            && self.damage_dropped == 0
            && self.topics.iter().all(|topic| topic.lost.is_empty())
    }

    /// Topics that have lost records that nobody can count: a range of theirs has no end.
    pub fn uncounted_topics(&self) -> usize {
        let uncounted =
            |topic: &&SalvagedTopic| topic.lost.iter().any(|lost| lost.to_seq.is_none());
        self.topics.iter().filter(uncounted).count()
    }

    /// The manifest of what was saved and lost, as indented JSON with a line's end. The new store
    /// has its BLAKE3 hash among its metadata, under the name that [`fact`](Self::fact) says.
    ///
    /// # Errors
    /// `Internal` if it cannot be encoded.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "a report could not be encoded").with_source(error)
        })?;
        text.push(b'\n');
        Ok(text)
    }
}

/// What became of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SalvagedTopic {
    /// `events` or `logs`.
    pub kind: String,
    /// Its name.
    pub topic: String,
    /// Records in the new store.
    pub records: u64,
    /// Which numbers they had, and have now.
    pub kept: Vec<KeptRange>,
    /// Which numbers are lost.
    pub lost: Vec<LostRange>,
}

/// Records that were saved, by the numbers that they had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRange {
    /// The first one's number in the damaged store.
    pub from_seq: u64,
    /// The last one's.
    pub to_seq: u64,
    /// The first one's number in the new store; the others follow.
    pub new_from_seq: u64,
}

/// Records that are lost, by the numbers that they had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRange {
    /// The first one's number.
    pub from_seq: u64,
    /// The last one's; none where nobody can say how many there were.
    pub to_seq: Option<u64>,
    /// Why.
    pub what: String,
}

/// A place that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SalvageDamage {
    /// The database.
    pub database: String,
    /// What is wrong.
    pub what: String,
}

/// How far a salvage has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SalvageProgress {
    /// The database that is read.
    pub database: String,
    /// Records saved so far.
    pub records: u64,
    /// Raw bytes of them, about.
    pub bytes: u64,
}

impl fmt::Display for LostRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_seq {
            Some(to) => write!(f, "{}..{to}", self.from_seq),
            None => write!(f, "{}..", self.from_seq),
        }
    }
}
