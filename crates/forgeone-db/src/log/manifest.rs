//! The manifest: every live segment and run of a database, by hash.

use super::block::{Hash, TopicIntro, Witness};
use super::{from_cbor, to_cbor};
use crate::codec::corrupt;
use crate::crypto::{DomainKey, Lineage, PieceType, Place, open_value, seal_value};
use crate::environment::{Environment, Timestamp};
use crate::index::RunRef;
use crate::piece::PieceRef;
use forgeone_db_engine::Result;
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
}

impl SegmentRef {
    pub(crate) fn time_max(&self) -> Timestamp {
        Timestamp { seconds: self.seconds_max, nanos: self.nanos_max }
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
        }
    }

    pub(crate) fn seal(
        &self,
        system: &DomainKey,
        lineage: Lineage,
        environment: &dyn Environment,
    ) -> Result<Vec<u8>> {
        let place = Place { lineage, subject: 0, position: self.number };
        seal_value(system, PieceType::Manifest, place, to_cbor(self), environment)
    }

    /// # Errors
    /// `Corrupt` when the value is not manifest `number` of `database`.
    pub(crate) fn open(
        system: &DomainKey,
        lineage: Lineage,
        (database, number): (&str, u64),
        stored: &[u8],
    ) -> Result<Self> {
        let place = Place { lineage, subject: 0, position: number };
        let raw = open_value(system, PieceType::Manifest, place, stored)?;
        let manifest: Self = from_cbor(&raw)?;
        if manifest.database != database || manifest.number != number {
            return Err(corrupt("a manifest belongs to another place"));
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// Segments of each subject must follow each other without gap.
    fn check(&self) -> Result<()> {
        let dense = self.segments.iter().zip(self.segments.iter().skip(1)).all(|(a, b)| {
            a.subject < b.subject
                || (a.subject == b.subject && a.last.checked_add(1) == Some(b.first))
        });
        let ranges = self.segments.iter().all(|segment| segment.first <= segment.last);
        if dense && ranges { Ok(()) } else { Err(corrupt("a manifest's segments leave a gap")) }
    }

    /// The segments of `subject`, by sequence.
    pub(crate) fn segments_of(&self, subject: u64) -> &[SegmentRef] {
        let start = self.segments.partition_point(|segment| segment.subject < subject);
        let end = self.segments.partition_point(|segment| segment.subject <= subject);
        self.segments.get(start..end).unwrap_or_default()
    }
}
