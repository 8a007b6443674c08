//! The operating system's file system.

use super::{Disk, DiskAccess, DiskFile, DiskLock, LockKind, LockRange};
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend as _};
use rustix::fs::{Advice, FallocateFlags, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// Zeros written at once where blocks cannot be had without.
const ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The operating system's file system: files of mode 0600 in directories of mode 0700.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn is_directory(&self, path: &Path) -> io::Result<bool> {
        fs::metadata(path).map(|metadata| metadata.is_dir())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
            .collect();
        for directory in missing.into_iter().rev() {
            match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
            self.sync_directory(parent.unwrap_or(Path::new(".")))?;
        }
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn allocated_bytes(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => Ok(Some(metadata.blocks().saturating_mul(512))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(path)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        open_with(path, OpenOptions::new().read(true).write(true).create_new(true))
            .and_then(SystemFile::boxed)
    }

    fn open(&self, path: &Path, access: DiskAccess) -> io::Result<Box<dyn DiskFile>> {
        let write = access == DiskAccess::Write;
        let file = open_with(path, OpenOptions::new().read(true).write(write))?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        SystemFile::boxed(file)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let file = match open_with(path, OpenOptions::new().read(true).write(true).create(true)) {
            Err(error) if is_denied(&error) => open_with(path, OpenOptions::new().read(true)),
            opened => opened,
        }?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(SystemLock { _file: file }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn set_aside(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = open_with(path, OpenOptions::new().write(true).create(true))?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&file, bytes),
            allocated => Ok(allocated?),
        }
    }

    fn drop_caches(&self, path: &Path) -> io::Result<()> {
        let file = open_with(path, OpenOptions::new().read(true))?;
        Ok(rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?)
    }
}

#[derive(Debug)]
struct SystemLock {
    _file: File,
}

impl DiskLock for SystemLock {}

/// A file, read and written and locked as redb itself does it: other processes that have it open,
/// whichever version they are, see locks that they know.
#[derive(Debug)]
struct SystemFile(FileBackend);

impl SystemFile {
    fn boxed(file: File) -> io::Result<Box<dyn DiskFile>> {
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(Self(backend)))
    }
}

impl DiskFile for SystemFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self, (start, end): LockRange, kind: LockKind) -> io::Result<bool> {
        let locked = match kind {
            LockKind::Shared => self.0.try_lock_shared_range(start, end),
            LockKind::Exclusive => self.0.try_lock_range(start, end),
        };
        locked.map_err(from_lock)
    }

    fn lock(&self, (start, end): LockRange, kind: LockKind) -> io::Result<()> {
        let locked = match kind {
            LockKind::Shared => self.0.lock_shared_range(start, end),
            LockKind::Exclusive => self.0.lock_range(start, end),
        };
        locked.map_err(from_lock)
    }

    fn unlock(&self, (start, end): LockRange) -> io::Result<()> {
        self.0.unlock_range(start, end).map_err(from_lock)
    }

    fn is_locked(&self, (start, end): LockRange) -> io::Result<bool> {
        self.0.query_lock_range(start, end).map_err(from_lock)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

fn from_lock(error: BackendError) -> io::Error {
    match error {
        BackendError::Io(error) => error,
        BackendError::Unsupported => io::ErrorKind::Unsupported.into(),
        other => io::Error::other(other),
    }
}

fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let mut offset = file.metadata()?.len();
    while offset < bytes {
        let count = usize::try_from(bytes - offset).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_all_at(ZEROS.get(..count).unwrap_or(&ZEROS), offset)?;
        offset += count as u64;
    }
    Ok(())
}

fn open_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.mode(FILE_MODE).custom_flags(flags.bits().cast_signed()).open(path)
}

fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
