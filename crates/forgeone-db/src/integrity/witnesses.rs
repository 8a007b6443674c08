//! What databases and the last clean close have seen of each other's heads.

use super::report::{Finding, Ledger, contained};
use super::walk::Walk;
use crate::codec::corrupt;
use crate::log::{Hash, Witness};
use crate::stream::Shard;
use forgeone_db_engine::{Error, Result};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const REMEDY: &str =
    "its newest commits are gone or were replaced: look for a newer copy of the whole directory";

/// Witnesses, and what was walked.
#[derive(Default)]
pub(super) struct Witnesses {
    /// By database and commit; with who says so. Duplicates are kept once.
    said: BTreeMap<(String, u64, Hash), String>,
    walked: HashMap<String, Walked>,
}

struct Walked {
    number: u64,
    links: BTreeMap<u64, Hash>,
}

impl Witnesses {
    pub(super) fn add(&mut self, witness: &Witness, by: &str) {
        let key = (witness.database.clone(), witness.number, witness.hash);
        self.said.entry(key).or_insert_with(|| by.to_owned());
    }

    pub(super) fn add_walk(&mut self, walk: &Walk) {
        let database = walk.context.database.as_str();
        walk.witnesses.iter().for_each(|witness| self.add(witness, database));
        let mut links = walk.links.clone();
        links.insert(walk.head.number, walk.head.hash);
        self.walked.insert(database.to_owned(), Walked { number: walk.head.number, links });
    }

    /// Compares everything that was said with what was walked.
    pub(super) async fn check(
        &self,
        shards: impl Iterator<Item = &Arc<Shard>> + Clone,
        ledger: &mut Ledger<'_>,
    ) -> Result<()> {
        for ((database, number, hash), by) in &self.said {
            let shard = shards.clone().find(|shard| shard.context().database.as_str() == *database);
            let walked = self.walked.get(database);
            let link = walked.and_then(|walked| walked.links.get(number));
            let error = match (link, walked) {
                (Some(link), _) if link == hash => continue,
                (Some(_), _) => corrupt("a database has another history than its witness saw"),
                (None, Some(walked)) if walked.number >= *number => continue,
                _ => match newer(shard, *number).await? {
                    None => continue,
                    Some(found) => corrupt(
                        "a database is older than another has seen it; its newest commits are missing",
                    )
                    .with("commits found", found),
                },
            };
            let error = error.with("commit", number).with("witness", by);
            ledger.add(finding(&error, database));
        }
        Ok(())
    }
}

/// `None` if the database has reached commit `number` by now, or its head is damaged, which is
/// reported elsewhere; else how many commits it has.
async fn newer(shard: Option<&Arc<Shard>>, number: u64) -> Result<Option<u64>> {
    let Some(shard) = shard else { return Ok(Some(0)) };
    Ok(match contained(shard.context().load_head().await)? {
        Ok(Some((head, _))) if head.number >= number => None,
        Ok(head) => Some(head.map_or(0, |(head, _)| head.number)),
        Err(_) => None,
    })
}

fn finding(error: &Error, database: &str) -> Finding {
    Finding::of(error, REMEDY).in_database(database)
}
