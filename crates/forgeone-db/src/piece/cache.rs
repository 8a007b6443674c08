//! A cache of opened units and members: least recently used first out, bounded in bytes.

use forgeone_db_engine::{DatabaseName, TableName};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Opened and decompressed units.
pub(crate) type UnitCache = Cache<Arc<Vec<u8>>>;

/// What a piece's entry costs beyond its value: two maps' slots and the list's.
const ENTRY_BYTES: usize = 160;
const NONE: usize = usize::MAX;

/// The place of a piece.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey {
    pub(crate) database: DatabaseName,
    pub(crate) table: TableName,
    pub(crate) piece: u64,
}

/// Values by piece and offset in it, at most so many bytes. Every operation takes constant time,
/// [`forget_piece`](Self::forget_piece) time for each value of the piece.
#[derive(Debug)]
pub(crate) struct Cache<V>(Mutex<Lru<V>>);

impl<V: Clone> Cache<V> {
    /// An empty cache that holds up to `bytes_max`; 0 holds nothing.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Mutex::new(Lru {
            bytes_max,
            bytes: 0,
            pieces: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
        }))
    }

    /// The value at `offset` of a piece, which becomes the newest.
    pub(crate) fn get(&self, piece: &CacheKey, offset: u64) -> Option<V> {
        let mut lru = self.lock();
        let slot = *lru.pieces.get(piece)?.get(&offset)?;
        lru.unlink(slot);
        lru.link_newest(slot);
        lru.entry(slot).map(|entry| entry.value.clone())
    }

    /// Keeps `value`, of `value_bytes` bytes, in place of what was there. Drops the oldest values
    /// until it fits; one that never fits is not kept.
    pub(crate) fn insert(&self, piece: &CacheKey, offset: u64, value: V, value_bytes: usize) {
        let bytes = value_bytes.saturating_add(ENTRY_BYTES);
        let mut lru = self.lock();
        let present = lru.pieces.get(piece).and_then(|units| units.get(&offset)).copied();
        if let Some(slot) = present {
            lru.remove(slot);
        }
        if bytes > lru.bytes_max {
            return;
        }
        while lru.bytes > lru.bytes_max - bytes && lru.oldest != NONE {
            let oldest = lru.oldest;
            lru.remove(oldest);
        }
        let entry = Entry { piece: piece.clone(), offset, value, bytes, newer: NONE, older: NONE };
        lru.add(entry);
    }

    /// Drops every value of a piece, once the piece is deleted.
    pub(crate) fn forget_piece(&self, piece: &CacheKey) {
        let mut lru = self.lock();
        let slots: Vec<usize> = lru
            .pieces
            .get(piece)
            .map(|units| units.values().copied().collect())
            .unwrap_or_default();
        for slot in slots {
            lru.remove(slot);
        }
    }

    /// Bytes held now.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Values held now.
    #[cfg(test)]
    pub(crate) fn entries(&self) -> usize {
        let lru = self.lock();
        lru.slots.len() - lru.free.len()
    }

    fn lock(&self) -> MutexGuard<'_, Lru<V>> {
        // A panic inside would be a broken invariant of the list; the cache holds only copies.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Entry<V> {
    piece: CacheKey,
    offset: u64,
    value: V,
    bytes: usize,
    newer: usize,
    older: usize,
}

#[derive(Debug)]
struct Lru<V> {
    bytes_max: usize,
    bytes: usize,
    pieces: HashMap<CacheKey, HashMap<u64, usize>>,
    slots: Vec<Option<Entry<V>>>,
    free: Vec<usize>,
    newest: usize,
    oldest: usize,
}

impl<V> Lru<V> {
    fn entry(&mut self, slot: usize) -> Option<&mut Entry<V>> {
        self.slots.get_mut(slot).and_then(Option::as_mut)
    }

    fn add(&mut self, entry: Entry<V>) {
        let (piece, offset, bytes) = (entry.piece.clone(), entry.offset, entry.bytes);
        let slot = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(slot) {
            Some(place) => *place = Some(entry),
            None => self.slots.push(Some(entry)),
        }
        self.pieces.entry(piece).or_default().insert(offset, slot);
        self.bytes += bytes;
        self.link_newest(slot);
    }

    fn remove(&mut self, slot: usize) {
        self.unlink(slot);
        let Some(entry) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        self.free.push(slot);
        self.bytes -= entry.bytes;
        if let Some(units) = self.pieces.get_mut(&entry.piece) {
            units.remove(&entry.offset);
            if units.is_empty() {
                self.pieces.remove(&entry.piece);
            }
        }
    }

    fn link_newest(&mut self, slot: usize) {
        let before = self.newest;
        if let Some(entry) = self.entry(slot) {
            entry.newer = NONE;
            entry.older = before;
        }
        match self.entry(before) {
            Some(entry) => entry.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    fn unlink(&mut self, slot: usize) {
        let Some(entry) = self.entry(slot) else { return };
        let (newer, older) = (entry.newer, entry.older);
        match self.entry(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entry(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }
}
