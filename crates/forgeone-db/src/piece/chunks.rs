//! How the last part of a piece is cut, so that little of what the engine allocates is empty.
//!
//! Absent on purpose: finding chunks again; they follow one another until one is missing.

use super::{CHUNK_SPARE_BYTES, PART_BYTES};

/// The smallest page that an engine may give a value of its own.
const PAGE_BYTES_MIN: usize = 4 << 10;
/// A chunk is not cut further when it fills so many per cent of its page.
const FILL_PERCENT_MIN: usize = 90;

/// Cuts the last part into chunks: as few as fill their pages, each a power of two, well enough.
pub(super) fn cut(part: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    let mut rest = part;
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at_checked(chunk_bytes(rest.len())).unwrap_or((rest, &[]));
        chunks.push(chunk);
        rest = more;
    }
    chunks
}

/// Bytes of the next chunk of what is left.
fn chunk_bytes(left: usize) -> usize {
    let mut page = PAGE_BYTES_MIN;
    while page - CHUNK_SPARE_BYTES < left && page - CHUNK_SPARE_BYTES < PART_BYTES {
        page *= 2;
    }
    if page == PAGE_BYTES_MIN || left * 100 >= (page - CHUNK_SPARE_BYTES) * FILL_PERCENT_MIN {
        return left;
    }
    page / 2 - CHUNK_SPARE_BYTES
}

#[cfg(test)]
mod tests {
    use super::{FILL_PERCENT_MIN, PAGE_BYTES_MIN, cut};
    use crate::piece::{CHUNK_SPARE_BYTES, CHUNKS_MAX, PART_BYTES};

    #[test]
    fn chunks_join_up_are_few_and_leave_little_empty() {
        for len in (0..=PART_BYTES).step_by(7).chain([PART_BYTES - 1, PART_BYTES]) {
            let part: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let chunks = cut(&part);
            assert_eq!(chunks.concat(), part);
            assert!(chunks.len() <= CHUNKS_MAX as usize, "{len} bytes in {}", chunks.len());
            let pages: usize = chunks
                .iter()
                .map(|chunk| (chunk.len() + CHUNK_SPARE_BYTES).next_power_of_two())
                .map(|page| page.max(PAGE_BYTES_MIN))
                .sum();
            let wasted = pages.saturating_sub(len);
            let allowed = pages * (100 - FILL_PERCENT_MIN) / 100 + PAGE_BYTES_MIN;
            assert!(wasted <= allowed, "{len} bytes take {pages}");
        }
    }
}
