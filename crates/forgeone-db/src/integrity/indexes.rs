//! Every run of every index, and whether indexes say what the records say.

use super::digest::{Digest, DigestKey};
use super::ids::{REMEDY_TWICE, twice};
use super::moves::Moved;
use super::report::{Finding, Ledger, contained};
use super::state::RESTARTS_MAX;
use super::walk::Walk;
use crate::codec::corrupt;
use crate::index::{AuditedRuns, Family, Index, Run, Scan};
use crate::log::TOPIC_ID_MIN;
use crate::stream::{entry_position, index_entries};
use bytes::Bytes;
use forgeone_db_engine::{Direction, Entry, Error, KeyRange, Result};
use std::sync::Arc;

pub(super) const REMEDY: &str = "no record is lost: run `forgeone-db repair`, which builds the index anew from them; until then searches that need it fail";

/// About what is read to look at one record.
const UNIT_BYTES: u64 = 16 << 10;
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
            self.pin_for_index().await?;
            self.moves = 0;
            self.check_family(&family, key, ledger).await?;
        }
        Ok(())
    }

    async fn check_family(
        &mut self,
        family: &Family,
        key: &DigestKey,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        for restarts in 0.. {
            let saved = (ledger.report.runs, ledger.report.index_entries);
            let mut others = Vec::new();
            let checked = self.check_index(family, key, &mut others, ledger).await;
            let Err(error) = contained(checked)? else { break };
            match self.has_moved().await? {
                Moved::No => {
                    others.push(error);
                    for error in others {
                        ledger.add(self.report(&error, &family.table, REMEDY).of_index(family.id));
                    }
                    break;
                }
                Moved::On if restarts < RESTARTS_MAX => {}
                _ => {
                    (ledger.report.runs, ledger.report.index_entries) = saved;
                    return self.check_runs_alone(family, ledger).await;
                }
            }
            (ledger.report.runs, ledger.report.index_entries) = saved;
        }
        Ok(())
    }

    /// For an index that a writer replaces before it is read through: each run by itself, and only
    /// those are damaged that are still part of the index.
    async fn check_runs_alone(&mut self, family: &Family, ledger: &mut Ledger<'_>) -> Result<()> {
        if let Some(manifest) = self.newest_manifest().await? {
            self.introduce(&manifest);
            self.manifest = Some(Arc::new(manifest));
            self.moved = true;
        }
        for reference in self.runs_of(family) {
            let audited =
                async { Arc::new(Run::open(&self.index, family, &reference).await?).audit().await };
            if let Err(error) = contained(audited.await)?
                && self.has_run(&reference).await?
            {
                ledger.add(self.report(&error, &family.table, REMEDY).of_index(family.id));
            }
        }
        let what = format!("index {} with the records", family.id.0);
        self.tell_overtaken(&what, Some(&family.table), ledger);
        Ok(())
    }

    async fn check_index(
        &mut self,
        family: &Family,
        key: &DigestKey,
        others: &mut Vec<Error>,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let runs = self.open_runs(family, others).await?;
        if let Some(error) = others.pop() {
            return Err(error);
        }
        let found = match contained(self.audit(family, &runs, key, ledger).await)? {
            Ok(found) => found,
            // All are looked at, and reported by the caller unless a writer has replaced them.
            Err(first) => {
                for run in &runs {
                    others.extend(contained(run.audit().await)?.err());
                }
                return Err(others.pop().unwrap_or(first));
            }
        };
        if family.id.is_state() {
            self.compare_state(family, (found, key), ledger);
            return Ok(());
        }
        let derived = self.derived.get(&family.id).copied().unwrap_or_default();
        if derived != found {
            self.name_disagreements(family, &Index::new(Vec::new(), runs), ledger).await?;
        }
        Ok(())
    }

    /// The runs of a family. One that does not open is among the errors, and those that do are
    /// audited then, so that all that is damaged is named.
    async fn open_runs(&self, family: &Family, errors: &mut Vec<Error>) -> Result<Vec<Arc<Run>>> {
        let mut runs = Vec::new();
        for reference in self.runs_of(family) {
            match contained(Run::open(&self.index, family, &reference).await)? {
                Ok(run) => runs.push(Arc::new(run)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            for run in &runs {
                errors.extend(contained(run.audit().await)?.err());
            }
        }
        Ok(runs)
    }

    /// Walks all runs of a family at once and audits each; the digest is of the entries that count,
    /// the newest under each key, and are about records that were read.
    async fn audit(
        &self,
        family: &Family,
        runs: &[Arc<Run>],
        key: &DigestKey,
        ledger: &mut Ledger<'_>,
    ) -> Result<Digest> {
        let mut digest = Digest::default();
        let mut merged = AuditedRuns::new(runs);
        while let Some((name, value)) = merged.next().await? {
            let Some(value) = value else { continue };
            if self.is_compared(family, (name, value)) {
                digest.add(key, family.id, (name, value));
            }
            match merged.take_bytes() {
                0 => {}
                bytes => ledger.authenticated(bytes)?,
            }
        }
        ledger.report.runs += runs.len() as u64;
        for run in runs {
            ledger.report.index_entries += run.named().entries;
        }
        ledger.authenticated(merged.take_bytes())?;
        Ok(digest)
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

    /// Whether the record that an entry is about was read. In a manifest that is newer than the
    /// snapshot, entries of newer records are none of the walk's business.
    fn is_compared(&self, family: &Family, (key, value): (&[u8], &[u8])) -> bool {
        if family.id.is_state() || (self.holes.is_empty() && !self.moved && !self.has_floors()) {
            return true;
        }
        let Ok((subject, sequence)) = entry_position(family.id, key, value) else { return true };
        let newer =
            self.moved && self.bounds_of(subject).is_none_or(|bounds| sequence > bounds.last);
        let lost = |hole: &super::walk::Hole| {
            hole.subject == subject && (hole.from..=hole.to).contains(&sequence)
        };
        !newer && !self.is_given_up(subject, sequence) && !self.holes.iter().any(lost)
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
                    ledger.read_again(segment.unit_span(unit).map_or(0, |(_, _, bytes)| bytes))?;
                    for (sequence, record) in (batch.first..).zip(&batch.records) {
                        for (id, key, value) in index_entries(bounds.subject, sequence, record) {
                            if id != family.id || sequence > bounds.last {
                                continue;
                            }
                            let found = index.get(&key).await?;
                            if found.as_ref().is_some_and(|found| **found == *value) {
                                continue;
                            }
                            count += 1;
                            let place = (bounds.subject, sequence);
                            if let Some(twin) = self.twin_of(family, key, found).await? {
                                self.name_twin(family, place, twin, ledger);
                            } else {
                                let what = "an index lacks a record, or has it in another place";
                                self.disagreement((family, what, count), place, ledger);
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

    /// The number of another record that gives the entry which the index has in place of this one.
    async fn twin_of(
        &self,
        family: &Family,
        key: Vec<u8>,
        found: Option<Bytes>,
    ) -> Result<Option<u64>> {
        let Some(value) = found else { return Ok(None) };
        let entry = Entry { key: key.into(), value };
        let Ok(place) = entry_position(family.id, &entry.key, &entry.value) else {
            return Ok(None);
        };
        let derived = contained(self.is_derived(family, &entry, place).await)?;
        Ok(derived.is_ok_and(|derived| derived).then_some(place.1))
    }

    fn name_twin(
        &self,
        family: &Family,
        (subject, sequence): (u64, u64),
        twin: u64,
        ledger: &mut Ledger<'_>,
    ) {
        let finding = self
            .report(&twice(twin), &family.table, REMEDY_TWICE)
            .in_topic(self.topic_name(subject))
            .range(sequence, sequence);
        ledger.add(finding);
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
            if !self.is_compared(family, (&entry.key, &entry.value)) {
                continue;
            }
            let place = entry_position(family.id, &entry.key, &entry.value).unwrap_or((0, 0));
            ledger.read_again(UNIT_BYTES)?;
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
