//! Saving what can be authenticated of a damaged store into a new one.

use super::out::{OnSalvage, Out, Target};
use super::report::SalvageReport;
use super::source::Source;
use super::state::{Known, is_home, read_state};
use crate::codec::corrupt;
use crate::crypto::Lineage;
use crate::integrity::Subject;
use crate::log::Witness;
use crate::stream::{PlaceIds, Shard};
use forgeone_db_engine::Result;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads every database of a store that may be damaged, and writes what opens into `target`.
///
/// # Errors
/// What ends every read, and what writing to the new store fails with. Damage is in the report.
pub(crate) async fn salvage(
    subject: &Subject,
    target: &Target,
    on_progress: OnSalvage<'_>,
) -> Result<SalvageReport> {
    let context = subject.system.context();
    let lineage = context.lineage;
    let store = uuid::Uuid::from_bytes(lineage.store_id).to_string();
    let mut out = Out::new(target, store, on_progress);
    let mut seen = Seen::default();
    match &subject.closed {
        Ok(heads) => seen.witness(heads),
        Err(error) => out.damage("closed", error),
    }
    let known = read_system(&subject.system, lineage, &mut seen, &mut out).await?;
    for shard in &subject.shards {
        read_shard(shard, &known, &mut seen, &mut out).await?;
    }
    seen.check(&known, &mut out);
    out.finish().await
}

async fn read_system(
    system: &Arc<Shard>,
    lineage: Lineage,
    seen: &mut Seen,
    out: &mut Out<'_>,
) -> Result<Known> {
    let database = system.context().database.to_string();
    out.begin(&database);
    let Some(mut source) = Source::find(system, out).await? else {
        out.damage(&database, &corrupt("the system database is missing"));
        out.state_lost = true;
        return Ok(Known::default());
    };
    let mut known = read_state(&mut source, out).await?;
    out.ids = known.id_key.take().map(|key| PlaceIds::new(key, lineage.epoch));
    out.report.max_size_bytes = known.max_size_bytes;
    known.topics().for_each(|topic| out.expect(topic.kind, &topic.name));
    seen.add(&source);
    Ok(known)
}

async fn read_shard(
    shard: &Arc<Shard>,
    known: &Known,
    seen: &mut Seen,
    out: &mut Out<'_>,
) -> Result<()> {
    let database = shard.context().database.to_string();
    out.begin(&database);
    let Some(mut source) = Source::find(shard, out).await? else {
        // Never written to, or missing: then others have witnessed it.
        return Ok(());
    };
    let intros = known.intros(&database);
    source.introduce(&intros);
    source.read(out).await?;
    out.settle_doubts();
    out.flush().await?;
    seen.add(&source);
    if source.manifest.is_none() {
        seen.headless.push(database);
    }
    Ok(())
}

/// How far each database has come, by what others have seen of it and by what was found.
#[derive(Default)]
struct Seen {
    witnessed: BTreeMap<String, u64>,
    found: BTreeMap<String, u64>,
    /// Databases whose manifest is lost.
    headless: Vec<String>,
}

impl Seen {
    fn witness(&mut self, heads: &[Witness]) {
        for head in heads {
            let number = self.witnessed.entry(head.database.clone()).or_default();
            *number = head.number.max(*number);
        }
    }

    fn add(&mut self, source: &Source) {
        self.witness(&source.witnesses);
        self.found.insert(source.context.database.to_string(), source.newest);
    }

    /// Names databases whose newest commits, or all of them, are gone.
    fn check(&self, known: &Known, out: &mut Out<'_>) {
        for (database, witnessed) in &self.witnessed {
            let found = self.found.get(database).copied().unwrap_or(0);
            if found < *witnessed {
                let what = "the newest commits of a database are missing";
                let error = corrupt(what).with("found", found).with("witnessed", witnessed);
                out.damage(database, &error);
                for (kind, name) in topics_of(database, known) {
                    out.lose_rest(kind, name, "the newest commits of its database are missing");
                }
            }
        }
        for database in &self.headless {
            // What was found is authentic; what else there was, nothing says any more.
            for (kind, name) in topics_of(database, known) {
                out.lose_rest(kind, name, "its database's manifest is lost: there may be more");
            }
        }
    }
}

/// The topics that live in a database, as the directory has it.
fn topics_of<'a>(database: &'a str, known: &'a Known) -> impl Iterator<Item = (u8, &'a str)> {
    let here = known.topics().filter(move |topic| is_home(topic, database));
    here.map(|topic| (topic.kind, topic.name.as_str()))
}
