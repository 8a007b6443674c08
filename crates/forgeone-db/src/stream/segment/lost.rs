//! What was found damaged before it was sealed is set aside in the place of a segment: a member whose
//! directory has no units of records, and one unit with what lay where the records should.

use super::{directory_binding, locate, pair};
use crate::codec::{Compression, corrupt};
use crate::crypto::{Binding, DomainKey, KeyId, Lineage, PieceType};
use crate::environment::{Environment, Timestamp};
use crate::log::{LostSection, SectionEntry, SegmentRef, TopicTable, from_cbor, to_cbor};
use crate::piece::{PieceReader, PieceWriter, UnitRef};
use crate::stream::tail::TailSection;
use bytes::Bytes;
use forgeone_db_engine::Result;
use minicbor::{Decode, Encode};

/// The directory of what is set aside. As a segment's it covers no record, which is `Corrupt`.
#[derive(Debug, Encode, Decode)]
struct LostDirectory {
    /// None, ever.
    #[n(0)]
    units: Vec<UnitRef>,
    #[n(1)]
    commit: u64,
    #[n(2)]
    stamp: u64,
    /// The time of the commit.
    #[n(3)]
    time: (i64, u32),
    /// What the commit's block said of the section.
    #[n(4)]
    entry: SectionEntry,
    /// What lay in its place.
    #[n(5)]
    kept: UnitRef,
}

fn kept_binding(lineage: Lineage, reference: (u64, u64, u64)) -> Binding {
    let (subject, first, last) = reference;
    Binding { lineage, subject, first, last, compression: Compression::None }
}

/// Sets aside what is left of a section whose records are `lost`.
///
/// # Errors
/// As the engine's.
pub(crate) async fn write_lost(
    piece: &mut PieceWriter,
    (domain, lineage): (&DomainKey, Lineage),
    (section, lost): (&TailSection, &LostSection),
    environment: &dyn Environment,
) -> Result<SegmentRef> {
    let (subject, first, last) = (lost.subject(), lost.first(), lost.last());
    let mut member = piece.begin(domain, PieceType::Segment, environment)?;
    let binding = kept_binding(lineage, (subject, first, last));
    let kept = member.add_unit(&binding, lost.bytes().to_vec()).await?;
    let mark = section.mark();
    let directory = LostDirectory {
        units: Vec::new(),
        commit: section.commit(),
        stamp: mark.stamp,
        time: pair(mark.time),
        entry: lost.entry().clone(),
        kept,
    };
    let piece = member.finish(to_cbor(&directory), &directory_binding(lineage, subject)).await?;
    let Timestamp { seconds, nanos } = section.bounds().max;
    Ok(SegmentRef {
        subject,
        first,
        last,
        piece,
        raw_bytes: lost.raw_bytes(),
        key: domain.id().0,
        seconds_max: seconds,
        nanos_max: nanos,
        on_time_min: None,
        quarantined: None,
        lost: Some(section.commit()),
    })
}

/// What was set aside: the section, and what lay in its place. Past all caches.
///
/// # Errors
/// `Corrupt`, naming topic and range, when it is not what the manifest names.
pub(crate) async fn read_lost(
    reader: &PieceReader,
    (topics, lineage): (&TopicTable, Lineage),
    reference: &SegmentRef,
) -> Result<LostSection> {
    let range = (reference.subject, reference.first, reference.last);
    let read = async {
        let domain = topics.key(reference.subject, KeyId(reference.key))?;
        let binding = directory_binding(lineage, reference.subject);
        let mut member =
            reader.open(&reference.piece, &domain, PieceType::Segment, &binding).await?;
        let directory: LostDirectory = from_cbor(&member.take_directory())?;
        let kept = member.read_unit(0, &directory.kept, &kept_binding(lineage, range)).await?;
        let lost = LostSection::kept(directory.entry, Bytes::from(kept));
        if (lost.subject(), lost.first(), lost.last()) != range
            || Some(directory.commit) != reference.lost
        {
            return Err(corrupt("what was set aside is of other records than its manifest says"));
        }
        Ok(lost)
    };
    read.await.map_err(|error| locate(error, reference))
}
