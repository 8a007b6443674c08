//! Page numbers in redb's branch pages. redb allocates as much as a number says that a page has before
//! it reads the page, so a bent one could take all memory.
//!
//! Absent on purpose: whether a number is right, which shows when the page is read. Layout: redb's design
//! document, file format 3.

use std::io;

const BRANCH: u8 = 2;
const PAGE_BYTES: u64 = 4096;
/// Of a branch page: its kind and its number of keys, before a checksum and a number for each child.
const HEAD_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 16;
const NUMBER_BYTES: usize = 8;
/// Where in a number the order is: a page of order n has 2^n pages.
const ORDER_SHIFT: u32 = 59;

/// Checks a page as it was read: no child may be larger than the file.
///
/// # Errors
/// `InvalidData` if one would be; as asking for the file's length, which is done where a child is
/// larger than this page.
pub(super) fn check(page: &[u8], file_bytes: impl Fn() -> io::Result<u64>) -> io::Result<()> {
    let (Some(&BRANCH), Some(keys)) = (page.first(), page.get(2..4)) else { return Ok(()) };
    let children = keys.iter().rev().fold(0, |count, byte| count << 8 | usize::from(*byte)) + 1;
    let numbers = HEAD_BYTES + children * CHECKSUM_BYTES;
    let Some(numbers) = page.get(numbers..numbers + children * NUMBER_BYTES) else {
        return Err(invalid("a branch page has more children than there is room for"));
    };
    for number in numbers.as_chunks::<NUMBER_BYTES>().0 {
        let order = u64::from_le_bytes(*number) >> ORDER_SHIFT;
        let bytes = PAGE_BYTES << order;
        if bytes > page.len() as u64 && bytes > file_bytes()? {
            return Err(invalid("a page number is of a page larger than the file"));
        }
    }
    Ok(())
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::check;
    use std::io;

    /// A branch page with two children of these orders.
    fn branch(orders: [u64; 2]) -> Vec<u8> {
        let mut page = vec![2, 0, 1, 0, 0, 0, 0, 0];
        page.extend([7; 32]);
        for order in orders {
            page.extend((order << 59 | 5).to_le_bytes());
        }
        page.resize(4096, 0);
        page
    }

    #[test]
    fn a_child_larger_than_the_file_is_refused() {
        let file = || Ok(1 << 20);
        check(&branch([0, 8]), file).unwrap();
        let error = check(&branch([0, 9]), file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        check(&branch([31, 0]), file).unwrap_err();
    }

    #[test]
    fn other_pages_and_short_ones_are_none_of_its_business() {
        let file = || Ok(0);
        check(&[], file).unwrap();
        check(&[2], file).unwrap();
        check(&[1; 4096], file).unwrap();
        let mut crowded = branch([0, 0]);
        crowded[2..4].fill(0xFF);
        check(&crowded, file).unwrap_err();
    }
}
