//! What a store is opened with.

use crate::crypto::{KdfParams, Key};
use crate::environment::{Environment, SystemEnvironment};
use crate::redb::{Disk, SystemDisk};
use forgeone_db_engine::{Durability, Engine};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What an open store may take in memory unless its options say otherwise.
const MEMORY_DEFAULT: u64 = 512 << 20;
/// What a store sets aside at most unless its options say otherwise.
const RESERVE_DEFAULT: u64 = 64 << 20;

/// The options of the specification: enough to open or create a store in a directory. Everything
/// else is set through [`StoreOptions`].
#[derive(Clone)]
pub struct DbOptions {
    /// The directory of the store, which is created if it does not exist.
    pub path: String,
    /// The passphrase, stretched with Argon2id; `None` means that the store is not encrypted, and
    /// then every unit still carries a checksum that is verified on read.
    pub encryption_key: Option<String>,
    /// Bytes that the store may occupy on disk, in units of 2^30; 0 means no limit.
    pub max_size_gb: u64,
    /// Shards of a new store, 1 to 1,024. On reopening, a larger number grows the store, otherwise
    /// the recorded one wins.
    pub shard_count: u32,
}

impl fmt::Debug for DbOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbOptions")
            .field("path", &self.path)
            .field("encrypted", &self.encryption_key.is_some())
            .field("max_size_gb", &self.max_size_gb)
            .field("shard_count", &self.shard_count)
            .finish()
    }
}

/// What opening does about a store that is, or is not, there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OpenMode {
    /// Opens for writing; `NotFound` if there is no store.
    #[default]
    Open,
    /// Opens for writing; creates the store if there is none.
    OpenOrCreate,
    /// Creates the store; `AlreadyExists` if there is one. An interrupted creation is taken up.
    Create,
    /// Opens for reading, beside a live writer or without one; `NotFound` if there is no store.
    Read,
}

/// Where a store's databases lie.
#[derive(Debug, Clone)]
pub(crate) enum StorePlace {
    /// redb files in a directory.
    Directory(PathBuf),
    /// Any engine, with the keyring in a database of its own.
    Engine(Arc<dyn Engine>),
}

/// Long enough for a reader to recover a file of 2 GiB that a crash left.
const LOCK_WAIT_DEFAULT: Duration = Duration::from_secs(5);

/// Everything that a store can be opened with. Clones share the key.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub(crate) place: StorePlace,
    pub(crate) mode: OpenMode,
    pub(crate) key: Option<Arc<Key>>,
    pub(crate) kdf: KdfParams,
    pub(crate) max_size_bytes: Option<u64>,
    pub(crate) shard_count: Option<u32>,
    pub(crate) memory_max: u64,
    pub(crate) reserve_bytes: u64,
    pub(crate) lock_wait: Duration,
    pub(crate) durability: Durability,
    pub(crate) read_threads: usize,
    pub(crate) tail_bytes: usize,
    pub(crate) tail_records: u64,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) disk: Arc<dyn Disk>,
}

impl StoreOptions {
    /// A store of redb files in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::at(StorePlace::Directory(path.into()))
    }

    /// A store on any engine. The keyring lies in a database `keyring` of its own.
    ///
    /// An engine that cannot persist, such as the memory engine, needs
    /// [`durability`](Self::durability) set to [`Durability::None`], so that nobody takes its
    /// commits for durable by accident.
    pub fn with_engine(engine: Arc<dyn Engine>) -> Self {
        Self::at(StorePlace::Engine(engine))
    }

    fn at(place: StorePlace) -> Self {
        Self {
            place,
            mode: OpenMode::default(),
            key: None,
            kdf: KdfParams::DEFAULT,
            max_size_bytes: None,
            shard_count: None,
            memory_max: MEMORY_DEFAULT,
            reserve_bytes: RESERVE_DEFAULT,
            lock_wait: LOCK_WAIT_DEFAULT,
            durability: Durability::Sync,
            read_threads: 4,
            tail_bytes: 4 << 20,
            tail_records: 65_536,
            environment: Arc::new(SystemEnvironment::new()),
            disk: Arc::new(SystemDisk),
        }
    }

    /// The same options, its key included, for a store of redb files in another directory.
    #[must_use]
    pub fn in_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.place = StorePlace::Directory(path.into());
        self
    }

    /// What to do about a store that is, or is not, there. Default: open it for writing.
    #[must_use]
    pub fn mode(mut self, mode: OpenMode) -> Self {
        self.mode = mode;
        self
    }

    /// The key; none for a store that is not encrypted. Default: none.
    #[must_use]
    pub fn key(mut self, key: impl Into<Option<Key>>) -> Self {
        self.key = key.into().map(Arc::new);
        self
    }

    /// What a new store's passphrase is stretched with. Default: [`KdfParams::DEFAULT`].
    #[must_use]
    pub fn kdf(mut self, kdf: KdfParams) -> Self {
        self.kdf = kdf;
        self
    }

    /// Bytes that the store may occupy on disk; 0 means no limit. A new store records it; given on
    /// reopening, it holds for that handle alone, while
    /// [`set_max_size_bytes`](crate::Database::set_max_size_bytes) changes what is recorded. Default:
    /// what is recorded, and none for a new store.
    #[must_use]
    pub fn max_size_bytes(mut self, bytes: u64) -> Self {
        self.max_size_bytes = Some(bytes);
        self
    }

    /// Shards of a new store, 1 to 1,024; on reopening, a larger number grows the store. Default: 4.
    #[must_use]
    pub fn shard_count(mut self, count: u32) -> Self {
        self.shard_count = Some(count);
        self
    }

    /// The number of shards, unless one was given; a number beyond all limits is none.
    pub(crate) fn shard_count_or(mut self, count: u32) -> Self {
        if count < 1024 {
            self.shard_count.get_or_insert(count.max(1));
        }
        self
    }

    /// Bytes of memory that the open store takes at most, beside the program around it. Writers wait
    /// rather than exceed it. Default: 512 MiB. Opening with less than 48 MiB is `Invalid`.
    ///
    /// 36 MiB are for threads and what the allocator keeps for them. Of 32 parts of the rest, the engine's pages get 2, opened units and index pages 2, requests that wait or
    /// are being committed 5, records and index entries that are not sealed yet 12, sealing 2,
    /// searches 4; 5 are left to manifests and what the allocator cannot use.
    ///
    /// # Limits
    /// Not in it: what is handed to the caller; one request, record or state value that exceeds its
    /// share by itself, which is held whole, one such request at a time; what a handle finds unsealed
    /// when it is opened, left by one that was allowed more, until it is sealed; pages of at most
    /// 1 MiB for each subscription.
    #[must_use]
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.memory_max = bytes;
        self
    }

    /// Bytes that a store in a directory sets aside for a full disk, at most; 0 for none. Default:
    /// 64 MiB.
    ///
    /// They lie in a file `reserve` beside the data, which is given back when a commit meets the end of
    /// the disk, and when the store is opened, compacted, or a topic shredded on a disk that is nearly
    /// full. It is made again when there is room. It counts in the store's quota.
    ///
    /// # Limits
    /// Never more than the databases take up themselves, a fiftieth of the disk (on a small one 1 MiB,
    /// or an eighth of it, if that is less), and a fiftieth of the quota; less than 64 KiB is not set
    /// aside. Has no effect on a store on an engine of its own, nor on a handle that only reads.
    #[must_use]
    pub fn reserve_bytes(mut self, bytes: u64) -> Self {
        self.reserve_bytes = bytes;
        self
    }

    /// How long an opening for writing waits for the store's lock before `InUse`. Default: 5
    /// seconds, because a reader that recovers what a crash left holds the lock meanwhile, too. Zero
    /// is one try. Readers wait for a recovery, by whichever process, up to 30 seconds.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// What a write must survive. Default: [`Durability::Sync`], process kill and power loss. With
    /// an engine that cannot give what is asked, opening is `Unsupported`.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Threads that make reads for async callers, at most. Default: 4.
    #[must_use]
    pub fn read_threads(mut self, threads: usize) -> Self {
        self.read_threads = threads.max(1);
        self
    }

    /// When a shard's newest records are sealed into segments: at so many compressed bytes or so
    /// many records, whichever comes first. Bounds the memory of the tail, and the time of opening.
    /// Default: 4 MiB and 65,536.
    #[must_use]
    pub fn seal_at(mut self, tail_bytes: usize, tail_records: u64) -> Self {
        self.tail_bytes = tail_bytes.max(1);
        self.tail_records = tail_records.max(1);
        self
    }

    /// The world outside: clock, randomness, threads. Default: the real one.
    #[must_use]
    pub fn environment(mut self, environment: Arc<dyn Environment>) -> Self {
        self.environment = environment;
        self
    }

    /// Where the files of a store in a directory lie: for tests that inject faults, and for embedders
    /// with files of their own. Every promise on durability is as good as the disk's. Has no effect
    /// on a store on an engine of its own. Default: the operating system's file system.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }
}

impl From<DbOptions> for StoreOptions {
    fn from(options: DbOptions) -> Self {
        Self::new(options.path)
            .mode(OpenMode::OpenOrCreate)
            .key(options.encryption_key.map(Key::passphrase))
            .max_size_bytes(options.max_size_gb.saturating_mul(1 << 30))
            .shard_count(options.shard_count)
    }
}
