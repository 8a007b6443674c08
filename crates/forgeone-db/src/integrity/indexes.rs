//! Every run of every index, and whether indexes say what the records say.

use super::digest::{Digest, DigestKey};
use super::report::{Finding, Ledger, contained};
use super::walk::Walk;
use crate::codec::corrupt;
use crate::index::{Family, Index, Run, Scan};
use crate::log::TOPIC_ID_MIN;
use crate::stream::{entry_position, index_entries};
use forgeone_db_engine::{Direction, Entry, Error, KeyRange, Result};
use std::sync::Arc;

pub(super) const REMEDY: &str = "no record is lost: run `forgeone-db repair`, which builds the index anew from them; until then searches that need it fail";

/// Entries of one index that are named one by one when it disagrees with the records.
const DISAGREEMENTS_MAX: u64 = 1_000;

impl Walk {
    /// Opens every page and filter of every run, and compares each index with the records.
    pub(super) async fn check_indexes(
        &mut self,
        key: &DigestKey,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        if self.manifest.is_none() {
            return Ok(());
        }
        for family in self.layout().families().to_vec() {
            loop {
                let saved = (ledger.report.runs, ledger.report.index_entries);
                let mut others = Vec::new();
                let checked = self.check_index(&family, key, &mut others, ledger).await;
                let Err(error) = contained(checked)? else { break };
                if !self.has_moved().await? {
                    others.push(error);
                    for error in others {
                        ledger.add(self.report(&error, &family.table, REMEDY).of_index(family.id));
                    }
                    break;
                }
                (ledger.report.runs, ledger.report.index_entries) = saved;
            }
        }
        Ok(())
    }

    async fn check_index(
        &mut self,
        family: &Family,
        key: &DigestKey,
        others: &mut Vec<Error>,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let mut last_error = None;
        let mut runs = Vec::new();
        for reference in self.runs_of(family) {
            let audited = async {
                let run = Arc::new(Run::open(&self.index, family, &reference).await?);
                run.audit().await?;
                Ok(run)
            };
            match contained(audited.await)? {
                Ok(run) => {
                    ledger.report.runs += 1;
                    ledger.report.index_entries += reference.entries;
                    ledger.authenticated(reference.piece.bytes());
                    runs.push(run);
                }
                // All are looked at, and reported by the caller unless a writer has replaced them.
                Err(error) => others.extend(last_error.replace(error)),
            }
        }
        if let Some(error) = last_error {
            return Err(error);
        }
        let index = Index::new(Vec::new(), runs);
        if family.id.is_state() {
            return self.compare_state(family, &index, ledger).await;
        }
        let derived = self.derived.get(&family.id).copied().unwrap_or_default();
        if derived != self.digest(family, &index, key).await? {
            self.name_disagreements(family, &index, ledger).await?;
        }
        Ok(())
    }

    fn runs_of(&self, family: &Family) -> Vec<crate::index::RunRef> {
        let runs = self.manifest.iter().flat_map(|manifest| &manifest.runs);
        runs.filter(|run| run.family == family.id).cloned().collect()
    }

    /// The index of a family as the manifest names it.
    pub(super) async fn open_index(&self, family: &Family) -> Result<Index> {
        let mut runs = Vec::new();
        for reference in self.runs_of(family) {
            runs.push(Arc::new(Run::open(&self.index, family, &reference).await?));
        }
        Ok(Index::new(Vec::new(), runs))
    }

    /// The digest of all entries that are about records which were read.
    async fn digest(&self, family: &Family, index: &Index, key: &DigestKey) -> Result<Digest> {
        let mut digest = Digest::default();
        let mut scan = scan(index);
        while let Some(entry) = scan.next().await? {
            if self.is_compared(family, &entry) {
                digest.add(key, family.id, (&entry.key, &entry.value));
            }
        }
        Ok(digest)
    }

    /// Whether the record that an entry is about was read. In a manifest that is newer than the
    /// snapshot, entries of newer records are none of the walk's business.
    fn is_compared(&self, family: &Family, entry: &Entry) -> bool {
        let Ok((subject, sequence)) = entry_position(family.id, &entry.key, &entry.value) else {
            return true;
        };
        let newer =
            self.moved && self.bounds_of(subject).is_none_or(|bounds| sequence > bounds.last);
        let lost = |hole: &super::walk::Hole| {
            hole.subject == subject && (hole.from..=hole.to).contains(&sequence)
        };
        let given_up = self.floor_of(subject).is_some_and(|floor| sequence < floor.first);
        !newer && !given_up && !self.holes.iter().any(lost)
    }

    /// The slow pass: says which entries are missing and which are too many.
    async fn name_disagreements(
        &mut self,
        family: &Family,
        index: &Index,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let before = ledger.report.findings.len();
        let mut count = 0;
        for bounds in self.bounds.clone() {
            let mut next = bounds.first;
            while next <= bounds.last && bounds.subject >= TOPIC_ID_MIN {
                let Some((reference, _)) = self.segment_at(bounds.subject, next) else { break };
                next = reference.last + 1;
                let Ok(segment) = contained(self.open_segment(&reference).await)? else { continue };
                for unit in 0..segment.unit_count() {
                    let Ok(batch) = contained(segment.unit_uncached(unit).await)? else { continue };
                    for (sequence, record) in (batch.first..).zip(&batch.records) {
                        for (id, key, value) in index_entries(bounds.subject, sequence, record) {
                            if id != family.id || sequence > bounds.last {
                                continue;
                            }
                            if index.get(&key).await?.is_none_or(|found| *found != *value) {
                                let what = "an index lacks a record, or has it in another place";
                                count += 1;
                                self.disagreement(
                                    (family, what, count),
                                    (bounds.subject, sequence),
                                    ledger,
                                );
                            }
                        }
                    }
                }
            }
        }
        count += self.name_extras(family, index, ledger).await?;
        // Entries of records that were shredded meanwhile are gone with them.
        if ledger.report.findings.len() == before && !self.has_lost_records() {
            let what = format!("an index has other entries than the records: {count} of them");
            ledger.add(self.report(&corrupt(&what), &family.table, REMEDY).of_index(family.id));
        }
        Ok(())
    }

    async fn name_extras(
        &self,
        family: &Family,
        index: &Index,
        ledger: &mut Ledger<'_>,
    ) -> Result<u64> {
        let mut count = 0;
        let mut scan = scan(index);
        while let Some(entry) = scan.next().await? {
            if !self.is_compared(family, &entry) {
                continue;
            }
            let place = entry_position(family.id, &entry.key, &entry.value).unwrap_or((0, 0));
            if !self.is_derived(family, &entry, place).await? {
                count += 1;
                let what = "an index has an entry that no record gives";
                self.disagreement((family, what, count), place, ledger);
            }
        }
        Ok(count)
    }

    async fn is_derived(
        &self,
        family: &Family,
        entry: &Entry,
        (subject, sequence): (u64, u64),
    ) -> Result<bool> {
        let Some((reference, _)) = self.segment_at(subject, sequence) else { return Ok(false) };
        let segment = self.open_segment(&reference).await?;
        let batch = segment.unit_uncached(segment.unit_of(sequence)).await?;
        let Some(record) = batch.get(sequence) else { return Ok(false) };
        Ok(index_entries(subject, sequence, record).iter().any(|(id, key, value)| {
            *id == family.id && **key == *entry.key && **value == *entry.value
        }))
    }

    fn disagreement(
        &self,
        (family, what, count): (&Family, &str, u64),
        (subject, sequence): (u64, u64),
        ledger: &mut Ledger<'_>,
    ) {
        if count <= DISAGREEMENTS_MAX {
            let finding: Finding = self
                .report(&corrupt(what), &family.table, REMEDY)
                .in_topic(self.topic_name(subject))
                .range(sequence, sequence)
                .of_index(family.id);
            ledger.add(finding);
        }
    }
}

/// All entries of an index in order.
pub(super) fn scan(index: &Index) -> Scan {
    index.scan(&KeyRange::all(), Direction::Forward)
}
