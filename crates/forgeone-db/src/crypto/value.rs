//! Small values sealed whole: a piece of one unit (a head, a manifest, a block's header).

use super::piece::{Binding, DomainKey, Lineage, PieceKey, PieceType};
use crate::codec::{Compression, Cursor, compress, corrupt, decompress};
use crate::environment::Environment;
use forgeone_db_engine::Result;

const VALUE_COMPRESSION_LEVEL: i32 = 3;
/// Values below this size are stored as they are, so that heads cost no compression.
const VALUE_COMPRESS_BYTES_MIN: usize = 1024;
/// No value grows beyond this, whatever its length field says.
const VALUE_RAW_BYTES_MAX: u32 = 1 << 30;

/// The place of a value: its subject and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lineage: Lineage,
    pub(crate) subject: u64,
    pub(crate) position: u64,
}

impl Place {
    fn binding(self, compression: Compression) -> Binding {
        Binding {
            lineage: self.lineage,
            subject: self.subject,
            first: self.position,
            last: self.position,
            compression,
        }
    }
}

/// Seals `raw` as `prefix | compression u8 | raw length u32 | tag | bytes`.
pub(crate) fn seal_value(
    domain: &DomainKey,
    piece_type: PieceType,
    place: Place,
    raw: Vec<u8>,
    environment: &dyn Environment,
) -> Result<Vec<u8>> {
    let raw_len = u32::try_from(raw.len())
        .ok()
        .filter(|len| *len <= VALUE_RAW_BYTES_MAX)
        .ok_or_else(|| corrupt("a value is too large to seal"))?;
    let (compression, mut bytes) = if raw.len() < VALUE_COMPRESS_BYTES_MIN {
        (Compression::None, raw)
    } else {
        compress(raw, VALUE_COMPRESSION_LEVEL)?
    };
    let key = PieceKey::create(domain, piece_type, environment)?;
    let tag = key.seal(0, &place.binding(compression), &mut bytes)?;
    let mut out = Vec::with_capacity(key.prefix().len() + 21 + bytes.len());
    out.extend_from_slice(key.prefix());
    out.push(compression.code());
    out.extend_from_slice(&raw_len.to_be_bytes());
    out.extend_from_slice(&tag);
    out.extend_from_slice(&bytes);
    Ok(out)
}

/// Opens what [`seal_value`] made.
///
/// # Errors
/// `Corrupt` when the value is not authentic in this place; `UpgradeRequired` for a newer format.
pub(crate) fn open_value(
    domain: &DomainKey,
    piece_type: PieceType,
    place: Place,
    stored: &[u8],
) -> Result<Vec<u8>> {
    let mut cursor = Cursor::new(stored);
    let key = PieceKey::read(domain, piece_type, &mut cursor)?;
    let compression = Compression::from_code(cursor.u8()?)?;
    // The raw length is not bound into the seal, but a false one fails against the sealed frame.
    let raw_len = cursor.u32()?.min(VALUE_RAW_BYTES_MAX);
    let tag = cursor.array()?;
    let bytes = cursor.take(cursor.remaining())?;
    let opened = key.open(0, &place.binding(compression), bytes, &tag)?;
    decompress(compression, opened, raw_len as usize)
}

#[cfg(test)]
mod tests {
    use super::{Lineage, Place, open_value, seal_value};
    use crate::crypto::{DomainKey, KeyId, PieceType};
    use crate::environment::SystemEnvironment;

    #[test]
    fn values_small_and_large_come_back_and_no_bit_may_change() {
        let place =
            Place { lineage: Lineage { store_id: [1; 16], epoch: 1 }, subject: 0, position: 9 };
        for domain in [DomainKey::none(), DomainKey::new(KeyId::SYSTEM, [3; 32])] {
            for len in [0, 10, 5000] {
                let raw = vec![b'x'; len];
                let environment = SystemEnvironment::new();
                let stored =
                    seal_value(&domain, PieceType::Head, place, raw.clone(), &environment).unwrap();
                let open = |stored: &[u8]| open_value(&domain, PieceType::Head, place, stored);
                assert_eq!(open(&stored).unwrap(), raw);
                for bit in 0..stored.len() * 8 {
                    let mut bent = stored.clone();
                    bent[bit / 8] ^= 1 << (bit % 8);
                    assert!(open(&bent).is_err(), "bit {bit} of {len}");
                }
                for len in 0..stored.len() {
                    assert!(open(&stored[..len]).is_err(), "cut to {len}");
                }
            }
        }
    }
}
