//! Which store a command means, and the key that opens it.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Output, say};
use forgeone_db::{Error, ErrorKind, Key, KeyFile, OpenMode, RedbManager, StoreKeys, StoreOptions};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const DIRECTORY: &str = "./data/redb";
const DIRECTORY_VARIABLE: &str = "FORGEONE_DB_DIR";
const KEY_FILE_VARIABLE: &str = "FORGEONE_DB_KEY_FILE";
const KEY_VARIABLE: &str = "FORGEONE_DB_KEY";
/// More than any key file has.
const KEY_FILE_BYTES_MAX: u64 = 4096 + 1;

/// How a command waits for another writer unless `--wait` says otherwise.
pub(crate) const WAIT_SHORT: Duration = Duration::from_secs(10);

/// The store that the arguments and the environment name.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    key_file: Option<PathBuf>,
    format: Format,
    wait: Option<Duration>,
}

impl Place {
    pub(crate) fn new(global: Global) -> Self {
        let directory = global
            .dir
            .or_else(|| variable(DIRECTORY_VARIABLE).map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(DIRECTORY));
        Self {
            directory,
            key_file: global.key_file,
            format: if global.json { Format::Json } else { Format::Text },
            wait: global.wait.map(Duration::from_secs),
        }
    }

    /// The key file that the arguments name.
    pub(crate) fn key_file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    pub(crate) fn output(&self) -> Output {
        Output::new(self.format)
    }

    /// How long to wait for another writer.
    pub(crate) fn wait(&self, default: Duration) -> Duration {
        self.wait.unwrap_or(default)
    }

    /// The key that arguments or environment name, if they name one.
    pub(crate) fn named_key(&self) -> Result<Option<Key>, Failure> {
        if let Some(path) = &self.key_file {
            return read_key_file(path).map(Some);
        }
        if let Some(path) = variable(KEY_FILE_VARIABLE) {
            return read_key_file(Path::new(&path)).map(Some);
        }
        match variable(KEY_VARIABLE) {
            None => Ok(None),
            Some(passphrase) => passphrase
                .into_string()
                .map(|passphrase| Some(Key::passphrase(passphrase)))
                .map_err(|_| Failure::usage(format!("{KEY_VARIABLE} is not UTF-8"))),
        }
    }

    /// The key of the store that is there: as named, or asked for on a terminal, or none where none
    /// is needed.
    pub(crate) fn key(&self) -> Result<Option<Key>, Failure> {
        if let Some(key) = self.named_key()? {
            return Ok(Some(key));
        }
        match StoreKeys::read(&self.directory, None) {
            Err(error) if error.kind() == ErrorKind::WrongKey => {}
            // What else is wrong is said by the opening, which knows what it is for.
            _ => return Ok(None),
        }
        if !can_ask() {
            return Err(Failure::new(Exit::Key, "the store is encrypted and no key was given")
                .hint(format!(
                    "give a key file with --key-file or {KEY_FILE_VARIABLE}, or a passphrase in \
                     {KEY_VARIABLE}"
                )));
        }
        ask("Passphrase: ").map(Some)
    }

    /// Opens the store for reading, beside a writer or without one.
    pub(crate) fn read(&self) -> Result<RedbManager, Failure> {
        self.open(self.options()?.mode(OpenMode::Read))
    }

    /// Opens the store for writing.
    pub(crate) fn write(&self, wait: Duration) -> Result<RedbManager, Failure> {
        self.open(self.options()?.mode(OpenMode::Open).lock_wait(self.wait(wait)))
    }

    fn options(&self) -> Result<StoreOptions, Failure> {
        Ok(StoreOptions::new(&self.directory).key(self.key()?))
    }

    fn open(&self, options: StoreOptions) -> Result<RedbManager, Failure> {
        let manager = RedbManager::open(options).map_err(|error| self.explain(error))?;
        for recovery in manager.database().recoveries() {
            say(format_args!(
                "recovered {} after a crash in {} ms",
                recovery.database,
                recovery.duration.as_millis()
            ));
        }
        Ok(manager)
    }

    /// An error of opening, with the hints that only this place can give.
    pub(crate) fn explain(&self, error: Error) -> Failure {
        if error.kind() == ErrorKind::Invalid
            && StoreKeys::read(&self.directory, None).is_ok_and(|keys| keys.list().is_empty())
        {
            return Failure::from(error).hint(format!(
                "the store is not encrypted: leave out --key-file, and unset {KEY_FILE_VARIABLE} \
                 and {KEY_VARIABLE}"
            ));
        }
        error.into()
    }
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether there is somebody to ask for a passphrase.
pub(crate) fn can_ask() -> bool {
    io::stderr().is_terminal() && File::open("/dev/tty").is_ok()
}

/// Asks for a passphrase.
pub(crate) fn ask(prompt: &str) -> Result<Key, Failure> {
    let passphrase = rpassword::prompt_password(prompt)
        .map_err(|error| Failure::io("no passphrase could be read", &error))?;
    Ok(Key::passphrase(passphrase))
}

/// Asks twice for a new passphrase.
pub(crate) fn ask_new() -> Result<Key, Failure> {
    let read = |prompt| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| Failure::io("no passphrase could be read", &error))
    };
    let mut first = read("New passphrase: ")?;
    if first.is_empty() {
        return Err(Failure::usage("the passphrase is empty"));
    }
    if *first != *read("Again: ")? {
        return Err(Failure::usage("the two passphrases differ").hint("start again"));
    }
    Ok(Key::passphrase(std::mem::take(&mut *first)))
}

/// Reads a key from a file, and warns when others could, too.
pub(crate) fn read_key_file(path: &Path) -> Result<Key, Failure> {
    let failed = |error: io::Error| {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Key,
        };
        Failure::new(exit, format!("the key file {} cannot be read: {error}", path.display()))
            .hint("name the key file of this store with --key-file")
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        say(format_args!(
            "warning: others may read the key file {0}; run: chmod 600 {1}",
            path.display(),
            crate::output::quoted(&path.to_string_lossy())
        ));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Key::from_file_bytes(&bytes).map_err(|error| {
        Failure::new(Exit::Key, format!("{error} (file: {})", path.display())).hint(
            "a key file is made by `forgeone-db init --generate-key FILE`; its first line is \
             `forgeone-db key file v1 raw` or `... v1 passphrase`",
        )
    })
}

/// Makes a raw key in a new file that only its owner can read, durable on return.
pub(crate) fn generate_key_file(path: &Path) -> Result<Key, Failure> {
    let environment = forgeone_db::environment::SystemEnvironment::new();
    let key = Key::generate(&environment)?;
    let file = KeyFile::new(&key)?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(
        |mut out| {
            out.write_all(file.text().as_bytes())?;
            out.sync_all()?;
            File::open(parent(path))?.sync_all()
        },
    );
    match written {
        Ok(()) => Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::new(
            Exit::Conflict,
            format!("{} exists already; a key is never written over", path.display()),
        )
        .hint("use it with --key-file, or name another file")),
        Err(error) => Err(Failure::io(format_args!("the key file {}", path.display()), &error)),
    }
}

/// The directory in which `path` lies.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
