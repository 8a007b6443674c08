//! A check of redb's own pages, which redb makes only when it is asked to: a damaged one makes no
//! answer wrong, but may make a later write harmful.
//!
//! Absent on purpose: mending. The file is only read; what redb writes while it checks goes into
//! memory.

use super::disk::DiskFile;
use super::failure::{self, guard};
use super::files::Files;
use forgeone_db_engine::{DatabaseName, Error, ErrorKind, Result};
use redb::{BackendError, Builder, ConcurrencyMode, StorageBackend};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What redb may write while it checks: the header and its lists of free pages.
const OVERLAY_BYTES_MAX: usize = 16 << 20;
/// Bytes that are kept together.
const BLOCK_BYTES: usize = 4096;
/// What redb may keep of the file.
const CACHE_BYTES: usize = 2 << 20;
/// The header of a redb file, which every commit changes.
const HEADER_BYTES: usize = 320;
/// How often a check is made while the file is written to.
const TRIES: u32 = 3;

/// Checks the file of a database; `None` if there is none, or if it was written to each time.
///
/// Pages that a commit has written stay as they are until the next commit changes the header. So
/// whatever is found counts only if the header is the same before and after.
///
/// # Errors
/// `Corrupt` when a page is damaged; as opening the file.
pub(super) fn check(files: &Files, database: &DatabaseName) -> Result<Option<()>> {
    for _ in 0..TRIES {
        let Some(before) = read_header(files, database)? else { return Ok(None) };
        let checked = check_once(files, database);
        if read_header(files, database)?.as_ref() == Some(&before) {
            return checked;
        }
    }
    Ok(None)
}

fn read_header(files: &Files, database: &DatabaseName) -> Result<Option<[u8; HEADER_BYTES]>> {
    let Some(file) = files.open_to_check(database)? else { return Ok(None) };
    let mut header = [0; HEADER_BYTES];
    match file.read(0, &mut header) {
        Ok(()) => Ok(Some(header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some([0; HEADER_BYTES])),
        Err(error) => Err(failure::from_io(error, "a database file cannot be read")),
    }
}

fn check_once(files: &Files, database: &DatabaseName) -> Result<Option<()>> {
    let Some(file) = files.open_to_check(database)? else { return Ok(None) };
    let len =
        file.len().map_err(|error| failure::from_io(error, "a database file cannot be read"))?;
    let overlay = Overlay { file, state: Mutex::new(State { len, blocks: BTreeMap::new() }) };
    let opened = guard(|| {
        Builder::new()
            .set_concurrency_mode(ConcurrencyMode::SingleWriter)
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(overlay)
            .map(drop)
    });
    let damaged = |text: &str| {
        let what = "the engine's own pages are damaged: a write may lose more";
        Error::new(ErrorKind::Corrupt, what).with("engine", text)
    };
    match opened {
        Ok(Ok(())) => Ok(Some(())),
        Ok(Err(error)) => {
            let text = error.to_string();
            let error = failure::from_redb_read(error.into());
            Err(if error.kind() == ErrorKind::Corrupt { damaged(&text) } else { error })
        }
        Err(_) => Err(damaged("it gave up while it checked them")),
    }
}

/// A file that is read, with what was written since in memory.
#[derive(Debug)]
struct Overlay {
    file: Box<dyn DiskFile>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    /// By number, what was written to.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `out` from the file, with zeros behind its end.
    fn read_file(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.file.len()?.saturating_sub(offset);
        let there = usize::try_from(there).unwrap_or(usize::MAX).min(out.len());
        let (from_file, behind) = out.split_at_mut(there);
        behind.fill(0);
        if from_file.is_empty() { Ok(()) } else { self.file.read(offset, from_file) }
    }
}

/// The blocks that bytes from `offset` on lie in: the number of each, where in it they begin, and how
/// many they are.
fn blocks(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let block_bytes = BLOCK_BYTES as u64;
    let (mut at, mut left) = (offset, len);
    std::iter::from_fn(move || {
        let within = usize::try_from(at % block_bytes).unwrap_or(0);
        let count = left.min(BLOCK_BYTES - within);
        let block = at / block_bytes;
        (at, left) = (at + count as u64, left - count);
        (count > 0).then_some((block, within, count))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > state.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(offset, out)?;
        let mut rest = out;
        for (block, within, count) in blocks(offset, rest.len()) {
            let (part, behind) = rest.split_at_mut(count);
            let written = state.blocks.get(&block);
            if let Some(bytes) = written.and_then(|bytes| bytes.get(within..within + count)) {
                part.copy_from_slice(bytes);
            }
            rest = behind;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.blocks.retain(|block, _| block * BLOCK_BYTES as u64 <= len);
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let mut rest = data;
        for (block, within, count) in blocks(offset, data.len()) {
            if !state.blocks.contains_key(&block) {
                if state.blocks.len() >= OVERLAY_BYTES_MAX / BLOCK_BYTES {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                let mut bytes = vec![0; BLOCK_BYTES];
                self.read_file(block * BLOCK_BYTES as u64, &mut bytes)?;
                state.blocks.insert(block, bytes);
            }
            let (part, behind) = rest.split_at(count);
            let place = state.blocks.get_mut(&block);
            if let Some(place) = place.and_then(|bytes| bytes.get_mut(within..within + count)) {
                place.copy_from_slice(part);
            }
            rest = behind;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    // Nothing is locked: what a writer does meanwhile shows in the header.

    fn try_lock_range(
        &self,
        _: Bound<u64>,
        _: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(
        &self,
        _: Bound<u64>,
        _: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> std::result::Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(
        &self,
        _: Bound<u64>,
        _: Bound<u64>,
    ) -> std::result::Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> std::result::Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(
        &self,
        _: Bound<u64>,
        _: Bound<u64>,
    ) -> std::result::Result<bool, BackendError> {
        Ok(false)
    }
}
