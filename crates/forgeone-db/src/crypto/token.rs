//! Tokens that users carry, such as the place where a page of a query ended: authenticated, not
//! hidden.

use super::kdf::expand;
use super::piece::DomainKey;
use forgeone_db_engine::{Error, ErrorKind, Result, mutant};
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const TOKEN_VERSION: u8 = 1; // on-disk
const TOKEN_TAG_BYTES: usize = 16; // on-disk
const TOKEN_PAYLOAD_BYTES_MAX: usize = 1_048_576; // on-disk
const TOKEN_TEXT_BYTES_MAX: usize = (1 + TOKEN_PAYLOAD_BYTES_MAX + TOKEN_TAG_BYTES) * 4 / 3 + 1;
const TOKEN_KEY_INFO: &[u8] = b"forgeone-db cursor v1"; // on-disk
const TOKEN_PLAIN_CONTEXT: &str = "forgeone-db cursor without key v1"; // on-disk
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The key of a store's cursor tokens.
///
/// # Security
/// Whoever holds a token can read its payload. Without encryption the key follows from the store's
/// id, which anyone with the directory can read: tokens are then safe from accidents only.
pub(crate) struct CursorKey(Zeroizing<[u8; 32]>);

impl CursorKey {
    /// The key of the store `store_id`, whose current system key is `system`. Another system key
    /// makes all earlier tokens foreign.
    pub(crate) fn derive(system: &DomainKey, store_id: &[u8; 16]) -> Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        match system.secret() {
            Some(secret) => expand(&[], secret, &[TOKEN_KEY_INFO, store_id], &mut *key)?,
            None => *key = blake3::derive_key(TOKEN_PLAIN_CONTEXT, store_id),
        }
        Ok(Self(key))
    }

    /// The key that [`bytes`](Self::bytes) gave.
    ///
    /// # Errors
    /// `Corrupt` for another number of bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let key = bytes.try_into().map_err(|_| crate::codec::corrupt("the key of tokens"))?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// The key itself, for keeping it beyond the system key that it came from.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A token for `payload`: text that fits a URL.
    ///
    /// # Errors
    /// `Unsupported` for a payload of more than 1 MiB.
    pub(crate) fn seal(&self, payload: &[u8]) -> Result<String> {
        if payload.len() > TOKEN_PAYLOAD_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "a token of so many topics is too long; follow fewer of them",
            )
            .with("bytes", payload.len()));
        }
        let mut token = Vec::with_capacity(1 + payload.len() + TOKEN_TAG_BYTES);
        token.push(TOKEN_VERSION);
        token.extend_from_slice(payload);
        token.extend_from_slice(&self.tag(&token));
        Ok(to_base64url(&token))
    }

    /// The payload of a token that this key sealed.
    ///
    /// # Errors
    /// `Invalid` for any other text.
    pub(crate) fn open(&self, token: &str) -> Result<Vec<u8>> {
        self.verify(token).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "this cursor was not made by this store, or was altered")
        })
    }

    fn verify(&self, token: &str) -> Option<Vec<u8>> {
        let bytes = from_base64url(token)?;
        let (content, tag) = bytes.split_last_chunk::<TOKEN_TAG_BYTES>()?;
        let (version, payload) = content.split_first()?;
        let fits = bool::from(self.tag(content).ct_eq(tag)) && *version == TOKEN_VERSION;
        let fits = fits || mutant!("skip-the-tag-of-a-token");
        fits.then(|| payload.to_vec())
    }

    fn tag(&self, content: &[u8]) -> [u8; TOKEN_TAG_BYTES] {
        let mut tag = [0; TOKEN_TAG_BYTES];
        blake3::Hasher::new_keyed(&self.0).update(content).finalize_xof().fill(&mut tag);
        tag
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(..)")
    }
}

/// Base64 with the alphabet of RFC 4648 section 5, without padding.
fn to_base64url(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            let sextet = (group >> (18 - 6 * index)) as usize & 0x3f;
            out.extend(ALPHABET.get(sextet).map(|symbol| char::from(*symbol)));
        }
    }
    out
}

/// The inverse. `None` for padding, other symbols, lengths that no bytes have, and spare bits that
/// are not zero: one value has one text.
fn from_base64url(text: &str) -> Option<Vec<u8>> {
    if text.len() > TOKEN_TEXT_BYTES_MAX || text.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0u32;
        for symbol in chunk {
            let sextet = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            group = group << 6 | u32::from(sextet);
        }
        let [_, bytes @ ..] = (group << (6 * (4 - chunk.len()))).to_be_bytes();
        let (whole, spare) = bytes.split_at_checked(chunk.len() * 3 / 4)?;
        if spare.iter().any(|byte| *byte != 0) {
            return None;
        }
        out.extend_from_slice(whole);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{CursorKey, TOKEN_PAYLOAD_BYTES_MAX, from_base64url, to_base64url};
    use crate::crypto::{DomainKey, KeyId};
    use forgeone_db_engine::ErrorKind;
    use proptest::prelude::*;

    fn keys() -> [CursorKey; 4] {
        let secret = DomainKey::new(KeyId::SYSTEM, [9; 32]);
        let none = DomainKey::none();
        [(&secret, 1), (&secret, 2), (&none, 1), (&none, 2)]
            .map(|(system, id)| CursorKey::derive(system, &[id; 16]).unwrap())
    }

    #[test]
    fn a_token_opens_only_in_its_own_store() {
        let keys = keys();
        for (maker, key) in keys.iter().enumerate() {
            let token = key.seal(b"after 17").unwrap();
            for (reader, key) in keys.iter().enumerate() {
                match key.open(&token) {
                    Ok(payload) => assert!(maker == reader && payload == b"after 17"),
                    Err(error) => {
                        assert!(maker != reader && error.kind() == ErrorKind::Invalid);
                        assert!(!format!("{error:?}").contains(&token));
                    }
                }
            }
        }
    }

    #[test]
    fn every_altered_symbol_is_noticed() {
        let [key, ..] = keys();
        let token = key.seal(b"after 17").unwrap();
        for (index, own) in token.bytes().enumerate() {
            for other in (0..=127).filter(|other| *other != own) {
                let mut bent = token.clone().into_bytes();
                bent[index] = other;
                let bent = String::from_utf8(bent).unwrap();
                assert_eq!(key.open(&bent).unwrap_err().kind(), ErrorKind::Invalid);
            }
            assert!(key.open(&token[..index]).is_err());
        }
        assert!(key.open(&format!("{token}A")).is_err() && key.open(&format!("{token}=")).is_err());
    }

    #[test]
    fn the_longest_payload_fits_and_one_more_byte_does_not() {
        let [key, ..] = keys();
        for len in [0, TOKEN_PAYLOAD_BYTES_MAX - 1, TOKEN_PAYLOAD_BYTES_MAX] {
            let payload = vec![7; len];
            assert_eq!(key.open(&key.seal(&payload).unwrap()).unwrap(), payload);
        }
        assert!(key.seal(&vec![7; TOKEN_PAYLOAD_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        let pairs = [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")];
        for (plain, encoded) in pairs {
            assert_eq!(to_base64url(plain.as_bytes()), encoded);
            assert_eq!(from_base64url(encoded).unwrap(), plain.as_bytes());
        }
        assert_eq!(to_base64url(&[0xfb, 0xff]), "-_8");
        assert!(from_base64url("Zh").is_none(), "spare bits");
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_invalid(text: String) {
            let [key, ..] = keys();
            prop_assert_eq!(key.open(&text).unwrap_err().kind(), ErrorKind::Invalid);
        }

        #[test]
        fn base64_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(from_base64url(&to_base64url(&bytes)).unwrap(), bytes);
        }
    }
}
