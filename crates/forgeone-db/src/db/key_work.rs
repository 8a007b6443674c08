//! Changes of the keys of an open store. Each is noted before it begins, goes on in steps that may
//! be taken twice, and is taken up again by the next opening if it was cut short.

use super::check::{open_closed, seal_closed};
use super::create::put_both;
use super::open::shards_of;
use super::sidecar::{CLOSED_NAME, Sidecar};
use crate::codec::corrupt;
use crate::crypto::{CursorKey, KdfParams, Key, KeyId, KeyStore, Keyring, PieceKey};
use crate::environment::{Environment, Task};
use crate::log::TopicIntro;
use crate::pool::run_blocking;
use crate::stream::{
    Directory, IfAbsent, Remaining, Shared, Shredding, TopicKind, Writer, amend,
    drop_shredded_entries, give_up, rewrite_older, seal,
};
use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Outcome, Result};
use futures::lock::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a rotation replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyRotation {
    /// The wrapping key, under which the keys of topics are kept. No record is rewritten.
    Wrapping,
    /// The keys of all topics and of the system. Everything sealed under the old ones is rewritten,
    /// while appends and reads go on.
    Data,
}

/// How far a change of keys has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyProgress {
    /// The database that is being rewritten.
    pub database: String,
    /// Segments of it that are still sealed under an old key.
    pub segments_left: u64,
    /// Index runs of it that are.
    pub runs_left: u64,
    /// Stored bytes of both.
    pub bytes_left: u64,
    /// Damaged segments and index runs of it that cannot be sealed anew: they stay as they are, under
    /// the keys that they have.
    pub quarantined: u64,
}

/// A change of keys that is under way, or was cut short and waits to be finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PendingKeyChange {
    /// The wrapping key is being replaced.
    Wrapping,
    /// The keys of topics and of the system are being replaced.
    Data,
    /// A topic is being shredded.
    Shredding {
        /// Its name.
        topic: String,
    },
}

impl PendingKeyChange {
    /// What a store says of itself.
    ///
    /// # Errors
    /// `Corrupt` when a note is damaged.
    pub(super) async fn find(directory: &Directory, keys: &KeyStore) -> Result<Option<Self>> {
        if let Some(shredding) = directory.shredding().await? {
            return Ok(Some(Self::Shredding { topic: shredding.name }));
        }
        if directory.rekey_boundary().await?.is_some() {
            return Ok(Some(Self::Data));
        }
        Ok(keys.keyring().previous_generation().map(|_| Self::Wrapping))
    }
}

impl fmt::Display for PendingKeyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrapping => f.write_str("a change of the wrapping key"),
            Self::Data => f.write_str("a change of the data keys"),
            Self::Shredding { topic } => write!(f, "the shredding of topic {topic}"),
        }
    }
}

/// What became of a topic that was shredded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shredded {
    /// The number of the last record that is gone; 0 if the topic had none.
    pub last_seq: u64,
}

/// The error of a change that was noted: whatever went wrong, the next opening goes on with it, so
/// nobody can say that it will never be.
fn begun(error: Error) -> Error {
    error.with_outcome(Outcome::Unknown)
}

/// Is told from time to time how far a change of keys has come.
pub(super) type OnKeyProgress<'a> = &'a mut (dyn FnMut(&KeyProgress) + Send);

/// Everything that a change of keys touches.
#[derive(Debug)]
pub(super) struct KeyWork {
    keys: Arc<KeyStore>,
    sidecar: Sidecar,
    directory: Arc<Directory>,
    system: Arc<Writer>,
    /// The databases of records, by kind and index.
    shards: Vec<(TopicKind, u32, Arc<Writer>)>,
    shared: Arc<Shared>,
    /// Held by whoever changes keys.
    busy: Mutex<()>,
    /// Set when nobody knows which keyring is on disk.
    failed: AtomicBool,
}

impl KeyWork {
    /// None for a handle that only reads. `writers` are the system's, then those of the shards of
    /// each kind, with `shard_count` of each.
    pub(super) fn new(
        (keys, sidecar): (&Arc<KeyStore>, &Sidecar),
        directory: &Arc<Directory>,
        (writers, shard_count): (&[Arc<Writer>], u32),
        shared: &Arc<Shared>,
    ) -> Option<Arc<Self>> {
        let (system, shards) = writers.split_first()?;
        let shards = shards_of(shard_count).zip(shards);
        Some(Arc::new(Self {
            keys: Arc::clone(keys),
            sidecar: sidecar.clone(),
            directory: Arc::clone(directory),
            system: Arc::clone(system),
            shards: shards
                .map(|((kind, index), writer)| (kind, index, Arc::clone(writer)))
                .collect(),
            shared: Arc::clone(shared),
            busy: Mutex::new(()),
            failed: AtomicBool::new(false),
        }))
    }

    fn environment(&self) -> &dyn Environment {
        &*self.shared.environment
    }

    /// Finishes in the background what was cut short. What it fails with is not lost: it stays
    /// pending, and whoever changes keys next meets it.
    pub(super) fn spawn_finish(self: &Arc<Self>, environment: &dyn Environment) -> Result<Task> {
        let work = Arc::clone(self);
        let task = move || drop(run_blocking(work.finish(&mut |_| {})));
        environment.spawn("keys", Box::new(task))
    }

    pub(super) async fn finish(&self, progress: OnKeyProgress<'_>) -> Result<()> {
        let _busy = self.busy.lock().await;
        self.finish_pending(progress).await
    }

    pub(super) async fn rotate(
        &self,
        what: KeyRotation,
        progress: OnKeyProgress<'_>,
    ) -> Result<()> {
        self.require_encryption(ErrorKind::Invalid)?;
        let _busy = self.busy.lock().await;
        self.finish_pending(progress).await?;
        match what {
            KeyRotation::Wrapping => self.new_generation().await,
            KeyRotation::Data => {
                let keyring = self.keys.keyring();
                let store = keyring.lineage().store_id;
                let tokens = CursorKey::derive(keyring.system_key(), &store)?;
                let boundary = self.directory.begin_rekey(tokens.bytes()).await?;
                self.finish_data(boundary, progress).await.map_err(begun)
            }
        }
    }

    pub(super) async fn shred(&self, kind: TopicKind, name: &str) -> Result<Shredded> {
        self.require_encryption(ErrorKind::Unsupported)?;
        let _busy = self.busy.lock().await;
        // It gives room back in the end, and needs some before.
        self.shared.open_up_room().await?;
        // Not a replacement of data keys: damage that keeps it from ending must not keep this one.
        self.finish_destroying().await?;
        let at = self.environment().now().in_calendar();
        let topic = self.directory.get(kind, name).await?;
        let begun_at = self.directory.begin_shredding(kind, name, at).await;
        if let (Err(error), Some(topic)) = (&begun_at, topic)
            && error.outcome() == Outcome::Unknown
        {
            // If the note is there after all, the next opening goes by it.
            self.writer_of(kind.code(), topic.shard)?.condemn(topic.id);
        }
        self.finish_shredding(&begun_at?).await.map_err(begun)
    }

    pub(super) async fn replace_slot(
        &self,
        slot: u8,
        key: (&Key, KdfParams),
        label: Option<&str>,
    ) -> Result<()> {
        let _busy = self.busy.lock().await;
        let next = self.keys.keyring().replace_slot(slot, key, label, self.environment())?;
        self.put(next).await
    }

    fn require_encryption(&self, kind: ErrorKind) -> Result<()> {
        if self.keys.keyring().is_encrypted() {
            return Ok(());
        }
        Err(Error::new(
            kind,
            "this store is not encrypted: it has no keys to replace or destroy, and what is removed stays readable in free space",
        ))
    }

    /// Finishes what was cut short, but for a replacement of data keys.
    async fn finish_destroying(&self) -> Result<()> {
        self.shared.check_open()?;
        self.check_shards()?;
        if let Some(shredding) = self.directory.shredding().await? {
            self.finish_shredding(&shredding).await?;
        }
        if self.keys.keyring().previous_generation().is_some() {
            self.finish_generation().await?;
        }
        Ok(())
    }

    async fn finish_pending(&self, progress: OnKeyProgress<'_>) -> Result<()> {
        self.shared.check_open()?;
        self.check_shards()?;
        if let Some(shredding) = self.directory.shredding().await? {
            self.finish_shredding(&shredding).await?;
        }
        if let Some(boundary) = self.directory.rekey_boundary().await? {
            self.finish_data(boundary, progress).await?;
        }
        if self.keys.keyring().previous_generation().is_some() {
            self.finish_generation().await?;
        }
        Ok(())
    }

    /// Replaces the wrapping key; what only the old ones had wrapped cannot be opened afterwards.
    async fn new_generation(&self) -> Result<()> {
        if self.keys.keyring().previous_generation().is_some() {
            self.finish_generation().await?;
        }
        self.put(self.keys.keyring().rotate(self.environment())?).await?;
        self.finish_generation().await.map_err(begun)
    }

    async fn finish_generation(&self) -> Result<()> {
        self.directory.rewrap().await?;
        for (_, _, writer) in &self.shards {
            self.shared.check_open()?;
            let rewrap = |intro: &mut TopicIntro| {
                if !self.keys.is_present(intro.wrapped())? {
                    let opened = self.keys.unwrap_keys(intro.wrapped())?;
                    let wrapped = self.keys.wrap(&opened)?;
                    intro.wrapped_keys = wrapped.into_iter().map(Into::into).collect();
                }
                Ok(())
            };
            amend(writer, &self.shared, IfAbsent::Skip, |manifest| {
                manifest.topics.iter_mut().try_for_each(rewrap)
            })
            .await?;
        }
        self.put(self.keys.keyring().forget_previous(self.environment())?).await
    }

    /// Replaces every key whose number is below `boundary`.
    async fn finish_data(&self, boundary: u64, progress: OnKeyProgress<'_>) -> Result<()> {
        self.directory.add_keys(boundary).await?;
        if self.keys.system_key().id().0 < boundary {
            let id = self.directory.take_key_id().await?;
            self.put(self.keys.keyring().rotate_system(id, self.environment())?).await?;
        }
        self.tell_shards().await?;
        for writer in self.writers() {
            seal(writer, &self.shared).await?;
            while !self.rewrite(writer, boundary, progress).await?.is_nothing() {
                self.shared.check_open()?;
            }
        }
        self.renew_closed(boundary).await?;
        let kept = self.quarantined_keys();
        self.directory.trim_keys(boundary, &kept).await?;
        self.tell_shards().await?;
        if self.keys.keyring().has_former_system(&kept) {
            let next = self.keys.keyring().forget_former_system(&kept, self.environment())?;
            self.put(next).await?;
        }
        self.directory.end_rekey().await
    }

    /// The keys of what is damaged and was set aside: without them nobody could ever look at it.
    fn quarantined_keys(&self) -> HashSet<KeyId> {
        let manifests = self.writers().map(|writer| Arc::clone(&writer.shard().state().manifest));
        manifests.flat_map(|manifest| manifest.quarantined_keys().collect::<Vec<_>>()).collect()
    }

    fn writers(&self) -> impl Iterator<Item = &Arc<Writer>> {
        std::iter::once(&self.system).chain(self.shards.iter().map(|(_, _, writer)| writer))
    }

    async fn rewrite(
        &self,
        writer: &Writer,
        boundary: u64,
        progress: OnKeyProgress<'_>,
    ) -> Result<Remaining> {
        let remaining = rewrite_older(writer, &self.shared, boundary).await?;
        progress(&KeyProgress {
            database: writer.shard().context().database.to_string(),
            segments_left: remaining.segments,
            runs_left: remaining.runs,
            bytes_left: remaining.bytes,
            quarantined: remaining.quarantined,
        });
        Ok(remaining)
    }

    /// Installs manifests with the keys that the directory has now, sealed under the present system
    /// key. Every commit from then on uses those.
    async fn tell_shards(&self) -> Result<()> {
        for (kind, index, writer) in &self.shards {
            self.shared.check_open()?;
            let intros = self.directory.intros_of(*kind, *index).await?;
            let if_absent = if intros.is_empty() { IfAbsent::Skip } else { IfAbsent::Create };
            amend(writer, &self.shared, if_absent, |manifest| {
                manifest.topics.retain(|known| !intros.iter().any(|intro| intro.id == known.id));
                manifest.topics.extend(intros);
                Ok(())
            })
            .await?;
        }
        amend(&self.system, &self.shared, IfAbsent::Skip, |_| Ok(())).await
    }

    /// Seals what the last clean close has left under the present system key.
    async fn renew_closed(&self, boundary: u64) -> Result<()> {
        let Some(stored) = self.sidecar.read(CLOSED_NAME).await? else { return Ok(()) };
        if PieceKey::named_key(&stored).is_none_or(|key| key.0 >= boundary) {
            return Ok(());
        }
        let heads = open_closed(&stored, &self.keys)?;
        let sealed = seal_closed(heads, &self.keys, self.environment())?;
        self.sidecar.replace(CLOSED_NAME, &sealed).await
    }

    /// The part of finishing that comes before the first append: a topic that was being shredded
    /// gives up its records now, so that none that is appended later goes with them.
    pub(super) async fn prepare(&self) -> Result<()> {
        self.check_shards()?;
        match self.directory.shredding().await? {
            Some(shredding) => self.give_up(&shredding).await.map(drop),
            None => Ok(()),
        }
    }

    /// Drops the records, unless that was done; gives the topic's database.
    async fn give_up(&self, shredding: &Shredding) -> Result<&Arc<Writer>> {
        let writer = self.writer_of(shredding.kind, shredding.shard)?;
        let topics = &writer.shard().context().topics;
        let is_done = topics
            .keys_of(shredding.topic)
            .is_ok_and(|keys| keys.iter().all(|key| key.id().0 >= shredding.key));
        if !is_done {
            // Appends go on beside it; what comes after it has failed would be gone one day.
            let given_up = match self.directory.shredded_intro(shredding).await {
                Ok(intro) => give_up(writer, &self.shared, (intro, shredding.at())).await,
                Err(error) => Err(error),
            };
            given_up.inspect_err(|_| writer.condemn(shredding.topic))?;
        }
        writer.pardon(shredding.topic);
        Ok(writer)
    }

    fn writer_of(&self, kind: u8, shard: u32) -> Result<&Arc<Writer>> {
        let place =
            self.shards.iter().find(|(other, index, _)| other.code() == kind && *index == shard);
        let (_, _, writer) = place.ok_or_else(|| corrupt("a topic to shred has no shard"))?;
        Ok(writer)
    }

    async fn finish_shredding(&self, shredding: &Shredding) -> Result<Shredded> {
        let writer = self.give_up(shredding).await?;
        self.directory.forget_shredded(shredding).await?;
        self.new_generation().await?;
        drop_shredded_entries(writer, &self.shared).await?;
        self.directory.end_shredding().await?;
        let manifest = Arc::clone(&writer.shard().state().manifest);
        let floor = manifest.floor(shredding.topic);
        Ok(Shredded { last_seq: floor.map_or(0, |floor| floor.first.saturating_sub(1)) })
    }

    /// Keys are changed everywhere or nowhere.
    fn check_shards(&self) -> Result<()> {
        self.shards.iter().try_for_each(|(_, _, writer)| writer.shard().check())
    }

    /// Makes `next` the keyring that counts.
    async fn put(&self, next: Keyring) -> Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Error::new(
                ErrorKind::Closed(ClosedReason::Poisoned),
                "an earlier write of the keyring failed; reopen the store to change keys",
            ));
        }
        if let Err(error) = put_both(&self.sidecar, &next).await {
            if error.outcome() == Outcome::Unknown {
                // Another keyring of the same number must never be written.
                self.failed.store(true, Ordering::Release);
            }
            return Err(error);
        }
        self.keys.adopt(next);
        Ok(())
    }
}
