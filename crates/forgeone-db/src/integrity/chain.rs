//! The blocks behind the manifest: one chain, up to the head.

use super::report::{Finding, Ledger, REMEDY_LOST, VerifyDepth, contained};
use super::walk::{REMEDY_DATABASE, Walk};
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::log::{Block, Hash, LostRange, TOPIC_ID_MIN};
use crate::stream::{SUBJECT_STATE, decode_section};
use forgeone_db_engine::{Error, Result};
use std::collections::HashMap;

const REMEDY_BLOCK: &str =
    "the records of this commit are lost unless a backup has them; restore the database from it";

/// What the walk along the chain carries from block to block.
#[derive(Default)]
struct Links {
    /// Hash of the block before, if it could be read.
    previous: Option<Hash>,
    stamp: u64,
    term: u64,
    /// By subject; only of subjects seen in the tail.
    ends: HashMap<u64, End>,
    /// Whether a block was unreadable, so that sequence numbers may leave a gap.
    broken: bool,
}

/// The end of a topic's records.
#[derive(Clone, Copy)]
struct End {
    last: u64,
    /// The greatest time of those that can be read.
    time_max: Timestamp,
    /// Whether some were lost since the last one that is on time, which may have had a greater time.
    behind_loss: bool,
}

impl Walk {
    /// Opens every block that no manifest covers, and checks that they are one chain.
    pub(super) async fn check_blocks(&mut self, ledger: &mut Ledger<'_>) -> Result<()> {
        let mut links = Links::default();
        let mut next = self.head.oldest;
        match &self.manifest {
            Some(manifest) => {
                links.previous = Some(manifest.covers_hash);
                next = manifest.covers + 1;
            }
            // Without a manifest nobody knows what came before.
            None => links.broken = true,
        }
        while next <= self.head.number {
            let loaded = contained(self.context.load_parts(next).await)?;
            match loaded.and_then(|(block, bytes, damaged)| {
                let error = damaged.into_iter().next();
                error.map_or(Ok((block, bytes)), Err)
            }) {
                Ok((block, bytes)) => {
                    ledger.report.blocks += 1;
                    self.check_block(&block, &mut links, ledger);
                    ledger.authenticated(bytes)?;
                }
                Err(error) => {
                    if let Some(oldest) = self.dropped_up_to(next).await? {
                        // Sealed meanwhile: what was in them is in segments now.
                        (links.previous, links.broken) = (None, true);
                        next = oldest;
                        continue;
                    }
                    (links.previous, links.broken) = (None, true);
                    let table = self.context.tables.commits.clone();
                    ledger.add(self.report(&error, &table, REMEDY_BLOCK));
                }
            }
            next += 1;
        }
        if links.previous.is_some_and(|hash| hash != self.head.hash) {
            self.add(&corrupt("the newest block is not the one that the head names"), ledger);
        }
        self.check_end(ledger).await
    }

    /// The oldest block that is kept, if a writer has dropped block `number` meanwhile.
    async fn dropped_up_to(&self, number: u64) -> Result<Option<u64>> {
        let head = contained(self.context.load_head().await)?;
        Ok(head.ok().flatten().map(|(head, _)| head.oldest).filter(|oldest| *oldest > number))
    }

    /// Nothing else may stand among the blocks, nor behind the head.
    async fn check_end(&mut self, ledger: &mut Ledger<'_>) -> Result<()> {
        let mut head = self.head.clone();
        loop {
            let found = contained(self.context.foreign_block(head.oldest, head.number).await)?;
            let error = match found {
                Ok(None) => return Ok(()),
                Ok(Some(key)) => {
                    corrupt("something else stands among the blocks or behind the head")
                        .with("key", format_args!("{key:?}"))
                }
                Err(error) => error,
            };
            // A writer may have committed in between.
            match contained(self.context.load_head().await)?.ok().flatten() {
                Some((now, _)) if now.number > head.number => {
                    if !self.count_move() {
                        let table = self.context.tables.commits.clone();
                        self.tell_overtaken("the end of the blocks", Some(&table), ledger);
                        return Ok(());
                    }
                    head = now;
                }
                _ => {
                    self.add(&error, ledger);
                    return Ok(());
                }
            }
        }
    }

    fn check_block(&mut self, block: &Block, links: &mut Links, ledger: &mut Ledger<'_>) {
        let at = |error: Error| error.with("commit", block.number);
        if links.previous.is_some_and(|hash| hash != block.previous) {
            self.add(&at(corrupt("a block does not follow the one before it")), ledger);
        }
        if block.stamp <= links.stamp || block.term < links.term {
            self.add(&at(corrupt("stamps or terms of the blocks do not ascend")), ledger);
        }
        links.previous = Some(block.hash);
        (links.stamp, links.term) = (block.stamp, block.term);
        self.links.insert(block.number, block.hash);
        self.witnesses.extend(block.witnesses.iter().cloned());
        block
            .lost
            .iter()
            .for_each(|lost| self.lose_unsealed(lost.range(block.number), links, ledger));
        for section in &block.sections {
            let subject = section.subject;
            let result = decode_section(section, block).and_then(|batch| {
                ledger.report.records += batch.records.len() as u64;
                if ledger.report.depth > VerifyDepth::Quick && subject >= TOPIC_ID_MIN {
                    self.gather_ids(subject, &batch);
                }
                if subject == SUBJECT_STATE {
                    let changes = batch.records.iter().map(|record| record.payload.clone());
                    self.tail_state.extend(changes);
                }
                if subject >= TOPIC_ID_MIN && self.context.topics.get(subject).is_none() {
                    return Err(corrupt("records of an unknown topic"));
                }
                self.check_sequence((subject, section.first, section.last()), &batch.records, links)
            });
            if let Err(error) = result {
                let error = error
                    .with("topic id", subject)
                    .with("from", section.first)
                    .with("to", section.last());
                self.add(&at(error), ledger);
            }
        }
    }

    /// Names records of an unsealed commit that are lost.
    fn lose_unsealed(&self, lost: LostRange, links: &mut Links, ledger: &mut Ledger<'_>) {
        let end = self.end_of(lost.subject, links);
        links.ends.insert(lost.subject, End { last: lost.last, behind_loss: true, ..end });
        let error = lost.error(&self.context.topics, &self.context.database);
        ledger.add(self.report(&error, &self.context.tables.commits, REMEDY_LOST));
        if !links.broken && lost.first != end.last + 1 {
            let error = corrupt("records are missing before these").with("topic id", lost.subject);
            let error = error.with("from", lost.first).with("to", lost.last);
            self.add(&error.with("commit", lost.commit), ledger);
        }
    }

    /// The end of what came before in a topic.
    fn end_of(&self, subject: u64, links: &Links) -> End {
        let sealed = || {
            let bounds = self.bounds_of(subject)?;
            let (segment, _) = self.segment_at(subject, bounds.last)?;
            let behind_loss = self.is_behind_loss(subject, segment.last + 1);
            Some(End { last: segment.last, time_max: segment.time_max(), behind_loss })
        };
        let given_up = || {
            let floor = self.floor_of(subject)?;
            let (last, time_max) = (floor.first.saturating_sub(1), floor.time_max());
            Some(End { last, time_max, behind_loss: false })
        };
        let known = links.ends.get(&subject).copied().or_else(sealed).or_else(given_up);
        known.unwrap_or(End { last: 0, time_max: Timestamp::MIN, behind_loss: false })
    }

    fn check_sequence(
        &self,
        (subject, first, last): (u64, u64, u64),
        records: &[crate::stream::Record],
        links: &mut Links,
    ) -> Result<()> {
        let End { last: end, mut time_max, mut behind_loss } = self.end_of(subject, links);
        let follows = first == end + 1;
        let mut punctual = true;
        for record in records {
            let late = record.time < time_max;
            punctual &= record.late == late || (record.late && behind_loss);
            if !record.late {
                (time_max, behind_loss) = (time_max.max(record.time), false);
            }
        }
        links.ends.insert(subject, End { last, time_max, behind_loss });
        // Behind an unreadable block nobody can say what came before.
        if !links.broken && !follows {
            return Err(corrupt("records are missing before these"));
        }
        if !links.broken && !punctual {
            return Err(corrupt("a record is wrongly marked as late or on time"));
        }
        Ok(())
    }

    fn add(&self, error: &Error, ledger: &mut Ledger<'_>) {
        let finding: Finding = self.report(error, &self.context.tables.commits, REMEDY_DATABASE);
        ledger.add(finding);
    }
}
