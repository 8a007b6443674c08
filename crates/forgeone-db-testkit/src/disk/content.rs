//! The bytes of a file, in pages that copies share until one of them changes.

use std::io;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

/// The bytes of a file. Pages never written to are zeros and take up nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    len: usize,
    pages: Vec<Option<Arc<Page>>>,
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        self.len as u64
    }

    /// Bytes of the pages that were written to.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        (self.pages.iter().flatten().count() * PAGE_BYTES) as u64
    }

    /// Bytes of the pages that a write of `count` bytes at `offset` would be the first to.
    pub(crate) fn missing_bytes(&self, offset: u64, count: usize) -> u64 {
        let Ok(start) = position(offset) else { return 0 };
        let is_missing = |page: usize| !matches!(self.pages.get(page), Some(Some(_)));
        let missing = spans(start, count).filter(|(page, ..)| is_missing(*page)).count();
        (missing * PAGE_BYTES) as u64
    }

    /// # Errors
    /// `UnexpectedEof` if the file ends before `out` is full.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = position(offset)?;
        if start.checked_add(out.len()).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut out = out;
        for (page, inside, count) in spans(start, out.len()) {
            let (now, rest) = out.split_at_mut(count);
            match self
                .pages
                .get(page)
                .and_then(Option::as_ref)
                .and_then(|page| part(page, inside, count))
            {
                Some(bytes) => now.copy_from_slice(bytes),
                None => now.fill(0),
            }
            out = rest;
        }
        Ok(())
    }

    /// All bytes.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        // The length is the file's own.
        drop(self.read(0, &mut bytes));
        bytes
    }

    /// Writes `data` at `offset`; the file grows as far as it must.
    ///
    /// # Errors
    /// `FileTooLarge` for an offset beyond what this machine can address.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = position(offset)?;
        let end = start.checked_add(data.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.len = self.len.max(end);
        let pages = self.len.div_ceil(PAGE_BYTES);
        if pages > self.pages.len() {
            self.pages.resize(pages, None);
        }
        let mut data = data;
        for (page, inside, count) in spans(start, data.len()) {
            let (now, rest) = data.split_at(count);
            if let Some(slot) = self.pages.get_mut(page) {
                let page = slot.get_or_insert_with(|| Arc::new([0; PAGE_BYTES]));
                if let Some(bytes) = Arc::make_mut(page).get_mut(inside..inside + count) {
                    bytes.copy_from_slice(now);
                }
            }
            data = rest;
        }
        Ok(())
    }

    /// Cuts the file, or makes it longer with zeros.
    ///
    /// # Errors
    /// `FileTooLarge` for a length beyond what this machine can address.
    pub(crate) fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.len = position(len)?;
        self.pages.resize(self.len.div_ceil(PAGE_BYTES), None);
        let inside = self.len % PAGE_BYTES;
        if inside > 0
            && let Some(Some(last)) = self.pages.last_mut()
            && let Some(rest) = Arc::make_mut(last).get_mut(inside..)
        {
            rest.fill(0);
        }
        Ok(())
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.to_vec() == other.to_vec()
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn part(page: &Page, inside: usize, count: usize) -> Option<&[u8]> {
    page.get(inside..inside + count)
}

/// The pages that `count` bytes from `start` on lie in: page, place in it, bytes in it.
fn spans(start: usize, count: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let end = start + count;
    let mut at = start;
    std::iter::from_fn(move || {
        let inside = at % PAGE_BYTES;
        let count = (PAGE_BYTES - inside).min(end - at);
        let span = (at / PAGE_BYTES, inside, count);
        at += count;
        (count > 0).then_some(span)
    })
}
