//! Compression of one unit, with the exact result size known to the reader.

use super::corrupt;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::cell::RefCell;
use std::io;
use zstd::bulk::{Compressor, Decompressor};

thread_local! {
    // Making a context costs as much as compressing a small unit with it.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

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

/// No frame is unpacked to more than this, whatever it and its header say.
const RAW_BYTES_MAX: usize = 1 << 30;
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
    let packed = pack(&raw, level).map_err(|error| {
        Error::new(ErrorKind::Internal, "compression failed").with_source(error)
    })?;
    if packed.len() < raw.len() {
        Ok((Compression::Zstd, packed))
    } else {
        Ok((Compression::None, raw))
    }
}

/// Compresses with this thread's context, which is thrown away if it fails.
fn pack(raw: &[u8], level: i32) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let mut compressor = match kept.take() {
            Some(compressor) => compressor,
            None => Compressor::new(level)?,
        };
        compressor.set_compression_level(level)?;
        let packed = compressor.compress(raw)?;
        *kept = Some(compressor);
        Ok(packed)
    })
}

/// Decompresses with this thread's context, which is thrown away if it fails.
fn unpack(stored: &[u8], raw_len: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let mut decompressor = match kept.take() {
            Some(decompressor) => decompressor,
            None => Decompressor::new()?,
        };
        // A length is only believed as far as there is memory for it.
        let mut raw = Vec::new();
        raw.try_reserve_exact(raw_len).map_err(io::Error::other)?;
        decompressor.decompress_to_buffer(stored, &mut raw)?;
        *kept = Some(decompressor);
        Ok(raw)
    })
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
            if framed.ok().flatten() != Some(raw_len as u64) || raw_len > RAW_BYTES_MAX {
                return Err(corrupt("a unit has another size than stated"));
            }
            unpack(&stored, raw_len)
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

    /// T13: a frame and its header that agree on a length nobody has memory for.
    #[test]
    fn a_frame_that_states_an_absurd_length_is_corrupt_and_costs_nothing() {
        for len in [u64::MAX, 1 << 60, 1 << 45, 1 << 31] {
            let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
            frame.extend_from_slice(&len.to_le_bytes());
            frame.extend_from_slice(&[1, 0, 0]);
            let stated = usize::try_from(len).unwrap();
            assert!(decompress(Compression::Zstd, frame, stated).is_err(), "{len}");
        }
    }

    #[test]
    fn a_frame_larger_than_stated_is_corrupt() {
        let (compression, stored) = compress(vec![7u8; 1_000_000], 1).unwrap();
        assert!(decompress(compression, stored, 10).is_err());
    }
}
