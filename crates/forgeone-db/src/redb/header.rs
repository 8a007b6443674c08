//! What the first bytes of a redb file say before redb opens it: which format it has, and whether a
//! commit was cut off.
//!
//! Absent on purpose: trusting any of it. It is reported, and nothing is decided by it but the refusal
//! of a newer format. What is read through it is authenticated above.

use super::disk::DiskFile;
use super::overlay::Overlay;
use forgeone_db_engine::{Error, ErrorKind, Result};
use redb::StorageBackend as _;
use std::io;

/// The first bytes of every redb file.
const MAGIC: [u8; 9] = [b'r', b'e', b'd', b'b', 0x1A, 0x0A, 0xA9, 0x0D, 0x0A];
/// The byte whose lowest bit says which of the two commit slots counts.
const FLAGS_OFFSET: usize = 9;
const SECOND_COUNTS: u8 = 1;
/// Set while a writer has the file open.
const NOT_CLOSED: u8 = 2;
/// Where redb's two commit slots begin, and where in a slot its format version and its transaction
/// number lie.
const SLOT_OFFSETS: [usize; 2] = [64, 192];
const TRANSACTION_OFFSET: usize = 104;
/// The newest format version known here.
const VERSION_KNOWN: u8 = 3;
const HEADER_BYTES: usize = 320;

/// The first bytes of a file, which every commit changes before it uses any page again.
pub(super) type Header = [u8; HEADER_BYTES];

/// The first bytes of a file, whatever they are; zeros if there are fewer.
///
/// # Errors
/// As the disk's.
pub(super) fn read_any(file: &dyn DiskFile) -> io::Result<Header> {
    let mut header = [0; HEADER_BYTES];
    match file.read(0, &mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok([0; HEADER_BYTES]),
        read => read.map(|()| header),
    }
}

/// The first bytes of a file; none if they cannot be read, or are not redb's.
fn read(file: &dyn DiskFile) -> Option<Header> {
    read_any(file).ok().filter(|header| header.starts_with(&MAGIC))
}

/// redb calls a newer format damage. A file is newer only if both of its commit slots say so
/// alike: damage does not.
pub(super) fn check_version(file: &dyn DiskFile) -> Result<()> {
    let Some(header) = read(file) else { return Ok(()) };
    match SLOT_OFFSETS.map(|offset| header.get(offset)) {
        [Some(first), Some(second)] if first == second && *first > VERSION_KNOWN => {
            Err(Error::new(ErrorKind::UpgradeRequired, "the database file has a newer format")
                .with("version", first)
                .with("version_known", VERSION_KNOWN))
        }
        _ => Ok(()),
    }
}

/// Has a file seem to be closed well, to whoever reads it through `overlay`.
pub(super) fn call_closed(overlay: &Overlay) -> io::Result<()> {
    let mut flags = [0];
    overlay.read(FLAGS_OFFSET as u64, &mut flags)?;
    overlay.write(FLAGS_OFFSET as u64, &[flags[0] & !NOT_CLOSED])
}

/// How many commits have left a record in the file that does not count: one, if the slot that does
/// not count is the newer one, else none. Every commit here is written in two phases, and redb goes by
/// the slot that counts, so this one is rolled back. A commit that was cut off before it wrote its
/// record leaves no trace but free pages.
pub(super) fn unfinished_commits(file: &dyn DiskFile) -> u64 {
    let Some(header) = read(file) else { return 0 };
    let transaction = |slot: usize| {
        let start = slot + TRANSACTION_OFFSET;
        let bytes = header.get(start..start + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let [first, second] = SLOT_OFFSETS.map(transaction);
    let is_second = header.get(FLAGS_OFFSET).is_some_and(|flags| flags & SECOND_COUNTS != 0);
    let (counts, other) = if is_second { (second, first) } else { (first, second) };
    u64::from(other > counts)
}
