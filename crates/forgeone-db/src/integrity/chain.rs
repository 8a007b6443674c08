//! The blocks behind the manifest: one chain, up to the head.

use super::report::{Finding, Ledger, VerifyDepth, contained};
use super::walk::{REMEDY_DATABASE, Walk};
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::log::{Block, Hash, TOPIC_ID_MIN};
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
    /// Last sequence number and greatest time, by subject; only of subjects seen in the tail.
    ends: HashMap<u64, (u64, Timestamp)>,
    /// Whether a block was unreadable, so that sequence numbers may leave a gap.
    broken: bool,
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
            match contained(self.context.load_block(next).await)? {
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
    async fn check_end(&self, ledger: &mut Ledger<'_>) -> Result<()> {
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
                Some((now, _)) if now.number > head.number => head = now,
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

    fn check_sequence(
        &self,
        (subject, first, last): (u64, u64, u64),
        records: &[crate::stream::Record],
        links: &mut Links,
    ) -> Result<()> {
        let sealed = || {
            let bounds = self.bounds_of(subject)?;
            let (segment, _) = self.segment_at(subject, bounds.last)?;
            Some((segment.last, segment.time_max()))
        };
        let given_up = || {
            let floor = self.floor_of(subject)?;
            Some((floor.first.saturating_sub(1), floor.time_max()))
        };
        let known = links.ends.get(&subject).copied();
        let known = known.or_else(sealed).or_else(given_up);
        let (end, mut time_max) = known.unwrap_or((0, Timestamp::MIN));
        let follows = first == end + 1;
        let mut punctual = true;
        for record in records {
            punctual &= record.late == (record.time < time_max);
            time_max = time_max.max(record.time);
        }
        links.ends.insert(subject, (last, time_max));
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
