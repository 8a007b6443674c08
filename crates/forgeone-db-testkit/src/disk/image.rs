//! What is on a disk at one moment.

use super::content::Content;
use super::medium::Change;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which file, whatever it is called.
pub(crate) type FileId = u64;

/// Directories, files and their names. A copy costs a few words for each file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    directories: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, FileId>,
    files: BTreeMap<FileId, Arc<Content>>,
}

impl Image {
    pub(crate) fn is_directory(&self, path: &Path) -> bool {
        self.directories.contains(path)
    }

    pub(crate) fn make_directory(&mut self, path: &Path) {
        self.directories.insert(path.to_owned());
    }

    /// The file that `path` names.
    pub(crate) fn id(&self, path: &Path) -> Option<FileId> {
        self.names.get(path).copied()
    }

    /// A number that no file has.
    pub(crate) fn next_id(&self) -> FileId {
        let named = self.names.values().max().copied();
        let kept = self.files.last_key_value().map(|(id, _)| *id);
        named.max(kept).map_or(0, |id| id + 1)
    }

    pub(crate) fn shared(&self, id: FileId) -> Option<&Arc<Content>> {
        self.files.get(&id)
    }

    /// Bytes that all files with a name take up.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        let named = self.names.values().filter_map(|id| self.shared(*id));
        named.map(|content| content.allocated_bytes()).sum()
    }

    /// Makes the bytes of a file those that it has in `other`.
    pub(crate) fn take_content(&mut self, id: FileId, other: &Self) {
        let content = other.files.get(&id).cloned().unwrap_or_default();
        self.files.insert(id, content);
    }

    /// The paths of the files right inside a directory.
    pub(crate) fn paths<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = &'a Path> {
        let paths = self.names.keys().map(PathBuf::as_path);
        paths.filter(move |path| path.parent() == Some(directory))
    }

    /// The bytes under a path; none if there is no file.
    #[cfg(test)]
    pub(crate) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.id(path)
            .map(|id| self.files.get(&id).map(|content| content.to_vec()).unwrap_or_default())
    }

    /// Puts a file with these bytes under a path, in place of what is there.
    pub(crate) fn put(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            self.make_directory(directory);
        }
        let mut content = Content::default();
        content.write(0, bytes)?;
        let id = self.next_id();
        self.names.insert(path.to_owned(), id);
        self.files.insert(id, Arc::new(content));
        Ok(())
    }

    /// Takes the name of a file away.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.names.remove(path);
    }

    /// Does to the image what was done to the disk, whatever else arrived of it.
    ///
    /// # Errors
    /// `FileTooLarge`.
    pub(crate) fn apply(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::Write { file, offset, data } => self.file(*file).write(*offset, data)?,
            Change::SetLen { file, len } => self.file(*file).set_len(*len)?,
            Change::Create { path, file } => {
                self.names.insert(path.clone(), *file);
                self.files.entry(*file).or_default();
            }
            Change::Rename { from, to, file } => {
                if self.names.get(from) == Some(file) {
                    self.names.remove(from);
                }
                self.names.insert(to.clone(), *file);
                self.files.entry(*file).or_default();
            }
            Change::Remove { path, file } => {
                if self.names.get(path) == Some(file) {
                    self.names.remove(path);
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, id: FileId) -> &mut Content {
        Arc::make_mut(self.files.entry(id).or_default())
    }
}
