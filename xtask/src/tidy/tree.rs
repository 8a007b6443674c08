//! The files that rules look at, by their path from the workspace's root.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Folders that are built, fetched or not ours.
const SKIPPED: &[&str] = &["target", "data", ".git", "corpus", "node_modules"];
/// What rules look at, by the end of the name.
const READ: &[&str] = &[".rs", ".toml", ".md", ".sh", ".yml", ".yaml", "/run", "Cargo.lock"];

/// All text files of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, String>);

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File<'a> {
    /// The path from the root, with `/`.
    pub(crate) path: &'a str,
    /// The content; bytes that are not UTF-8 are replaced, which the `ascii` rule reports.
    pub(crate) text: &'a str,
}

impl Tree {
    /// Reads the files under `root`.
    pub(crate) fn load(root: &Path) -> io::Result<Self> {
        let mut tree = Self::default();
        tree.load_folder(root, "")?;
        Ok(tree)
    }

    fn load_folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                self.load_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() && READ.iter().any(|end| path.ends_with(end)) {
                let bytes = fs::read(entry.path())?;
                self.0.insert(path, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = File<'_>> {
        self.0.iter().map(|(path, text)| File { path, text })
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = File<'_>> {
        self.files().filter(|file| has_extension(file.path, "rs"))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }
}

pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Whether a file holds tests, benchmarks or examples and not the program.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| {
        matches!(part, "tests" | "tests.rs" | "benches" | "examples" | "fuzz" | "fuzz_targets")
            || part.ends_with("_tests.rs")
    })
}
