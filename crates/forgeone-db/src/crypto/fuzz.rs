//! What decides before anything is authenticated, for the fuzzer: keyrings, prefixes, tokens, key
//! files; and what a seal guards, behind a seal that fits.

use super::keyring::choose;
use super::piece::{Binding, DomainKey, KeyId, Lineage, PieceKey, PieceType};
use super::token::CursorKey;
use super::value::{Place, open_value};
use super::{Key, KeyStore, Keyring};
use crate::codec::{Compression, Cursor};
use crate::environment::SystemEnvironment;
use std::sync::LazyLock;

const LINEAGE: Lineage = Lineage { store_id: [7; 16], epoch: 1 };
const PLACE: Place = Place { lineage: LINEAGE, subject: 0, position: 9 };

static SECRET: LazyLock<DomainKey> =
    LazyLock::new(|| DomainKey::from_secret(KeyId(5), zeroize::Zeroizing::new([9; 32])));

/// A keyring without its checksum, which is made to fit.
pub(crate) fn keyring(data: &[u8]) -> bool {
    let bytes = [data, blake3::hash(data).as_bytes()].concat();
    let key = Key::raw([7; 32]);
    choose(&[Some(bytes.into())])
        .is_ok_and(|sealed| sealed.open(Some(&key)).is_ok() | sealed.open(None).is_ok())
}

/// A key that a keyring has wrapped.
pub(crate) fn wrapped_key(data: &[u8]) -> bool {
    static KEYS: LazyLock<KeyStore> = LazyLock::new(|| {
        let environment = std::sync::Arc::new(SystemEnvironment::new());
        let key = Key::raw([7; 32]);
        let keyring = Keyring::create_opts(Some(&key), super::KdfParams::FLOOR, &*environment);
        KeyStore::new(keyring.expect("there is randomness"), environment)
    });
    KEYS.unwrap_keys([data]).is_ok() | KEYS.is_present([data]).is_ok()
}

/// A sealed value as it is stored, with a key and without.
pub(crate) fn sealed_value(data: &[u8]) -> bool {
    [&DomainKey::none(), &*SECRET]
        .into_iter()
        .any(|domain| open_value(domain, PieceType::Head, PLACE, data).is_ok())
}

/// What a value's checksum guards: `compression u8 | length u32 | bytes`.
pub(crate) fn packed_value(data: &[u8]) -> bool {
    let Some((head, bytes)) = data.split_first_chunk::<5>() else { return false };
    let Ok(compression) = Compression::from_code(head[0]) else { return false };
    let domain = DomainKey::none();
    let created = PieceKey::create(&domain, PieceType::Head, &SystemEnvironment::new());
    let Ok(key) = created else { return false };
    let binding = Binding { lineage: LINEAGE, subject: 0, first: 9, last: 9, compression };
    let Ok(tag) = key.seal(0, &binding, &mut bytes.to_vec()) else { return false };
    let stored = [key.prefix(), head, &tag, bytes].concat();
    open_value(&domain, PieceType::Head, PLACE, &stored).is_ok()
}

/// The prefix of a piece, with a key and without.
pub(crate) fn prefix(data: &[u8]) -> bool {
    [&DomainKey::none(), &*SECRET]
        .into_iter()
        .any(|domain| PieceKey::read(domain, PieceType::Segment, &mut Cursor::new(data)).is_ok())
}

/// A token's text.
pub(crate) fn token(data: &[u8]) -> bool {
    static KEY: LazyLock<CursorKey> = LazyLock::new(|| {
        CursorKey::derive(&SECRET, &LINEAGE.store_id).expect("the key has a fitting length")
    });
    std::str::from_utf8(data).is_ok_and(|text| KEY.open(text).is_ok())
}

/// A key file.
pub(crate) fn key_file(data: &[u8]) -> bool {
    Key::from_file_bytes(data).is_ok()
}
