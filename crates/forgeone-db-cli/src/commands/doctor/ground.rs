//! The ground a store stands on: file system, space, permissions.

use super::report::Report;
use crate::exit::Failure;
use crate::output::{Bytes, Shown, quoted};
use rustix::fs::{StatVfsMountFlags, statfs, statvfs};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Below this no commit is made, whatever the store's size.
const FREE_BYTES_MIN: u64 = 64 << 20;
const FREE_BYTES_COMFORT: u64 = 1 << 30;
/// Files of the largest store, with as many again for what comes and goes.
const INODES_COMFORT: u64 = 4096;
const INODES_MIN: u64 = 16;

/// What is known of a type of file system.
enum Nature {
    Good,
    Risky(&'static str, &'static str),
}

const LOCAL: &str = "use a directory on a local disk";
const OVER_A_NETWORK: &str = "locks and fsync may promise more than they keep";

/// The type that the system reports, its name, and what that means for a store.
const TYPES: [(u64, &str, Nature); 20] = [
    (0xef53, "ext4", Nature::Good),
    (0x5846_5342, "xfs", Nature::Good),
    (0x9123_683e, "btrfs", Nature::Good),
    (0x2fc1_2fc1, "zfs", Nature::Good),
    (0xf2f5_2010, "f2fs", Nature::Good),
    (0xca45_1a4e, "bcachefs", Nature::Good),
    (0x0102_1994, "tmpfs", IN_MEMORY),
    (0x8584_58f6, "ramfs", IN_MEMORY),
    (
        0x794c_7630,
        "overlay",
        Nature::Risky("it goes when the container goes", "mount a volume for the store"),
    ),
    (0x6969, "nfs", Nature::Risky(OVER_A_NETWORK, LOCAL)),
    (0x517b, "smb", Nature::Risky(OVER_A_NETWORK, LOCAL)),
    (0xfe53_4d42, "smb2", Nature::Risky(OVER_A_NETWORK, LOCAL)),
    (0xff53_4d42, "cifs", Nature::Risky(OVER_A_NETWORK, LOCAL)),
    (0x00c3_6400, "ceph", Nature::Risky(OVER_A_NETWORK, LOCAL)),
    (0x0102_1997, "9p", Nature::Risky(OVER_A_NETWORK, LOCAL)),
    (0x6573_5546, "fuse", Nature::Risky("locks and fsync are its program's business", LOCAL)),
    (0x4d44, "fat", NO_OWNERS),
    (0x2011_bab0, "exfat", NO_OWNERS),
    (0x5346_544e, "ntfs", NO_OWNERS),
    (0x7366_746e, "ntfs3", NO_OWNERS),
];

const IN_MEMORY: Nature = Nature::Risky("what it holds is lost when the machine stops", LOCAL);
const NO_OWNERS: Nature =
    Nature::Risky("it may not keep modes and owners of files", "use a file system of this system");

pub(super) fn filesystem(report: &mut Report, base: &Path) -> Result<(), Failure> {
    const CHECK: &str = "filesystem";
    let place = Shown(base);
    let kind = match statfs(base) {
        Ok(found) => u64::try_from(found.f_type).unwrap_or(0) & 0xffff_ffff,
        Err(error) => {
            let detail = format!("{place} cannot be looked at: {error}");
            return report.fail(CHECK, detail, "check the directory and who may enter it");
        }
    };
    if statvfs(base).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        let detail = format!("{place} is mounted read-only");
        return report.fail(CHECK, detail, "mount it for writing, or name another directory");
    }
    match TYPES.iter().find(|(number, _, _)| *number == kind) {
        Some((_, name, Nature::Good)) => report.ok(CHECK, format!("{name} at {place}")),
        Some((_, name, Nature::Risky(why, remedy))) => {
            report.warn(CHECK, format!("{name} at {place}: {why}"), remedy)
        }
        None => {
            report.info(CHECK, format!("{place} is on a file system of unknown type {kind:#x}"))
        }
    }
}

pub(super) fn space(report: &mut Report, base: &Path) -> Result<(), Failure> {
    let Ok(found) = statvfs(base) else {
        return report.info("space", "the free space is not known");
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let detail = format!("{} free", Bytes(free));
    match free {
        0..FREE_BYTES_MIN => report.fail("space", detail, "free space on the disk")?,
        FREE_BYTES_MIN..FREE_BYTES_COMFORT => report.warn("space", detail, "free space soon")?,
        _ => report.ok("space", detail)?,
    }
    let detail = format!("{} more files can be made", found.f_favail);
    match found.f_favail {
        // Some file systems do not count them.
        _ if found.f_files == 0 => report.info("inodes", "files are not limited in number"),
        0..INODES_MIN => report.fail("inodes", detail, "remove files that nobody needs"),
        INODES_MIN..INODES_COMFORT => {
            report.warn("inodes", detail, "remove files that nobody needs")
        }
        _ => report.ok("inodes", detail),
    }
}

/// Whether others can look into the directory, or into files in it.
pub(super) fn permissions(report: &mut Report, directory: &Path) -> Result<(), Failure> {
    const CHECK: &str = "permissions";
    let word = quoted(&directory.to_string_lossy());
    let metadata = match fs::metadata(directory) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let detail = "the directory is not there yet; init makes it for its owner alone";
            return report.info(CHECK, detail);
        }
        Err(error) => {
            let detail = format!("{} cannot be looked at: {error}", Shown(directory));
            return report.fail(CHECK, detail, "check the modes of the directories above it");
        }
    };
    let owner = metadata.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner != user {
        let detail = format!("{} belongs to user {owner}, and this is {user}", Shown(directory));
        return report.warn(CHECK, detail, format!("run as its owner, or: chown -R {user} {word}"));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        let detail = format!("{} is open to group or others (mode {mode:03o})", Shown(directory));
        return report.warn(CHECK, detail, format!("run: chmod 700 {word}"));
    }
    let open = fs::read_dir(directory).into_iter().flatten().flatten().find(|entry| {
        entry.metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o077 != 0)
    });
    match open {
        None => report.ok(CHECK, format!("{} is its owner's alone", Shown(directory))),
        Some(entry) => {
            let detail = format!("{} is open to group or others", Shown(&entry.path()));
            report.warn(CHECK, detail, format!("run: chmod -R go= {word}"))
        }
    }
}
