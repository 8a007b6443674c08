//! Verification: reading a store as a sceptic, and naming whatever is damaged.
//!
//! Absent on purpose: repair. Nothing here writes.
//!
//! Every database is walked by name and hash: head, manifest, the blocks behind it, every unit of
//! every segment, every page and filter of every run. What is read goes past all caches. A damaged
//! place is named and the walk goes on behind it. The walk stands on a snapshot of its own, beside
//! a writer in this process or another: when the writer has replaced what was to be read next, the
//! walk goes on in what replaced it, and says so where that never comes to an end.

mod chain;
mod digest;
mod ids;
mod indexes;
mod latest;
mod moves;
mod records;
mod report;
mod state;
mod topics;
mod walk;
mod witnesses;

pub use report::{Finding, FindingSeverity, VerifyDepth, VerifyProgress, VerifyReport};

pub(crate) use report::{OnProgress, REMEDY_SALVAGE, contained};

#[cfg(test)]
mod moving_tests;
#[cfg(test)]
mod tests;

use crate::crypto::choose;
use crate::log::Witness;
use crate::stream::Shard;
use bytes::Bytes;
use digest::DigestKey;
use forgeone_db_engine::{DatabaseName, Result};
use report::{Ledger, REMEDY_PAGES};
use std::sync::Arc;
use topics::Topics;
use walk::{Walk, expected_bytes};
use witnesses::Witnesses;

/// What is to be verified.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The system database.
    pub(crate) system: Arc<Shard>,
    /// The shards of every kind.
    pub(crate) shards: Vec<Arc<Shard>>,
    /// Shards of each kind.
    pub(crate) shard_count: u32,
    /// The heads that the last clean close has witnessed, or why they cannot be known.
    pub(crate) closed: Result<Vec<Witness>>,
    /// Both copies of the keyring.
    pub(crate) keyrings: [Option<Bytes>; 2],
    /// What the verification may hold of the keys of state.
    pub(crate) memory_bytes: usize,
    /// What a writer in this process keeps for the verification.
    pub(crate) pins: Pins,
    /// Checks what the engine does not check by itself; none on a store that is open.
    pub(crate) pages: Option<Arc<dyn CheckPages>>,
}

/// What a writer in this process keeps of what it has replaced, while a verification may want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pins {
    /// All that was there when the walk of a database began.
    Walk,
    /// What was there when the walk of an index began, and the system database as with `Walk`: for
    /// walks that take long. Records are looked for in what replaced them.
    Index,
}

/// The engine's own structure below what is stored.
pub(crate) trait CheckPages: std::fmt::Debug + Send + Sync {
    /// Whether the database's own structure is whole; `None` where that cannot be known now.
    ///
    /// # Errors
    /// `Corrupt` if it is not; as reads.
    fn check_pages(&self, database: &DatabaseName) -> Result<Option<()>>;
}

/// Verifies a store.
///
/// # Errors
/// Only what ends every read: a store that was closed, a medium that does not answer. Damage is in
/// the report.
pub(crate) async fn verify(
    subject: Subject,
    depth: VerifyDepth,
    on_progress: OnProgress<'_>,
) -> Result<VerifyReport> {
    let mut ledger = Ledger::new(depth, subject.memory_bytes, on_progress);
    check_keyrings(&subject.keyrings, &mut ledger)?;
    if subject.system.context().keys.keyring().previous_generation().is_some() {
        let what = "the wrapping key is being replaced: keys are being wrapped anew";
        let remedy = "none needed: the writer goes on with it, or the next one";
        ledger.add(Finding::new(FindingSeverity::Info, what, remedy));
    }
    let mut key = DigestKey([0; 32]);
    subject.system.context().environment.fill_random(&mut key.0)?;

    let mut topics = Topics::default();
    let mut witnesses = Witnesses::default();
    match subject.closed {
        Ok(heads) => heads.iter().for_each(|head| witnesses.add(head, "the last clean close")),
        Err(error) => ledger.add(Finding::of(&error, "remove the file if you know why it differs")),
    }
    if depth > VerifyDepth::Quick {
        for shard in std::iter::once(&subject.system).chain(&subject.shards) {
            ledger.expect(expected_bytes(shard).await?);
        }
    }
    for shard in &subject.shards {
        let mut walk = Walk::start(shard, subject.pins, &mut ledger).await?;
        check_pages(subject.pages.as_deref(), shard, &mut ledger)?;
        if let Some(walk) = &mut walk {
            walk.check(&key, &mut ledger).await?;
            topics.add_shard(walk, &mut ledger).await?;
            witnesses.add_walk(walk);
        }
    }
    check_pages(subject.pages.as_deref(), &subject.system, &mut ledger)?;
    // After the shards: a topic is in the directory before its first record is in a shard.
    let told =
        |ledger: &Ledger<'_>| ledger.report.findings.len() as u64 + ledger.report.findings_dropped;
    let before = told(&ledger);
    let keyring = subject.system.context().keys.number();
    if let Some(walk) = state::check_system(&subject.system, &key, &mut ledger).await? {
        witnesses.add_walk(&walk.walk);
        let shards = (&*subject.shards, subject.shard_count);
        topics.check((&walk, keyring), shards, &mut ledger).await?;
    } else if told(&ledger) == before {
        // A complete keyring proves that the first commit of this database was made.
        ledger.add(Finding::new(
            FindingSeverity::Error,
            format!("the database {} is missing", subject.system.context().database),
            walk::REMEDY_DATABASE,
        ));
    }
    let all = || std::iter::once(&subject.system).chain(&subject.shards);
    witnesses.check(all(), &mut ledger).await?;
    ledger.report.heed_pages();
    Ok(ledger.report)
}

/// Whether the engine can go on writing to a database without harm.
fn check_pages(
    pages: Option<&dyn CheckPages>,
    shard: &Shard,
    ledger: &mut Ledger<'_>,
) -> Result<()> {
    let Some(pages) = pages.filter(|_| ledger.report.depth > VerifyDepth::Quick) else {
        return Ok(());
    };
    let database = &shard.context().database;
    match contained(pages.check_pages(database))? {
        Ok(checked) => ledger.report.engine_checked += u64::from(checked.is_some()),
        Err(error) => {
            ledger.report.engine_checked += 1;
            ledger.report.pages_damaged.push(database.to_string());
            ledger.add(Finding::of(&error, REMEDY_PAGES).in_database(database));
        }
    }
    Ok(())
}

fn check_keyrings(copies: &[Option<Bytes>; 2], ledger: &mut Ledger<'_>) -> Result<()> {
    const REMEDY: &str = "copy the sound one over it, or change any key slot, which writes both";
    for (number, copy) in copies.iter().enumerate() {
        let found = copy.as_ref().map(|copy| choose(&[Some(copy.clone())]));
        let what = match found {
            None => format!("copy {number} of the keyring is missing"),
            Some(Err(error)) => format!("copy {number} of the keyring is damaged: {error}"),
            Some(Ok(_)) => {
                ledger.authenticated(copy.as_ref().map_or(0, |copy| copy.len() as u64))?;
                continue;
            }
        };
        ledger.add(Finding::new(FindingSeverity::Warning, what, REMEDY));
    }
    Ok(())
}
