//! Key files: reading them with care, making them, and taking back what was made in vain.

use crate::exit::{Exit, Failure};
use crate::output::{Shown, quoted, say};
use forgeone_db::{Key, KeyFile};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// More than any key file has.
const KEY_FILE_BYTES_MAX: u64 = 4096 + 1;
const ROOT: u32 = 0;

/// What to do about a key file that others can read or change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    Warn,
    Refuse,
}

/// Why a key file is not only its user's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exposure {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

/// Reads a key from a file or a pipe. What others can read of it is warned of, or refused.
pub(crate) fn read_key_file(path: &Path, care: Care) -> Result<Key, Failure> {
    let (key, exposures) = load_key_file(path)?;
    heed(path, &exposures, care)?;
    Ok(key)
}

/// Reads a key from a file or a pipe, and says who else could.
pub(crate) fn load_key_file(path: &Path) -> Result<(Key, Vec<Exposure>), Failure> {
    let failed = |error: io::Error| {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Key,
        };
        Failure::new(exit, format!("the key file {} cannot be read: {error}", Shown(path)))
            .hint("name the key file of this store with --key-file")
    };
    // Before it is opened: opening a device may already do something.
    check_type(path, &fs::metadata(path).map_err(failed)?)?;
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    check_type(path, &metadata)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.is_empty() {
        return Err(no_key(path, "is empty"));
    }
    let key = Key::from_file_bytes(&bytes).map_err(|error| {
        Failure::new(Exit::Key, format!("{error} (file: {})", Shown(path))).hint(KEY_FILE_HINT)
    })?;
    Ok((key, exposures(path, &metadata)))
}

const KEY_FILE_HINT: &str = "a key file is made by `forgeone-db init --generate-key FILE`; its \
    first line is `forgeone-db key file v1 raw` or `... v1 passphrase`";

fn no_key(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Key, format!("the key file {} {why}", Shown(path))).hint(KEY_FILE_HINT)
}

/// Regular files, and pipes, through which shells and supervisors pass secrets.
fn check_type(path: &Path, metadata: &Metadata) -> Result<(), Failure> {
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_fifo() {
        Ok(())
    } else if kind.is_dir() {
        Err(no_key(path, "is a directory"))
    } else {
        Err(no_key(path, "is neither a file nor a pipe"))
    }
}

/// Who else can read or change the file; empty if nobody.
fn exposures(path: &Path, metadata: &Metadata) -> Vec<Exposure> {
    let mut found = Vec::new();
    if metadata.nlink() == 0 {
        // No name leads to it: whoever passed it decides who sees it.
        return found;
    }
    let word = quoted(&path.to_string_lossy());
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        found.push(Exposure {
            what: format!(
                "the key file {} is open to group or others (mode {mode:03o})",
                Shown(path)
            ),
            remedy: format!("chmod 600 {word}"),
        });
    }
    let owner = metadata.uid();
    // Root reads and changes every file in any case.
    if owner != rustix::process::geteuid().as_raw() && owner != ROOT {
        found.push(Exposure {
            what: format!("the key file {} belongs to another user (id {owner})", Shown(path)),
            remedy: format!("chown $(id -u) {word}"),
        });
    }
    found
}

fn heed(path: &Path, exposures: &[Exposure], care: Care) -> Result<(), Failure> {
    for Exposure { what, remedy } in exposures {
        match care {
            Care::Warn => say(format_args!("warning: {what}; run: {remedy}")),
            Care::Refuse => {
                return Err(Failure::new(
                    Exit::Denied,
                    format!("{what}, and --strict refuses that"),
                )
                .hint(format!(
                    "run: {remedy}; make a new key for {} if others may have read it",
                    Shown(path)
                )));
            }
        }
    }
    Ok(())
}

/// Makes a raw key in a new file that only its owner can read, durable on return. Leaves no file
/// when it fails.
pub(crate) fn generate_key_file(path: &Path) -> Result<Key, Failure> {
    let environment = forgeone_db::environment::SystemEnvironment::new();
    let key = Key::generate(&environment)?;
    let text = KeyFile::new(&key)?;
    let failed = |error| Failure::io(format_args!("the key file {}", Shown(path)), &error);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            Exit::Conflict,
            format!("{} exists already; a key is never written over", Shown(path)),
        )
        .hint("use it with --key-file, or name another file"),
        _ => failed(error),
    })?;
    match write(file, &text, path) {
        Ok(()) => Ok(key),
        Err(error) => {
            discard_key_file(path);
            Err(failed(error))
        }
    }
}

fn write(mut file: File, text: &KeyFile, path: &Path) -> io::Result<()> {
    file.write_all(text.text().as_bytes())?;
    file.sync_all()?;
    File::open(parent(path))?.sync_all()
}

/// Removes a key file that was just made and that nothing needs.
pub(crate) fn discard_key_file(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        say(format_args!("warning: {} opens nothing and cannot be removed: {error}", Shown(path)));
    }
}

/// The directory in which `path` lies.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
