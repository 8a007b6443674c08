//! The keyring: who may open the store, and the keys that everything else hangs from.
//!
//! Absent on purpose: the files it is kept in and the order in which they are replaced (the store's
//! directory), and topics' own keys (state of the system database, wrapped here).

mod layout;
mod slot;
mod wrap;

pub(crate) use layout::choose;
pub(crate) use slot::SlotKind;
pub(crate) use wrap::wrapped_generation;

use self::slot::{LABEL_BYTES_MAX, SLOT_COUNT, Slot, SlotPlace};
use super::kdf::KdfParams;
use super::piece::{DomainKey, KeyId, Lineage};
use super::secret::{Key, PASSPHRASE_BYTES_MAX, Secret, passphrase_too_long};
use crate::environment::{Environment, Timestamp};
use bytes::Bytes;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::collections::HashSet;
use std::fmt;

/// Former lineages a keyring can list: one for each restore or clone in a line of descent.
const LINEAGES_MAX: usize = 512; // on-disk
/// System keys a keyring can hold, the current one included.
const SYSTEM_KEYS_MAX: usize = 64; // on-disk
const FIRST_SLOT_LABEL: &str = "first";

/// How far the creation of the store has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The databases may be missing or half made.
    Creating,
    /// The store is complete.
    Ready,
}

/// A lineage the store sealed under before it was restored or cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FormerLineage {
    pub(crate) lineage: Lineage,
    /// The last stamp that was sealed under it.
    pub(crate) stamp_last: u64,
}

/// What may be shown of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotInfo {
    pub(crate) number: u8,
    pub(crate) kind: SlotKind,
    pub(crate) label: String,
    pub(crate) created_at: Timestamp,
}

/// An opened keyring. A value: each change gives the next keyring, whose number is one higher, and
/// leaves this one as it was. A change counts once its bytes are durable in the directory.
#[derive(Clone)]
pub(crate) struct Keyring {
    number: u64,
    phase: Phase,
    lineage: Lineage,
    lineages: Vec<FormerLineage>,
    /// Its id is its generation.
    wrapping: DomainKey,
    previous: Option<DomainKey>,
    /// Eight, or none in a store that is not encrypted.
    slots: Vec<Option<Slot>>,
    system: DomainKey,
    system_former: Vec<DomainKey>,
    opened_by: Option<u8>,
    bytes: Bytes,
}

impl Keyring {
    /// Makes the keyring of a new store, number 1, phase `Creating`: encrypted with one slot, or
    /// without slots when there is no key.
    ///
    /// # Errors
    /// `Invalid` for a passphrase that is empty or longer than 1,024 bytes; `Unavailable` when there
    /// is no randomness, or not enough memory for the passphrase.
    #[cfg(test)]
    pub(crate) fn create(key: Option<&Key>, environment: &dyn Environment) -> Result<Self> {
        Self::create_opts(key, KdfParams::DEFAULT, environment)
    }

    /// [`create`](Self::create) with the parameters that a passphrase is stretched with.
    pub(crate) fn create_opts(
        key: Option<&Key>,
        params: KdfParams,
        environment: &dyn Environment,
    ) -> Result<Self> {
        let mut store_id = [0; 16];
        environment.fill_random(&mut store_id)?;
        let mut keyring = Self {
            number: 1,
            phase: Phase::Creating,
            lineage: Lineage { store_id, epoch: 1 },
            lineages: Vec::new(),
            wrapping: DomainKey::none(),
            previous: None,
            slots: Vec::new(),
            system: DomainKey::none(),
            system_former: Vec::new(),
            opened_by: None,
            bytes: Bytes::new(),
        };
        if let Some(key) = key {
            keyring.wrapping = DomainKey::random(KeyId(1), environment)?;
            keyring.system = DomainKey::random(KeyId::SYSTEM, environment)?;
            keyring.slots.resize(usize::from(SLOT_COUNT), None);
            keyring.put_slot((key, params), FIRST_SLOT_LABEL, environment)?;
            keyring.opened_by = Some(0);
        }
        keyring.seal(environment)
    }

    /// A keyring with this system key, which may be none.
    #[cfg(test)]
    pub(crate) fn of_system(system: DomainKey, environment: &dyn Environment) -> Self {
        let key = system.secret().map(|_| Key::raw([9; 32]));
        Self { system, ..Self::create(key.as_ref(), environment).unwrap() }
    }

    /// Opens one copy. See [`choose`] for several.
    #[cfg(test)]
    pub(crate) fn open(bytes: Bytes, key: Option<&Key>) -> Result<Self> {
        choose(&[Some(bytes)])?.open(key)
    }

    /// The bytes to store: always the same for one keyring.
    pub(crate) fn to_bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// The lineage under which new pieces are sealed.
    pub(crate) const fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// The lineages that may be met besides, oldest first.
    #[cfg(test)]
    pub(crate) fn former_lineages(&self) -> &[FormerLineage] {
        &self.lineages
    }

    /// Whether a piece sealed under `lineage` at `stamp` belongs to this store's line of descent.
    pub(crate) fn accepts(&self, lineage: Lineage, stamp: u64) -> bool {
        lineage == self.lineage
            || self.lineages.iter().any(|one| one.lineage == lineage && stamp <= one.stamp_last)
    }

    pub(crate) const fn is_encrypted(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The generation of the wrapping key; 0 in a store that is not encrypted.
    pub(crate) fn generation(&self) -> u32 {
        u32::try_from(self.wrapping.id().0).expect("wrapping keys are numbered with 32 bits")
    }

    /// The generation that is still held besides, while a rotation is under way.
    pub(crate) fn previous_generation(&self) -> Option<u32> {
        self.previous
            .as_ref()
            .map(|key| u32::try_from(key.id().0).expect("wrapping keys are numbered with 32 bits"))
    }

    /// The key of the system domain that seals what is new.
    pub(crate) const fn system_key(&self) -> &DomainKey {
        &self.system
    }

    /// The current system key, then former ones, newest first. None without encryption.
    pub(crate) fn system_keys(&self) -> impl Iterator<Item = &DomainKey> {
        let current = self.is_encrypted().then_some(&self.system);
        current.into_iter().chain(&self.system_former)
    }

    /// The slot that this keyring was opened with.
    pub(crate) const fn opened_by(&self) -> Option<u8> {
        self.opened_by
    }

    /// The slots in use.
    pub(crate) fn slots(&self) -> Vec<SlotInfo> {
        let used =
            (0..).zip(&self.slots).filter_map(|(number, slot)| Some((number, slot.as_ref()?)));
        used.map(|(number, slot)| SlotInfo {
            number,
            kind: slot.record.kind,
            label: slot.facts.label.clone(),
            created_at: slot.facts.created_at,
        })
        .collect()
    }

    /// The next keyring, of a store that is complete.
    pub(crate) fn ready(&self, environment: &dyn Environment) -> Result<Self> {
        let mut next = self.next()?;
        next.phase = Phase::Ready;
        next.seal(environment)
    }

    /// The next keyring, with `key` in the lowest free slot.
    ///
    /// # Errors
    /// `Invalid` for a label of more than 64 bytes or with control characters, for a passphrase that
    /// is empty or too long, and in a store that is not encrypted. `Conflict` when no slot is free.
    #[cfg(test)]
    pub(crate) fn add_slot(
        &self,
        key: &Key,
        label: &str,
        environment: &dyn Environment,
    ) -> Result<Self> {
        self.add_slot_opts((key, KdfParams::DEFAULT), label, environment)
    }

    /// [`add_slot`](Self::add_slot) with the parameters that a passphrase is stretched with.
    pub(crate) fn add_slot_opts(
        &self,
        key: (&Key, KdfParams),
        label: &str,
        environment: &dyn Environment,
    ) -> Result<Self> {
        let mut next = self.next()?;
        next.put_slot(key, label, environment)?;
        next.seal(environment)
    }

    /// The next keyring, without slot `number`.
    ///
    /// Whoever could open that slot and has an older copy of the keyring can still unwrap what was
    /// wrapped before; follow with [`rotate`](Self::rotate) to end that for what comes after.
    ///
    /// # Errors
    /// `NotFound` when the slot is not in use; `Conflict` when it is the last one.
    pub(crate) fn remove_slot(&self, number: u8, environment: &dyn Environment) -> Result<Self> {
        let mut next = self.next()?;
        let used = next.slots.iter().flatten().count();
        let slot = next.slots.get_mut(usize::from(number)).filter(|slot| slot.is_some());
        let slot = slot.ok_or_else(|| slot_not_in_use(number))?;
        if used == 1 {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the last key slot cannot be removed: add another one first",
            )
            .with("slot", number));
        }
        *slot = None;
        next.opened_by = next.opened_by.filter(|opened_by| *opened_by != number);
        next.seal(environment)
    }

    /// The next keyring, with `key` in slot `number` in place of the one that was there. The label
    /// stays unless another is given.
    ///
    /// # Errors
    /// As [`add_slot`](Self::add_slot); `NotFound` when the slot is not in use.
    pub(crate) fn replace_slot(
        &self,
        number: u8,
        key: (&Key, KdfParams),
        label: Option<&str>,
        environment: &dyn Environment,
    ) -> Result<Self> {
        let mut next = self.encrypted_next()?;
        let place = next.slots.get_mut(usize::from(number)).and_then(Option::take);
        let old = place.ok_or_else(|| slot_not_in_use(number))?;
        let slot = next.make_slot(key, label.unwrap_or(&old.facts.label), number, environment)?;
        if let Some(place) = next.slots.get_mut(usize::from(number)) {
            *place = Some(slot);
        }
        next.seal(environment)
    }

    /// The next keyring, with a wrapping key of a new generation, sealed to every slot; the one
    /// before it is kept until [`forget_previous`](Self::forget_previous), for re-wrapping.
    ///
    /// # Errors
    /// `Conflict` while an earlier rotation is under way; `Invalid` in a store that is not encrypted.
    pub(crate) fn rotate(&self, environment: &dyn Environment) -> Result<Self> {
        let mut next = self.encrypted_next()?;
        if next.previous.is_some() {
            return Err(Error::new(ErrorKind::Conflict, "a rotation is under way already"));
        }
        let generation = next.generation().checked_add(1).ok_or_else(used_up)?;
        let wrapping = DomainKey::random(KeyId(u64::from(generation)), environment)?;
        next.previous = Some(std::mem::replace(&mut next.wrapping, wrapping));
        next.reseal_slots(environment)?;
        next.seal(environment)
    }

    /// The next keyring, without the previous wrapping key: what only that one had wrapped is lost.
    pub(crate) fn forget_previous(&self, environment: &dyn Environment) -> Result<Self> {
        let mut next = self.next()?;
        next.previous = None;
        next.seal(environment)
    }

    /// The next keyring, with a fresh system key under `id`; the former ones still open what they
    /// sealed.
    ///
    /// # Errors
    /// `Conflict` when `id` is taken or too many keys are held; `Invalid` in a store that is not
    /// encrypted.
    pub(crate) fn rotate_system(&self, id: KeyId, environment: &dyn Environment) -> Result<Self> {
        let mut next = self.encrypted_next()?;
        let taken = next.system_keys().any(|key| key.id() == id) || id == KeyId::NONE;
        if taken || next.system_keys().count() >= SYSTEM_KEYS_MAX {
            return Err(Error::new(ErrorKind::Conflict, "no further system key can be held")
                .with("key", id.0)
                .with("max", SYSTEM_KEYS_MAX));
        }
        let fresh = DomainKey::random(id, environment)?;
        next.system_former.insert(0, std::mem::replace(&mut next.system, fresh));
        next.seal(environment)
    }

    /// Whether there are former system keys that are not `kept`.
    pub(crate) fn has_former_system(&self, kept: &HashSet<KeyId>) -> bool {
        self.system_former.iter().any(|key| !kept.contains(&key.id()))
    }

    /// The next keyring, without former system keys that are not `kept`: what is still sealed under
    /// them is lost.
    pub(crate) fn forget_former_system(
        &self,
        kept: &HashSet<KeyId>,
        environment: &dyn Environment,
    ) -> Result<Self> {
        let mut next = self.next()?;
        next.system_former.retain(|key| kept.contains(&key.id()));
        next.seal(environment)
    }

    /// The next keyring, which seals under `lineage` and still accepts what the present lineage
    /// sealed up to `stamp_last`: after a restore or for a clone.
    ///
    /// # Errors
    /// `Conflict` when `lineage` was used before, or after 512 changes of lineage.
    #[cfg_attr(not(test), expect(dead_code, reason = "for restore and clone, which come later"))]
    pub(crate) fn descend(
        &self,
        lineage: Lineage,
        stamp_last: u64,
        environment: &dyn Environment,
    ) -> Result<Self> {
        let mut next = self.next()?;
        next.lineages.push(FormerLineage { lineage: self.lineage, stamp_last });
        if next.lineages.iter().any(|former| former.lineage == lineage) {
            return Err(Error::new(ErrorKind::Conflict, "this lineage was used before"));
        }
        if next.lineages.len() > LINEAGES_MAX {
            return Err(Error::new(ErrorKind::Conflict, "no further lineage can be listed")
                .with("max", LINEAGES_MAX));
        }
        next.lineage = lineage;
        next.reseal_slots(environment)?;
        next.seal(environment)
    }

    fn next(&self) -> Result<Self> {
        let mut next = self.clone();
        next.number = self.number.checked_add(1).ok_or_else(used_up)?;
        Ok(next)
    }

    fn encrypted_next(&self) -> Result<Self> {
        if self.is_encrypted() {
            return self.next();
        }
        Err(Error::new(ErrorKind::Invalid, "this store is not encrypted: it has no keys"))
    }

    fn put_slot(
        &mut self,
        key: (&Key, KdfParams),
        label: &str,
        environment: &dyn Environment,
    ) -> Result<()> {
        let free = (0..).zip(&self.slots).find(|(_, slot)| slot.is_none());
        let number = free.map(|(number, _)| number);
        // Judged first, so that a bad label or passphrase is told even where no slot is free.
        let slot = self.make_slot(key, label, number.unwrap_or(0), environment)?;
        let free = number.and_then(|number| self.slots.get_mut(usize::from(number)));
        let free = free.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "all 8 key slots are in use: remove one first")
        })?;
        *free = Some(slot);
        Ok(())
    }

    fn make_slot(
        &self,
        (key, params): (&Key, KdfParams),
        label: &str,
        number: u8,
        environment: &dyn Environment,
    ) -> Result<Slot> {
        if !self.is_encrypted() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "this store is not encrypted: it can have no key slots",
            ));
        }
        if label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control) {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the label of a key slot has at most 64 bytes and no control characters",
            ));
        }
        let kind = check_secret(key, params)?;
        let place = SlotPlace { lineage: self.lineage, number, generation: self.generation() };
        Slot::create(key, kind, label, place, (&self.wrapping, environment))
    }

    fn reseal_slots(&mut self, environment: &dyn Environment) -> Result<()> {
        let (lineage, generation) = (self.lineage, self.generation());
        for (number, slot) in (0..).zip(&mut self.slots) {
            if let Some(slot) = slot {
                let place = SlotPlace { lineage, number, generation };
                slot.reseal(place, &self.wrapping, environment)?;
            }
        }
        Ok(())
    }

    fn seal(mut self, environment: &dyn Environment) -> Result<Self> {
        self.bytes = layout::encode(&self, environment)?;
        Ok(self)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("number", &self.number)
            .field("phase", &self.phase)
            .field("lineage", &self.lineage)
            .field("generation", &self.generation())
            .field("slots", &self.slots().len())
            .finish_non_exhaustive()
    }
}

fn check_secret(key: &Key, params: KdfParams) -> Result<SlotKind> {
    match key.secret() {
        Secret::Raw(_) => Ok(SlotKind::Raw),
        Secret::Passphrase(passphrase) if passphrase.is_empty() => {
            Err(Error::new(ErrorKind::Invalid, "an empty passphrase protects nothing"))
        }
        Secret::Passphrase(passphrase) if passphrase.len() > PASSPHRASE_BYTES_MAX => {
            Err(passphrase_too_long())
        }
        Secret::Passphrase(_) if !params.is_acceptable() => {
            Err(Error::new(ErrorKind::Invalid, "passphrase parameters are outside the limits"))
        }
        Secret::Passphrase(_) => Ok(SlotKind::Passphrase(params)),
    }
}

fn slot_not_in_use(number: u8) -> Error {
    Error::new(ErrorKind::NotFound, "this key slot is not in use").with("slot", number)
}

fn used_up() -> Error {
    Error::new(ErrorKind::Internal, "the numbers of the keyring are used up")
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod hostile_tests;
