//! A file of a disk that redb may open in any way, and that nothing is written to.

use super::disk::DiskFile;
use super::header::{self, Header};
use redb::{BackendError, StorageBackend};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What redb may write: a header and its lists of free pages.
const OVERLAY_BYTES_MAX: usize = 16 << 20;
/// Bytes that are kept together.
const BLOCK_BYTES: usize = 4096;

/// A file that is read, with what was written since in memory.
#[derive(Debug)]
pub(super) struct Overlay {
    file: Box<dyn DiskFile>,
    /// The header that must still be there after each read; none if anything may.
    header: Option<Header>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    len: u64,
    /// By number, what was written to.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    pub(super) fn new(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let len = file.len()?;
        let state = Mutex::new(State { len, blocks: BTreeMap::new() });
        Ok(Self { file, header: None, state })
    }

    /// One that is read only as long as nobody writes to the file: what was written to is in memory, and
    /// would hide that. Every writer changes the header before it uses any page again.
    pub(super) fn watching(file: Box<dyn DiskFile>) -> io::Result<Self> {
        let header = header::read_any(&*file)?;
        Ok(Self { header: Some(header), ..Self::new(file)? })
    }

    fn check_unchanged(&self) -> io::Result<()> {
        let Some(header) = &self.header else { return Ok(()) };
        if header::read_any(&*self.file)? == *header {
            return Ok(());
        }
        Err(io::Error::other("somebody has written to the file since it was opened; read again"))
    }

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
        self.check_unchanged()?;
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

    // Nothing is locked: what a writer does meanwhile shows in the header, or there is none.

    fn try_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn try_lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(true)
    }

    fn lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn lock_shared_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn unlock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }

    fn query_lock_range(&self, _: Bound<u64>, _: Bound<u64>) -> Result<bool, BackendError> {
        Ok(false)
    }
}
