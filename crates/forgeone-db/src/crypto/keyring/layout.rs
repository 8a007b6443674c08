//! The bytes of a keyring: a clear head with the slots, a sealed body, an unkeyed checksum.

use super::slot::{
    SLOT_BYTES, SLOT_COUNT, SLOT_FACTS_BYTES, Slot, SlotFacts, SlotPlace, SlotRecord,
};
use super::{FormerLineage, Keyring, LINEAGES_MAX, Phase, SYSTEM_KEYS_MAX};
use crate::codec::{Compression, Cursor, corrupt};
use crate::crypto::piece::{
    Binding, DomainKey, KeyId, Lineage, PREFIX_BYTES_MAX, PieceKey, PieceType, TAG_BYTES,
};
use crate::crypto::secret::Key;
use crate::environment::Environment;
use bytes::Bytes;
use forgeone_db_engine::{Error, ErrorKind, Result};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const KEYRING_MAGIC: [u8; 8] = *b"F1DBKEYR"; // on-disk
const KEYRING_VERSION: u16 = 1; // on-disk
const KEYRING_HEADER_BYTES: usize = 48; // on-disk
const KEYRING_HEAD_CONTEXT: &str = "forgeone-db keyring head v1"; // on-disk
const KEYRING_CHECKSUM_BYTES: usize = 32; // on-disk
/// Anything longer is not read.
const KEYRING_BYTES_MAX: usize = 32 * 1024; // on-disk
const PHASE_CREATING: u8 = 1; // on-disk
const PHASE_READY: u8 = 2; // on-disk

/// A keyring as it was read: its checksum fits, nothing else is known to be true.
#[derive(Debug, Clone)]
pub(crate) struct SealedKeyring {
    bytes: Bytes,
    header: Header,
}

#[derive(Debug, Clone, Copy)]
struct Header {
    encrypted: bool,
    phase: Phase,
    generation: u32,
    number: u64,
    lineage: Lineage,
    body_bytes: usize,
}

/// Chooses the copy that counts: the valid one with the highest number.
///
/// # Errors
/// `NotFound` when there is no copy, `Corrupt` when none passes its checksum, `UpgradeRequired`
/// when one does and is of another format version, `WrongKey` when a copy with a fitting checksum
/// is not what a keyring can be, or two of them claim one number.
pub(crate) fn choose(copies: &[Option<Bytes>]) -> Result<SealedKeyring> {
    let mut chosen: Option<SealedKeyring> = None;
    for copy in copies.iter().flatten() {
        let Some(content) = checked(copy) else { continue };
        let found = SealedKeyring::parse(copy.clone(), content)?;
        match &chosen {
            Some(best) if best.number() > found.number() => {}
            Some(best) if best.number() == found.number() && best.bytes != found.bytes => {
                return Err(tampered(best.header.encrypted));
            }
            _ => chosen = Some(found),
        }
    }
    chosen.ok_or_else(|| match copies.iter().flatten().count() {
        0 => Error::new(ErrorKind::NotFound, "there is no keyring"),
        _ => Error::new(ErrorKind::Corrupt, "no copy of the keyring passes its checksum"),
    })
}

/// The bytes before the checksum, if it fits and they are a keyring of some version.
fn checked(copy: &Bytes) -> Option<&[u8]> {
    if copy.len() > KEYRING_BYTES_MAX || !copy.starts_with(&KEYRING_MAGIC) {
        return None;
    }
    let (content, checksum) =
        copy.split_at_checked(copy.len().checked_sub(KEYRING_CHECKSUM_BYTES)?)?;
    (blake3::hash(content).as_bytes() == checksum).then_some(content)
}

/// The one error for a wrong passphrase, a wrong key file and a tampered keyring.
pub(super) fn wrong_key() -> Error {
    Error::new(
        ErrorKind::WrongKey,
        "the key does not open this store: it is the wrong one, or the keyring was tampered with",
    )
}

fn tampered(encrypted: bool) -> Error {
    if encrypted { wrong_key() } else { corrupt("the keyring is not what the format says") }
}

impl SealedKeyring {
    fn parse(bytes: Bytes, content: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(content);
        cursor.take(KEYRING_MAGIC.len())?;
        let version = cursor.array().map(u16::from_be_bytes)?;
        if version != KEYRING_VERSION {
            return Err(Error::new(
                ErrorKind::UpgradeRequired,
                "the keyring is of another format version",
            )
            .with("version", version)
            .with("known", KEYRING_VERSION));
        }
        let encryption = cursor.u8()?;
        let encrypted = encryption != 0;
        let header = Header::read(encryption, cursor, content.len());
        Ok(Self { header: header.map_err(|_| tampered(encrypted))?, bytes })
    }

    /// The number, not yet authenticated.
    pub(crate) const fn number(&self) -> u64 {
        self.header.number
    }

    #[cfg(test)]
    /// The phase, not yet authenticated: for telling a person that a creation was cut short.
    pub(crate) const fn phase(&self) -> Phase {
        self.header.phase
    }

    #[cfg(test)]
    /// Whether a key is needed, not yet authenticated.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.header.encrypted
    }

    /// Opens the keyring with any slot of the key's kind.
    ///
    /// # Errors
    /// `WrongKey` when no slot opens, and when a key is needed and none is given; `Invalid` when a
    /// key is given and the store is not encrypted; `Corrupt` when a keyring without encryption is
    /// damaged behind a fitting checksum; `Unavailable` when there is not enough memory to try a
    /// passphrase.
    ///
    /// # Limits
    /// At most 8 attempts, each within the limits of [`KdfParams`](crate::crypto::KdfParams).
    pub(crate) fn open(&self, key: Option<&Key>) -> Result<Keyring> {
        let Header { encrypted, generation, lineage, .. } = self.header;
        let key = match (encrypted, key) {
            (false, None) => {
                return self
                    .open_body(DomainKey::none(), Vec::new(), None)
                    .map_err(|_| tampered(false));
            }
            (false, Some(_)) => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "this store is not encrypted: open it without a key",
                ));
            }
            (true, None) => {
                return Err(Error::new(
                    ErrorKind::WrongKey,
                    "this store is encrypted: a key is needed",
                ));
            }
            (true, Some(key)) => key,
        };
        let slots = self.slots().map_err(|_| wrong_key())?;
        let mut failure = None;
        for (number, slot) in (0..SLOT_COUNT).zip(&slots) {
            let Some(slot) = slot else { continue };
            let wrapping = match slot.unlock(key, SlotPlace { lineage, number, generation }) {
                Ok(Some(wrapping)) => wrapping,
                Ok(None) => continue,
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            if let Ok(keyring) = self.open_body(wrapping, slots.clone(), Some(number)) {
                return Ok(keyring);
            }
        }
        Err(failure.unwrap_or_else(wrong_key))
    }

    fn slots(&self) -> Result<Vec<Option<SlotRecord>>> {
        let mut cursor = Cursor::new(&self.bytes);
        cursor.take(KEYRING_HEADER_BYTES)?;
        (0..SLOT_COUNT).map(|_| SlotRecord::read(&mut cursor)).collect()
    }

    fn open_body(
        &self,
        wrapping: DomainKey,
        slots: Vec<Option<SlotRecord>>,
        opened_by: Option<u8>,
    ) -> Result<Keyring> {
        let head_bytes = KEYRING_HEADER_BYTES + slots.len() * SLOT_BYTES;
        let mut cursor = Cursor::new(&self.bytes);
        let head = cursor.take(head_bytes)?;
        let piece = PieceKey::read(&wrapping, PieceType::KeyringBody, &mut cursor)?;
        let sealed = cursor.take(self.header.body_bytes)?;
        let tag = cursor.array()?;
        cursor.take(KEYRING_CHECKSUM_BYTES)?;
        cursor.finish()?;
        let body = Zeroizing::new(piece.open(0, &self.header.binding(), sealed, &tag)?);
        let mut cursor = Cursor::new(&body);
        if !bool::from(cursor.array::<32>()?.ct_eq(&head_hash(head))) {
            return Err(corrupt("the head of the keyring is not the one it was sealed with"));
        }
        let slots = read_slot_facts(slots, &mut cursor)?;
        let generation = cursor.u32()?;
        let secret = Zeroizing::new(cursor.array()?);
        let previous =
            (generation != 0).then(|| DomainKey::from_secret(KeyId(u64::from(generation)), secret));
        let mut system = read_system_keys(&mut cursor)?.into_iter();
        let (system_key, system_former) = match (self.header.encrypted, system.next()) {
            (true, Some(first)) => (first, system.collect()),
            (false, None) if previous.is_none() => (DomainKey::none(), Vec::new()),
            _ => return Err(corrupt("the keys of the keyring do not fit its encryption")),
        };
        let lineages = read_lineages(&mut cursor)?;
        cursor.finish()?;
        Ok(Keyring {
            number: self.header.number,
            phase: self.header.phase,
            lineage: self.header.lineage,
            lineages,
            wrapping,
            previous,
            slots,
            system: system_key,
            system_former,
            opened_by,
            bytes: self.bytes.clone(),
        })
    }
}

impl Header {
    fn read(encryption: u8, mut cursor: Cursor<'_>, content_bytes: usize) -> Result<Self> {
        let bent = || corrupt("the header of the keyring");
        let encrypted = match encryption {
            0 => false,
            1 => true,
            _ => return Err(bent()),
        };
        let phase = match cursor.u8()? {
            PHASE_CREATING => Phase::Creating,
            PHASE_READY => Phase::Ready,
            _ => return Err(bent()),
        };
        let generation = cursor.u32()?;
        let number = cursor.u64()?;
        let lineage = Lineage { store_id: cursor.array()?, epoch: cursor.u32()? };
        let body_bytes = usize::try_from(cursor.u32()?).map_err(|_| bent())?;
        if encrypted == (generation == 0) || body_bytes > content_bytes {
            return Err(bent());
        }
        Ok(Self { encrypted, phase, generation, number, lineage, body_bytes })
    }

    const fn binding(&self) -> Binding {
        Binding {
            lineage: self.lineage,
            subject: 0,
            first: self.number,
            last: self.number,
            compression: Compression::None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&KEYRING_MAGIC);
        out.extend_from_slice(&KEYRING_VERSION.to_be_bytes());
        out.push(u8::from(self.encrypted));
        out.push(match self.phase {
            Phase::Creating => PHASE_CREATING,
            Phase::Ready => PHASE_READY,
        });
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.lineage.store_id);
        out.extend_from_slice(&self.lineage.epoch.to_be_bytes());
        out.extend_from_slice(&stored::<u32, _>(self.body_bytes)?.to_be_bytes());
        Ok(())
    }
}

/// Writes a keyring whole. The same state sealed twice gives different bytes.
pub(super) fn encode(keyring: &Keyring, environment: &dyn Environment) -> Result<Bytes> {
    let header = Header {
        encrypted: keyring.is_encrypted(),
        phase: keyring.phase,
        generation: keyring.generation(),
        number: keyring.number,
        lineage: keyring.lineage,
        body_bytes: body_bytes(keyring),
    };
    let head_bytes = KEYRING_HEADER_BYTES + keyring.slots.len() * SLOT_BYTES;
    let mut out = Vec::with_capacity(
        head_bytes + PREFIX_BYTES_MAX + header.body_bytes + TAG_BYTES + KEYRING_CHECKSUM_BYTES,
    );
    header.write(&mut out)?;
    for slot in &keyring.slots {
        SlotRecord::write(slot.as_ref().map(|slot| &slot.record), &mut out);
    }
    let mut body = Zeroizing::new(Vec::with_capacity(header.body_bytes));
    write_body(keyring, &head_hash(&out), &mut body)?;
    let piece = PieceKey::create(&keyring.wrapping, PieceType::KeyringBody, environment)?;
    let tag = piece.seal(0, &header.binding(), &mut body)?;
    out.extend_from_slice(piece.prefix());
    out.extend_from_slice(&body);
    out.extend_from_slice(&tag);
    let checksum = blake3::hash(&out);
    out.extend_from_slice(checksum.as_bytes());
    if out.len() > KEYRING_BYTES_MAX {
        return Err(Error::new(ErrorKind::Internal, "a keyring is longer than it may be"));
    }
    Ok(out.into())
}

/// Bytes of the body: it is allocated once, so that no copy of a key is left behind by growing.
fn body_bytes(keyring: &Keyring) -> usize {
    let system_keys = keyring.system_keys().count();
    32 + keyring.slots.len() * SLOT_FACTS_BYTES
        + (4 + 32)
        + (2 + system_keys * 40)
        + (2 + keyring.lineages.len() * 28)
}

fn write_body(keyring: &Keyring, head_hash: &[u8; 32], body: &mut Vec<u8>) -> Result<()> {
    let no_key = DomainKey::none();
    body.extend_from_slice(head_hash);
    for slot in &keyring.slots {
        SlotFacts::write(slot.as_ref().map(|slot| &slot.facts), body);
    }
    let previous = keyring.previous.as_ref().unwrap_or(&no_key);
    body.extend_from_slice(&stored::<u32, _>(previous.id().0)?.to_be_bytes());
    body.extend_from_slice(previous.secret().unwrap_or(&[0; 32]));
    body.extend_from_slice(&stored::<u16, _>(keyring.system_keys().count())?.to_be_bytes());
    for key in keyring.system_keys() {
        body.extend_from_slice(&key.id().0.to_be_bytes());
        body.extend_from_slice(key.secret().unwrap_or(&[0; 32]));
    }
    body.extend_from_slice(&stored::<u16, _>(keyring.lineages.len())?.to_be_bytes());
    for former in &keyring.lineages {
        body.extend_from_slice(&former.lineage.store_id);
        body.extend_from_slice(&former.lineage.epoch.to_be_bytes());
        body.extend_from_slice(&former.stamp_last.to_be_bytes());
    }
    Ok(())
}

fn read_slot_facts(
    records: Vec<Option<SlotRecord>>,
    cursor: &mut Cursor<'_>,
) -> Result<Vec<Option<Slot>>> {
    records
        .into_iter()
        .map(|record| match record {
            Some(record) => Ok(Some(Slot { record, facts: SlotFacts::read(cursor)? })),
            None => cursor.take(SLOT_FACTS_BYTES).map(|_| None),
        })
        .collect()
}

fn read_system_keys(cursor: &mut Cursor<'_>) -> Result<Vec<DomainKey>> {
    let count = u16::from_be_bytes(cursor.array()?);
    if usize::from(count) > SYSTEM_KEYS_MAX {
        return Err(corrupt("there are too many system keys"));
    }
    (0..count)
        .map(|_| {
            let id = KeyId(cursor.u64()?);
            Ok(DomainKey::from_secret(id, Zeroizing::new(cursor.array()?)))
        })
        .collect()
}

fn read_lineages(cursor: &mut Cursor<'_>) -> Result<Vec<FormerLineage>> {
    let count = u16::from_be_bytes(cursor.array()?);
    if usize::from(count) > LINEAGES_MAX {
        return Err(corrupt("there are too many lineages"));
    }
    (0..count)
        .map(|_| {
            let lineage = Lineage { store_id: cursor.array()?, epoch: cursor.u32()? };
            Ok(FormerLineage { lineage, stamp_last: cursor.u64()? })
        })
        .collect()
}

fn head_hash(head: &[u8]) -> [u8; 32] {
    blake3::derive_key(KEYRING_HEAD_CONTEXT, head)
}

fn stored<T: TryFrom<U>, U>(value: U) -> Result<T> {
    T::try_from(value).map_err(|_| {
        Error::new(ErrorKind::Internal, "a number of the keyring is too large to be stored")
    })
}
