//! Key slots: which keys open a store.

use super::create::{check_not_lost, heal, is_absent, open_keyring, put_both, require_ready};
use super::sidecar::Sidecar;
use crate::crypto::{KdfParams, Key, Keyring, SlotKind};
use crate::environment::{Environment, SystemEnvironment};
use crate::pool::run_blocking;
use crate::redb::{StoreDirectory, StoreLock, SystemTimer};
use chrono::{DateTime, Utc};
use forgeone_db_engine::{ClosedReason, Error, ErrorKind, Result};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A key slot in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySlot {
    /// Its number, 0 to 7.
    pub slot: u8,
    /// `passphrase` or `raw`.
    pub kind: &'static str,
    /// What whoever added it called it.
    pub label: String,
    /// When it was added.
    pub created_at: Option<DateTime<Utc>>,
    /// Whether it is the one that the given key opened.
    pub opened: bool,
}

/// The key slots of a store in a directory. Holds the store's lock while it may change them.
#[derive(Debug)]
pub struct StoreKeys {
    sidecar: Sidecar,
    keyring: Keyring,
    environment: Arc<dyn Environment>,
    lock: Option<StoreLock>,
    /// Whether nobody knows which keyring is on disk.
    failed: bool,
}

impl StoreKeys {
    /// Looks at the slots; changes nothing and needs no lock. Blocks.
    ///
    /// # Errors
    /// `NotFound`, `WrongKey`, `UpgradeRequired`; `Corrupt`, also where both copies of the keyring are
    /// gone while data is there; `Invalid` for a key where the store is
    /// not encrypted.
    pub fn read(path: impl AsRef<Path>, key: Option<&Key>) -> Result<Self> {
        Self::read_in(StoreDirectory::open(path)?, key)
    }

    /// As [`read`](Self::read), in a directory on any disk.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_in(directory: StoreDirectory, key: Option<&Key>) -> Result<Self> {
        let sidecar = Sidecar::Directory(directory);
        let copies = run_blocking(sidecar.keyrings())?;
        if is_absent(&copies) {
            run_blocking(check_not_lost(&sidecar))?;
        }
        let keyring = open_keyring(&copies, key)?;
        require_ready(&keyring)?;
        let environment = Arc::new(SystemEnvironment::new());
        Ok(Self { sidecar, keyring, environment, lock: None, failed: false })
    }

    /// Opens the slots for changing them, as the store's only writer. Blocks for up to `wait`.
    ///
    /// # Errors
    /// As [`read`](Self::read); `InUse` while another process writes.
    pub fn edit(path: impl AsRef<Path>, key: Option<&Key>, wait: Duration) -> Result<Self> {
        Self::edit_in(&StoreDirectory::open(path)?, key, wait)
    }

    /// As [`edit`](Self::edit), in a directory on any disk.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn edit_in(directory: &StoreDirectory, key: Option<&Key>, wait: Duration) -> Result<Self> {
        // The key first: a wrong one must find out without touching anything.
        let keys = Self::read_in(directory.clone(), key)?;
        let lock = directory.lock(wait, &SystemTimer::new())?;
        let keyring = open_keyring(&run_blocking(keys.sidecar.keyrings())?, key)?;
        run_blocking(heal(&keys.sidecar, &keyring))?;
        Ok(Self { keyring, lock: Some(lock), ..keys })
    }

    /// The slots in use, by number.
    pub fn list(&self) -> Vec<KeySlot> {
        let opened_by = self.keyring.opened_by();
        self.keyring
            .slots()
            .into_iter()
            .map(|slot| KeySlot {
                slot: slot.number,
                kind: match slot.kind {
                    SlotKind::Passphrase(_) => "passphrase",
                    SlotKind::Raw => "raw",
                },
                label: slot.label,
                created_at: slot.created_at.to_datetime(),
                opened: opened_by == Some(slot.number),
            })
            .collect()
    }

    /// Adds a key that opens the store from now on, beside those that do already.
    ///
    /// # Durability
    /// Durable on return.
    ///
    /// # Errors
    /// `Invalid` for a label of more than 64 bytes or with control characters, for a passphrase
    /// that is empty or longer than 1,024 bytes, and for a store that is not encrypted;
    /// `Conflict` when all 8 slots are in use.
    pub fn add(&mut self, key: &Key, label: &str, kdf: KdfParams) -> Result<KeySlot> {
        let next = self.keyring.add_slot_opts((key, kdf), label, &*self.environment)?;
        let before: Vec<u8> = self.keyring.slots().iter().map(|slot| slot.number).collect();
        self.put(next)?;
        let added = self.list().into_iter().find(|slot| !before.contains(&slot.slot));
        added.ok_or_else(|| Error::new(ErrorKind::Internal, "a slot was added but is not listed"))
    }

    /// Removes a slot: its key opens the store no longer.
    ///
    /// What this does not protect: whoever had that key and keeps an older copy of the keyring can
    /// still read with it.
    ///
    /// # Durability
    /// Durable on return, in both copies of the keyring.
    ///
    /// # Errors
    /// `NotFound` for a slot that is not in use; `Conflict` for the last one.
    pub fn remove(&mut self, slot: u8) -> Result<()> {
        let next = self.keyring.remove_slot(slot, &*self.environment)?;
        self.put(next)
    }

    /// Replaces the key of a slot in one write: before it the old key opens the store, after it the
    /// new one, and never both or neither. The label stays unless another is given.
    ///
    /// What this does not protect: whoever had the old key and keeps an older copy of the keyring
    /// can still read with it what was written until then, and later: follow with
    /// [`Database::rotate_keys`](super::Database::rotate_keys), wrapping key and then data keys, to
    /// end that.
    ///
    /// # Durability
    /// Durable on return, in both copies of the keyring. What a crash leaves in the copy that does
    /// not count is overwritten by the next opening for writing.
    ///
    /// # Errors
    /// `NotFound` for a slot that is not in use; otherwise as [`add`](Self::add).
    pub fn replace(
        &mut self,
        slot: u8,
        key: &Key,
        label: Option<&str>,
        kdf: KdfParams,
    ) -> Result<()> {
        let next = self.keyring.replace_slot(slot, (key, kdf), label, &*self.environment)?;
        self.put(next)
    }

    /// Whether the wrapping key is being replaced, or was cut short at it: the next opening for
    /// writing goes on.
    pub fn rotation_under_way(&self) -> bool {
        self.keyring.previous_generation().is_some()
    }

    /// The generation of the wrapping key: how often it was replaced, from 1; 0 without encryption.
    pub fn generation(&self) -> u32 {
        self.keyring.generation()
    }

    fn put(&mut self, next: Keyring) -> Result<()> {
        if self.failed {
            return Err(Error::new(
                ErrorKind::Closed(ClosedReason::Poisoned),
                "an earlier write of the keyring failed; open the key slots again",
            ));
        }
        if self.lock.is_none() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "these key slots were opened for reading; open them for editing",
            ));
        }
        // Another keyring of the same number must never be written.
        self.failed = true;
        run_blocking(put_both(&self.sidecar, &next))?;
        self.failed = false;
        self.keyring = next;
        Ok(())
    }
}
