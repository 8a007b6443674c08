//! Ids: whether every record is found by its own, and none is there twice.

use super::indexes::REMEDY;
use super::report::Ledger;
use super::walk::Walk;
use crate::codec::corrupt;
use crate::stream::{RecordBatch, id_key, parse_sequence};
use bytes::Bytes;
use forgeone_db_engine::{Error, Result};

/// What an id takes until it was looked up, about, with its answer.
const LOOKUP_BYTES: usize = 256;
/// Ids of records that are not sealed that are looked up together.
const TOGETHER: usize = 4096;

pub(super) const REMEDY_TWICE: &str = "no record is lost, one is there once more than it was stored: \
                                       readers get both, and by its id the one that the index names";

/// Ids to be looked up together, so that each index page is read once for all of them.
#[derive(Debug)]
pub(super) struct Lookups {
    ids_max: usize,
    ids: Vec<Lookup>,
}

/// The key of a record in the index of ids, and where the record is.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    key: Bytes,
    subject: u64,
    sequence: u64,
}

impl Lookups {
    pub(super) fn new(memory_bytes: usize) -> Self {
        Self { ids_max: memory_bytes / LOOKUP_BYTES, ids: Vec::new() }
    }

    pub(super) fn add(&mut self, subject: u64, sequence: u64, id: &[u8]) {
        self.ids.push(Lookup { key: id_key(id, subject).into(), subject, sequence });
    }

    pub(super) const fn is_full(&self) -> bool {
        self.ids.len() >= self.ids_max
    }
}

impl Walk {
    /// Looks up what has been gathered, as a reader would.
    pub(super) async fn look_up(&mut self, ledger: &mut Ledger<'_>) -> Result<()> {
        let ids = std::mem::take(&mut self.lookups.ids);
        for (lookup, found) in self.find(&ids).await? {
            let sequence = lookup.sequence;
            if !self.is_given_up(lookup.subject, sequence) && found != Some(sequence) {
                let error = corrupt("a record cannot be found by its id");
                self.tell(error, lookup, REMEDY, ledger)?;
            }
        }
        Ok(())
    }

    /// The records that the sealed index names for ids. Nothing where there is no such index or it is
    /// damaged, which the check of the indexes reports.
    async fn find<'a>(&self, ids: &'a [Lookup]) -> Result<Vec<(&'a Lookup, Option<u64>)>> {
        let Ok(family) = self.layout().ids() else { return Ok(Vec::new()) };
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = ids.iter().map(|lookup| lookup.key.clone()).collect();
        let found = async { self.open_index(family).await?.get_many(&keys).await };
        let Ok(found) = super::contained(found.await)? else { return Ok(Vec::new()) };
        let sequence = |value: Option<Bytes>| value.and_then(|value| parse_sequence(&value).ok());
        Ok(ids.iter().zip(found.into_iter().map(sequence)).collect())
    }

    pub(super) fn is_given_up(&self, subject: u64, sequence: u64) -> bool {
        self.floor_of(subject).is_some_and(|floor| sequence < floor.first)
    }

    /// Gathers the ids of records that are not sealed.
    pub(super) fn gather_ids(&mut self, subject: u64, batch: &RecordBatch) {
        let ids = (batch.first..).zip(&batch.records);
        self.tail_ids.extend(ids.filter_map(|(sequence, record)| {
            let key = id_key(record.id.as_ref()?, subject).into();
            Some(Lookup { key, subject, sequence })
        }));
    }

    /// Names every record that is not sealed and is there under another number, too.
    pub(super) async fn find_twins(&mut self, ledger: &mut Ledger<'_>) -> Result<()> {
        let mut ids = std::mem::take(&mut self.tail_ids);
        ids.sort_unstable_by(|a, b| a.key.cmp(&b.key).then(a.sequence.cmp(&b.sequence)));
        for pair in ids.windows(2) {
            if let [first, second] = pair
                && first.key == second.key
                && !self.is_given_up(first.subject, first.sequence)
            {
                self.tell(twice(first.sequence), second, REMEDY_TWICE, ledger)?;
            }
        }
        for together in ids.chunks(TOGETHER) {
            for (lookup, found) in self.find(together).await? {
                // What a shredding has given up may be in the index for a while yet.
                let is_twin = |other: &u64| {
                    *other < lookup.sequence && !self.is_given_up(lookup.subject, *other)
                };
                if let Some(other) = found.filter(is_twin) {
                    self.tell(twice(other), lookup, REMEDY_TWICE, ledger)?;
                }
            }
        }
        Ok(())
    }

    fn tell(
        &self,
        error: Error,
        lookup: &Lookup,
        remedy: &str,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let family = self.layout().ids()?;
        let error = error
            .with("topic id", lookup.subject)
            .with("from", lookup.sequence)
            .with("to", lookup.sequence);
        let finding = self.report(&error, &family.table, remedy);
        // A record that is there twice is no fault of the index, and not mended by another one.
        let is_index = remedy == REMEDY;
        ledger.add(if is_index { finding.of_index(family.id) } else { finding });
        Ok(())
    }
}

/// That a record was stored before, with the same id.
pub(super) fn twice(other: u64) -> Error {
    corrupt("a record is there twice").with("also at", other)
}
