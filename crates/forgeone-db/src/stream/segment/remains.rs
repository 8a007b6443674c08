//! Segments that nothing names any more: for salvage, where the manifest is lost.

use super::{Segment, SegmentDirectory, check_units, directory_binding};
use crate::crypto::{Lineage, PieceType};
use crate::log::{SegmentRef, TopicTable, from_cbor};
use crate::piece::{PieceReader, Trace};
use crate::stream::families::SUBJECT_STATE;
use forgeone_db_engine::Result;

impl Segment {
    /// The segments of a piece whose directories are authentic, under keys that `topics` has. Which of
    /// them a manifest named is not known: older ones may be among them whose records newer ones have,
    /// too.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) async fn find_all(
        reader: &PieceReader,
        (topics, lineage): (&TopicTable, Lineage),
        piece: u64,
    ) -> Result<Vec<SegmentRef>> {
        let mut subjects: Vec<u64> = topics.all().iter().map(|topic| topic.intro.id).collect();
        subjects.push(SUBJECT_STATE);
        let traces = reader.traces(piece, PieceType::Segment).await?;
        let of_any = |trace: &Trace| {
            subjects.iter().find_map(|subject| identify(trace, (topics, lineage), *subject))
        };
        Ok(traces.iter().filter_map(of_any).collect())
    }
}

/// The reference of a segment, if it is one of `subject`.
fn identify(
    trace: &Trace,
    (topics, lineage): (&TopicTable, Lineage),
    subject: u64,
) -> Option<SegmentRef> {
    let key = trace.named_key()?;
    let domain = topics.key(subject, key).ok()?;
    let binding = directory_binding(lineage, subject);
    let directory = trace.open(&domain, PieceType::Segment, &binding).ok()?;
    let SegmentDirectory { units } = from_cbor(&directory).ok()?;
    let (first, end) = (units.first()?, units.last()?);
    let last = end.first.checked_add(end.count.into())?.checked_sub(1)?;
    check_units(&units, (first.first, last)).ok()?;
    let units_bytes = end.unit.offset.checked_add(end.unit.len.into())?;
    Some(SegmentRef {
        subject,
        first: first.first,
        last,
        piece: trace.name(units_bytes)?,
        raw_bytes: 0,
        key: key.0,
        seconds_max: end.time_max.0,
        nanos_max: end.time_max.1,
        on_time_min: units.iter().find_map(|unit| unit.on_time_min),
        quarantined: None,
        lost: None,
    })
}
