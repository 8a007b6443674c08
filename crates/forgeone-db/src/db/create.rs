//! Keyrings on their way to disk and back: creating a store, opening its keyring, changing it.

use super::sidecar::{KEYRING_NAMES, Sidecar};
use crate::codec::corrupt;
use crate::crypto::{Key, KeyStore, Keyring, Phase, choose};
use crate::environment::Environment;
use crate::log::KeyringWatch;
use crate::options::StoreOptions;
use bytes::Bytes;
use forgeone_db_engine::{BoxFuture, Error, ErrorKind, Outcome, Result};
use std::fmt;
use std::sync::Arc;

/// Whether anything of a keyring is there.
pub(super) fn is_absent(copies: &[Option<Bytes>; 2]) -> bool {
    copies.iter().all(Option::is_none)
}

/// Tells a store whose keyring is lost from one that was never completed, where no copy was found: a
/// creation writes the keyring before any data, and may have done so since.
///
/// # Errors
/// `Corrupt` where no copy of the keyring is there, and data is.
pub(super) async fn check_not_lost(sidecar: &Sidecar) -> Result<()> {
    let Sidecar::Directory(directory) = sidecar else { return Ok(()) };
    if directory.databases()?.is_empty() || !is_absent(&sidecar.keyrings().await?) {
        return Ok(());
    }
    Err(corrupt("both copies of the keyring are gone while data is there; restore one of them")
        .with("path", directory.path().display())
        .with("lost", KEYRING_NAMES.join(", ")))
}

/// Opens the keyring that counts.
///
/// # Errors
/// `WrongKey`, `Corrupt`, `NotFound`, `UpgradeRequired`, `Invalid`: see `docs/format.md`.
pub(super) fn open_keyring(copies: &[Option<Bytes>; 2], key: Option<&Key>) -> Result<Keyring> {
    choose(copies)?.open(key)
}

/// Writes the first keyring of a store whose creation then begins.
pub(super) async fn begin(sidecar: &Sidecar, options: &StoreOptions) -> Result<Keyring> {
    let environment = &*options.environment;
    let keyring = Keyring::create_opts(options.key.as_deref(), options.kdf, environment)?;
    put(sidecar, &keyring).await?;
    Ok(keyring)
}

/// Ends a creation: the write of the second keyring is what makes the store exist.
pub(super) async fn complete(
    sidecar: &Sidecar,
    keyring: &Keyring,
    environment: &dyn Environment,
) -> Result<Keyring> {
    let keyring = keyring.ready(environment)?;
    put_both(sidecar, &keyring).await?;
    Ok(keyring)
}

/// Writes a changed keyring: first over the older copy, which makes it count, then over the other,
/// so that the loss of one copy loses nothing.
///
/// # Durability
/// Durable on return. A crash in between leaves the old or the new keyring in force, never neither.
///
/// # Errors
/// As the directory's or engine's; `Unknown` once the first copy is written, since that counts.
pub(super) async fn put_both(sidecar: &Sidecar, keyring: &Keyring) -> Result<()> {
    put(sidecar, keyring).await?;
    let [first, second] = KEYRING_NAMES;
    let other = if keyring.number().is_multiple_of(2) { second } else { first };
    let replaced = sidecar.replace(other, &keyring.to_bytes()).await;
    replaced.map_err(|error| error.with_outcome(Outcome::Unknown))
}

/// Makes both copies the keyring that counts: the other one may be what a crash between two writes
/// left, with a secret that no longer opens the store.
pub(super) async fn heal(sidecar: &Sidecar, keyring: &Keyring) -> Result<()> {
    for (name, copy) in KEYRING_NAMES.iter().zip(sidecar.keyrings().await?) {
        if copy != Some(keyring.to_bytes()) {
            sidecar.replace(name, &keyring.to_bytes()).await?;
        }
    }
    Ok(())
}

/// Writes a keyring into the place that its number gives it.
async fn put(sidecar: &Sidecar, keyring: &Keyring) -> Result<()> {
    let [first, second] = KEYRING_NAMES;
    let place = if keyring.number().is_multiple_of(2) { first } else { second };
    sidecar.replace(place, &keyring.to_bytes()).await
}

/// # Errors
/// `NotFound` for a store whose creation was interrupted.
pub(super) fn require_ready(keyring: &Keyring) -> Result<()> {
    match keyring.phase() {
        Phase::Ready => Ok(()),
        Phase::Creating => Err(Error::new(
            ErrorKind::NotFound,
            "the creation of this store was interrupted before anything was stored; create it again with the same key",
        )),
    }
}

/// Looks for a newer keyring on behalf of a handle that only reads.
pub(super) struct ReaderKeyring {
    pub(super) sidecar: Sidecar,
    /// What the store was opened with.
    pub(super) key: Option<Arc<Key>>,
    pub(super) keys: Arc<KeyStore>,
}

impl KeyringWatch for ReaderKeyring {
    fn refresh(&self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let sealed = choose(&self.sidecar.keyrings().await?)?;
            if sealed.number() <= self.keys.number() {
                return Ok(false);
            }
            Ok(self.keys.adopt(sealed.open(self.key.as_deref())?))
        })
    }
}

impl fmt::Debug for ReaderKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderKeyring").finish_non_exhaustive()
    }
}
