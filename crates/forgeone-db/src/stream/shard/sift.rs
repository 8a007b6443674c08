//! Looking through a topic's records for those that a search wants.

use super::Shard;
use super::read::{Place, READ_TRIES};
use crate::stream::segment::{Sifted, Wanted};
use crate::stream::tail::TailSection;
use forgeone_db_engine::Result;
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
        let mut tries = READ_TRIES;
        loop {
            let found = self.place(subject, sequence);
            let (reference, pin) = match found.ok_or_else(|| self.not_found(subject, sequence))? {
                Place::Segment(reference, pin) => (reference, pin),
                Place::Tail(section) => {
                    self.check_section(&section)?;
                    let sifted = sift_section(&section, wanted);
                    return Ok(vec![sifted.map_err(|error| self.context.locate(error))?]);
                }
            };
            let read = async {
                let segment = self.segment(&reference).await?;
                let at = (segment.unit_of(sequence), forward);
                segment.sift(&self.caches.segments, at, wanted).await
            };
            tries -= 1;
            match read.await {
                Err(error) if self.is_passing(&error, &pin) && tries > 0 => {}
                sifted => return sifted,
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
