//! The manifest: every live segment and run of a database, by hash.

use super::block::{Hash, TopicIntro, Witness};
use super::lost::LostRange;
use super::{from_cbor, to_cbor};
use crate::codec::corrupt;
use crate::crypto::{KeyId, KeyStore, Lineage, PieceType, Place, open_value, seal_value};
use crate::environment::{Environment, Timestamp};
use crate::index::RunRef;
use crate::piece::PieceRef;
use forgeone_db_engine::{Result, mutant};
use minicbor::{Decode, Encode};

/// One segment: a range of one topic's records, immutable.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SegmentRef {
    #[n(0)]
    pub(crate) subject: u64,
    #[n(1)]
    pub(crate) first: u64,
    #[n(2)]
    pub(crate) last: u64,
    #[n(3)]
    pub(crate) piece: PieceRef,
    /// Bytes of its records before compression.
    #[n(4)]
    pub(crate) raw_bytes: u64,
    /// The domain key it is sealed under.
    #[n(5)]
    pub(crate) key: u64,
    /// The topic's greatest time up to `last`.
    #[n(6)]
    pub(crate) seconds_max: i64,
    #[n(7)]
    pub(crate) nanos_max: u32,
    /// The smallest time of its records that are not late; none if all are late.
    #[n(8)]
    pub(crate) on_time_min: Option<(i64, u32)>,
    /// The boundary of the newest change of data keys that could not read it. It stays as it is, and
    /// so does its key.
    #[n(9)]
    pub(crate) quarantined: Option<u64>,
    /// The commit of records that were found damaged before they were sealed. The piece has what lay
    /// in their place, and nothing can be read of them.
    #[n(10)]
    pub(crate) lost: Option<u64>,
}

/// Whether what lies under `key` is to be sealed anew by a change of the keys below `boundary`. What
/// that change could not read was set aside, and the next one tries it again.
pub(crate) fn is_older(key: u64, quarantined: Option<u64>, boundary: u64) -> bool {
    key < boundary && quarantined.is_none_or(|set_aside| set_aside < boundary)
}

impl SegmentRef {
    pub(crate) fn time_max(&self) -> Timestamp {
        Timestamp { seconds: self.seconds_max, nanos: self.nanos_max }
    }

    /// Whether a change of the keys below `boundary` has still to seal it anew.
    pub(crate) fn is_older(&self, boundary: u64) -> bool {
        self.lost.is_none() && is_older(self.key, self.quarantined, boundary)
    }

    /// The records, if they were lost before they were sealed.
    pub(crate) fn lost_range(&self) -> Option<LostRange> {
        let &Self { subject, first, last, .. } = self;
        self.lost.map(|commit| LostRange { subject, first, last, commit })
    }

    /// Bytes it occupies in its piece.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.piece.units_bytes + u64::from(self.piece.directory_bytes)
    }
}

/// What a checkpoint names.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Manifest {
    #[n(0)]
    pub(crate) database: String,
    #[n(1)]
    pub(crate) number: u64,
    /// Every block up to this one is in the segments and runs.
    #[n(2)]
    pub(crate) covers: u64,
    /// Hash of that block.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) covers_hash: Hash,
    /// The first piece number that was never used.
    #[n(4)]
    pub(crate) next_piece: u64,
    /// The heads of all other databases, as known.
    #[n(5)]
    pub(crate) witnesses: Vec<Witness>,
    /// Every topic of the database.
    #[n(6)]
    pub(crate) topics: Vec<TopicIntro>,
    /// Live segments, ordered by subject and sequence.
    #[n(7)]
    pub(crate) segments: Vec<SegmentRef>,
    /// Live runs, newest first.
    #[n(8)]
    pub(crate) runs: Vec<RunRef>,
    /// The entries of small families that opening needs, ordered by family and key. They have no
    /// runs.
    #[n(9)]
    #[cbor(default)]
    pub(crate) pinned: Vec<PinnedEntry>,
    /// Topics whose oldest records were given up, ordered by subject.
    #[n(10)]
    #[cbor(default)]
    pub(crate) floors: Vec<Floor>,
}

/// Where the records of a topic begin whose older ones were given up.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Floor {
    #[n(0)]
    pub(crate) subject: u64,
    /// The first sequence number that is retained, or the next to be given.
    #[n(1)]
    pub(crate) first: u64,
    /// The topic's greatest time before it.
    #[n(2)]
    pub(crate) seconds_max: i64,
    #[n(3)]
    pub(crate) nanos_max: u32,
    /// When the older records were shredded.
    #[n(4)]
    pub(crate) seconds: i64,
    #[n(5)]
    pub(crate) nanos: u32,
}

impl Floor {
    pub(crate) const fn time_max(&self) -> Timestamp {
        Timestamp { seconds: self.seconds_max, nanos: self.nanos_max }
    }

    pub(crate) const fn shredded_at(&self) -> Timestamp {
        Timestamp { seconds: self.seconds, nanos: self.nanos }
    }
}

/// An entry of a family that a manifest carries itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct PinnedEntry {
    #[n(0)]
    pub(crate) family: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) key: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) value: Vec<u8>,
}

impl Manifest {
    /// The manifest of a database without a checkpoint.
    pub(crate) fn empty(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            number: 0,
            covers: 0,
            covers_hash: super::block::NO_HASH,
            next_piece: 1,
            witnesses: Vec::new(),
            topics: Vec::new(),
            segments: Vec::new(),
            runs: Vec::new(),
            pinned: Vec::new(),
            floors: Vec::new(),
        }
    }

    pub(crate) fn seal(
        &self,
        keys: &KeyStore,
        lineage: Lineage,
        environment: &dyn Environment,
    ) -> Result<Vec<u8>> {
        let place = Place { lineage, subject: 0, position: self.number };
        seal_value(&keys.system_key(), PieceType::Manifest, place, to_cbor(self), environment)
    }

    /// # Errors
    /// `Corrupt` when the value is not manifest `number` of `database`.
    pub(crate) fn open(
        keys: &KeyStore,
        lineage: Lineage,
        (database, number): (&str, u64),
        stored: &[u8],
    ) -> Result<Self> {
        let place = Place { lineage, subject: 0, position: number };
        let raw = open_value(&keys.system_key_for(stored), PieceType::Manifest, place, stored)?;
        let manifest: Self = from_cbor(&raw)?;
        if manifest.database != database || manifest.number != number {
            return Err(corrupt("a manifest belongs to another place"));
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// The keys of what is damaged and was set aside, by changes of data keys or before it was sealed:
    /// they must be kept for it.
    pub(crate) fn quarantined_keys(&self) -> impl Iterator<Item = KeyId> {
        let set_aside = |segment: &SegmentRef| {
            let lost = segment.lost.filter(|_| !mutant!("give-up-the-key-of-what-is-lost"));
            (segment.quarantined.or(lost), segment.key)
        };
        let segments = self.segments.iter().map(set_aside);
        let runs = self.runs.iter().map(|run| (run.quarantined, run.key));
        segments.chain(runs).filter_map(|(set_aside, key)| set_aside.map(|_| KeyId(key)))
    }

    /// Segments of each subject must follow each other without gap, from its floor on.
    pub(super) fn check(&self) -> Result<()> {
        let floors = self.floors.iter().all(|floor| {
            self.segments_of(floor.subject).first().is_none_or(|first| first.first == floor.first)
        });
        let ascending = self.floors.is_sorted_by(|a, b| a.subject < b.subject);
        let dense = self.segments.iter().zip(self.segments.iter().skip(1)).all(|(a, b)| {
            a.subject < b.subject
                || (a.subject == b.subject && a.last.checked_add(1) == Some(b.first))
        });
        let ranges = self.segments.iter().all(|segment| segment.first <= segment.last);
        if dense && ranges && floors && ascending {
            Ok(())
        } else {
            Err(corrupt("a manifest's segments leave a gap"))
        }
    }

    /// Where the records of `subject` begin, if older ones were given up.
    pub(crate) fn floor(&self, subject: u64) -> Option<&Floor> {
        let found = self.floors.binary_search_by_key(&subject, |floor| floor.subject);
        self.floors.get(found.ok()?)
    }

    /// The first sequence number of `subject` that is retained, or the next to be given.
    pub(crate) fn first(&self, subject: u64) -> u64 {
        let sealed = self.segments_of(subject).first().map(|segment| segment.first);
        sealed.or_else(|| self.floor(subject).map(|floor| floor.first)).unwrap_or(1)
    }

    /// The segments of `subject`, by sequence.
    pub(crate) fn segments_of(&self, subject: u64) -> &[SegmentRef] {
        let start = self.segments.partition_point(|segment| segment.subject < subject);
        let end = self.segments.partition_point(|segment| segment.subject <= subject);
        self.segments.get(start..end).unwrap_or_default()
    }
}
