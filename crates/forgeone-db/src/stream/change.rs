//! Changes of state: the payload of a system topic's records, folded into families.

use crate::codec::{Cursor, corrupt, put_bytes, put_varint};
use forgeone_db_engine::Result;

/// Sets or removes one key of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The family's id.
    pub(crate) family: u64,
    pub(crate) key: Vec<u8>,
    /// The new value; `None` removes the key.
    pub(crate) value: Option<Vec<u8>>,
}

impl Change {
    /// Sets `key`.
    pub(crate) const fn put(family: u64, key: Vec<u8>, value: Vec<u8>) -> Self {
        Self { family, key, value: Some(value) }
    }

    /// Removes `key`.
    pub(crate) const fn delete(family: u64, key: Vec<u8>) -> Self {
        Self { family, key, value: None }
    }
}

/// About how many bytes changes take raw.
pub(crate) fn changes_bytes(changes: &[Change]) -> usize {
    let bytes = |change: &Change| 32 + change.key.len() + change.value.as_ref().map_or(0, Vec::len);
    changes.iter().map(bytes).sum()
}

/// Encodes the changes of one commit.
pub(crate) fn encode_changes(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, changes.len() as u64);
    for change in changes {
        put_varint(&mut out, change.family);
        put_bytes(&mut out, &change.key);
        match &change.value {
            Some(value) => {
                out.push(1);
                put_bytes(&mut out, value);
            }
            None => out.push(0),
        }
    }
    out
}

/// # Errors
/// `Corrupt` when the bytes are not changes.
pub(crate) fn decode_changes(payload: &[u8]) -> Result<Vec<Change>> {
    let mut cursor = Cursor::new(payload);
    let count = cursor.len()?;
    let mut changes = Vec::with_capacity(count.min(cursor.remaining() / 3));
    for _ in 0..count {
        let family = cursor.varint()?;
        let key = cursor.bytes()?.to_vec();
        let value = match cursor.u8()? {
            0 => None,
            1 => Some(cursor.bytes()?.to_vec()),
            _ => return Err(corrupt("a change is neither a value nor a removal")),
        };
        changes.push(Change { family, key, value });
    }
    cursor.finish()?;
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::{Change, decode_changes, encode_changes};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn changes_come_back(raw: Vec<(u64, Vec<u8>, Option<Vec<u8>>)>) {
            let changes: Vec<Change> = raw
                .into_iter()
                .map(|(family, key, value)| Change { family, key, value })
                .collect();
            prop_assert_eq!(decode_changes(&encode_changes(&changes)).unwrap(), changes);
        }

        #[test]
        fn arbitrary_bytes_never_panic(payload: Vec<u8>) {
            let _ = decode_changes(&payload).is_ok();
        }
    }
}
