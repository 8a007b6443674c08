//! Appending blocks and installing manifests, one at a time, each with the head that names it.

use super::block::{Block, BlockContext, BlockDraft, ChainPosition, Hash, NO_HASH};
use super::head::Head;
use super::manifest::Manifest;
use super::topic_table::TopicTable;
use crate::codec::corrupt;
use crate::crypto::{KeyStore, Lineage};
use crate::environment::Environment;
use bytes::Bytes;
use forgeone_db_engine::{
    Batch, BoxFuture, ClosedReason, DatabaseName, Direction, Durability, Engine, Entry, Error,
    ErrorKind, KeyRange, Outcome, Projection, Read, Result, TableName, mutant,
};
use futures::lock::Mutex;
use std::fmt::{self, Debug};
use std::sync::Arc;

const HEAD_KEY: &[u8] = &[0]; // on-disk
/// Bytes of blocks that one read asks for while the tail is loaded.
const TAIL_PAGE_BYTES: u64 = 4 << 20;
/// How often a head that moves on is read again because its key is not known.
const HEAD_TRIES: u32 = 64;

/// What is behind an error about data that a newer keyring than the present one has seen.
#[derive(Debug)]
struct OlderKeyring;

impl fmt::Display for OlderKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keyring is older than the data; restore both")
    }
}

impl std::error::Error for OlderKeyring {}

/// The error for data that a newer keyring than the present one has seen.
pub(crate) fn older_keyring() -> Error {
    corrupt("it was written under a newer keyring").with_source(OlderKeyring)
}

/// Whether `error` is [`older_keyring`].
pub(crate) fn is_older_keyring(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<OlderKeyring>)
}

/// The tables that every database has.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) commits: TableName,
    pub(crate) head: TableName,
    pub(crate) checkpoints: TableName,
}

impl Tables {
    pub(crate) fn new() -> Self {
        let name = |name| TableName::new(name).expect("the name is legal");
        Self { commits: name("commits"), head: name("head"), checkpoints: name("checkpoints") }
    }
}

/// What the log of one database stands on.
#[derive(Debug, Clone)]
pub(crate) struct LogContext {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) database: DatabaseName,
    pub(crate) durability: Durability,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) lineage: Lineage,
    /// Looks for a keyring that is newer than ours; for handles that only read, since keys may be
    /// changed beside them.
    pub(crate) watch: Option<Arc<dyn KeyringWatch>>,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) topics: Arc<TopicTable>,
    pub(crate) tables: Tables,
}

/// Looks at the keyring as it is now.
pub(crate) trait KeyringWatch: Debug + Send + Sync {
    /// Takes the keyring that counts now into the key store; says whether it is newer.
    ///
    /// # Errors
    /// `WrongKey` when the key that the store was opened with no longer opens it; `Corrupt` when
    /// neither copy is sound; as the place where it lies.
    fn refresh(&self) -> BoxFuture<'_, Result<bool>>;
}

/// What may stand behind the head that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BehindHead {
    /// Nothing: this is the only writer, or about to be.
    Nothing,
    /// Blocks of a writer that went on meanwhile.
    NewerBlocks,
}

/// What opening found.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) head: Head,
    pub(crate) manifest: Manifest,
    /// The blocks that the manifest does not cover, in order.
    pub(crate) tail: Vec<Block>,
    stored_head: Bytes,
}

/// The log of one database, open for writing.
#[derive(Debug)]
pub(crate) struct CommitLog {
    context: LogContext,
    state: Mutex<LogState>,
}

#[derive(Debug)]
struct LogState {
    head: Head,
    /// The head as stored, which the next commit demands to find; empty before the first.
    stored: Bytes,
}

impl LogContext {
    pub(super) fn block_context(&self) -> BlockContext<'_> {
        BlockContext {
            database: self.database.as_str(),
            keys: &self.keys,
            lineage: self.lineage,
            environment: &*self.environment,
        }
    }

    pub(super) async fn get(&self, table: &TableName, key: &[u8]) -> Result<Option<Bytes>> {
        let request = Read::get(table, Bytes::copy_from_slice(key));
        let values = self.engine.read(&self.database, request).await?.into_values()?;
        values.into_iter().next().ok_or_else(|| corrupt("the engine answered no get"))
    }

    /// Adds where it happened to an error.
    pub(crate) fn locate(&self, error: Error) -> Error {
        if error.get("database").is_some() { error } else { error.with("database", &self.database) }
    }

    /// The present head, or `None` if the database was never written to.
    ///
    /// # Errors
    /// `Corrupt` when the head is not authentic, or missing while blocks are there.
    pub(crate) async fn load_head(&self) -> Result<Option<(Head, Bytes)>> {
        let Some(mut stored) = self.stored_head().await? else { return Ok(None) };
        let mut tries = HEAD_TRIES;
        let head = loop {
            match self.open_head(&stored) {
                Ok(head) => break head,
                Err(error) => {
                    tries -= 1;
                    // Either it is sealed under a key that is newer than our keyring, or it was
                    // replaced before a key was given up.
                    let newer = self.refresh_keys().await?;
                    let now = self.get(&self.tables.head, HEAD_KEY).await?.unwrap_or_default();
                    if tries == 0 || (!newer && now == stored) {
                        return Err(self.locate(error));
                    }
                    stored = now;
                }
            }
        };
        if head.keyring > self.keys.number() {
            self.refresh_keys().await?;
        }
        if head.keyring > self.keys.number() && !mutant!("accept-an-older-keyring") {
            return Err(self.locate(older_keyring()));
        }
        Ok(Some((head, stored)))
    }

    /// The head as stored. One read is one moment: a writer may make the database between two.
    async fn stored_head(&self) -> Result<Option<Bytes>> {
        if let Some(stored) = self.get(&self.tables.head, HEAD_KEY).await? {
            return Ok(Some(stored));
        }
        let mut found = false;
        for table in [&self.tables.commits, &self.tables.checkpoints] {
            found |= !self.scan(table, 0, Projection::Keys, 1).await?.0.is_empty();
        }
        if !found || mutant!("take-a-missing-head-for-an-empty-log") {
            return Ok(None);
        }
        let stored = self.get(&self.tables.head, HEAD_KEY).await?;
        stored
            .map(Some)
            .ok_or_else(|| self.locate(corrupt("the head is missing while its log is there")))
    }

    fn open_head(&self, stored: &[u8]) -> Result<Head> {
        let opened = Head::open(&self.keys, self.lineage, self.database.as_str(), stored);
        if opened.is_err() && self.keys.is_behind(stored) {
            return Err(older_keyring());
        }
        opened
    }

    /// Looks for a newer keyring; says whether there was one.
    ///
    /// # Errors
    /// As [`KeyringWatch::refresh`].
    pub(crate) async fn refresh_keys(&self) -> Result<bool> {
        match &self.watch {
            Some(watch) => watch.refresh().await,
            None => Ok(false),
        }
    }

    /// Reads head, manifest and tail, and checks that they are one chain that ends where the head
    /// says. `None` if the database was never written to.
    ///
    /// # Errors
    /// `Corrupt`, naming the database and the block, when a link is missing, old or not authentic.
    pub(crate) async fn load(&self, behind: BehindHead) -> Result<Option<Loaded>> {
        let Some((head, stored_head)) = self.load_head().await? else { return Ok(None) };
        let manifest = self.load_manifest(&head).await.map_err(|error| self.locate(error))?;
        self.topics.adopt(&manifest.topics);
        let tail = self
            .load_blocks((manifest.covers, manifest.covers_hash), &head, behind)
            .await
            .map_err(|error| self.locate(error))?;
        Ok(Some(Loaded { head, manifest, tail, stored_head }))
    }

    /// The manifest that `head` names.
    pub(crate) async fn load_manifest(&self, head: &Head) -> Result<Manifest> {
        if head.manifest == 0 {
            return Ok(Manifest::empty(self.database.as_str()));
        }
        let key = head.manifest.to_be_bytes();
        let stored = self.get(&self.tables.checkpoints, &key).await?.ok_or_else(|| {
            corrupt("the live manifest is missing").with("manifest", head.manifest)
        })?;
        if blake3::hash(&stored) != head.manifest_hash {
            return Err(corrupt("the live manifest is not the one that the head names")
                .with("manifest", head.manifest));
        }
        let place = (self.database.as_str(), head.manifest);
        Manifest::open(&self.keys, self.lineage, place, &stored)
    }

    /// Reads the blocks after a known one, by number and hash, up to the head.
    ///
    /// # Errors
    /// `Corrupt` for a missing, foreign or unlinked block.
    pub(crate) async fn load_blocks(
        &self,
        (after, mut previous): (u64, Hash),
        head: &Head,
        behind: BehindHead,
    ) -> Result<Vec<Block>> {
        let to_the_end = behind == BehindHead::Nothing;
        let mut blocks = Vec::new();
        let mut next = after + 1;
        let mut more = true;
        while more && (to_the_end || next <= head.number) {
            let (entries, rest) =
                self.scan(&self.tables.commits, next, Projection::Entries, 256).await?;
            more = rest;
            for entry in entries {
                if next > head.number && !to_the_end {
                    break;
                }
                if *entry.key != next.to_be_bytes() || next > head.number {
                    return Err(corrupt("a block is missing, or one stands behind the head")
                        .with("commit", next));
                }
                let opened = self.open_block(next, &entry.value).await;
                let block = opened.map_err(|error| error.with("commit", next))?;
                let unlinked = block.previous != previous && !mutant!("skip-the-chain-of-blocks");
                if unlinked || block.term > head.term {
                    return Err(
                        corrupt("a block does not follow the one before it").with("commit", next)
                    );
                }
                previous = block.hash;
                next += 1;
                blocks.push(block);
            }
        }
        if mutant!("accept-a-log-without-its-newest-blocks") {
            return Ok(blocks);
        }
        if next != head.number + 1 || previous != head.hash {
            return Err(corrupt("the newest blocks are missing").with("commit", next));
        }
        Ok(blocks)
    }

    /// Opens a block of the tail, perhaps with lost sections. Those are read once more, because what
    /// was garbled on its way from the medium is as it should be then.
    async fn open_block(&self, number: u64, stored: &Bytes) -> Result<Block> {
        let open = |stored: &Bytes| {
            let (block, damaged) = self.block_context().open_parts(number, stored, &self.topics)?;
            damaged.into_iter().next().map_or(Ok(block), Err)
        };
        let block = open(stored)?;
        if block.lost.is_empty() {
            return Ok(block);
        }
        let again = self.get(&self.tables.commits, &number.to_be_bytes()).await?;
        let again = open(&again.ok_or_else(|| corrupt("a block is missing"))?);
        Ok(again.ok().filter(|again| again.lost.len() < block.lost.len()).unwrap_or(block))
    }

    /// The first key among the blocks from `from` on that is not a block's up to `last`.
    ///
    /// # Errors
    /// As the engine's.
    pub(crate) async fn foreign_block(&self, mut from: u64, last: u64) -> Result<Option<Bytes>> {
        loop {
            let (entries, more) =
                self.scan(&self.tables.commits, from, Projection::Keys, u32::MAX).await?;
            for entry in &entries {
                let number = <[u8; 8]>::try_from(&*entry.key).map(u64::from_be_bytes);
                match number {
                    Ok(number) if number <= last => from = number + 1,
                    _ => return Ok(Some(entry.key.clone())),
                }
            }
            if !more {
                return Ok(None);
            }
        }
    }

    pub(super) async fn scan(
        &self,
        table: &TableName,
        from: u64,
        projection: Projection,
        entries_max: u32,
    ) -> Result<(Vec<Entry>, bool)> {
        let request = Read::Scan {
            table: table.clone(),
            range: KeyRange::from(from.to_be_bytes().to_vec()),
            direction: Direction::Forward,
            projection,
            entries_max: entries_max.min(self.engine.capability().page_entries_max),
            bytes_max: TAIL_PAGE_BYTES,
        };
        let page = self.engine.read(&self.database, request).await?.into_page()?;
        Ok((page.entries, page.more))
    }
}

impl CommitLog {
    /// The log of a database that was loaded.
    pub(crate) fn resume(context: LogContext, loaded: &Loaded) -> Self {
        let state = LogState { head: loaded.head.clone(), stored: loaded.stored_head.clone() };
        Self { context, state: Mutex::new(state) }
    }

    /// The log of a database that was never written to.
    pub(crate) fn create(context: LogContext, term: u64) -> Self {
        let head = Head {
            database: context.database.to_string(),
            number: 0,
            hash: NO_HASH,
            stamp: 0,
            term,
            manifest: 0,
            manifest_hash: NO_HASH,
            oldest: 1,
            keyring: context.keys.number(),
        };
        Self { context, state: Mutex::new(LogState { head, stored: Bytes::new() }) }
    }

    /// Takes over what was read from disk after a commit of unknown outcome, if that is all that was
    /// known to be durable and at most one commit or manifest more.
    ///
    /// # Errors
    /// `Corrupt` when something that was durable is missing or another.
    pub(crate) async fn take_up(&self, loaded: Option<&Loaded>) -> Result<()> {
        let mut state = self.state.lock().await;
        let Some(loaded) = loaded else {
            // Its first commit may not have come to be.
            if state.stored.is_empty() {
                return Ok(());
            }
            return Err(self.context.locate(corrupt("the database is gone")));
        };
        let (known, found) = (&state.head, &loaded.head);
        let is_known = |number: u64, hash: &Hash| (number, hash) == (known.number, &known.hash);
        let has_known = is_known(loaded.manifest.covers, &loaded.manifest.covers_hash)
            || loaded.tail.iter().any(|block| is_known(block.number, &block.hash));
        let one_more = |known: u64, found: u64| found == known || found == known + 1;
        if !has_known
            || !one_more(known.number, found.number)
            || !one_more(known.manifest, found.manifest)
            || found.term != known.term
        {
            return Err(self.context.locate(corrupt(
                "the database is not as it was acknowledged before the disk was full",
            )));
        }
        state.head = found.clone();
        state.stored = loaded.stored_head.clone();
        Ok(())
    }

    /// The head of the last successful commit.
    pub(crate) async fn head(&self) -> Head {
        self.state.lock().await.head.clone()
    }

    /// Raises the writer's term, so that the next commit fences any other writer.
    pub(crate) async fn raise_term(&self, term: u64) {
        let mut state = self.state.lock().await;
        state.head.term = state.head.term.max(term);
    }

    /// Commits a block; returns it as a reader would see it.
    ///
    /// # Durability
    /// The block and the head that names it are durable on return, at the context's level.
    ///
    /// # Errors
    /// `Closed(Fenced)` when another writer has moved the head; what the engine returns otherwise.
    /// After an error the log's own state is unchanged.
    pub(crate) async fn append(&self, draft: BlockDraft) -> Result<Block> {
        let mut state = self.state.lock().await;
        let at = ChainPosition {
            number: state.head.number + 1,
            previous: state.head.hash,
            term: state.head.term,
            keyring: self.context.keys.number(),
        };
        let (stored, block) = self.context.block_context().seal(at, draft)?;
        let head = Head {
            number: block.number,
            hash: block.hash,
            stamp: block.stamp,
            keyring: at.keyring,
            ..state.head.clone()
        };
        let mut batch = Batch::new(self.context.database.clone());
        batch.put(&self.context.tables.commits, block.number.to_be_bytes().to_vec(), stored);
        self.commit_head(&mut state, head, batch).await?;
        Ok(block)
    }

    /// Makes `manifest` the live one; returns the head that names it. Its pieces must have been written before, at any durability.
    ///
    /// # Durability
    /// The manifest, and every piece written before it, are durable on return.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(crate) async fn install(&self, manifest: &Manifest) -> Result<Head> {
        let context = &self.context;
        let keyring = context.keys.number();
        let stored = manifest.seal(&context.keys, context.lineage, &*context.environment)?;
        let mut state = self.state.lock().await;
        let head = Head {
            manifest: manifest.number,
            manifest_hash: blake3::hash(&stored).into(),
            oldest: manifest.covers + 1,
            keyring,
            ..state.head.clone()
        };
        let mut batch = Batch::new(context.database.clone());
        batch.put(&context.tables.checkpoints, manifest.number.to_be_bytes().to_vec(), stored);
        self.commit_head(&mut state, head, batch).await?;
        Ok(state.head.clone())
    }

    async fn commit_head(&self, state: &mut LogState, head: Head, mut batch: Batch) -> Result<()> {
        let context = &self.context;
        let stored: Bytes =
            head.seal(&context.keys, context.lineage, &*context.environment)?.into();
        if mutant!("skip-the-precondition-on-the-head") {
            // Two writers would overwrite each other.
        } else if state.stored.is_empty() {
            batch.require_absent(&context.tables.head, HEAD_KEY);
        } else {
            batch.require_equals(&context.tables.head, HEAD_KEY, state.stored.clone());
        }
        batch.put(&context.tables.head, HEAD_KEY, stored.clone());
        let weaker = if mutant!("commit-below-the-promised-durability") {
            Durability::None
        } else {
            context.durability
        };
        match context.engine.commit(batch, weaker).await {
            Err(_) if mutant!("ignore-a-failed-commit") => {
                state.head = head;
                state.stored = stored;
                Ok(())
            }
            Ok(()) => {
                state.head = head;
                state.stored = stored;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Err(Error::new(
                ErrorKind::Closed(ClosedReason::Fenced),
                "another writer has taken over; reopen the store",
            )
            .with("database", &context.database)
            .with_outcome(Outcome::Rejected)
            .with_source(error)),
            Err(error) => Err(context.locate(error)),
        }
    }

    /// Removes the blocks and manifests that nothing needs, usually in one commit. Blocks from
    /// `oldest` on and the live manifest stay.
    pub(crate) async fn drop_covered(&self, head: &Head) -> Result<()> {
        let context = &self.context;
        let limit = context.engine.capability().range_delete_entries_max;
        loop {
            let mut batch = Batch::new(context.database.clone());
            let mut again = false;
            for (table, end) in [
                (&context.tables.commits, head.oldest),
                (&context.tables.checkpoints, head.manifest),
            ] {
                let (entries, more) = context.scan(table, 0, Projection::Keys, limit).await?;
                let end_key = end.to_be_bytes();
                let old = entries.iter().take_while(|entry| *entry.key < end_key[..]).count();
                let last_old = old.checked_sub(1).and_then(|index| entries.get(index));
                if let Some(last_old) = last_old {
                    batch.delete_range(table, KeyRange::new(Bytes::new(), after(&last_old.key)));
                    again |= more && old == entries.len();
                }
            }
            if !batch.operations().is_empty() {
                context.engine.commit(batch, Durability::None).await?;
            }
            if !again {
                return Ok(());
            }
        }
    }
}

/// The key right behind `key`.
fn after(key: &[u8]) -> Vec<u8> {
    let mut next = key.to_vec();
    next.push(0);
    next
}
