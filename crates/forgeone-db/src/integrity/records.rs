//! Every record of every segment.

use super::digest::DigestKey;
use super::moves::Moved;
use super::report::{Finding, Ledger, REMEDY_LOST, VerifyDepth, contained};
use super::walk::{Bounds, Hole, Walk};
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::log::{Floor, LostRange, SegmentRef, TOPIC_ID_MIN};
use crate::stream::{RecordBatch, Segment, index_entries, read_lost};
use forgeone_db_engine::{Error, Result, mutant};
use std::sync::Arc;

const REMEDY: &str = "restore these records from a backup; all others are unaffected";

impl Walk {
    /// Opens every unit of what was sealed when the walk began, and derives the index entries.
    pub(super) async fn check_records(
        &mut self,
        key: &DigestKey,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        for bounds in self.bounds.clone() {
            self.check_subject(bounds, key, ledger).await?;
        }
        self.look_up(ledger).await
    }

    async fn check_subject(
        &mut self,
        bounds: Bounds,
        key: &DigestKey,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        let mut next = bounds.first;
        while next <= bounds.last {
            if let Some(floor) = self.floor_of(bounds.subject)
                && next < floor.first
            {
                // Shredded since the walk began.
                next = floor.first;
                continue;
            }
            let Some((reference, before)) = self.segment_at(bounds.subject, next) else {
                let error = corrupt("no segment has these records")
                    .with("topic id", bounds.subject)
                    .with("from", next)
                    .with("to", bounds.last);
                self.lose(bounds.subject, (next, bounds.last), &error, ledger);
                return Ok(());
            };
            if let Some(lost) = reference.lost_range() {
                if self.check_set_aside((&reference, lost), next, ledger).await? {
                    next = reference.last + 1;
                }
                continue;
            }
            let opened = self.open_segment(&reference).await;
            match contained(opened)? {
                Ok(segment) => {
                    ledger.report.segments += 1;
                    ledger.authenticated(reference.piece.directory_bytes.into())?;
                    let given_up = || self.floor_of(bounds.subject).map(Floor::time_max);
                    let before = before.map(|segment| segment.time_max()).or_else(given_up);
                    let before = before.unwrap_or(Timestamp::MIN);
                    let before = (before, self.is_behind_loss(bounds.subject, reference.first));
                    let place = Place { bounds, reference: &reference, before, key };
                    next = self.check_segment(&segment, next, &place, ledger).await?;
                }
                Err(error) => {
                    let lost = (next, reference.last.min(bounds.last));
                    if self.leave(&reference, lost, &error, ledger).await? {
                        next = reference.last + 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Names records that were lost before they were sealed, and looks whether what lies in their place
    /// is kept. Says whether that is done; else a writer has moved on.
    async fn check_set_aside(
        &mut self,
        (reference, lost): (&SegmentRef, LostRange),
        next: u64,
        ledger: &mut Ledger<'_>,
    ) -> Result<bool> {
        let keys = (&*self.context.topics, self.context.lineage);
        let kept = contained(read_lost(&self.reader(), keys, reference).await)?;
        if let Err(error) = &kept {
            match self.has_moved().await? {
                Moved::On => return Ok(false),
                Moved::TooOften if !self.has_segment(reference).await? => {
                    return self.leave(reference, (next, reference.last), error, ledger).await;
                }
                _ => {}
            }
        }
        self.note_hole(lost.subject, (next, reference.last));
        if !mutant!("forget-what-is-lost") {
            ledger.add(self.lost_finding(lost));
        }
        match kept {
            Ok(_) => ledger.authenticated(reference.stored_bytes())?,
            Err(error) => {
                ledger.add(self.report(&error, &self.layout().segments, REMEDY_LOST));
            }
        }
        Ok(true)
    }

    fn lost_finding(&self, lost: LostRange) -> Finding {
        let error = lost.error(&self.context.topics, &self.context.database);
        self.report(&error, &self.layout().segments, REMEDY_LOST)
    }

    /// Names all records that were lost before they were sealed, as the manifest has them.
    pub(super) fn name_losses(&self, ledger: &mut Ledger<'_>) {
        let segments = self.manifest.iter().flat_map(|manifest| &manifest.segments);
        let lost = segments.filter_map(SegmentRef::lost_range);
        lost.for_each(|lost| ledger.add(self.lost_finding(lost)));
    }

    pub(super) async fn open_segment(&self, reference: &SegmentRef) -> Result<Arc<Segment>> {
        let keys = (&*self.context.topics, self.context.lineage);
        Segment::open(&self.cache, &self.reader(), keys, reference).await
    }

    /// Reads the units from `next` on; returns the next sequence number to go on with.
    async fn check_segment(
        &mut self,
        segment: &Segment,
        mut next: u64,
        place: &Place<'_>,
        ledger: &mut Ledger<'_>,
    ) -> Result<u64> {
        if let Err(error) = segment.check_reference() {
            ledger.add(self.report(&error, &self.layout().segments, REMEDY));
        }
        let mut index = segment.unit_of(next);
        while index < segment.unit_count() && next <= place.bounds.last {
            let read = contained(segment.units_from(index).await)?;
            let batches = match read {
                Ok(batches) => batches,
                // One of them is damaged: one by one, so that it alone is named.
                Err(_) => match contained(segment.unit_uncached(index).await)? {
                    Ok(batch) => vec![batch],
                    Err(error) => {
                        let (_, last, _) = segment.unit_span(index).unwrap_or((next, next, 0));
                        let lost = (next, last.min(place.bounds.last));
                        if !self.leave(place.reference, lost, &error, ledger).await? {
                            return Ok(next);
                        }
                        (next, index) = (last + 1, index + 1);
                        continue;
                    }
                },
            };
            for batch in batches {
                let bytes = segment.unit_span(index).map_or(0, |(_, _, bytes)| bytes);
                if let Err(error) = segment.check_unit(index, &batch, place.before) {
                    ledger.add(self.report(&error, &self.layout().segments, REMEDY));
                }
                next = self.take(&batch, next, place, ledger).await?;
                ledger.report.units += 1;
                self.moves = 0;
                ledger.authenticated(bytes)?;
                index += 1;
            }
        }
        Ok(next)
    }

    /// Derives the index entries of the records from `next` on.
    async fn take(
        &mut self,
        batch: &RecordBatch,
        next: u64,
        place: &Place<'_>,
        ledger: &mut Ledger<'_>,
    ) -> Result<u64> {
        let subject = place.bounds.subject;
        let is_deep = ledger.report.depth == VerifyDepth::Deep;
        for (sequence, record) in (batch.first..).zip(&batch.records) {
            if sequence < next || sequence > place.bounds.last {
                continue;
            }
            ledger.report.records += 1;
            if subject < TOPIC_ID_MIN {
                self.fold_sealed(place.key, (sequence, record), ledger);
                continue;
            }
            for (family, key, value) in index_entries(subject, sequence, record) {
                let digest = self.derived.entry(family).or_default();
                digest.add(place.key, family, (&key, &value));
            }
            if let Some(id) = record.id.filter(|_| is_deep) {
                self.lookups.add(subject, sequence, &id);
            }
        }
        if self.lookups.is_full() {
            self.look_up(ledger).await?;
        }
        Ok(batch.last().max(next.saturating_sub(1)) + 1)
    }

    /// Says whether the walk goes on behind records that could not be read: not where a writer has
    /// replaced their segment, and they are to be looked for again.
    async fn leave(
        &mut self,
        reference: &SegmentRef,
        lost: (u64, u64),
        error: &Error,
        ledger: &mut Ledger<'_>,
    ) -> Result<bool> {
        match self.has_moved().await? {
            Moved::On => return Ok(false),
            Moved::TooOften if !self.has_segment(reference).await? => {
                self.note_hole(reference.subject, lost);
                let topic = self.topic_name(reference.subject);
                let finding = self.overtaken("these records", Some(&self.layout().segments));
                ledger.add(finding.in_topic(topic).range(lost.0, lost.1));
                // The next place has tries of its own.
                self.moves = 0;
            }
            _ => self.lose(reference.subject, lost, error, ledger),
        }
        Ok(true)
    }

    /// Notes records that cannot be read.
    pub(super) fn lose(
        &mut self,
        subject: u64,
        (from, to): (u64, u64),
        error: &Error,
        ledger: &mut Ledger<'_>,
    ) {
        self.note_hole(subject, (from, to));
        let finding = self
            .report(error, &self.layout().segments, REMEDY)
            .in_topic(self.topic_name(subject))
            .range(from, to);
        ledger.add(finding);
    }

    fn note_hole(&mut self, subject: u64, (from, to): (u64, u64)) {
        match self.holes.last_mut() {
            // What is compared with the holes later looks at each of them.
            Some(last) if last.subject == subject && last.to.checked_add(1) == Some(from) => {
                last.to = to;
            }
            _ => self.holes.push(Hole { subject, from, to }),
        }
    }
}

/// Where the walk through a segment is, and what it needs besides.
struct Place<'a> {
    bounds: Bounds,
    reference: &'a SegmentRef,
    /// The topic's greatest time before the segment, and whether lost records may have had a greater.
    before: (Timestamp, bool),
    key: &'a DigestKey,
}
