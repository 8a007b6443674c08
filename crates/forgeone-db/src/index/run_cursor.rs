//! Walking the entries of a run in either direction, with a few pages in memory.

use super::Run;
use super::page::Page;
use forgeone_db_engine::{Direction, Error, ErrorKind, KeyRange, Result};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The most pages that are read with one engine call: about a part.
pub(super) const PAGES_AHEAD_MAX: usize = 4;

/// Whether pages that a scan reads stay in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CachePolicy {
    /// They do.
    Fill,
    /// Neither read from the cache nor kept in it: for scans of everything.
    Bypass,
}

type Decoded = (Vec<u8>, Option<Range<usize>>);

/// A position in a run. Starts before the first entry.
pub(crate) struct RunCursor {
    run: Arc<Run>,
    range: KeyRange,
    direction: Direction,
    policy: CachePolicy,
    /// Pages not yet read.
    todo: Range<usize>,
    /// Pages read and not yet walked, next one first.
    ready: VecDeque<Page>,
    /// How many pages the next engine call reads.
    ahead: usize,
    page: Option<Page>,
    /// Forward: where the next entry of the page starts.
    at: usize,
    /// Reverse: blocks of the page not yet decoded.
    blocks_left: usize,
    /// Reverse: decoded entries, next one last.
    block: Vec<Decoded>,
    /// The entry stood at.
    key: Vec<u8>,
    value: Option<Range<usize>>,
    state: State,
    entries: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Stands before an entry, or at one.
    Open,
    /// Stands at no entry any more.
    Done,
    /// An error or a dropped future has left it between entries.
    Broken,
}

impl RunCursor {
    pub(super) fn new(
        run: Arc<Run>,
        range: KeyRange,
        direction: Direction,
        policy: CachePolicy,
    ) -> Self {
        Self {
            todo: run.pages_of(&range),
            run,
            range,
            direction,
            policy,
            ready: VecDeque::new(),
            ahead: 1,
            page: None,
            at: 0,
            blocks_left: 0,
            block: Vec::new(),
            key: Vec::new(),
            value: None,
            state: State::Open,
            entries: 0,
        }
    }

    /// Moves to the next entry; says whether there is one.
    ///
    /// # Errors
    /// `Corrupt`, naming database, table and piece; as the engine's. After an error, or when the
    /// future was dropped, every further call is an error: never a shorter answer.
    pub(crate) async fn next(&mut self) -> Result<bool> {
        match self.state {
            State::Open => {}
            State::Done => return Ok(false),
            State::Broken => {
                return Err(Error::new(ErrorKind::Internal, "a scan went on after it had failed"));
            }
        }
        self.state = State::Broken;
        let found = loop {
            if self.page.is_none() && !self.turn_page().await? {
                break false;
            }
            let stepped = match self.direction {
                Direction::Forward => self.step_forward(),
                Direction::Reverse => self.step_reverse(),
            };
            match stepped.map_err(|error| self.run.locate(error))? {
                Step::Entry => break true,
                Step::PageEnd => self.page = None,
                Step::RangeEnd => break false,
            }
        };
        self.entries += u64::from(found);
        self.state = if found { State::Open } else { State::Done };
        Ok(found)
    }

    /// The key of the entry stood at.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Its value; `None` is a tombstone.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        Some(self.page.as_ref()?.value(self.value.as_ref()?))
    }

    /// Entries visited so far.
    pub(crate) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Goes to the next page, reading it if need be; says whether there is one.
    async fn turn_page(&mut self) -> Result<bool> {
        if self.ready.is_empty() {
            if self.todo.is_empty() {
                return Ok(false);
            }
            let now = self.run.side_by_side(&self.todo, self.direction, self.ahead);
            let pages = self.run.pages(now.clone(), self.policy).await?;
            match self.direction {
                Direction::Forward => {
                    self.todo.start = now.end;
                    self.ready.extend(pages);
                }
                Direction::Reverse => {
                    self.todo.end = now.start;
                    self.ready.extend(pages.into_iter().rev());
                }
            }
            self.ahead = (self.ahead * 2).min(PAGES_AHEAD_MAX);
        }
        let Some(page) = self.ready.pop_front() else { return Ok(false) };
        self.enter(&page).map_err(|error| self.run.locate(error))?;
        self.page = Some(page);
        Ok(true)
    }

    /// Stands before the first entry of a page that the range may contain.
    fn enter(&mut self, page: &Page) -> Result<()> {
        match self.direction {
            Direction::Forward => {
                let start = &*self.range.start;
                let block = page.blocks_before(|first| first <= start)?.saturating_sub(1);
                self.at = page.block_start(block)?;
                self.key.clear();
            }
            Direction::Reverse => {
                self.blocks_left = match &self.range.end {
                    None => page.blocks(),
                    Some(end) => page.blocks_before(|first| first < &**end)?,
                };
                self.block.clear();
            }
        }
        Ok(())
    }

    fn step_forward(&mut self) -> Result<Step> {
        let Some(page) = &self.page else { return Ok(Step::PageEnd) };
        while self.at < page.entries_end() {
            let place = page.entry(self.at, &mut self.key)?;
            self.at = place.next;
            if *self.key < *self.range.start {
                continue;
            }
            if self.range.end.as_ref().is_some_and(|end| *self.key >= **end) {
                return Ok(Step::RangeEnd);
            }
            self.value = place.value;
            return Ok(Step::Entry);
        }
        Ok(Step::PageEnd)
    }

    fn step_reverse(&mut self) -> Result<Step> {
        let Some(page) = &self.page else { return Ok(Step::PageEnd) };
        loop {
            if let Some((key, value)) = self.block.pop() {
                if *key < *self.range.start {
                    return Ok(Step::RangeEnd);
                }
                self.key = key;
                self.value = value;
                return Ok(Step::Entry);
            }
            let Some(block) = self.blocks_left.checked_sub(1) else { return Ok(Step::PageEnd) };
            self.blocks_left = block;
            let (mut at, end) = (page.block_start(block)?, page.block_start(block + 1)?);
            let mut key = Vec::new();
            while at < end {
                let place = page.entry(at, &mut key)?;
                at = place.next;
                if self.range.end.as_ref().is_some_and(|end| *key >= **end) {
                    break;
                }
                self.block.push((key.clone(), place.value));
            }
        }
    }
}

enum Step {
    Entry,
    PageEnd,
    RangeEnd,
}

impl fmt::Debug for RunCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunCursor").field("run", &self.run).finish_non_exhaustive()
    }
}
