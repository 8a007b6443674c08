//! The disk that a store is opened on.

use super::fault::{Class, Failure, Fault, Faults};
use super::image::{FileId, Image};
use super::medium::{Change, Medium, Operation};
use forgeone_db::StoreOptions;
use forgeone_db::redb::{Disk, DiskAccess, DiskFile, DiskLock, LockKind, LockRange};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Where the store lies on every simulated disk.
pub(crate) const STORE: &str = "/store";
/// What fits on a disk that was not told otherwise: it never fills up by itself.
const CAPACITY_BYTES: u64 = 1 << 40;
/// What a store sets aside: little, so that every image of a power loss has it.
const RESERVE_BYTES: u64 = 64 << 10;

/// A disk in memory. Copies of the handle are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A range lock of a file ended.
    unlocked: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// As the running process sees it.
    seen: Image,
    medium: Medium,
    /// What was done, if it is kept.
    log: Option<Vec<Operation>>,
    /// How many operations were logged, or would have been.
    operations: usize,
    faults: Faults,
    /// What fits on it, where that was said.
    capacity: Option<u64>,
    /// What fits on it all the same, as under a quota that free space says nothing of.
    unseen: Option<u64>,
    /// Writes for which there was no room.
    hits_of_capacity: u64,
    next_file: FileId,
    next_handle: u64,
    range_locks: Vec<RangeLock>,
    store_locks: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct RangeLock {
    file: FileId,
    handle: u64,
    range: LockRange,
    kind: LockKind,
}

impl SimDisk {
    /// An empty disk.
    pub(crate) fn new() -> Self {
        Self::holding(Image::default())
    }

    /// A disk with all of this durable on it.
    pub(crate) fn holding(image: Image) -> Self {
        let state = State {
            next_file: image.next_id(),
            seen: image.clone(),
            medium: Medium::holding(image),
            ..State::default()
        };
        Self(Arc::new(Shared { state: Mutex::new(state), unlocked: Condvar::new() }))
    }

    /// The disk, keeping a log of what is done to it from now on.
    pub(crate) fn logging(self) -> Self {
        self.lock().log.get_or_insert_default();
        self
    }

    /// As a store's directory takes it.
    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// The options of a store on the disk.
    pub(crate) fn options(&self) -> StoreOptions {
        StoreOptions::new(STORE).disk(self.shared()).reserve_bytes(RESERVE_BYTES)
    }

    /// What whoever reads finds on the disk now.
    pub(crate) fn image(&self) -> Image {
        self.lock().seen.clone()
    }

    /// What a power loss now would certainly leave, and nothing beyond that.
    pub(crate) fn durable(&self) -> Image {
        self.lock().medium.durable().clone()
    }

    /// How many operations that change something, or make it durable, have succeeded.
    pub(crate) fn operations(&self) -> usize {
        self.lock().operations
    }

    /// What was done since the log was begun. Takes the log with it; another one is begun.
    pub(crate) fn take_log(&self) -> Vec<Operation> {
        self.lock().log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Has an operation fail.
    pub(crate) fn plan(&self, fault: Fault) {
        self.lock().faults.plan(fault);
    }

    /// From now on no more than this fits on the disk. What is there stays, though it be more.
    pub(crate) fn resize(&self, capacity: u64) {
        let mut state = self.lock();
        (state.capacity, state.unseen) = (Some(capacity), None);
    }

    /// From now on no more than this fits on the disk, and it does not say so.
    pub(crate) fn resize_unseen(&self, capacity: u64) {
        self.lock().unseen = Some(capacity);
    }

    /// What is there now, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.lock().seen.allocated_bytes()
    }

    /// Writes that failed because the disk was full.
    pub(crate) fn full_writes(&self) -> u64 {
        self.lock().hits_of_capacity
    }

    /// Nothing fails from now on.
    pub(crate) fn repair(&self) {
        self.lock().faults.clear();
    }

    /// Operations of a class that were tried.
    pub(crate) fn tried(&self, class: Class) -> u64 {
        self.lock().faults.count(class)
    }

    /// Operations that failed because they were to.
    pub(crate) fn hits(&self) -> u64 {
        self.lock().faults.hits()
    }

    /// What is held in memory is forgotten: what failed syncs lost comes to light, and what is on its
    /// way is kept.
    pub(crate) fn drop_all_caches(&self) {
        let mut state = self.lock();
        let mut kept = state.medium.durable().clone();
        for (_, change) in state.medium.pending() {
            // It was applied before, when it was done.
            drop(kept.apply(change));
        }
        state.seen = kept;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, state: &mut State, file: FileId, access: DiskAccess) -> Box<dyn DiskFile> {
        state.next_handle += 1;
        Box::new(SimFile { disk: self.clone(), file, handle: state.next_handle, access })
    }
}

impl State {
    fn record(&mut self, operation: Operation) -> io::Result<()> {
        if let Operation::Change(change) = &operation {
            self.seen.apply(change)?;
        }
        self.medium.apply(self.operations, &operation)?;
        self.operations += 1;
        if let Some(log) = &mut self.log {
            log.push(operation);
        }
        Ok(())
    }

    fn available_bytes(&self) -> u64 {
        let capacity = self.capacity.unwrap_or(CAPACITY_BYTES);
        capacity.saturating_sub(self.seen.allocated_bytes())
    }

    /// Whether there is room for a change; a disk without a limit has always some.
    fn fits(&self, change: &Change) -> bool {
        let Change::Write { file, offset, data } = change else { return true };
        let capacity = self.capacity.into_iter().chain(self.unseen).min();
        let Some(capacity) = capacity else { return true };
        let content = self.seen.shared(*file);
        let missing = content.map_or(0, |content| content.missing_bytes(*offset, data.len()));
        missing == 0 || self.seen.allocated_bytes() + missing <= capacity
    }

    /// Does something, unless it is to fail.
    fn change(&mut self, change: Change) -> io::Result<()> {
        if !self.fits(&change) {
            self.hits_of_capacity += 1;
            return Err(Failure::Error(Failure::ENOSPC).to_error());
        }
        match self.faults.meet(&[Class::Change]) {
            None => self.record(Operation::Change(change)),
            Some(failure) => {
                if let (Failure::Short(_), Change::Write { file, offset, data }) =
                    (failure, &change)
                    && let Some(half) = data.get(..data.len() / 2)
                {
                    let (file, offset) = (*file, *offset);
                    self.record(Operation::Change(Change::Write {
                        file,
                        offset,
                        data: half.into(),
                    }))?;
                }
                Err(failure.to_error())
            }
        }
    }

    fn sync(&mut self, file: FileId) -> io::Result<()> {
        match self.faults.meet(&[Class::Change, Class::Sync]) {
            None => self.record(Operation::Sync(file)),
            Some(failure) => {
                if failure == Failure::Lose {
                    self.record(Operation::Lose(file))?;
                }
                Err(failure.to_error())
            }
        }
    }

    fn find(&self, path: &Path) -> io::Result<FileId> {
        self.seen.id(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for SimDisk {
    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        let state = self.lock();
        if state.seen.is_directory(path) {
            return Ok(true);
        }
        state.find(path).map(|_| false)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.seen.is_directory(path) {
            return Ok(());
        }
        if let Some(failure) = state.faults.meet(&[Class::Change]) {
            return Err(failure.to_error());
        }
        state.seen.make_directory(path);
        state.record(Operation::MakeDirectory(path.to_owned()))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        match state.faults.meet(&[Class::Change]) {
            None => state.record(Operation::SyncDirectory(path.to_owned())),
            Some(failure) => Err(failure.to_error()),
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.lock();
        if !state.seen.is_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state.seen.paths(path).filter_map(Path::file_name).map(ToOwned::to_owned).collect())
    }

    fn allocated_bytes(&self, path: &Path) -> io::Result<Option<u64>> {
        let state = self.lock();
        let content = state.seen.id(path).and_then(|id| state.seen.shared(id));
        Ok(content.map(|content| content.allocated_bytes()))
    }

    fn available_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.lock().available_bytes())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        if state.seen.id(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !path.parent().is_some_and(|parent| state.seen.is_directory(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = state.next_file;
        state.change(Change::Create { path: path.to_owned(), file })?;
        state.next_file += 1;
        Ok(self.file(&mut state, file, DiskAccess::Write))
    }

    fn open(&self, path: &Path, access: DiskAccess) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        let file = state.find(path)?;
        Ok(self.file(&mut state, file, access))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.find(path)?;
        state.change(Change::Remove { path: path.to_owned(), file })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.find(from)?;
        state.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), file })
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        if self.lock().seen.id(path).is_none() {
            drop(self.create(path)?);
        }
        if !self.lock().store_locks.insert(path.to_owned()) {
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock { disk: self.clone(), path: path.to_owned() })))
    }

    fn set_aside(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = match self.open(path, DiskAccess::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(path)?,
            opened => opened?,
        };
        let zeros = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        file.write(0, &zeros)
    }

    fn drop_caches(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.find(path)?;
        // What is on its way is kept; what a failed sync lost comes to light.
        let mut kept = state.medium.durable().clone();
        for (_, change) in state.medium.pending() {
            kept.apply(change)?;
        }
        state.seen.take_content(file, &kept);
        Ok(())
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock().store_locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: FileId,
    handle: u64,
    access: DiskAccess,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            DiskAccess::Write => Ok(()),
            DiskAccess::Read => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn conflicts(&self, state: &State, range: LockRange, kind: LockKind) -> bool {
        state.range_locks.iter().any(|lock| {
            lock.file == self.file
                && lock.handle != self.handle
                && (lock.kind == LockKind::Exclusive || kind == LockKind::Exclusive)
                && overlap(lock.range, range)
        })
    }

    fn take(&self, state: &mut State, range: LockRange, kind: LockKind) {
        let lock = RangeLock { file: self.file, handle: self.handle, range, kind };
        state.range_locks.push(lock);
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().seen.shared(self.file).map_or(0, |content| content.len()))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        if let Some(failure) = state.faults.meet(&[Class::Read]) {
            return Err(failure.to_error());
        }
        match state.seen.shared(self.file) {
            Some(content) => content.read(offset, out),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        let change = Change::Write { file: self.file, offset, data: data.into() };
        self.disk.lock().change(change)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk.lock().change(Change::SetLen { file: self.file, len })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.lock().sync(self.file)
    }

    fn try_lock(&self, range: LockRange, kind: LockKind) -> io::Result<bool> {
        let mut state = self.disk.lock();
        let free = !self.conflicts(&state, range, kind);
        if free {
            self.take(&mut state, range, kind);
        }
        Ok(free)
    }

    fn lock(&self, range: LockRange, kind: LockKind) -> io::Result<()> {
        let mut state = self.disk.lock();
        while self.conflicts(&state, range, kind) {
            state = self.disk.0.unlocked.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.take(&mut state, range, kind);
        Ok(())
    }

    fn unlock(&self, range: LockRange) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.range_locks.retain(|lock| lock.handle != self.handle || lock.range != range);
        self.disk.0.unlocked.notify_all();
        Ok(())
    }

    fn is_locked(&self, range: LockRange) -> io::Result<bool> {
        Ok(self.conflicts(&self.disk.lock(), range, LockKind::Exclusive))
    }

    fn close(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.range_locks.retain(|lock| lock.handle != self.handle);
        self.disk.0.unlocked.notify_all();
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        // Closing twice does nothing.
        drop(self.close());
    }
}

fn overlap(one: LockRange, other: LockRange) -> bool {
    let first = |range: LockRange| match range.0 {
        Bound::Included(start) => start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let last = |range: LockRange| match range.1 {
        Bound::Included(end) => end,
        Bound::Excluded(end) => end.saturating_sub(1),
        Bound::Unbounded => u64::MAX,
    };
    first(one) <= last(other) && first(other) <= last(one)
}
