//! What of a disk is durable, and what is on its way: the contract's "power loss".
//!
//! Bytes are on their way until their file is synced, names until their directory is.

use super::crash::{Part, Selection};
use super::image::{FileId, Image};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One thing that is on its way until it is synced.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Write { file: FileId, offset: u64, data: Arc<[u8]> },
    SetLen { file: FileId, len: u64 },
    Create { path: PathBuf, file: FileId },
    Rename { from: PathBuf, to: PathBuf, file: FileId },
    Remove { path: PathBuf, file: FileId },
}

impl Change {
    /// The file whose sync makes it durable.
    fn file(&self) -> Option<FileId> {
        match self {
            Self::Write { file, .. } | Self::SetLen { file, .. } => Some(*file),
            _ => None,
        }
    }

    /// The directory whose sync makes it durable.
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Write { .. } | Self::SetLen { .. } => None,
            Self::Create { path, .. }
            | Self::Remove { path, .. }
            | Self::Rename { to: path, .. } => path.parent(),
        }
    }
}

/// What was done to a disk.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Change(Change),
    /// A file's bytes became durable.
    Sync(FileId),
    /// A file's sync failed: what was on its way is lost, though readers still see it.
    Lose(FileId),
    SyncDirectory(PathBuf),
    /// Durable at once: whoever makes a directory syncs its parent.
    MakeDirectory(PathBuf),
    /// A sync that a bad disk only pretended to do.
    #[cfg(test)]
    Nothing,
}

/// What is durable, and what is on its way to it, in the order in which it was done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Medium {
    durable: Image,
    /// Each with the number of its operation.
    pending: Vec<(usize, Change)>,
    /// How often something became durable.
    settled: usize,
}

impl Medium {
    /// A disk on which everything is durable.
    pub(crate) fn holding(image: Image) -> Self {
        Self { durable: image, ..Self::default() }
    }

    pub(crate) fn durable(&self) -> &Image {
        &self.durable
    }

    /// How often something became durable: as long as it stays the same, so does that.
    pub(crate) fn settled(&self) -> usize {
        self.settled
    }

    pub(crate) fn pending(&self) -> &[(usize, Change)] {
        &self.pending
    }

    /// Takes in the operation with the number `number`.
    ///
    /// # Errors
    /// `FileTooLarge`.
    pub(crate) fn apply(&mut self, number: usize, operation: &Operation) -> io::Result<()> {
        match operation {
            Operation::Change(change) => self.pending.push((number, change.clone())),
            Operation::Sync(file) => self.settle(|change| change.file() == Some(*file))?,
            Operation::Lose(file) => {
                self.pending.retain(|(_, change)| change.file() != Some(*file));
            }
            #[cfg(test)]
            Operation::Nothing => {}
            Operation::SyncDirectory(path) => {
                self.settle(|change| change.directory() == Some(path))?;
            }
            Operation::MakeDirectory(path) => {
                self.durable.make_directory(path);
                self.settled += 1;
            }
        }
        Ok(())
    }

    fn settle(&mut self, synced: impl Fn(&Change) -> bool) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        for (number, change) in pending {
            if synced(&change) {
                self.durable.apply(&change)?;
                self.settled += 1;
            } else {
                self.pending.push((number, change));
            }
        }
        Ok(())
    }

    /// The disk after a power loss of which `selection` survived.
    ///
    /// # Errors
    /// `FileTooLarge`.
    pub(crate) fn image(&self, selection: &Selection) -> io::Result<Image> {
        let mut image = self.durable.clone();
        for ((_, change), part) in self.pending.iter().zip(selection.parts()) {
            match (change, part) {
                (_, Part::Absent) => {}
                (_, Part::Whole) => image.apply(change)?,
                (Change::Write { file, offset, data }, torn) => {
                    for (start, piece) in torn.pieces(*offset, data) {
                        image.apply(&Change::Write {
                            file: *file,
                            offset: start,
                            data: piece.into(),
                        })?;
                    }
                }
                (_, _) => image.apply(change)?,
            }
        }
        Ok(image)
    }
}
