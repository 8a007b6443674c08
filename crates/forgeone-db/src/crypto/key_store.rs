//! The keyring of an open store, shared by everything that seals and opens. It may be replaced by
//! a newer one while it is in use.

use super::keyring::Keyring;
use super::piece::{DomainKey, KeyId, PieceKey};
use crate::codec::corrupt;
use crate::environment::Environment;
use forgeone_db_engine::Result;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// The present keyring.
pub(crate) struct KeyStore {
    keyring: RwLock<Arc<Keyring>>,
    environment: Arc<dyn Environment>,
}

impl KeyStore {
    pub(crate) fn new(keyring: Keyring, environment: Arc<dyn Environment>) -> Self {
        Self { keyring: RwLock::new(Arc::new(keyring)), environment }
    }

    /// A store whose only key is `system`.
    #[cfg(test)]
    pub(crate) fn of_system(system: DomainKey) -> Arc<Self> {
        let environment: Arc<dyn Environment> =
            Arc::new(crate::environment::SystemEnvironment::new());
        let keyring = Keyring::of_system(system, &*environment);
        Arc::new(Self::new(keyring, environment))
    }

    /// The keyring as it is now.
    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes `keyring` if it is newer than the present one; says whether it was. REQUIRES: it is
    /// durable.
    pub(crate) fn adopt(&self, keyring: Keyring) -> bool {
        let mut present = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        let newer = keyring.number() > present.number();
        if newer {
            *present = Arc::new(keyring);
        }
        newer
    }

    pub(crate) fn number(&self) -> u64 {
        self.keyring().number()
    }

    /// The system key that seals what is new.
    pub(crate) fn system_key(&self) -> DomainKey {
        self.keyring().system_key().clone()
    }

    /// The system key of this number.
    ///
    /// # Errors
    /// `Corrupt` when it is not held.
    pub(crate) fn system_key_of(&self, id: KeyId) -> Result<DomainKey> {
        let keyring = self.keyring();
        let present = keyring.system_key();
        let held = keyring.system_keys().chain([present]).find(|key| key.id() == id).cloned();
        held.ok_or_else(|| corrupt("a piece is sealed under an unknown key").with("key", id.0))
    }

    /// The system key that a stored value says it is sealed under. One that is not held is for the
    /// opening to refuse.
    pub(crate) fn system_key_for(&self, stored: &[u8]) -> DomainKey {
        let named = PieceKey::named_key(stored).and_then(|id| self.system_key_of(id).ok());
        named.unwrap_or_else(|| self.system_key())
    }

    /// Whether a stored value says that it is sealed under a system key newer than any here, and is
    /// not shown to lie by the commitment to a key that is held.
    pub(crate) fn is_behind(&self, stored: &[u8]) -> bool {
        let keyring = self.keyring();
        let named = PieceKey::named_key(stored);
        named.is_some_and(|id| {
            id.0 > keyring.system_key().id().0
                && keyring.system_keys().all(|key| key.id() != id && !PieceKey::is_of(key, stored))
        })
    }

    /// A fresh domain key; none in a store that is not encrypted.
    ///
    /// # Errors
    /// `Unavailable` when there is no randomness.
    pub(crate) fn create_key(&self, id: KeyId) -> Result<DomainKey> {
        if self.keyring().is_encrypted() {
            DomainKey::random(id, &*self.environment)
        } else {
            Ok(DomainKey::none())
        }
    }

    /// Wraps keys under the present wrapping key.
    ///
    /// # Errors
    /// As [`Keyring::wrap`].
    pub(crate) fn wrap(&self, keys: &[DomainKey]) -> Result<Vec<Vec<u8>>> {
        let keyring = self.keyring();
        keys.iter().map(|key| keyring.wrap(key, &*self.environment)).collect()
    }

    /// Opens wrapped keys, in the same order.
    ///
    /// # Errors
    /// As [`Keyring::unwrap`]; `Corrupt` also when there is none.
    pub(crate) fn unwrap_keys<'a>(
        &self,
        wrapped: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<DomainKey>> {
        let keyring = self.keyring();
        let keys: Vec<_> =
            wrapped.into_iter().map(|one| keyring.unwrap(one)).collect::<Result<_>>()?;
        if keys.is_empty() {
            return Err(corrupt("a topic has no key"));
        }
        Ok(keys)
    }

    /// Whether every one of `wrapped` is wrapped under the present wrapping key.
    ///
    /// # Errors
    /// `Corrupt` when one of them is no wrapped key.
    pub(crate) fn is_present<'a>(
        &self,
        wrapped: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<bool> {
        let generation = Some(self.keyring().generation()).filter(|generation| *generation != 0);
        for one in wrapped {
            if super::keyring::wrapped_generation(one)? != generation {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStore").field("keyring", &self.keyring()).finish_non_exhaustive()
    }
}
