//! The walk through one database: its snapshot, and what to do when a writer moves on.

use super::Pins;
use super::digest::{Digest, DigestKey};
use super::ids::{Lookup, Lookups};
use super::latest::{KEY_BYTES_MAX, Latest};
use super::report::{Finding, FindingSeverity, Ledger, VerifyDepth, contained};
use super::state::State;
use crate::index::{Family, FamilyId, IndexContext};
use crate::log::{Floor, Hash, Head, LogContext, Manifest, SegmentRef, Witness};
use crate::piece::{Cache, PieceReader, list_pieces};
use crate::stream::{Layout, SegmentCache, Shard};
use forgeone_db_engine::{Error, Result, TableName};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

pub(super) const REMEDY_DATABASE: &str = "copy the directory aside, then write a new store from what \
                                          can be read: forgeone-db salvage";

/// How often a snapshot is tried while a writer in this process replaces the manifest.
const PIN_TRIES: u32 = 64;

/// What the manifest at the start of the walk had of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) subject: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Records that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) subject: u64,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// One database on its way through verification.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) shard: Arc<Shard>,
    /// With a topic table of its own, so that nothing rests on what was opened before.
    pub(super) context: LogContext,
    pub(super) index: IndexContext,
    pub(super) cache: SegmentCache,
    pub(super) head: Head,
    /// What is read from now; none if it is damaged.
    pub(super) manifest: Option<Arc<Manifest>>,
    /// Keeps the pieces of the manifest from being dropped by a writer in this process.
    pin: Option<Arc<Manifest>>,
    pins: Pins,
    /// What was sealed when the walk began, by subject.
    pub(super) bounds: Vec<Bounds>,
    pub(super) holes: Vec<Hole>,
    /// Index entries that follow from the records, by family.
    pub(super) derived: HashMap<FamilyId, Digest>,
    /// Hashes of the blocks that were read, and of the last one that is sealed.
    pub(super) links: BTreeMap<u64, Hash>,
    pub(super) witnesses: Vec<Witness>,
    /// Ids that wait to be looked up.
    pub(super) lookups: Lookups,
    /// Ids of records that are not sealed.
    pub(super) tail_ids: Vec<Lookup>,
    /// Changes of state behind what is sealed.
    pub(super) tail_state: Vec<Vec<u8>>,
    /// The directory and the counters, folded from what is sealed.
    pub(super) state: State,
    /// All of the state, folded from what is sealed.
    pub(super) latest: Latest,
    /// How often a writer has moved on since anything was last read.
    pub(super) moves: u32,
    /// Whether the manifest was replaced since the start.
    pub(super) moved: bool,
}

impl Walk {
    /// Takes the snapshot. `None` if the database was never written to, if its head is damaged, or if
    /// a writer never lets a manifest be read; what it is, is in the report then.
    pub(super) async fn start(
        shard: &Arc<Shard>,
        pins: Pins,
        ledger: &mut Ledger<'_>,
    ) -> Result<Option<Self>> {
        let mut context = shard.context().clone();
        context.topics = Arc::new(context.topics.without_topics());
        let (head, pin) = match contained(pinned_head(&context, shard).await)? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                let finding = Finding::of(&error, REMEDY_DATABASE);
                let finding = finding.in_database(&context.database);
                ledger.add(finding.in_table(&context.tables.head));
                return Ok(None);
            }
        };
        let index =
            IndexContext { units: Arc::new(Cache::new(0)), ..shard.index_context().clone() };
        let mut walk = Self {
            shard: Arc::clone(shard),
            context,
            index,
            cache: SegmentCache::new(0),
            head,
            manifest: None,
            pin: (pins == Pins::Walk).then_some(pin),
            pins,
            bounds: Vec::new(),
            holes: Vec::new(),
            derived: HashMap::new(),
            links: BTreeMap::new(),
            witnesses: Vec::new(),
            lookups: Lookups::new(ledger.memory_bytes),
            tail_ids: Vec::new(),
            tail_state: Vec::new(),
            state: State::new(),
            latest: Latest::new(ledger.memory_bytes / KEY_BYTES_MAX),
            moves: 0,
            moved: false,
        };
        ledger.report.databases += 1;
        Ok(walk.take_manifest(ledger).await?.then_some(walk))
    }

    /// Says whether there is anything to stand on: not where one manifest after the other is replaced
    /// before it is read, because names and keys of the topics are in it.
    async fn take_manifest(&mut self, ledger: &mut Ledger<'_>) -> Result<bool> {
        loop {
            let error = match contained(self.context.load_manifest(&self.head).await)? {
                Ok(manifest) => {
                    ledger.begin(self.context.database.as_str());
                    self.bounds = bounds(&manifest);
                    self.witnesses.clone_from(&manifest.witnesses);
                    self.links.insert(manifest.covers, manifest.covers_hash);
                    self.introduce(&manifest);
                    self.manifest = Some(Arc::new(manifest));
                    self.moves = 0;
                    return Ok(true);
                }
                Err(error) => error,
            };
            // The writer may have installed another one in between.
            let before = self.head.manifest;
            if let Ok(Some((head, pin))) = contained(pinned_head(&self.context, &self.shard).await)?
            {
                self.head = head;
                self.hold(pin);
            }
            if self.head.manifest != before {
                if self.count_move() {
                    continue;
                }
                ledger.begin(self.context.database.as_str());
                self.tell_overtaken("nothing of this database", None, ledger);
                return Ok(false);
            }
            ledger.begin(self.context.database.as_str());
            ledger.add(
                Finding::of(&error, REMEDY_DATABASE)
                    .in_database(&self.context.database)
                    .in_table(&self.context.tables.checkpoints),
            );
            return Ok(true);
        }
    }

    /// Takes another pin in the place of the one that is held, if one is.
    pub(super) fn hold(&mut self, pin: Arc<Manifest>) {
        if self.pin.is_some() {
            self.pin = Some(pin);
        }
    }

    /// Before the walk of an index: what is there now is kept until the next one.
    pub(super) async fn pin_for_index(&mut self) -> Result<()> {
        if self.pins == Pins::Index {
            self.pin = Some(Arc::clone(&self.shard.state().manifest));
            self.has_moved().await?;
        }
        Ok(())
    }

    pub(super) fn introduce(&self, manifest: &Manifest) {
        self.context.topics.adopt(&manifest.topics);
    }

    /// The entries of a family that the manifest carries itself, in order.
    pub(super) fn pinned_of(&self, family: &Family) -> std::vec::IntoIter<(Vec<u8>, Vec<u8>)> {
        let pinned = self.manifest.iter().flat_map(|manifest| &manifest.pinned);
        pinned
            .filter(|entry| entry.family == family.id.0)
            .map(|entry| (entry.key.clone(), entry.value.clone()))
            .collect::<Vec<_>>()
            .into_iter()
    }

    pub(super) fn layout(&self) -> &Layout {
        self.shard.layout()
    }

    pub(super) fn reader(&self) -> PieceReader {
        PieceReader::new(
            Arc::clone(&self.context.engine),
            self.context.database.clone(),
            self.layout().segments.clone(),
        )
    }

    /// Everything about this database.
    pub(super) async fn check(&mut self, key: &DigestKey, ledger: &mut Ledger<'_>) -> Result<()> {
        self.check_blocks(ledger).await?;
        if ledger.report.depth > VerifyDepth::Quick {
            self.find_twins(ledger).await?;
            self.check_records(key, ledger).await?;
            self.fold_rest(key, ledger).await?;
            self.check_indexes(key, ledger).await?;
            if self.pins == Pins::Index {
                self.pin = None;
            }
            self.find_orphans(ledger).await?;
        } else {
            self.name_losses(ledger);
        }
        Ok(())
    }

    /// The segment that holds `sequence`, and the topic's greatest time before the segment.
    pub(super) fn segment_at(
        &self,
        subject: u64,
        sequence: u64,
    ) -> Option<(SegmentRef, Option<SegmentRef>)> {
        let manifest = self.manifest.as_ref()?;
        let segments = manifest.segments_of(subject);
        let index = segments.partition_point(|segment| segment.last < sequence);
        let segment = segments.get(index).filter(|segment| segment.first <= sequence)?;
        let before = index.checked_sub(1).and_then(|before| segments.get(before));
        Some((segment.clone(), before.cloned()))
    }

    /// Whether records before `sequence` were lost before they were sealed and none since is on time:
    /// the next ones may be late for a time that nobody knows.
    pub(super) fn is_behind_loss(&self, subject: u64, sequence: u64) -> bool {
        let segments = self.manifest.iter().flat_map(|manifest| manifest.segments_of(subject));
        let before = segments.take_while(|segment| segment.last < sequence);
        before.fold(false, |behind, segment| {
            segment.lost.is_some() || (behind && segment.on_time_min.is_none())
        })
    }

    /// Where the records of `subject` begin now, if older ones were given up.
    pub(super) fn floor_of(&self, subject: u64) -> Option<&Floor> {
        self.manifest.as_ref()?.floor(subject)
    }

    /// Whether any topic has given records up.
    pub(super) fn has_floors(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| !manifest.floors.is_empty())
    }

    /// Whether a topic was shredded since the walk began.
    pub(super) fn has_lost_records(&self) -> bool {
        self.moved
            && self.bounds.iter().any(|bounds| {
                self.floor_of(bounds.subject).is_some_and(|floor| floor.first > bounds.first)
            })
    }

    /// What was sealed of `subject` when the walk began.
    pub(super) fn bounds_of(&self, subject: u64) -> Option<Bounds> {
        let found = self.bounds.binary_search_by_key(&subject, |bounds| bounds.subject);
        self.bounds.get(found.ok()?).copied()
    }

    /// The name of a topic, as this database knows it.
    pub(super) fn topic_name(&self, subject: u64) -> Option<String> {
        self.context.topics.get(subject).map(|topic| topic.intro.name.clone())
    }

    /// Adds what an error of a read says.
    pub(super) fn report(&self, error: &Error, table: &TableName, remedy: &str) -> Finding {
        let subject = error.get("topic id").and_then(|id| id.parse().ok());
        Finding::of(error, remedy)
            .in_database(&self.context.database)
            .in_table(table)
            .in_topic(subject.and_then(|subject| self.topic_name(subject)))
    }

    async fn find_orphans(&self, ledger: &mut Ledger<'_>) -> Result<()> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        let mut live: HashSet<(TableName, u64)> = HashSet::new();
        let segments = self.layout().segments.clone();
        live.extend(manifest.segments.iter().map(|one| (segments.clone(), one.piece.piece)));
        let mut tables = vec![segments];
        for family in self.layout().families() {
            let runs = manifest.runs.iter().filter(|run| run.family == family.id);
            live.extend(runs.map(|run| (family.table.clone(), run.piece.piece)));
            tables.push(family.table.clone());
        }
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            let listed = list_pieces(&*self.context.engine, &self.context.database, &table).await;
            let orphans = match contained(listed)? {
                Ok(pieces) => pieces
                    .into_iter()
                    .filter(|piece| !live.contains(&(table.clone(), *piece)))
                    .count() as u64,
                Err(error) => {
                    let remedy = "remove the entry whose key is no piece's";
                    ledger.add(self.report(&error, &table, remedy));
                    continue;
                }
            };
            if orphans > 0 {
                ledger.report.orphan_pieces += orphans;
                let what = format!("{orphans} pieces are named by no manifest");
                let remedy = "none needed: the next writer removes what a crash has left";
                ledger.add(
                    Finding::new(FindingSeverity::Info, what, remedy)
                        .in_database(&self.context.database)
                        .in_table(&table),
                );
            }
        }
        Ok(())
    }
}

/// The head on disk, with the manifest that it names pinned if a writer in this process has it.
pub(super) async fn pinned_head(
    context: &LogContext,
    live: &Shard,
) -> Result<Option<(Head, Arc<Manifest>)>> {
    let mut tries = PIN_TRIES;
    loop {
        let pin = Arc::clone(&live.state().manifest);
        let Some((head, _)) = context.load_head().await? else { return Ok(None) };
        tries -= 1;
        if head.manifest == pin.number || tries == 0 {
            return Ok(Some((head, pin)));
        }
    }
}

fn bounds(manifest: &Manifest) -> Vec<Bounds> {
    let mut bounds: Vec<Bounds> = Vec::new();
    for segment in &manifest.segments {
        match bounds.last_mut() {
            Some(last) if last.subject == segment.subject => last.last = segment.last,
            _ => bounds.push(Bounds {
                subject: segment.subject,
                first: segment.first,
                last: segment.last,
            }),
        }
    }
    bounds
}

/// About how many stored bytes a walk will read; what cannot be read now is met by the walk.
pub(super) async fn expected_bytes(shard: &Shard) -> Result<u64> {
    let mut context = shard.context().clone();
    context.topics = Arc::new(context.topics.without_topics());
    let load = async {
        let Some((head, _)) = context.load_head().await? else { return Ok(0) };
        Ok(named_bytes(&context.load_manifest(&head).await?))
    };
    Ok(contained(load.await)?.unwrap_or(0))
}

fn named_bytes(manifest: &Manifest) -> u64 {
    let segments: u64 = manifest.segments.iter().map(SegmentRef::stored_bytes).sum();
    let runs: u64 = manifest.runs.iter().map(|run| run.piece.bytes()).sum();
    segments + runs
}
