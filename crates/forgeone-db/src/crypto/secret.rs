//! The user's secret: a passphrase or a raw key, and the text file it may be kept in.

use crate::environment::Environment;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::fmt;
use zeroize::{Zeroize as _, Zeroizing};

const KEY_FILE_RAW: &str = "forgeone-db key file v1 raw"; // on-disk
const KEY_FILE_PASSPHRASE: &str = "forgeone-db key file v1 passphrase"; // on-disk
const KEY_FILE_BYTES_MAX: usize = 4096; // on-disk
/// Longer passphrases cannot be made into a slot.
pub(super) const PASSPHRASE_BYTES_MAX: usize = 1024;

/// The secret that opens an encrypted store.
///
/// It is wiped from memory when dropped, is not printed by `Debug`, and has neither `Display` nor
/// `Clone`. A passphrase is used as the bytes it is: two ways of writing the same character in
/// Unicode are two passphrases.
///
/// # Security
/// Does not protect against whoever reads this process's memory. The string handed to
/// [`passphrase`](Self::passphrase) is not copied if it is a `String`; earlier copies of it are the
/// caller's to wipe.
pub struct Key(Secret);

pub(super) enum Secret {
    Passphrase(Zeroizing<String>),
    Raw(Zeroizing<[u8; 32]>),
}

impl Key {
    /// A passphrase. It is stretched with Argon2id, which takes memory and time on purpose.
    ///
    /// # Limits
    /// A store refuses to be created with an empty passphrase, or one of more than 1,024 bytes.
    pub fn passphrase(passphrase: impl Into<String>) -> Self {
        Self(Secret::Passphrase(Zeroizing::new(passphrase.into())))
    }

    /// 32 bytes from a good random generator, for services and scripts. They are not stretched:
    /// REQUIRES that nobody can guess them.
    pub fn raw(mut bytes: [u8; 32]) -> Self {
        let key = Self(Secret::Raw(Zeroizing::new(bytes)));
        bytes.zeroize();
        key
    }

    /// A fresh raw key.
    ///
    /// # Errors
    /// `Unavailable` when there is no randomness.
    pub fn generate(environment: &dyn Environment) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        environment.fill_random(&mut *bytes)?;
        Ok(Self(Secret::Raw(bytes)))
    }

    /// Reads the text of a key file; see [`KeyFile`] for what it looks like.
    ///
    /// # Errors
    /// `Invalid` when it is anything else. The message never repeats what was read.
    pub fn from_file_text(text: &str) -> Result<Self> {
        Self::from_file_bytes(text.as_bytes())
    }

    /// Reads the bytes of a key file, as [`from_file_text`](Self::from_file_text) does. The caller
    /// wipes `bytes`.
    ///
    /// # Errors
    /// `Invalid` when they are not the text of a key file.
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > KEY_FILE_BYTES_MAX {
            return Err(not_a_key_file("it is longer than 4,096 bytes"));
        }
        // The error of `from_utf8` shows no content, but says where: not worth keeping.
        let text = std::str::from_utf8(bytes).map_err(|_| {
            not_a_key_file("it is not text; make one with 32 bytes as 64 hex digits")
        })?;
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let kind = lines.next().unwrap_or_default();
        let secret = lines.next().unwrap_or_default();
        if lines.any(|line| !line.is_empty()) {
            return Err(not_a_key_file("it has more than two lines"));
        }
        match kind {
            KEY_FILE_RAW => parse_hex(secret.trim_ascii())
                .map(|bytes| Self(Secret::Raw(bytes)))
                .ok_or_else(|| not_a_key_file("its second line is not 64 hex digits")),
            KEY_FILE_PASSPHRASE if secret.is_empty() => {
                Err(not_a_key_file("its second line, the passphrase, is empty"))
            }
            KEY_FILE_PASSPHRASE => Ok(Self::passphrase(secret)),
            _ => Err(not_a_key_file("its first line is not that of a known kind")),
        }
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Secret::Passphrase(_) => "Key::passphrase(..)",
            Secret::Raw(_) => "Key::raw(..)",
        })
    }
}

/// The text of a key file: two lines, of which the first says what kind of key it is.
///
/// ```text
/// forgeone-db key file v1 raw
/// 6b1f... (64 hex digits)
/// ```
/// ```text
/// forgeone-db key file v1 passphrase
/// correct horse battery staple
/// ```
///
/// Write it only to a file that nobody else can read (mode 0600 from its creation on). Wiped from
/// memory when dropped; not printed by `Debug`.
pub struct KeyFile(Zeroizing<String>);

impl KeyFile {
    /// The file for `key`.
    ///
    /// # Errors
    /// `Invalid` for a passphrase that has a line break in it, is empty or too long for a file.
    pub fn new(key: &Key) -> Result<Self> {
        let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX));
        match &key.0 {
            Secret::Raw(bytes) => {
                text.push_str(KEY_FILE_RAW);
                text.push('\n');
                push_hex(&mut text, &**bytes);
            }
            Secret::Passphrase(passphrase) => {
                if passphrase.is_empty() || passphrase.contains(['\n', '\r']) {
                    return Err(Error::new(
                        ErrorKind::Invalid,
                        "a passphrase that is empty or has line breaks cannot be kept in a key file",
                    ));
                }
                if passphrase.len() > PASSPHRASE_BYTES_MAX {
                    return Err(passphrase_too_long());
                }
                text.push_str(KEY_FILE_PASSPHRASE);
                text.push('\n');
                text.push_str(passphrase);
            }
        }
        text.push('\n');
        Ok(Self(text))
    }

    /// What to write to the file.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(..)")
    }
}

pub(super) fn passphrase_too_long() -> Error {
    Error::new(ErrorKind::Invalid, "a passphrase has at most 1,024 bytes")
}

fn not_a_key_file(why: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("this is not a key file: {why}"))
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
}

fn parse_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    if text.len() != 64 {
        return None;
    }
    let mut out = Zeroizing::new([0; 32]);
    let mut digits = text.chars().map(|digit| digit.to_digit(16));
    for byte in &mut *out {
        let high = digits.next()??;
        let low = digits.next()??;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(out)
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
