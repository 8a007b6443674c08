//! One database as its readers see it: the newest records in memory, older ones in segments, and
//! indexes over both.

mod read;
mod sift;

pub(crate) use read::FamilyView;

use super::change::decode_changes;
use super::families::{IndexEntry, Layout, SUBJECT_STATE, index_entries};
use super::notify::Notify;
use super::record::{CommitMark, Record};
use super::segment::SegmentCache;
use super::tail::{Content, Tail, decode};
use crate::codec::corrupt;
use crate::environment::Timestamp;
use crate::index::{FamilyId, IndexContext, Memtable, Run};
use crate::log::{
    BehindHead, Block, Hash, Head, Loaded, LogContext, LostRange, LostSection, Manifest,
    SegmentRef, TOPIC_ID_MIN, Witness,
};
use crate::piece::{Cache, UnitCache};
use forgeone_db_engine::{Error, ErrorKind, Result, mutant};
use futures::lock::Mutex as AsyncMutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Opened things that all databases of a store share.
#[derive(Debug, Clone)]
pub(crate) struct Caches {
    pub(crate) segments: Arc<SegmentCache>,
    pub(crate) pages: Arc<UnitCache>,
    /// Bytes that are put together for one commit of sealed data.
    pub(crate) sealing_batch: usize,
}

impl Caches {
    /// Caches that together hold about `bytes_max`.
    pub(crate) fn new(bytes_max: usize, sealing_batch: usize) -> Self {
        Self {
            sealing_batch,
            segments: Arc::new(SegmentCache::new(bytes_max / 2)),
            pages: Arc::new(Cache::new(bytes_max / 2)),
        }
    }
}

/// The memtables of one generation, by family.
pub(crate) type Memtables = HashMap<FamilyId, Arc<RwLock<Memtable>>>;

/// What readers see.
#[derive(Debug)]
pub(crate) struct State {
    /// The newest commit that is visible; `None` before the first.
    pub(crate) head: Option<Head>,
    pub(crate) manifest: Arc<Manifest>,
    /// What the manifest calls lost: asked for more often than there is any.
    sealed_lost: Vec<LostRange>,
    pub(crate) tail: Tail,
    pub(crate) active: Memtables,
    /// Memtables that are being written as runs.
    pub(crate) frozen: Option<Memtables>,
    /// The newest known head of every other database.
    witnesses: BTreeMap<String, Witness>,
    /// Hashes of the blocks that are not sealed, and of the last one that is.
    links: BTreeMap<u64, Hash>,
}

impl State {
    fn empty(database: &str, layout: &Layout) -> Self {
        Self {
            head: None,
            manifest: Arc::new(Manifest::empty(database)),
            sealed_lost: Vec::new(),
            tail: Tail::default(),
            active: fresh_memtables(layout),
            frozen: None,
            witnesses: BTreeMap::new(),
            links: BTreeMap::new(),
        }
    }

    /// The hash of a block, as far back as it is known.
    pub(crate) fn link(&self, number: u64) -> Option<Hash> {
        self.links.get(&number).copied()
    }

    /// The newest sequence number of `subject` and the greatest time up to it.
    pub(crate) fn end_of(&self, subject: u64) -> (u64, Timestamp) {
        match self.tail.topic(subject) {
            Some(topic) => (topic.last, topic.time_max),
            None => sealed_end(&self.manifest, subject),
        }
    }

    fn index_put(&self, (family, key, value): IndexEntry) {
        if let Some(memtable) = self.active.get(&family) {
            memtable.write().unwrap_or_else(PoisonError::into_inner).put(key, value);
        }
    }

    /// Takes in one section with its records.
    fn fold_section(
        &mut self,
        section: crate::log::Section,
        commit: u64,
        mark: CommitMark,
        records: &[Record],
    ) -> Result<()> {
        let (subject, first) = (section.subject, section.first);
        let manifest = Arc::clone(&self.manifest);
        let content = Content::Records(section);
        self.tail.push(content, (commit, mark), records, || sealed_end(&manifest, subject))?;
        if subject >= TOPIC_ID_MIN {
            for (sequence, record) in (first..).zip(records) {
                for entry in index_entries(subject, sequence, record) {
                    self.index_put(entry);
                }
            }
        } else if subject == SUBJECT_STATE {
            for record in records {
                self.fold_changes(&record.payload)?;
            }
        }
        Ok(())
    }

    /// Takes in a section whose records are lost. No index has anything of them.
    fn fold_lost(&mut self, lost: &LostSection, commit: u64, mark: CommitMark) -> Result<()> {
        let manifest = Arc::clone(&self.manifest);
        let before = || sealed_end(&manifest, lost.subject());
        self.tail.push(Content::Lost(lost.clone()), (commit, mark), &[], before)
    }

    /// All records that were lost before they were sealed, by number within a topic.
    pub(crate) fn lost(&self) -> impl Iterator<Item = LostRange> {
        self.sealed_lost.iter().chain(self.tail.lost()).copied()
    }

    /// Makes another manifest the live one; gives the one before.
    pub(crate) fn replace_manifest(&mut self, manifest: Manifest) -> Arc<Manifest> {
        self.sealed_lost = manifest.segments.iter().filter_map(SegmentRef::lost_range).collect();
        std::mem::replace(&mut self.manifest, Arc::new(manifest))
    }

    fn fold_changes(&self, payload: &[u8]) -> Result<()> {
        for change in decode_changes(payload)? {
            let memtable = self.active.get(&FamilyId(change.family)).ok_or_else(|| {
                corrupt("a change is for an unknown index").with("family", change.family)
            })?;
            let mut memtable = memtable.write().unwrap_or_else(PoisonError::into_inner);
            match change.value {
                Some(value) => memtable.put(change.key, value),
                None => memtable.delete(change.key),
            }
        }
        Ok(())
    }

    fn witness(&mut self, witnesses: &[Witness]) {
        for witness in witnesses {
            match self.witnesses.get(&witness.database) {
                Some(known) if known.number >= witness.number => {}
                _ => {
                    self.witnesses.insert(witness.database.clone(), witness.clone());
                }
            }
        }
    }

    /// Takes over what a new manifest changed in the head.
    pub(crate) fn adopt(&mut self, installed: &Head) {
        let head = self.head.get_or_insert_with(|| installed.clone());
        head.manifest = installed.manifest;
        head.manifest_hash = installed.manifest_hash;
        head.oldest = installed.oldest;
        head.keyring = installed.keyring;
        self.links = self.links.split_off(&installed.oldest.saturating_sub(1));
    }

    /// Those of `heads` that this database has not recorded yet. Of a store with very many shards
    /// only some, in turn, so that no block is mostly witnesses; a manifest has them all.
    pub(crate) fn unrecorded(&self, heads: &[Witness]) -> Vec<Witness> {
        let turn = self.head.as_ref().map_or(0, |head| head.number);
        let count = heads.len().max(1) as u64;
        let start = usize::try_from(turn.wrapping_mul(BLOCK_WITNESSES_MAX as u64) % count);
        let (before, after) = heads.split_at(start.unwrap_or(0).min(heads.len()));
        after
            .iter()
            .chain(before)
            .filter(|head| self.witnesses.get(&head.database) != Some(head))
            .take(BLOCK_WITNESSES_MAX)
            .cloned()
            .collect()
    }

    /// The newest heads of other databases that this one has recorded.
    pub(crate) fn witnesses(&self) -> Vec<Witness> {
        self.witnesses.values().cloned().collect()
    }
}

/// What segments end with.
fn sealed_end(manifest: &Manifest, subject: u64) -> (u64, Timestamp) {
    manifest
        .segments_of(subject)
        .last()
        .map(|segment| (segment.last, segment.time_max()))
        .or_else(|| {
            manifest.floor(subject).map(|floor| (floor.first.saturating_sub(1), floor.time_max()))
        })
        .unwrap_or((0, Timestamp::MIN))
}

/// The entries of a family that the manifest carries itself.
pub(crate) fn pinned(manifest: &Manifest, family: FamilyId) -> Memtable {
    let mut memtable = Memtable::new();
    for entry in manifest.pinned.iter().filter(|entry| entry.family == family.0) {
        memtable.put(entry.key.clone(), entry.value.clone());
    }
    memtable
}

/// About what all entries take in memory.
pub(crate) fn memtable_bytes(memtables: &Memtables) -> usize {
    let bytes = |memtable: &Arc<RwLock<Memtable>>| {
        memtable.read().unwrap_or_else(PoisonError::into_inner).bytes()
    };
    memtables.values().map(bytes).sum()
}

pub(crate) fn fresh_memtables(layout: &Layout) -> Memtables {
    layout.families().iter().map(|family| (family.id, Arc::default())).collect()
}

/// One database.
#[derive(Debug)]
pub(crate) struct Shard {
    context: LogContext,
    layout: Layout,
    caches: Caches,
    index: IndexContext,
    state: RwLock<State>,
    /// Held while the state follows another process's writer, so that no block is taken in twice.
    following: AsyncMutex<()>,
    /// Opened runs of the live manifest.
    runs: Mutex<HashMap<read::RunKey, Arc<Run>>>,
    /// Notified after every commit that became visible.
    pub(crate) changed: Notify,
    /// Why nothing of this database counts: it was found damaged when the store was opened.
    isolated: OnceLock<Error>,
}

impl Shard {
    /// A database of which nothing is known yet; it may not exist.
    pub(crate) fn new(context: LogContext, layout: Layout, caches: Caches) -> Self {
        let index = IndexContext {
            engine: Arc::clone(&context.engine),
            database: context.database.clone(),
            keys: Arc::clone(&context.keys),
            lineage: context.lineage,
            environment: Arc::clone(&context.environment),
            units: Arc::clone(&caches.pages),
            batch_bytes: caches.sealing_batch,
        };
        let state = RwLock::new(State::empty(context.database.as_str(), &layout));
        Self {
            context,
            layout,
            caches,
            index,
            state,
            following: AsyncMutex::default(),
            runs: Mutex::default(),
            changed: Notify::default(),
            isolated: OnceLock::new(),
        }
    }

    /// Takes the database out of use until the store is reopened, because of `damage` to what says
    /// which of its records count, or because its file may not be used. Nothing of it is changed on
    /// disk.
    pub(crate) fn isolate(&self, damage: &Error) {
        let error = corrupt(if damage.kind() == ErrorKind::Denied {
            "the file of a database may not be used; others are unaffected: mend what is said of \
             the file, then open the store again"
        } else {
            "a database was found damaged when the store was opened; others are unaffected: \
             see what verify says of it, then repair or salvage"
        });
        let error = self.context.locate(error).with("damage", damage);
        drop(self.isolated.set(error));
        *self.state_mut() = State::empty(self.context.database.as_str(), &self.layout);
    }

    /// # Errors
    /// `Corrupt` when the database was [taken out of use](Self::isolate).
    pub(crate) fn check(&self) -> Result<()> {
        self.isolated.get().map_or(Ok(()), |error| Err(error.duplicate()))
    }

    /// Loads the database as its writer. `None` if it does not exist.
    ///
    /// # Errors
    /// `Corrupt`, naming what is missing or not authentic.
    pub(crate) async fn load(&self) -> Result<Option<Loaded>> {
        let loaded = self.context.load(BehindHead::Nothing).await?;
        if let Some(loaded) = &loaded {
            self.reset(loaded)?;
        }
        Ok(loaded)
    }

    pub(crate) const fn context(&self) -> &LogContext {
        &self.context
    }

    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) const fn index_context(&self) -> &IndexContext {
        &self.index
    }

    /// About what everything that is not sealed takes in memory.
    pub(crate) fn unsealed_bytes(&self) -> usize {
        let state = self.state();
        let frozen = state.frozen.as_ref().map_or(0, memtable_bytes);
        state.tail.bytes() + memtable_bytes(&state.active) + frozen
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds the state anew from what was loaded.
    pub(crate) fn reset(&self, loaded: &Loaded) -> Result<()> {
        let mut state = State::empty(self.context.database.as_str(), &self.layout);
        state.witness(&loaded.manifest.witnesses);
        state.links.insert(loaded.manifest.covers, loaded.manifest.covers_hash);
        state.replace_manifest(loaded.manifest.clone());
        for block in &loaded.tail {
            self.fold_block(&mut state, block)?;
        }
        state.head = Some(loaded.head.clone());
        *self.state_mut() = state;
        self.retain_runs();
        self.changed.notify();
        Ok(())
    }

    /// Begins anew as a database that was never written to.
    pub(crate) fn clear(&self) {
        *self.state_mut() = State::empty(self.context.database.as_str(), &self.layout);
        self.retain_runs();
        self.changed.notify();
    }

    /// Takes in a block that was read.
    fn fold_block(&self, state: &mut State, block: &Block) -> Result<()> {
        for section in &block.sections {
            let mark = CommitMark { first: section.first, stamp: block.stamp, time: block.time };
            let batch = decode(section, mark)?;
            state
                .fold_section(section.clone(), block.number, mark, &batch.records)
                .map_err(|error| self.context.locate(error).with("commit", block.number))?;
        }
        for lost in &block.lost {
            let mark = CommitMark { first: lost.first(), stamp: block.stamp, time: block.time };
            state
                .fold_lost(lost, block.number, mark)
                .map_err(|error| self.context.locate(error).with("commit", block.number))?;
        }
        state.witness(&block.witnesses);
        state.links.insert(block.number, block.hash);
        Ok(())
    }

    /// Takes in a block that was just committed, with the records it was made of, in the order of
    /// its sections; then everyone may see it.
    pub(crate) fn publish(&self, block: Block, head: Head, records: &[Vec<Record>]) -> Result<()> {
        {
            let mut state = self.state_mut();
            state.links.insert(block.number, block.hash);
            for (section, records) in block.sections.into_iter().zip(records) {
                let mark =
                    CommitMark { first: section.first, stamp: block.stamp, time: block.time };
                state.fold_section(section, block.number, mark, records)?;
            }
            state.witness(&block.witnesses);
            state.head = Some(head);
        }
        self.changed.notify();
        Ok(())
    }

    /// Catches up with a writer in another process; says whether anything was new.
    ///
    /// # Errors
    /// `Corrupt` when the log went back or is damaged.
    pub(crate) async fn refresh(&self) -> Result<bool> {
        if self.check().is_err() {
            return Ok(false);
        }
        let _following = self.following.lock().await;
        for _ in 0..REFRESH_TRIES {
            let Some((head, _)) = self.context.load_head().await? else {
                return self.still_absent();
            };
            let (known, covers) = {
                let state = self.state();
                (state.head.clone(), state.manifest.number)
            };
            if known.as_ref() == Some(&head) {
                return Ok(false);
            }
            if let Some(known) = &known
                && (head.number < known.number || head.stamp < known.stamp)
                && !mutant!("follow-a-log-that-went-back")
            {
                return Err(self.context.locate(corrupt("the log went back while it was open")));
            }
            let result = match known {
                Some(known) if covers == head.manifest => self.follow(&known, &head).await,
                _ => self.reload().await,
            };
            match result {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    // The writer may have dropped what was being read, or changed its key; then
                    // the head has moved, or the keyring.
                    let newer = self.context.refresh_keys().await?;
                    let again = self.context.load_head().await?;
                    if !newer && again.is_some_and(|(now, _)| now == head) {
                        return Err(error);
                    }
                }
                other => return other.map(|()| true),
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the writer was always faster than this reader; try again",
        ))
    }

    fn still_absent(&self) -> Result<bool> {
        if self.state().head.is_some() {
            return Err(self.context.locate(corrupt("the database vanished while it was open")));
        }
        Ok(false)
    }

    async fn follow(&self, known: &Head, head: &Head) -> Result<()> {
        let blocks = self
            .context
            .load_blocks((known.number, known.hash), head, BehindHead::NewerBlocks)
            .await?;
        {
            let mut state = self.state_mut();
            for block in &blocks {
                self.fold_block(&mut state, block)?;
            }
            state.head = Some(head.clone());
        }
        self.changed.notify();
        Ok(())
    }

    async fn reload(&self) -> Result<()> {
        let loaded = self
            .context
            .load(BehindHead::NewerBlocks)
            .await?
            .ok_or_else(|| self.context.locate(corrupt("the database vanished")))?;
        self.reset(&loaded)
    }
}

/// Heads of other databases in one block.
const BLOCK_WITNESSES_MAX: usize = 16;
/// How often a reader follows a moving head before it gives up.
const REFRESH_TRIES: u32 = 16;
