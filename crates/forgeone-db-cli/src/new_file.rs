//! Files that are there whole or not at all.

use crate::exit::{Exit, Failure};
use crate::key_file::parent;
use crate::output::Shown;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What to do about a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Keep,
    Replace,
}

/// A file under a temporary name beside its place, which only its owner can read (mode 0600). It
/// gets its name by [`finish`](Self::finish); dropped before that, it is removed. A process that is
/// killed leaves it behind.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    existing: Existing,
    file: File,
    named: bool,
}

impl NewFile {
    /// # Errors
    /// `Conflict` for a name that is taken and to be kept; usage for what can be no file.
    pub(crate) fn create(path: &Path, existing: Existing) -> Result<Self, Failure> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() && !metadata.is_symlink() => {
                return Err(Failure::usage(format!("{} is no regular file", Shown(path)))
                    .hint("leave the name out to write to standard output"));
            }
            Ok(_) if existing == Existing::Keep => return Err(taken(path)),
            _ => {}
        }
        let Some(name) = path.file_name() else {
            return Err(Failure::usage(format!("{} names no file", Shown(path))));
        };
        let mut temporary = name.to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = parent(path).join(temporary);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(|error| failed(&temporary, &error))?;
        Ok(Self { path: path.to_owned(), temporary, existing, file, named: false })
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, durably.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| failed(&self.temporary, &error))?;
        let renamed = match self.existing {
            Existing::Replace => fs::rename(&self.temporary, &self.path),
            Existing::Keep => rename_new(&self.temporary, &self.path),
        };
        match renamed {
            Ok(()) => self.named = true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(taken(&self.path));
            }
            Err(error) => return Err(failed(&self.path, &error)),
        }
        let synced = File::open(parent(&self.path)).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed(&self.path, &error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            // Why it is not wanted is told already.
            drop(fs::remove_file(&self.temporary));
        }
    }
}

/// Renames unless the name is taken. File systems that cannot do both at once look first.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(to).is_ok() => {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to),
        renamed => renamed.map_err(io::Error::from),
    }
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format_args!("{} cannot be written", Shown(path)), error)
}

fn taken(path: &Path) -> Failure {
    Failure::new(Exit::Conflict, format!("{} exists already", Shown(path)))
        .hint("name another file, or replace it with --force")
}
