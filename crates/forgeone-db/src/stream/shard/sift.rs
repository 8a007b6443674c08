//! Looking through a topic's records for those that a search wants.

use super::{Place, Shard};
use crate::stream::segment::{Sifted, Wanted};
use crate::stream::tail::TailSection;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::sync::Arc;

impl Shard {
    /// Looks through the records around `sequence` and some of those behind it in the direction of
    /// the search, in that order: units or sections whole, the first of which has `sequence`.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub(crate) async fn sift(
        &self,
        subject: u64,
        sequence: u64,
        forward: bool,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Sifted>> {
        let place = self.place(subject, sequence).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "no record has this number").with("sequence", sequence)
        })?;
        match place {
            Place::Tail(section) => {
                let sifted = sift_section(&section, wanted);
                Ok(vec![sifted.map_err(|error| self.context.locate(error))?])
            }
            Place::Segment(reference, pin) => {
                let segment = self.segment(&reference).await?;
                let at = (segment.unit_of(sequence), forward);
                let sifted = segment.sift(&self.caches.segments, at, wanted).await;
                drop(pin);
                sifted
            }
        }
    }
}

fn sift_section(section: &TailSection, wanted: Wanted<'_>) -> Result<Sifted> {
    let unpacked = section.unpack()?;
    if wanted.filter.is_some_and(|filter| !filter.may_match(unpacked.columns())) {
        return Ok(Sifted::Passed {
            first: section.first(),
            last: section.last(),
            bounds: section.bounds(),
        });
    }
    Ok(Sifted::Records(Arc::new(unpacked.decode()?)))
}
