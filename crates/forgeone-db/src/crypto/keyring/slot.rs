//! A slot: one user's secret, and the wrapping key sealed to it.

use crate::codec::{Compression, Cursor};
use crate::crypto::exchange::{public_key, shared_secret};
use crate::crypto::kdf::{KdfParams, expand, stretch};
use crate::crypto::piece::{Binding, DomainKey, KeyId, Lineage, PieceKey, PieceType};
use crate::crypto::secret::{Key, Secret};
use crate::environment::{Environment, Timestamp};
use forgeone_db_engine::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Slots of an encrypted keyring, in use or not.
pub(super) const SLOT_COUNT: u8 = 8; // on-disk
/// Bytes of a slot in the clear part.
pub(super) const SLOT_BYTES: usize = 240; // on-disk
/// Bytes of a slot's facts in the sealed body.
pub(super) const SLOT_FACTS_BYTES: usize = 112; // on-disk
/// Bytes of the longest label.
pub(super) const LABEL_BYTES_MAX: usize = 64; // on-disk
const SLOT_EMPTY: u8 = 0; // on-disk
const SLOT_PASSPHRASE: u8 = 1; // on-disk
const SLOT_RAW: u8 = 2; // on-disk
const SLOT_SECRET_INFO: &[u8] = b"forgeone-db slot secret v1"; // on-disk
const SLOT_SEAL_INFO: &[u8] = b"forgeone-db slot seal v1"; // on-disk
/// Ephemeral public key, piece prefix, sealed wrapping key, tag.
const SLOT_SEALED_BYTES: usize = 32 + 80 + 32 + 16; // on-disk

/// How a slot's secret is made from the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// Argon2id over a passphrase.
    Passphrase(KdfParams),
    /// HKDF over 32 random bytes.
    Raw,
}

impl SlotKind {
    const fn code(self) -> u8 {
        match self {
            Self::Passphrase(_) => SLOT_PASSPHRASE,
            Self::Raw => SLOT_RAW,
        }
    }
}

/// What binds a sealed wrapping key to its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotPlace {
    pub(super) lineage: Lineage,
    pub(super) number: u8,
    pub(super) generation: u32,
}

impl SlotPlace {
    fn binding(self) -> Binding {
        Binding {
            lineage: self.lineage,
            subject: u64::from(self.number),
            first: u64::from(self.generation),
            last: u64::from(self.generation),
            compression: Compression::None,
        }
    }
}

/// The part of a slot that stands in the keyring in clear.
#[derive(Debug, Clone)]
pub(super) struct SlotRecord {
    pub(super) kind: SlotKind,
    salt: [u8; 32],
    public: [u8; 32],
    sealed: [u8; SLOT_SEALED_BYTES],
}

/// The part of a slot that stands in the sealed body.
#[derive(Clone)]
pub(super) struct SlotFacts {
    /// Known to the slot's holder and to whoever has opened the keyring, and mixed into every seal
    /// to the slot: without it anyone could seal a wrapping key of their own to the public key.
    sealer: Zeroizing<[u8; 32]>,
    pub(super) created_at: Timestamp,
    pub(super) label: String,
}

/// What a slot's secret expands to.
struct SlotSecret {
    exchange: Zeroizing<[u8; 32]>,
    sealer: Zeroizing<[u8; 32]>,
}

impl SlotSecret {
    /// `None` when `key` is of another kind or the parameters are outside the limits.
    fn derive(key: &Key, kind: SlotKind, salt: &[u8; 32]) -> Result<Option<Self>> {
        let root = match (key.secret(), kind) {
            (Secret::Passphrase(passphrase), SlotKind::Passphrase(params))
                if params.is_acceptable() =>
            {
                stretch(passphrase.as_bytes(), salt, params)?
            }
            (Secret::Raw(bytes), SlotKind::Raw) => bytes.clone(),
            _ => return Ok(None),
        };
        let mut exchange = Zeroizing::new([0; 32]);
        let mut sealer = Zeroizing::new([0; 32]);
        let code = [kind.code()];
        expand(salt, &*root, &[SLOT_SECRET_INFO, &code, b"exchange"], &mut *exchange)?;
        expand(salt, &*root, &[SLOT_SECRET_INFO, &code, b"sealer"], &mut *sealer)?;
        Ok(Some(Self { exchange, sealer }))
    }
}

/// A slot of an opened keyring.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) record: SlotRecord,
    pub(super) facts: SlotFacts,
}

impl Slot {
    /// Makes a slot for `key` and seals `wrapping` to it.
    pub(super) fn create(
        key: &Key,
        kind: SlotKind,
        label: &str,
        place: SlotPlace,
        (wrapping, environment): (&DomainKey, &dyn Environment),
    ) -> Result<Self> {
        let mut salt = [0; 32];
        environment.fill_random(&mut salt)?;
        let Some(secret) = SlotSecret::derive(key, kind, &salt)? else {
            return Err(Error::new(ErrorKind::Invalid, "this key is not of the slot's kind"));
        };
        let public = public_key(&secret.exchange);
        let sealed = seal(&public, &secret.sealer, place, (wrapping, environment))?;
        let record = SlotRecord { kind, salt, public, sealed };
        let created_at = environment.now().in_calendar();
        let facts = SlotFacts { sealer: secret.sealer, created_at, label: label.to_owned() };
        Ok(Self { record, facts })
    }

    /// Seals another wrapping key to the slot, without its holder's secret.
    pub(super) fn reseal(
        &mut self,
        place: SlotPlace,
        wrapping: &DomainKey,
        environment: &dyn Environment,
    ) -> Result<()> {
        let sealer = &self.facts.sealer;
        self.record.sealed = seal(&self.record.public, sealer, place, (wrapping, environment))?;
        Ok(())
    }
}

impl SlotRecord {
    /// The wrapping key, if `key` opens this slot.
    ///
    /// # Errors
    /// `Unavailable` when there is not enough memory for a passphrase. Everything else that is
    /// wrong looks alike: `None`.
    pub(super) fn unlock(&self, key: &Key, place: SlotPlace) -> Result<Option<DomainKey>> {
        match SlotSecret::derive(key, self.kind, &self.salt)? {
            Some(secret) => Ok(self.unseal(&secret, place).ok()),
            None => Ok(None),
        }
    }

    fn unseal(&self, secret: &SlotSecret, place: SlotPlace) -> Result<DomainKey> {
        let mut cursor = Cursor::new(&self.sealed);
        let ephemeral: [u8; 32] = cursor.array()?;
        let public = public_key(&secret.exchange);
        let shared = shared_secret(&secret.exchange, &ephemeral).ok_or_else(low_order)?;
        let domain = seal_domain(&shared, &secret.sealer, (&ephemeral, &public), place)?;
        let piece = PieceKey::read(&domain, PieceType::SlotKey, &mut cursor)?;
        let sealed = cursor.take(32)?;
        let tag = cursor.array()?;
        let plain = Zeroizing::new(piece.open(0, &place.binding(), sealed, &tag)?);
        let mut wrapping = Zeroizing::new([0; 32]);
        wrapping.copy_from_slice(&plain);
        Ok(DomainKey::from_secret(KeyId(u64::from(place.generation)), wrapping))
    }

    /// Appends [`SLOT_BYTES`] bytes.
    pub(super) fn write(slot: Option<&Self>, out: &mut Vec<u8>) {
        let Some(slot) = slot else {
            out.push(SLOT_EMPTY);
            out.resize(out.len() + SLOT_BYTES - 1, 0);
            return;
        };
        out.extend_from_slice(&[slot.kind.code(), 0, 0, 0]);
        let (memory_kib, passes, lanes) = match slot.kind {
            SlotKind::Passphrase(params) => (params.memory_kib, params.passes, params.lanes),
            SlotKind::Raw => (0, 0, 0),
        };
        for number in [memory_kib, passes, lanes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&slot.salt);
        out.extend_from_slice(&slot.public);
        out.extend_from_slice(&slot.sealed);
    }

    /// Reads one slot. `Ok(None)` is an empty slot; parameters are not judged here.
    ///
    /// # Errors
    /// `Corrupt` for an unknown kind or anything where zeros must be.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Option<Self>> {
        let bent = || crate::codec::corrupt("a slot is not what the format says");
        let mut slot = Cursor::new(cursor.take(SLOT_BYTES)?);
        let [code, reserved @ ..] = slot.array::<4>()?;
        let params = KdfParams { memory_kib: slot.u32()?, passes: slot.u32()?, lanes: slot.u32()? };
        let no_params = params == KdfParams { memory_kib: 0, passes: 0, lanes: 0 };
        let record = |kind, mut rest: Cursor<'_>| -> Result<Option<Self>> {
            let (salt, public, sealed) = (rest.array()?, rest.array()?, rest.array()?);
            rest.finish()?;
            Ok(Some(Self { kind, salt, public, sealed }))
        };
        match code {
            _ if reserved != [0; 3] => Err(bent()),
            SLOT_PASSPHRASE => record(SlotKind::Passphrase(params), slot),
            SLOT_RAW if no_params => record(SlotKind::Raw, slot),
            SLOT_EMPTY if no_params => {
                let rest = slot.take(slot.remaining())?;
                if rest.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(bent()) }
            }
            _ => Err(bent()),
        }
    }
}

impl SlotFacts {
    /// Appends [`SLOT_FACTS_BYTES`] bytes.
    pub(super) fn write(facts: Option<&Self>, out: &mut Vec<u8>) {
        let end = out.len() + SLOT_FACTS_BYTES;
        if let Some(facts) = facts {
            out.extend_from_slice(&*facts.sealer);
            out.extend_from_slice(&facts.created_at.to_ordered_bytes());
            let len = u8::try_from(facts.label.len()).expect("labels have at most 64 bytes");
            out.extend_from_slice(&[0, 0, 0, len]);
            out.extend_from_slice(facts.label.as_bytes());
        }
        out.resize(end, 0);
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let mut facts = Cursor::new(cursor.take(SLOT_FACTS_BYTES)?);
        let sealer = Zeroizing::new(facts.array()?);
        let created_at = Timestamp::from_ordered_bytes(facts.array()?);
        let len = usize::try_from(facts.u32()?).unwrap_or(usize::MAX);
        let label = std::str::from_utf8(facts.take(len)?)
            .map_err(|_| crate::codec::corrupt("a label is not UTF-8"))?;
        Ok(Self { sealer, created_at, label: label.to_owned() })
    }
}

fn low_order() -> Error {
    Error::new(ErrorKind::Corrupt, "a public key is of low order")
}

/// The key that seals a wrapping key to a slot: from the exchange, which needs the slot's secret to
/// open, and the sealer, which is needed to seal.
fn seal_domain(
    shared: &[u8; 32],
    sealer: &[u8; 32],
    (ephemeral, public): (&[u8; 32], &[u8; 32]),
    place: SlotPlace,
) -> Result<DomainKey> {
    let mut key = Zeroizing::new([0; 32]);
    expand(sealer, shared, &[SLOT_SEAL_INFO, ephemeral, public], &mut *key)?;
    Ok(DomainKey::from_secret(KeyId(u64::from(place.generation)), key))
}

fn seal(
    public: &[u8; 32],
    sealer: &[u8; 32],
    place: SlotPlace,
    (wrapping, environment): (&DomainKey, &dyn Environment),
) -> Result<[u8; SLOT_SEALED_BYTES]> {
    let mut secret = Zeroizing::new([0; 32]);
    environment.fill_random(&mut *secret)?;
    let ephemeral = public_key(&secret);
    let shared = shared_secret(&secret, public).ok_or_else(low_order)?;
    let domain = seal_domain(&shared, sealer, (&ephemeral, public), place)?;
    let piece = PieceKey::create(&domain, PieceType::SlotKey, environment)?;
    let mut key = Zeroizing::new(*wrapping.secret().ok_or_else(|| {
        Error::new(ErrorKind::Internal, "a keyring with slots has no wrapping key")
    })?);
    let tag = piece.seal(0, &place.binding(), &mut *key)?;
    let mut out = Vec::with_capacity(SLOT_SEALED_BYTES);
    out.extend_from_slice(&ephemeral);
    out.extend_from_slice(piece.prefix());
    out.extend_from_slice(&*key);
    out.extend_from_slice(&tag);
    out.try_into().map_err(|_| Error::new(ErrorKind::Internal, "a sealed slot has another size"))
}
