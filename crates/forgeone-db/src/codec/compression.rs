//! Compression of one unit, with the exact result size known to the reader.

use super::corrupt;
use forgeone_db_engine::{Error, ErrorKind, Result};

/// How a unit's bytes are compressed. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// As they are.
    None,
    /// One zstd frame.
    Zstd,
}

impl Compression {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Zstd => 1,
        }
    }

    pub(crate) fn from_code(code: u8) -> Result<Self> {
        match code {
            0 => Ok(Self::None),
            1 => Ok(Self::Zstd),
            _ => Err(Error::new(ErrorKind::UpgradeRequired, "an unknown compression is used")
                .with("compression", code)),
        }
    }
}

/// Below this many bytes a zstd frame's own header eats what it saves.
const COMPRESS_BYTES_MIN: usize = 64;

/// Compresses `raw` at `level` if that makes it smaller; says what it did.
///
/// # Errors
/// `Internal` if zstd fails, which it does only for want of memory.
pub(crate) fn compress(raw: Vec<u8>, level: i32) -> Result<(Compression, Vec<u8>)> {
    if raw.len() < COMPRESS_BYTES_MIN {
        return Ok((Compression::None, raw));
    }
    let packed = zstd::bulk::compress(&raw, level).map_err(|error| {
        Error::new(ErrorKind::Internal, "compression failed").with_source(error)
    })?;
    if packed.len() < raw.len() {
        Ok((Compression::Zstd, packed))
    } else {
        Ok((Compression::None, raw))
    }
}

/// Restores exactly `raw_len` bytes; allocates nothing unless the frame states the same size.
///
/// # Errors
/// `Corrupt` if the result has another size. REQUIRES: `stored` is authentic; `raw_len` need not be.
pub(crate) fn decompress(
    compression: Compression,
    stored: Vec<u8>,
    raw_len: usize,
) -> Result<Vec<u8>> {
    let raw = match compression {
        Compression::None => stored,
        Compression::Zstd => {
            // The frame says its size too. Only if both agree is that much allocated.
            let framed = zstd::zstd_safe::get_frame_content_size(&stored);
            if framed.ok().flatten() != Some(raw_len as u64) {
                return Err(corrupt("a unit has another size than stated"));
            }
            zstd::bulk::decompress(&stored, raw_len)
                .map_err(|error| corrupt("a unit does not decompress").with_source(error))?
        }
    };
    if raw.len() == raw_len { Ok(raw) } else { Err(corrupt("a unit has another size than stated")) }
}

#[cfg(test)]
mod tests {
    use super::{Compression, compress, decompress};

    #[test]
    fn compressible_bytes_shrink_and_come_back() {
        let raw = vec![7u8; 10_000];
        let (compression, stored) = compress(raw.clone(), 1).unwrap();
        assert_eq!(compression, Compression::Zstd);
        assert!(stored.len() < 100);
        assert_eq!(decompress(compression, stored, raw.len()).unwrap(), raw);
    }

    #[test]
    fn a_frame_larger_than_stated_is_corrupt() {
        let (compression, stored) = compress(vec![7u8; 1_000_000], 1).unwrap();
        assert!(decompress(compression, stored, 10).is_err());
    }
}
